//! What people do: shells, commands, exit codes, and how sessions end.

use crate::rig::{Rig, finish, key, target, text};
use crate::typing::{Typing, resize};
use sallyport_gateway::conformance::bench::until;
use sallyport_gateway::conformance::desk::{Credential, Target};
use sallyport_model::Env;
use sallyport_model::access::EndReason;
use sallyport_model::authority::Certified;
use sallyport_recording::{Event, What};
use sallyport_ssh_transport::auth;
use sallyport_ssh_transport::certificate::{self, Contents, Holder};
use sallyport_ssh_transport::key::{self as ssh_key, HostKey};
use sallyport_testkit::sshd::ACCOUNT;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(10);

async fn closed(rig: &Rig) -> sallyport_model::authority::Close {
    rig.bench.returned(SOON).await.unwrap();
    rig.bench.desk.closes().pop().expect("no session was closed")
}

fn bytes(events: &[Event], pick: impl Fn(&What) -> Option<&[u8]>) -> String {
    text(&events.iter().filter_map(|event| pick(&event.what)).flatten().copied().collect::<Vec<u8>>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_keeps_its_streams_and_its_exit_code() {
    let rig = Rig::new().await;
    let output = rig.run(&[], "echo out; echo err >&2; exit 42").await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(42));
    let close = closed(&rig).await;
    assert_eq!((close.reason, close.complete), (EndReason::TargetClose, true));
    let events = rig.bench.events().await.unwrap();
    assert_eq!(bytes(&events, |what| if let What::Output(b) = what { Some(b) } else { None }), "out\n");
    assert_eq!(bytes(&events, |what| if let What::Stderr(b) = what { Some(b) } else { None }), "err\n");
    assert!(events.iter().any(|e| matches!(&e.what, What::Close { exit: Some(42), .. })), "{events:?}");
    assert!(rig.bench.desk.entries_of("channel.opened")[0].text.contains("channel:exec echo out"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_statuses_never_get_lost() {
    let rig = Rig::new().await;
    for _ in 0..10 {
        assert_eq!(rig.run(&[], "true").await.status.code(), Some(0));
        assert_eq!(rig.run(&[], "echo x; false").await.status.code(), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_signs_in_control_and_opens_the_target() {
    let rig = Rig::with(|target, sshd| target.credential = key(sshd)).await;
    let output = rig.run(&[], "echo by key").await;
    assert_eq!(text(&output.stdout), "by key\n", "{}", text(&output.stderr));
    let lent = rig.bench.desk.entries_of("credential.lent");
    assert_eq!(lent.iter().map(|e| e.text.as_str()).collect::<Vec<_>>(), ["signature"]);
}

/// Makes certificates as control does, for a principal, good from and until so many seconds from now.
fn certificates(principal: &str, (from, until): (i64, i64)) -> Credential {
    let (principal, env) = (principal.to_owned(), Env::system());
    Credential::Certificate(Arc::new(move |exchange| {
        let (authority, own) = (HostKey::from_seed(&AUTHORITY).unwrap(), HostKey::from_seed(&env.random()).unwrap());
        let at = |seconds: i64| u64::try_from(env.now().0 / 1_000_000 + seconds).unwrap();
        let contents = Contents {
            key: own.public().to_vec(),
            serial: 1,
            holder: Holder::User,
            id: "suite".into(),
            principals: vec![principal.clone()],
            after: at(from),
            before: at(until),
            critical: Vec::new(),
            extensions: vec!["permit-pty".into()],
        };
        let unsigned = contents.unsigned(&env.random(), authority.public()).unwrap();
        let signature = authority.sign(&unsigned);
        let certificate = certificate::signed(unsigned, &signature);
        let algorithm = ssh_key::kind(&certificate).unwrap();
        let signature = own.sign(&auth::proof(exchange, ACCOUNT, algorithm, &certificate));
        Certified { certificate, signature }
    }))
}

/// The seed of an authority that the suite's sshd believes.
const AUTHORITY: [u8; 32] = [11; 32];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_opens_the_target_in_its_time_and_for_its_name_alone() {
    let cas = tempfile::NamedTempFile::new().unwrap();
    let public = ssh_key::print(HostKey::from_seed(&AUTHORITY).unwrap().public()).unwrap();
    std::fs::write(cas.path(), public + "\n").unwrap();
    let lines = format!("TrustedUserCAKeys {}\n", cas.path().display());
    let rig = Rig::configured(&lines, |target, _| target.credential = certificates(ACCOUNT, (-60, 300))).await;
    let output = rig.run(&[], "echo certified").await;
    assert_eq!(text(&output.stdout), "certified\n", "{}", text(&output.stderr));
    for (credential, why) in [
        (certificates(ACCOUNT, (-600, -300)), "Certificate invalid: expired"),
        (certificates(ACCOUNT, (300, 600)), "Certificate invalid: not yet valid"),
        (certificates("nobody", (-60, 300)), "name is not a listed principal"),
    ] {
        let target = Target { credential, ..target(&rig.server.sshd) };
        let name = rig.bench.know(target).await.unwrap();
        let output =
            finish(rig.fixed.ssh(rig.bench.address, "ops", name.as_str(), &[]).arg("true").spawn().unwrap()).await;
        assert_ne!(output.status.code(), Some(0));
        assert!(text(&output.stderr).contains("TrustedUserCAKeys"), "{}", text(&output.stderr));
        assert!(rig.server.sshd.log().contains(why), "{why} in {}", rig.server.sshd.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vaulted_password_answers_the_one_hidden_question_of_a_target_that_asks() {
    let asks = "Match all\nPasswordAuthentication no\n";
    let rig = Rig::configured(asks, |_, _| {}).await;
    let output = rig.run(&[], "echo asked").await;
    assert_eq!(text(&output.stdout), "asked\n", "{}", text(&output.stderr));
    let log = rig.server.sshd.log();
    assert!(log.contains("Accepted keyboard-interactive/pam") && !log.contains("Accepted password"), "{log}");
    closed(&rig).await;
    let rig = Rig::configured(asks, |target, _| target.credential = Credential::Password("not-this-one".into())).await;
    let output = rig.run(&[], "true").await;
    assert!(text(&output.stderr).contains("did not accept the credential"), "{}", text(&output.stderr));
    assert_eq!(closed(&rig).await.reason, EndReason::DialFail);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_with_a_key_and_only_with_their_own() {
    let rig = Rig::new().await;
    let mine = rig.fixed.home().join("mine");
    let theirs = rig.fixed.home().join("theirs");
    sallyport_testkit::sshd::keygen(&mine).unwrap();
    sallyport_testkit::sshd::keygen(&theirs).unwrap();
    let public = |path: &std::path::Path| sallyport_testkit::sshd::public(&path.with_extension("pub")).unwrap();
    rig.bench.desk.person(&"bob".parse().unwrap(), "bob-token", &[public(&mine)]);
    let with = async |key: &std::path::Path, account: &str| {
        let key = key.display().to_string();
        let options = ["-o", "PreferredAuthentications=publickey", "-o", "IdentitiesOnly=yes", "-i", &key];
        let mut ssh = tokio::process::Command::new("ssh");
        // OpenSSH takes the first value of an option.
        ssh.args(options);
        rig.fixed.options(&mut ssh, rig.bench.address);
        ssh.arg(format!("{account}@{}@127.0.0.1", rig.name)).arg("echo hello");
        finish(ssh.spawn().unwrap()).await
    };
    assert_eq!(text(&with(&mine, "ops").await.stdout), "hello\n");
    assert_eq!(text(&with(&mine, "bob+ops").await.stdout), "hello\n");
    assert_eq!(with(&mine, "ada+ops").await.status.code(), Some(255), "another identity's handle");
    assert_eq!(with(&theirs, "ops").await.status.code(), Some(255), "an unknown key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_taken_as_an_answer_too() {
    let rig = Rig::new().await;
    let mut ssh = tokio::process::Command::new("ssh");
    ssh.args(["-o", "PreferredAuthentications=keyboard-interactive"]);
    rig.fixed.options(&mut ssh, rig.bench.address);
    ssh.arg(format!("ada+ops@{}@127.0.0.1", rig.name)).arg("echo hello");
    let output = finish(ssh.spawn().unwrap()).await;
    assert_eq!(text(&output.stdout), "hello\n", "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_command_is_recorded_to_its_end() {
    let rig = Rig::new().await;
    let output = rig.run(&[], &format!("{}echo the end", " ".repeat(40_000))).await;
    assert_eq!(text(&output.stdout), "the end\n");
    closed(&rig).await;
    let marks: String = rig.bench.events().await.unwrap().into_iter().filter_map(command).collect();
    assert!(marks.ends_with("echo the end") && marks.len() > 40_000, "{}", marks.len());
}

fn command(event: Event) -> Option<String> {
    match event.what {
        What::Mark { kind, text } if kind.starts_with("command") => Some(text),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_has_its_terminal_and_its_environment_and_is_recorded() {
    let rig = Rig::new().await;
    let mut ssh = rig.ssh(&["-tt", "-o", "SetEnv=LC_TEST=kept LD_PRELOAD=/no"], "");
    ssh.env("TERM", "vt220");
    let mut terminal = Typing::of(ssh, "$ ").await;
    terminal.keys("stty cols 91 rows 33; stty size\necho [$TERM] [$LC_TEST] [$LD_PRELOAD]; exit 3\n").await;
    let output = terminal.end().await;
    let shown = text(&output.stdout);
    assert!(shown.contains("33 91"), "{shown}");
    assert!(shown.contains("[vt220] [kept] []"), "{shown}");
    assert_eq!(output.status.code(), Some(3));
    closed(&rig).await;
    let events = rig.bench.events().await.unwrap();
    assert!(bytes(&events, |w| if let What::Output(b) = w { Some(b) } else { None }).contains("[vt220] [kept] []"));
    assert!(bytes(&events, |w| if let What::Input(b) = w { Some(b) } else { None }).contains("stty size"));
    assert!(rig.bench.desk.entries_of("channel.opened")[0].text.contains("channel:shell"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_change_reaches_the_target_and_the_recording() {
    let rig = Rig::new().await;
    let waits = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done";
    let terminal = Typing::sized(&rig, waits, "ready").await;
    resize(&rig);
    let output = terminal.end().await;
    assert!(text(&output.stdout).contains("44 99"), "{}", text(&output.stdout));
    closed(&rig).await;
    let events = rig.bench.events().await.unwrap();
    let sizes: Vec<_> = events.iter().filter(|e| matches!(e.what, What::Resize { .. })).map(|e| &e.what).collect();
    assert_eq!(sizes.first(), Some(&&What::Resize { cols: 80, rows: 24 }));
    assert_eq!(sizes.last(), Some(&&What::Resize { cols: 99, rows: 44 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_ends_the_program_is_told() {
    let rig = Rig::new().await;
    let output = rig.run(&[], "kill -TERM $$").await;
    assert_eq!(output.status.code(), Some(255));
    closed(&rig).await;
    let events = rig.bench.events().await.unwrap();
    let told = |e: &Event| matches!(&e.what, What::Close { signal: Some(signal), .. } if signal == "TERM");
    assert!(events.iter().any(told), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_target_lacks_is_told() {
    let rig = Rig::new().await;
    let mut ssh = rig.fixed.ssh(rig.bench.address, "ops", rig.name.as_str(), &["-s"]);
    let output = finish(ssh.arg("netconf").spawn().unwrap()).await;
    assert!(text(&output.stderr).contains("no subsystem `netconf`"), "{}", text(&output.stderr));
    assert_ne!(output.status.code(), Some(0));
    closed(&rig).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_target_and_an_unknown_target_are_told() {
    let rig = Rig::new().await;
    let mut ssh = tokio::process::Command::new("ssh");
    rig.fixed.options(&mut ssh, rig.bench.address);
    let output = finish(ssh.args(["ada@127.0.0.1", "true"]).spawn().unwrap()).await;
    assert!(text(&output.stderr).contains("account@target"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
    let mut ssh = rig.fixed.ssh(rig.bench.address, "ops", "nowhere", &[]);
    let output = finish(ssh.arg("true").spawn().unwrap()).await;
    assert!(text(&output.stderr).contains("no such target"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_named_no_target_chooses_one() {
    let rig = Rig::new().await;
    let mut ssh = rig.client("ssh");
    ssh.args(["-tt", "ada@127.0.0.1"]);
    let mut terminal = Typing::of(ssh, &format!("> ops@{}", rig.name)).await;
    terminal.keys("zzz").await;
    terminal.until("Nothing fits").await;
    // What is typed narrows, what is erased widens; then it is chosen.
    terminal.keys("\x15127").await;
    terminal.until("search: 127").await;
    terminal.keys("\r").await;
    terminal.until("$").await;
    terminal.keys("echo chosen-$((40 + 2)); exit\n").await;
    terminal.until("chosen-42").await;
    terminal.end().await;
    assert_eq!(closed(&rig).await.reason, EndReason::TargetClose);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_with_a_password_and_a_code() {
    let rig = Rig::new().await;
    let asks = rig.fixed.home().join("asks");
    let answer = |code: &str| {
        let script = format!(
            "#!/bin/sh\ncase \"$1\" in *Code*) echo {code};; *assword*) echo {};; esac\n",
            text(sallyport_gateway::conformance::desk::PASSWORD_TYPED)
        );
        std::fs::write(&asks, script).unwrap();
        std::fs::set_permissions(&asks, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    // Asked for both in one go, or after the password was sent as one.
    for methods in ["keyboard-interactive", "password,keyboard-interactive"] {
        for (code, good) in [("123456", true), ("654321", false)] {
            answer(code);
            let mut ssh = tokio::process::Command::new("ssh");
            let methods = format!("PreferredAuthentications={methods}");
            ssh.args(["-o", &methods]);
            rig.fixed.options(&mut ssh, rig.bench.address);
            ssh.env("SSH_ASKPASS", &asks).arg(format!("ada+ops@{}@127.0.0.1", rig.name)).arg("echo in");
            let output = finish(ssh.spawn().unwrap()).await;
            assert_eq!(text(&output.stdout), if good { "in\n" } else { "" }, "{methods}: {}", text(&output.stderr));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_without_a_target_is_told_how_to_do_it() {
    let rig = Rig::new().await;
    let mut ssh = rig.client("ssh");
    let output = finish(ssh.args(["-W", "web-1:22", "ada@127.0.0.1"]).spawn().unwrap()).await;
    assert!(text(&output.stderr).contains("in place of a jump"), "{}", text(&output.stderr));
    assert!(rig.bench.desk.entries_of("session.opened").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_shell_waits_for_its_approval_and_a_command_does_not() {
    let rig = Rig::new().await;
    let mut ssh = rig.fixed.ssh(rig.bench.address, "held", rig.name.as_str(), &[]);
    let output = finish(ssh.arg("true").spawn().unwrap()).await;
    assert!(text(&output.stderr).contains("req_1"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(4));
    let mut ssh = rig.fixed.ssh(rig.bench.address, "held", rig.name.as_str(), &["-tt"]);
    let mut child = ssh.arg("echo approved").stdin(Stdio::piped()).spawn().unwrap();
    let _input = child.stdin.take();
    let mut errors = child.stderr.take().unwrap();
    let mut shown = vec![0; 1024];
    let read = tokio::time::timeout(SOON, errors.read(&mut shown)).await.unwrap().unwrap();
    assert!(text(&shown[..read]).contains("req_1"), "{}", text(&shown[..read]));
    rig.bench.desk.approve();
    assert!(text(&finish(child).await.stdout).contains("approved"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_too_long_sessions_end_with_a_line() {
    let idle = Rig::with(|target, _| target.limits.idle = 1).await;
    let output = idle.run(&[], "sleep 30").await;
    assert!(text(&output.stderr).contains("idle"), "{}", text(&output.stderr));
    assert_eq!(closed(&idle).await.reason, EndReason::Idle);
    let long = Rig::with(|target, _| target.limits.max_duration = 1).await;
    let output = long.run(&[], "while :; do echo x; sleep 0.1; done").await;
    assert!(text(&output.stderr).contains("maximum duration"), "{}", text(&output.stderr));
    assert_eq!(closed(&long).await.reason, EndReason::Deadline);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_down_is_no_silence_but_in_a_terminal_it_is() {
    let rig = Rig::with(|target, _| target.limits.idle = 2).await;
    let lines: String = (1..=7).map(|n| format!("{n}\n")).collect();
    let download = rig.run(&[], "for n in 1 2 3 4 5 6 7; do echo $n; sleep 0.5; done");
    // What a forward brings, too.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sends = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        for line in lines.split_inclusive('\n') {
            stream.write_all(line.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let through = ["-W", &format!("127.0.0.1:{port}")];
    let forward = rig.run(&through, "");
    let terminal = async {
        let mut child =
            rig.ssh(&["-tt"], "while :; do echo shown; sleep 0.1; done").stdin(Stdio::piped()).spawn().unwrap();
        let _input = child.stdin.take();
        finish(child).await
    };
    let (download, forward, (), terminal) = tokio::join!(download, forward, sends, terminal);
    for output in [download, forward] {
        assert_eq!(text(&output.stdout), lines, "{}", text(&output.stderr));
    }
    let shown = text(&terminal.stdout) + &text(&terminal.stderr);
    assert!(shown.contains("this session ends in 1 s unless") && shown.contains("idle for too long"), "{shown}");
    rig.bench.returned(SOON).await.unwrap();
    let idle = rig.bench.desk.closes().iter().filter(|close| close.reason == EndReason::Idle).count();
    assert_eq!(idle, 1, "the terminal alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_warned_before_a_session_ends() {
    for idle in [true, false] {
        let rig = Rig::with(|target, _| {
            let limit = if idle { &mut target.limits.idle } else { &mut target.limits.max_duration };
            *limit = 3;
        })
        .await;
        let mut child = rig.ssh(&["-tt"], "cat").stdin(Stdio::piped()).spawn().unwrap();
        let _input = child.stdin.take();
        let output = finish(child).await;
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(shown.contains("this session ends in 1 s"), "{shown}");
        let reason = if idle { EndReason::Idle } else { EndReason::Deadline };
        assert_eq!(closed(&rig).await.reason, reason);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_channels_of_one_connection_each_have_their_own_way() {
    let rig = Rig::new().await;
    let path = rig.fixed.home().join("mux").display().to_string();
    let master = rig.ssh(&["-M", "-S", &path, "-N"], "").spawn().unwrap();
    until(SOON, || std::path::Path::new(&path).exists()).await.unwrap();
    let asleep = rig.ssh(&["-S", &path], "cat /dev/zero").spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let output = rig.run(&["-S", &path], "echo beside; exit 5").await;
    assert_eq!((text(&output.stdout), output.status.code()), ("beside\n".into(), Some(5)));
    assert_eq!(rig.bench.desk.entries_of("session.opened").len(), 1);
    assert_eq!(rig.bench.desk.entries_of("channel.opened").len(), 2);
    drop((asleep, master));
    closed(&rig).await;
}
