//! What recordings keep of data: standard ones its size, enhanced ones its bytes; and what rules want noted of files.

use crate::rig::{Rig, finish, text};
use aws_lc_rs::digest::{SHA256, digest};
use sallyport_model::limits::{Crossing, Detail};
use sallyport_model::rules::{Act, FileRule, Grammar, RuleSet};
use sallyport_recording::files::{self, Kept};
use sallyport_recording::{Event, What};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(20);

async fn enhanced(capture: u64) -> Rig {
    Rig::with(|target, _| {
        target.limits.recording = Detail::Enhanced;
        target.limits.capture = capture;
    })
    .await
}

async fn events(rig: &Rig) -> Vec<Event> {
    rig.bench.returned(SOON).await.unwrap();
    rig.bench.events().await.unwrap()
}

fn kept(events: &[Event]) -> Vec<(Kept, Vec<u8>)> {
    let all = || events.iter().cloned().map(Ok);
    let content = |kept: Kept| files::content(all(), (kept.channel, kept.file.number)).unwrap().unwrap();
    files::kept(all()).unwrap().into_iter().map(content).collect()
}

async fn sftp(rig: &Rig, batch: &str) {
    let mut sftp = rig.client("sftp");
    sftp.args(["-o", "BatchMode=no", "-b", "-"]).arg(rig.user_at_host()).stdin(Stdio::piped());
    let mut child = sftp.spawn().unwrap();
    child.stdin.take().unwrap().write_all(batch.as_bytes()).await.unwrap();
    let output = finish(child).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enhanced_recording_keeps_files_both_ways_as_their_hashes_say() {
    let rig = enhanced(1 << 20).await;
    let (here, there) = (rig.fixed.home().join("here"), rig.scratch().join("there"));
    let (mine, yours) = ("mine ".repeat(100_000), "yours ".repeat(500_000));
    std::fs::write(&here, &mine).unwrap();
    std::fs::write(&there, &yours).unwrap();
    let (h, t) = (here.display(), there.display());
    sftp(&rig, &format!("put {h} {t}.put\nget {t} {h}.get\n")).await;
    let mut all = kept(&events(&rig).await);
    let again = enhanced(1 << 20).await;
    let remote = format!("{}:{}/copy", again.user_at_host(), again.scratch().display());
    let copied = finish(again.client("scp").args(["-O", here.to_str().unwrap(), &remote]).spawn().unwrap()).await;
    assert!(copied.status.success(), "{}", text(&copied.stderr));
    all.extend(kept(&events(&again).await));
    let told: Vec<_> = all.iter().map(|(kept, bytes)| (kept.file.up, kept.file.size, bytes.len())).collect();
    assert_eq!(told, [(true, 500_000, 500_000), (false, 3_000_000, 1 << 20), (true, 500_000, 500_000)]);
    assert_eq!(all[0].0.file.path, format!("{t}.put"));
    for (kept, bytes) in &all {
        let whole = if kept.file.up { mine.as_bytes() } else { yours.as_bytes() };
        assert!(whole.starts_with(bytes), "{}", kept.file.path);
        assert_eq!(kept.file.sum.unwrap().as_slice(), digest(&SHA256, whole).as_ref(), "{}", kept.file.path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enhanced_recording_keeps_what_programs_are_given() {
    let rig = enhanced(16).await;
    let mut child = rig.ssh(&[], "cat >/dev/null").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"given to a program").await.unwrap();
    finish(child).await;
    let recorded = events(&rig).await;
    let given = |event: &Event| matches!(&event.what, What::Input(bytes) if bytes == b"given to a program");
    assert!(recorded.iter().any(given), "{recorded:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standard_recording_keeps_no_content() {
    let rig = Rig::new().await;
    let here = rig.fixed.home().join("here");
    std::fs::write(&here, "only its hash is told").unwrap();
    sftp(&rig, &format!("put {} {}/x\n", here.display(), rig.scratch().display())).await;
    let recorded = events(&rig).await;
    assert!(kept(&recorded).is_empty());
    assert!(!format!("{recorded:?}").contains("only its hash"));
    let content = |event: &Event| matches!(event.what, What::Content { .. });
    assert!(!recorded.iter().any(content));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_rule_wants_noted_is_in_the_recording_and_in_the_ledger() {
    let rule = |id: &str, name: &str, most, way| FileRule {
        id: id.into(),
        act: Act::Alert,
        why: format!("it is {id}"),
        name: name.into(),
        way,
        most,
    };
    let set = RuleSet {
        name: "noted".parse().unwrap(),
        description: "for tests".into(),
        grammar: Grammar::Shell,
        unknown: Act::Pass,
        otherwise: Act::Pass,
        commands: Vec::new(),
        files: vec![rule("keys", "*.pem", None, Crossing::Both), rule("large", "", Some(100), Crossing::Up)],
    };
    let rig = Rig::with(|target, _| {
        target.limits.commands = ["noted".to_owned()].into();
        target.rules = vec![set];
    })
    .await;
    let (here, there) = (rig.fixed.home().join("here"), rig.scratch().join("there"));
    std::fs::write(&here, "x".repeat(101)).unwrap();
    let (h, t) = (here.display(), there.display());
    sftp(&rig, &format!("put {h} {t}\nget {t} {h}.2\nrename {t} {t}.pem\nget {t}.pem {h}.3\n")).await;
    let recorded = events(&rig).await;
    let marks: Vec<_> = recorded
        .iter()
        .filter_map(|event| match &event.what {
            What::Mark { kind, text } if kind == "alert" => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let begins = [
        format!("noted/large (enforced): it is large: put {t} 101 bytes"),
        format!("noted/keys (enforced): it is keys: rename {t} -> {t}.pem"),
        format!("noted/keys (enforced): it is keys: get {t}.pem 101 bytes"),
    ];
    assert!(marks.len() == 3 && begins.iter().zip(&marks).all(|(begin, mark)| mark.starts_with(begin)), "{marks:#?}");
    assert_eq!(rig.bench.desk.entries_of("file.alerted").len(), 3);
    // A terminal under such rules alone is not read, and no Enter waits in it.
    let mut shell = crate::typing::Typing::begin(&rig).await;
    shell.done("free").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forward_of_an_enhanced_session_can_be_read_again() {
    let rig = enhanced(16).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = listener.local_addr().unwrap().port();
    let mut ssh = rig.ssh(&["-W", &format!("127.0.0.1:{far}")], "");
    let mut child = ssh.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let (mut stream, _): (TcpStream, _) = tokio::time::timeout(SOON, listener.accept()).await.unwrap().unwrap();
    input.write_all(b"twenty bytes go there").await.unwrap();
    let mut said = [0; 21];
    stream.read_exact(&mut said).await.unwrap();
    stream.write_all(b"and back").await.unwrap();
    drop((stream, input));
    assert_eq!(text(&finish(child).await.stdout), "and back");
    let recorded = events(&rig).await;
    let streams: Vec<_> =
        kept(&recorded).into_iter().map(|(kept, bytes)| (kept.file.up, kept.file.size, text(&bytes))).collect();
    assert_eq!(streams, [(true, 21, "twenty bytes go ".to_owned()), (false, 8, "and back".to_owned())]);
}
