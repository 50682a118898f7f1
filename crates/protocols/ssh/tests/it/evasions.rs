//! Ways around what is said of files, tried with stock clients, raw packets and a real sshd.

use crate::rig::{Heard, Rig, finish, text};
use sallyport_gateway::conformance::bench::until;
use sallyport_model::limits::{Crossing, Detail, Record};
use sallyport_model::rules::{Act, FileRule, Grammar, RuleSet};
use sallyport_recording::What;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout};

const SOON: Duration = Duration::from_secs(20);
/// Long enough for a whole window to be taken in.
const STILL: Duration = Duration::from_secs(2);

/// With a rule that keeps what lies under `there` in the target's scratch from coming down.
async fn keeping() -> Rig {
    Rig::with(|target, sshd| {
        let name = sshd.scratch().unwrap().join("there").display().to_string();
        let rule = FileRule {
            id: "kept".into(),
            act: Act::Block,
            why: "it stays".into(),
            name,
            way: Crossing::Down,
            most: None,
        };
        let set = RuleSet {
            name: "mine".parse().unwrap(),
            description: "for tests".into(),
            grammar: Grammar::Shell,
            unknown: Act::Pass,
            otherwise: Act::Pass,
            commands: Vec::new(),
            files: vec![rule],
        };
        target.limits.commands = ["mine".to_owned()].into();
        target.rules = vec![set];
    })
    .await
}

fn packet(kind: u8, id: u32, texts: &[&[u8]], rest: &[u32]) -> Vec<u8> {
    let mut body = vec![kind];
    body.extend(id.to_be_bytes());
    for text in texts {
        body.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        body.extend(*text);
    }
    rest.iter().for_each(|number| body.extend(number.to_be_bytes()));
    [u32::try_from(body.len()).unwrap().to_be_bytes().as_slice(), &body].concat()
}

fn open(id: u32, path: &[u8], flags: u32) -> Vec<u8> {
    packet(3, id, &[path], &[flags, 0])
}

/// Speaks SFTP packet by packet.
struct Raw {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Raw {
    async fn begin(rig: &Rig, options: &[&str], program: &str) -> Self {
        let mut child = rig.ssh(options, program).stdin(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut raw = Self { child, input, output };
        assert_eq!(raw.ask(&packet(1, 3, &[], &[])).await[0], 2);
        raw
    }

    /// Sends a request; gives the reply from its type on.
    async fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        self.input.write_all(request).await.unwrap();
        tokio::time::timeout(SOON, self.reply()).await.expect("no reply")
    }

    async fn reply(&mut self) -> Vec<u8> {
        let length = self.output.read_u32().await.unwrap();
        let mut body = vec![0; usize::try_from(length).unwrap()];
        self.output.read_exact(&mut body).await.unwrap();
        body
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_way_of_writing_a_path_or_of_opening_it_gets_around_a_rule() {
    let rig = keeping().await;
    let there = rig.scratch().join("there");
    for path in [&there, &rig.scratch().join("free")] {
        std::fs::write(path, "what it says").unwrap();
    }
    let up = "../".repeat(12);
    let here = rig.fixed.home().join("got");
    for mode in [&["-O"][..], &[]] {
        for (name, comes) in [("there", false), ("free", true)] {
            for path in [
                format!("{up}{}", rig.scratch().display()),
                format!("{}/../{}", rig.scratch().display(), rig.scratch().file_name().unwrap().display()),
            ] {
                let from = format!("{}:{path}/{name}", rig.user_at_host());
                let _ = std::fs::remove_file(&here);
                let output =
                    finish(rig.client("scp").args(mode).args([from.as_str(), here.to_str().unwrap()]).spawn().unwrap())
                        .await;
                assert_eq!(
                    (output.status.success(), here.exists()),
                    (comes, comes),
                    "{mode:?} {from}: {}",
                    text(&output.stderr)
                );
            }
        }
    }
    let mut raw = Raw::begin(&rig, &["-s"], "sftp").await;
    let path = there.display().to_string();
    let relative = format!("{up}{}", path.trim_start_matches('/'));
    for (id, flags) in [0, 1, 3, 8, 32].into_iter().enumerate() {
        let id = u32::try_from(id).unwrap();
        for path in [&path, &relative] {
            let reply = raw.ask(&open(id, path.as_bytes(), flags)).await;
            assert_eq!((reply[0], reply[8]), (101, 3), "{flags} {path}: {}", text(&reply));
        }
        let reply = raw.ask(&open(id, format!("{path}\0").as_bytes(), flags)).await;
        assert_eq!((reply[0], reply[8]), (101, 4), "{flags}: {}", text(&reply));
    }
    let other = rig.scratch().join("other").display().to_string();
    for request in [
        packet(18, 9, &[path.as_bytes(), other.as_bytes()], &[]),
        packet(20, 9, &[path.as_bytes(), other.as_bytes()], &[]),
        packet(20, 9, &[rig.scratch().to_str().unwrap().as_bytes(), b"/tmp/other"], &[]),
        packet(200, 9, &[b"hardlink@openssh.com", path.as_bytes(), other.as_bytes()], &[]),
        packet(200, 9, &[b"posix-rename@openssh.com", path.as_bytes(), other.as_bytes()], &[]),
    ] {
        let reply = raw.ask(&request).await;
        assert_eq!((reply[0], reply[8]), (101, 3), "{}", text(&reply));
    }
    // What is free is read by an open that says nothing.
    let free = raw.ask(&open(9, rig.scratch().join("free").to_str().unwrap().as_bytes(), 0)).await;
    assert_eq!(free[0], 102);
    let handle = &free[9..];
    assert_eq!(raw.ask(&packet(5, 10, &[handle], &[0, 0, 100])).await[9..], *b"what it says");
    drop(raw.input);
    finish(raw.child).await;
}

/// What the recording has of what programs wrote.
async fn output(rig: &Rig) -> Vec<u8> {
    rig.bench.returned(SOON).await.unwrap();
    let written = |what: What| match what {
        What::Output(bytes) => Some(bytes),
        _ => None,
    };
    rig.bench.events().await.unwrap().into_iter().filter_map(|event| written(event.what)).flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_looks_like_a_file_server_is_recorded_as_what_it_is() {
    let rig = Rig::new().await;
    let file = rig.scratch().join("file");
    std::fs::write(&file, "a line that leaves\n".repeat(1000)).unwrap();
    for (command, says) in [
        // Words of a sink that never was.
        (format!("false && scp -t /tmp; sed \"s/^/\\x01/\" {}", file.display()), &b""[..]),
        // Words of a source that never was.
        (format!("false && scp -f /tmp; sed \"s/^/\\x02/\" {}", file.display()), b"\0"),
        // An answer with names to a greeting.
        (
            format!(
                "head -c 22 >/dev/null; printf '\\0\\0\\0\\5\\2\\0\\0\\0\\3\\0\\0\\112\\101\\150\\0\\0\\0\\1'; cat {}",
                file.display()
            ),
            b"\0\0\0\x05\x01\0\0\0\x03\0\0\0\x0a\x10\0\0\0\x01\0\0\0\x01.",
        ),
    ] {
        let before = output(&rig).await.len();
        let mut child = rig.ssh(&[], &command).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(says).await.unwrap();
        let got = finish(child).await.stdout;
        drop(input);
        let recorded = output(&rig).await;
        assert!(got.len() > 18_000, "{command}: {}", text(&got));
        // Recordings are read in no order: what is new in them is as long as what came, and holds it.
        assert_eq!(recorded.len() - before, got.len(), "{command}");
        assert!(recorded.windows(got.len()).any(|bytes| bytes == got), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_not_listened_to_for_ever() {
    let rig = Rig::with(|target, _| target.limits.transfer = Crossing::None).await;
    let mut raw = Raw::begin(&rig, &["-s"], "sftp").await;
    // Each is refused, and nobody takes the answers.
    let asking = open(7, b"x", 1).repeat(1000);
    let mut sent = 0;
    while let Ok(wrote) = tokio::time::timeout(STILL, raw.input.write(&asking[sent % asking.len()..])).await {
        sent += wrote.unwrap();
        assert!(sent < 12 << 20, "requests are taken and taken");
    }
    assert!(sent > 100_000, "{sent}");
    rig.bench.desk.kill_all();
    drop(raw.output);
    finish(raw.child).await;
    rig.bench.returned(SOON).await.unwrap();
}

/// Under this sort of recording, with files and forwards kept.
async fn kept(record: Record) -> Rig {
    Rig::with(|target, _| {
        target.limits.record = record;
        target.limits.recording = Detail::Enhanced;
        target.limits.capture = 1 << 20;
    })
    .await
}

/// What comes late comes at once, or else when the disk goes on that sticks.
async fn until_durable(heard: &Heard, comes: bool, stuck: std::sync::mpsc::Sender<()>) {
    if !comes {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!heard.has("late"), "it went on before it was durable");
        drop(stuck);
    }
    until(SOON, || heard.has("late")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_durable_of_a_file_does_not_go_on_under_strict_recording() {
    for (record, comes) in [(Record::Full, true), (Record::Strict, false)] {
        let rig = kept(record).await;
        let go = rig.scratch().join("go");
        // A server whose content comes once it may.
        let program = format!(
            "head -c 9 >/dev/null; printf '\\0\\0\\0\\5\\2\\0\\0\\0\\3'; head -c 22 >/dev/null; \
             printf '\\0\\0\\0\\12\\146\\0\\0\\0\\1\\0\\0\\0\\1h'; head -c 26 >/dev/null; touch {go}.asked; \
             while ! test -e {go}; do sleep 0.05; done; printf '\\0\\0\\0\\15\\147\\0\\0\\0\\2\\0\\0\\0\\4late'; sleep 60",
            go = go.display()
        );
        let mut raw = Raw::begin(&rig, &[], &program).await;
        assert_eq!(raw.ask(&open(1, b"x", 1)).await[0], 102);
        raw.input.write_all(&packet(5, 2, &[b"h"], &[0, 0, 100])).await.unwrap();
        let heard = Heard::of(raw.output);
        until(SOON, || go.with_extension("asked").exists()).await.unwrap();
        let stuck = rig.bench.gateway.recorder().stick();
        std::fs::write(&go, "").unwrap();
        until_durable(&heard, comes, stuck).await;
        let _ = raw.child.start_kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_durable_of_a_forward_does_not_go_on_under_strict_recording() {
    for (record, comes) in [(Record::Full, true), (Record::Strict, false)] {
        let rig = kept(record).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let mut child = rig.ssh(&["-W", &far], "").stdin(Stdio::piped()).spawn().unwrap();
        let (input, heard) = (child.stdin.take().unwrap(), Heard::of(child.stdout.take().unwrap()));
        let (mut stream, _) = tokio::time::timeout(SOON, listener.accept()).await.unwrap().unwrap();
        stream.write_all(b"early").await.unwrap();
        until(SOON, || heard.has("early")).await.unwrap();
        let stuck = rig.bench.gateway.recorder().stick();
        stream.write_all(b"late").await.unwrap();
        until_durable(&heard, comes, stuck).await;
        let _ = child.start_kill();
        drop(input);
    }
}
