//! The built-in target of the demo, with the stock client.

use crate::rig::text;
use std::process::{Child, Command, Output, Stdio};

const PASSWORD: &str = "a password of the demo";

struct Started {
    child: Child,
    home: tempfile::TempDir,
    port: u16,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start() -> Started {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at("key")).status();
    assert!(made.unwrap().success());
    std::fs::write(at("password"), PASSWORD).unwrap();
    std::fs::write(at("askpass"), format!("#!/bin/sh\necho '{PASSWORD}'\n")).unwrap();
    std::fs::set_permissions(at("askpass"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let here = std::env::current_exe().unwrap();
    let program = here.parent().and_then(|deps| deps.parent()).unwrap().join("examples/demo_target");
    assert!(program.is_file(), "{} is not built: `cargo test --workspace` builds examples", program.display());
    let child = Command::new(program).arg(port.to_string()).arg(at("key")).arg(at("password")).spawn().unwrap();
    let started = Started { child, home, port };
    let greets = || {
        let scan = Command::new("ssh-keyscan").args(["-p", &port.to_string(), "127.0.0.1"]).output().unwrap();
        (!scan.stdout.is_empty()).then_some(())
    };
    sallyport_testkit::product::wait_for("the target", 10, greets).unwrap();
    started
}

impl Started {
    fn ssh(&self, options: &[&str], input: &str) -> Output {
        let mut command = Command::new("ssh");
        command.env("SSH_ASKPASS", self.home.path().join("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
        command.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-q"]);
        command.args(["-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1"]);
        command.args(["-p", &self.port.to_string()]).arg("anybody@127.0.0.1").args(options);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

#[test]
fn the_built_in_target_runs_commands_and_shells_and_says_what_it_is() {
    let target = start();
    let output = target.ssh(&["echo out; echo err >&2; cat; exit 3"], "typed");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\ntyped".into(), "err\n".into()));
    assert_eq!(output.status.code(), Some(3));

    let output = target.ssh(&["-tt"], "tty && echo a $((6 * 7))\nexit 5\n");
    let said = text(&output.stdout);
    assert!(said.contains("built-in demo target"), "{said}");
    assert!(said.contains("/dev/pts/") && said.contains("a 42"), "{said}");
    assert_eq!(output.status.code(), Some(5), "{said}");

    std::fs::write(target.home.path().join("askpass"), "#!/bin/sh\necho wrong\n").unwrap();
    assert_eq!(target.ssh(&["true"], "").status.code(), Some(255), "a wrong password");
}
