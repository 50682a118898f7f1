use super::{Cable, Chance, Direction, Relay, Role, Shim, Space, Weather, process, space};
use crate::product::wait_for;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A server that gives back what it gets, and a relay before it.
fn echo() -> (Relay, std::thread::JoinHandle<()>) {
    echo_behind(|to| Relay::start(to).unwrap())
}

fn echo_behind(relay: impl FnOnce(SocketAddr) -> Relay) -> (Relay, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = relay(listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut first = [0];
            if stream.peek(&mut first).is_ok_and(|n| n == 1 && first == *b"q") {
                return;
            }
            std::thread::spawn(move || {
                let mut reader = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut reader, &mut stream);
            });
        }
    });
    (relay, server)
}

fn connect(relay: &Relay) -> TcpStream {
    let stream = TcpStream::connect_timeout(&relay.address(), Duration::from_secs(5)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn exchange(stream: &mut TcpStream, text: &[u8]) -> Vec<u8> {
    stream.write_all(text).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    back
}

#[test]
fn a_relay_carries_drips_holds_cuts_and_resets() {
    let (relay, server) = echo();
    let mut stream = connect(&relay);
    let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
    let writer = { stream.try_clone().unwrap() };
    let sent = text.clone();
    let writing = std::thread::spawn(move || (&writer).write_all(&sent).unwrap());
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    writing.join().unwrap();
    assert_eq!(back, text, "fair weather changes nothing");

    relay.set(Weather { drip: Some(1), jitter: Duration::from_micros(200), ..Weather::default() });
    assert_eq!(exchange(&mut stream, b"drop by drop"), b"drop by drop");

    relay.set(Weather::partition());
    stream.write_all(b"into the dark").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut back = [0; 13];
    assert!(stream.read(&mut back).is_err(), "a partition lets nothing through and tells nobody");
    relay.set(Weather::default());
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"into the dark", "and what waited arrives when it heals");

    relay.set(Weather { cut_after: Some(4), ..Weather::default() });
    stream.write_all(b"too much").unwrap();
    assert!(!stream.read(&mut back).is_ok_and(|n| n > 4), "cut after four bytes");
    relay.set(Weather::default());

    let mut stream = connect(&relay);
    assert_eq!(exchange(&mut stream, b"again"), b"again");
    relay.close(Direction::Up);
    assert_eq!(stream.read(&mut back).unwrap(), 0, "the server saw the end of the one direction and ended the other");
    let mut stream = connect(&relay);
    assert_eq!(exchange(&mut stream, b"again"), b"again");
    assert!(relay.reset() >= 1);
    let error = stream.read(&mut back).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    relay.set(Weather { refuse: true, ..Weather::default() });
    let mut stream = connect(&relay);
    assert!(!stream.read(&mut back).is_ok_and(|n| n > 0));
    relay.set(Weather::default());
    connect(&relay).write_all(b"q").unwrap();
    server.join().unwrap();
}

#[test]
fn a_pulled_cable_loses_what_is_sent_until_it_is_plugged_in_again() {
    let cable = Cable::lay().unwrap();
    let (relay, server) = echo_behind(|to| cable.relay(to).unwrap());
    assert!(!relay.address().ip().is_loopback());
    let mut stream = connect(&relay);
    assert_eq!(exchange(&mut stream, b"over the cable"), b"over the cable");
    cable.pull().unwrap();
    stream.write_all(b"lost, and sent again").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut back = [0; 20];
    assert!(stream.read(&mut back).is_err(), "nothing comes over a pulled cable");
    let patience = Duration::from_millis(300);
    assert!(TcpStream::connect_timeout(&relay.address(), patience).is_err(), "nor anybody new");
    cable.plug_in().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"lost, and sent again");
    connect(&relay).write_all(b"q").unwrap();
    server.join().unwrap();
}

#[test]
fn syncs_fail_and_take_long_and_the_clock_steps_while_a_process_runs() {
    let directory = tempfile::tempdir().unwrap();
    let shim = Shim::build(directory.path()).unwrap();
    // A role is known by its arguments; a shell keeps them.
    let run = |script: &str| {
        let mut command = Command::new("/bin/bash");
        command
            .args(["-c", script, "serve", "--role", "control"])
            .envs(shim.environment())
            .current_dir(directory.path());
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // `dd` has no such argument: its words are those of the parent.
    let sync = "dd if=/dev/zero of=file bs=1 count=1 conv=fsync status=none";
    assert!(run(sync).0);
    assert!(shim.syncs(Role::Parent).unwrap().0 >= 1);
    shim.fail_syncs(Role::Parent, true).unwrap();
    assert!(!run(sync).0, "a sync that fails is told to its program");
    assert_eq!(shim.syncs(Role::Parent).unwrap().1, 1);
    shim.heal().unwrap();
    assert!(run(sync).0);
    shim.step_clock(3_600_000_000).unwrap();
    let seconds = |text: String| text.parse::<u64>().unwrap();
    let ahead = seconds(run("printf '%(%s)T'").1);
    shim.heal().unwrap();
    let now = seconds(run("printf '%(%s)T'").1);
    assert!((3_590..3_660).contains(&(ahead - now)), "{ahead} {now}");
    shim.slow_syncs(Role::Parent, Duration::from_millis(30)).unwrap();
    assert!(run(sync).0);
    shim.heal().unwrap();
    let done = |name: &str| format!("dd if=/dev/zero of={name} bs=1 count=1 conv=fsync status=none; echo $?");
    shim.die_at_sync(Role::Parent, 2, false).unwrap();
    assert!(run(&done("first")).1.ends_with('0'));
    assert_eq!(run(&done("second")).1, "137", "killed at the second");
    assert_eq!(shim.syncs(Role::Parent).unwrap().0, 6, "and at no other");
}

#[test]
fn a_full_disk_is_full_for_whoever_writes_there_and_nobody_else_sees_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("kept"), "kept").unwrap();
    let inside = path.clone();
    std::thread::spawn(move || {
        space::own_mounts().unwrap();
        let space = Space::under(&inside, 1).unwrap();
        assert_eq!(std::fs::read_to_string(inside.join("kept")).unwrap(), "kept");
        space.fill().unwrap();
        let error = std::fs::write(inside.join("more"), [0; 8192]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        space.free().unwrap();
        std::fs::write(inside.join("more"), [0; 8192]).unwrap();
    })
    .join()
    .unwrap();
    assert!(!path.join("more").exists(), "the rest of the machine has not seen it");
    assert_eq!(std::fs::read_to_string(path.join("kept")).unwrap(), "kept");
}

#[test]
fn a_process_is_stopped_with_what_is_below_it_and_goes_on() {
    let mut child = Command::new("/bin/sh")
        .args(["-c", "while read line; do echo $line; done & wait"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut ticking = Command::new("/bin/sh")
        .args(["-c", "(while :; do echo tick; read -t 0.01 _; done) 2>/dev/null | cat"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(ticking.id()).unwrap());
    wait_for("its children", 10, || (process::below(pid).unwrap().len() >= 2).then_some(())).unwrap();
    process::stop(pid).unwrap();
    let stopped = |pid: nix::unistd::Pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    };
    for pid in process::below(pid).unwrap() {
        wait_for("it to stop", 10, || stopped(pid).then_some(())).unwrap();
    }
    process::go_on(pid).unwrap();
    wait_for("it to go on", 10, || (!stopped(pid)).then_some(())).unwrap();
    assert!(process::runs(pid));
    for pid in process::below(pid).unwrap() {
        process::signal(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    process::signal(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    ticking.wait().unwrap();
    child.wait().unwrap();
    assert!(!process::runs(pid));
    process::signal(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn chance_repeats_itself_under_one_seed() {
    let draw = |seed| {
        let mut chance = Chance::new(seed);
        (0..50).map(|_| chance.between(3, 9)).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert!(draw(7).iter().all(|n| (3..=9).contains(n)));
    assert_eq!(Chance::new(1).pick::<u8>(&[]), None);
}
