//! A target that runs Dropbear: another server, as it is packaged, with the stock client before it.

use crate::rig::{Rig, finish, text};
use crate::typing::Typing;
use sallyport_testkit::sshd::public;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);

/// A running server; it ends with this value.
struct Dropbear {
    process: Child,
    port: u16,
    host_key: String,
}

impl Dropbear {
    async fn start(directory: &Path) -> Self {
        let (key, shown) = (directory.join("dropbear"), directory.join("dropbear.pub"));
        let made = Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(&key).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        let lines = text(&made.stdout);
        std::fs::write(&shown, lines.lines().find(|line| line.starts_with("ssh-ed25519 ")).unwrap()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("dropbear");
        command.args(["-F", "-E", "-m", "-p", &format!("127.0.0.1:{port}"), "-r"]).arg(&key);
        command.arg("-P").arg(directory.join("dropbear.pid"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, port, host_key: public(&shown).unwrap() };
        let ready = async {
            loop {
                #[expect(clippy::disallowed_methods, reason = "a probe of a test component")]
                let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
                match stream {
                    Ok(_) => return,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(SOON, ready).await.expect("dropbear does not start");
        server
    }
}

impl Drop for Dropbear {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropbear_is_a_target_for_commands_terminals_files_and_forwards() {
    let directory = tempfile::tempdir().unwrap();
    let dropbear = Dropbear::start(directory.path()).await;
    let (port, host_key) = (dropbear.port, dropbear.host_key.clone());
    let rig = Rig::with(move |target, _| (target.port, target.host_keys) = (port, vec![host_key])).await;

    let output = rig.run(&[], "echo out; echo err >&2; exit 3").await;
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(3));

    let mut terminal = Typing::of(rig.ssh(&["-tt"], ""), "$ ").await;
    terminal.keys("stty cols 91 rows 33; stty size; exit 4\r").await;
    let output = terminal.end().await;
    assert!(text(&output.stdout).contains("33 91"), "{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(4));

    let (here, there, back) =
        (rig.fixed.home().join("here"), rig.scratch().join("there"), rig.fixed.home().join("back"));
    std::fs::write(&here, vec![b'd'; 3 << 20]).unwrap();
    for mode in [&["-O"][..], &[]] {
        let remote = format!("{}:{}", rig.user_at_host(), there.display());
        for (from, to) in [(here.to_str().unwrap(), remote.as_str()), (&remote, back.to_str().unwrap())] {
            let output = finish(rig.client("scp").args(mode).args([from, to]).spawn().unwrap()).await;
            assert!(output.status.success(), "{mode:?}: {}", text(&output.stderr));
        }
        assert_eq!(std::fs::read(&back).unwrap().len(), 3 << 20);
        std::fs::remove_file(&back).unwrap();
        std::fs::remove_file(&there).unwrap();
    }

    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = service.local_addr().unwrap().to_string();
    let mut child = rig.ssh(&["-W", &to], "").stdin(Stdio::piped()).spawn().unwrap();
    let (mut stream, _) = tokio::time::timeout(SOON, service.accept()).await.expect("nobody came").unwrap();
    child.stdin.as_mut().unwrap().write_all(b"there").await.unwrap();
    let mut five = [0; 5];
    stream.read_exact(&mut five).await.unwrap();
    stream.write_all(b"back").await.unwrap();
    drop(stream);
    assert_eq!(text(&finish(child).await.stdout), "back");
    rig.bench.returned(SOON).await.unwrap();
    let opened: Vec<String> = rig.bench.desk.entries_of("channel.opened").into_iter().map(|e| e.text).collect();
    for kind in ["exec", "shell", "sftp", "forward_local"] {
        assert!(opened.iter().any(|text| text.starts_with(&format!("channel:{kind}"))), "{kind}: {opened:?}");
    }
}
