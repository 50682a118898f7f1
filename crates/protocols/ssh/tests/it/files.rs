//! Files that cross: told with their hashes, and kept from crossing where policy says so.

use crate::rig::{Rig, finish, text};
use aws_lc_rs::digest::{SHA256, digest};
use sallyport_model::limits::Crossing;
use sallyport_recording::What;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const SOON: Duration = Duration::from_secs(20);

async fn rig(transfer: Crossing) -> Rig {
    Rig::with(|target, _| target.limits.transfer = transfer).await
}

async fn sftp(rig: &Rig, batch: &str) -> Output {
    let mut sftp = rig.client("sftp");
    sftp.args(["-o", "BatchMode=no", "-b", "-"]).arg(rig.user_at_host()).stdin(Stdio::piped());
    let mut child = sftp.spawn().unwrap();
    child.stdin.take().unwrap().write_all(batch.as_bytes()).await.unwrap();
    finish(child).await
}

async fn scp(rig: &Rig, mode: &[&str], from: &str, to: &str) -> Output {
    finish(rig.client("scp").args(mode).args([from, to]).spawn().unwrap()).await
}

fn hash(file: &Path) -> String {
    let hash = digest(&SHA256, &std::fs::read(file).unwrap());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file here and one there, of different contents.
fn pair(rig: &Rig) -> (PathBuf, PathBuf) {
    let (here, there) = (rig.fixed.home().join("here"), rig.scratch().join("there"));
    std::fs::write(&here, "mine ".repeat(400_000)).unwrap();
    std::fs::write(&there, "yours ".repeat(300_000)).unwrap();
    (here, there)
}

async fn told(rig: &Rig) -> Vec<String> {
    rig.bench.returned(SOON).await.unwrap();
    let events = rig.bench.events().await.unwrap();
    let file = |what: What| match what {
        What::Mark { kind, text } if kind == "file" => Some(text),
        _ => None,
    };
    events.into_iter().filter_map(|event| file(event.what)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sftp_is_told_file_by_file_with_hashes() {
    let rig = rig(Crossing::Both).await;
    let (here, there) = pair(&rig);
    let (h, t) = (here.display(), there.display());
    let output = sftp(&rig, &format!("put {h} {t}.put\nget {t} {h}.get\nrename {t} {t}.old\nrm {t}.old\n")).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = told(&rig).await;
    let put = format!("put {t}.put 2000000 bytes sha256:{}", hash(&here));
    let get = format!("get {t} 1800000 bytes sha256:{}", hash(&rig.fixed.home().join("here.get")));
    for line in [&put, &get, &format!("rename {t} -> {t}.old"), &format!("remove {t}.old")] {
        assert!(told.contains(line), "{line}\n{told:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scp_is_told_in_both_its_modes() {
    for mode in [&["-O"][..], &[]] {
        let rig = rig(Crossing::Both).await;
        let (here, there) = pair(&rig);
        let remote = format!("{}:{}", rig.user_at_host(), there.display());
        let up = scp(&rig, mode, here.to_str().unwrap(), &format!("{remote}.up")).await;
        assert!(up.status.success(), "{}", text(&up.stderr));
        let told = told(&rig).await;
        let put = told.iter().filter(|line| line.starts_with("put ")).collect::<Vec<_>>();
        assert!(put.len() == 1 && put[0].ends_with(&hash(&here)), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_go_up_never_reaches_the_target() {
    let rig = rig(Crossing::Down).await;
    let (here, there) = pair(&rig);
    let (h, t) = (here.display(), there.display());
    // Each line alone: a batch ends with the first that fails.
    for line in [format!("put {h} {t}.new"), format!("rm {t}"), format!("mkdir {t}.d"), format!("chmod 777 {t}")] {
        let output = sftp(&rig, &line).await;
        assert!(text(&output.stderr).contains("ermission denied"), "{line}: {}", text(&output.stderr));
    }
    let output = sftp(&rig, &format!("get {t} {h}.got\n")).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    for mode in [&["-O"][..], &[]] {
        let remote = format!("{}:{t}.scp", rig.user_at_host());
        let output = scp(&rig, mode, here.to_str().unwrap(), &remote).await;
        assert!(!output.status.success(), "{mode:?}");
    }
    let names: Vec<_> = std::fs::read_dir(rig.scratch()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["there"], "something arrived");
    let told = told(&rig).await;
    assert!(told.iter().any(|line| line.contains("refused: policy lets no files go to the target")), "{told:?}");
}

/// A command can be an sftp server too, and a copy can stand behind another command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_server_that_is_started_as_a_command_is_known_by_what_is_said_to_it() {
    let rig = rig(Crossing::Down).await;
    let (here, there) = pair(&rig);
    let (h, t) = (here.display(), there.display());
    let server = rig.scratch().join("innocent");
    std::fs::copy("/usr/lib/openssh/sftp-server", &server).unwrap();
    for server in ["/usr/lib/openssh/sftp-server", server.to_str().unwrap()] {
        let mut sftp = rig.client("sftp");
        sftp.args(["-o", "BatchMode=no", "-b", "-", "-s", server]).arg(rig.user_at_host()).stdin(Stdio::piped());
        let mut child = sftp.spawn().unwrap();
        let batch = format!("get {t} {h}.got\nput {h} {t}.new\n");
        child.stdin.take().unwrap().write_all(batch.as_bytes()).await.unwrap();
        let output = finish(child).await;
        assert!(text(&output.stderr).contains("ermission denied"), "{server}: {}", text(&output.stderr));
        assert_eq!(hash(&rig.fixed.home().join("here.got")), hash(&there));
    }
    let mut ssh =
        rig.ssh(&[], &format!("cd {} && scp -t new", rig.scratch().display())).stdin(Stdio::piped()).spawn().unwrap();
    ssh.stdin.take().unwrap().write_all(b"C0644 4 new\nmine\0").await.unwrap();
    let output = finish(ssh).await;
    assert!(text(&output.stdout).contains("policy lets no files go"), "{output:?}");
    assert!(!rig.scratch().join("there.new").exists() && !rig.scratch().join("new").exists());
    let told = told(&rig).await;
    let refused = told.iter().filter(|line| line.contains("refused: policy lets no files go to the target")).count();
    assert_eq!(refused, 3, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_come_down_stays_there() {
    let rig = rig(Crossing::Up).await;
    let (here, there) = pair(&rig);
    let (h, t) = (here.display(), there.display());
    let output = sftp(&rig, &format!("get {t} {h}.got\n")).await;
    assert!(!output.status.success(), "{}", text(&output.stdout));
    for mode in [&["-O"][..], &[]] {
        let output = scp(&rig, mode, &format!("{}:{t}", rig.user_at_host()), &format!("{h}.got")).await;
        assert!(!output.status.success(), "{mode:?}");
    }
    let got = std::fs::read(format!("{h}.got")).unwrap_or_default();
    assert!(got.is_empty(), "{} bytes came down", got.len());
    let output = sftp(&rig, &format!("put {h} {t}.new\n")).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}
