//! Accounts that nobody logs in at: real `su` and `sudo` of Debian behind a real sshd, and targets that play false.

use crate::clients::clones_and_pushes;
use crate::rig::{Rig, finish, key, text};
use crate::typing::{Typing, resize};
use sallyport_gateway::conformance::desk::{Becomes, Target};
use sallyport_model::access::EndReason;
use sallyport_model::inventory::By;
use sallyport_recording::{Event, What};
use sallyport_testkit::sshd::accounts::{
    self, BECOME, BECOME_PASSWORD, CSH, FISH, FREE, LOCKED, SUDOER, SUDOER_PASSWORD, TERMINAL,
};
use sallyport_testkit::sshd::{ACCOUNT, Sshd};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const SOON: Duration = Duration::from_secs(10);
/// Configurations of an sshd whose programs speak another language where they are let.
const GERMAN: &str = "SetEnv LC_ALL=C.UTF-8 LANGUAGE=de\n";

/// A way to an account: the logon account, by what, the account, and what is answered.
pub(crate) type Way<'a> = (&'a str, By, &'a str, Option<&'a str>);

const BY_SU: Way<'static> = (ACCOUNT, By::Su, BECOME, Some(BECOME_PASSWORD));
const BY_SUDO: Way<'static> = (SUDOER, By::Sudo, BECOME, Some(SUDOER_PASSWORD));
pub(crate) const ROOT_BY_SUDO: Way<'static> = (SUDOER, By::Sudo, "root", Some(SUDOER_PASSWORD));
const FREELY: Way<'static> = (FREE, By::Sudo, "root", None);

/// That a target's sessions go this way.
fn go((logon, by, account, password): Way<'_>) -> impl FnOnce(&mut Target, &Sshd) {
    let becomes = Becomes { account: account.parse().unwrap(), by, password: password.map(str::to_owned) };
    let logon = logon.parse().unwrap();
    move |target, sshd| {
        target.login = Some(logon);
        target.credential = key(sshd);
        target.becomes = Some(becomes);
    }
}

pub(crate) async fn rig(way: Way<'_>, lines: &str) -> Rig {
    tokio::task::spawn_blocking(accounts::make).await.unwrap().unwrap();
    Rig::configured(lines, go(way)).await
}

fn lent(rig: &Rig) -> Vec<String> {
    rig.bench.desk.entries_of("credential.lent").into_iter().map(|entry| entry.text).collect()
}

/// Everything that is kept of the sessions so far.
async fn events(rig: &Rig) -> Vec<Event> {
    rig.bench.returned(SOON).await.unwrap();
    rig.bench.events().await.unwrap()
}

/// No password stands in what is kept, and nothing of what was shown before the account was become.
fn nothing_is_told(events: &[Event]) {
    nothing_of(events, &["prints"]);
}

fn nothing_of(events: &[Event], more: &[&str]) {
    let all = format!("{events:?}");
    let bytes: Vec<u8> = events
        .iter()
        .flat_map(|event| match &event.what {
            What::Output(bytes) | What::Stderr(bytes) | What::Input(bytes) => bytes.clone(),
            _ => Vec::new(),
        })
        .collect();
    for secret in [BECOME_PASSWORD, SUDOER_PASSWORD, "lecture", "Password"].iter().chain(more) {
        assert!(!all.contains(secret) && !text(&bytes).contains(secret), "{secret}");
    }
}

fn said(output: &Output) -> (String, String, Option<i32>) {
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_runs_as_the_account_with_its_own_streams_and_exit_code() {
    for (way, lines, lends) in [
        (BY_SU, GERMAN, vec!["signature", "becoming"]),
        (BY_SUDO, GERMAN, vec!["signature", "becoming"]),
        (ROOT_BY_SUDO, "", vec!["signature", "becoming"]),
        (FREELY, "", vec!["signature"]),
        ((CSH, By::Sudo, BECOME, None), "", vec!["signature"]),
        ((CSH, By::Su, BECOME, Some(BECOME_PASSWORD)), "", vec!["signature", "becoming"]),
        ((FISH, By::Sudo, BECOME, None), "", vec!["signature"]),
        ((FISH, By::Su, BECOME, Some(BECOME_PASSWORD)), "", vec!["signature", "becoming"]),
    ] {
        let rig = rig(way, lines).await;
        let output = rig.run(&[], "whoami; pwd; echo 'it'\\''s \"$HOME\"!' >&2; exit 42").await;
        let home = if way.2 == "root" { "/root".to_owned() } else { format!("/home/{}", way.2) };
        let expected = (format!("{}\n{home}\n", way.2), "it's \"$HOME\"!\n".to_owned(), Some(42));
        assert_eq!(said(&output), expected, "{} by {}: {}", way.0, way.1.word(), rig.server.sshd.log());
        assert_eq!(lent(&rig), lends);
        let events = events(&rig).await;
        nothing_is_told(&events);
        let mark = |wanted: &str| {
            let mut marks = events.iter().filter_map(|event| match &event.what {
                What::Mark { kind, text } if kind == wanted => Some(text.clone()),
                _ => None,
            });
            marks.next().unwrap_or_default()
        };
        assert_eq!(mark("through"), format!("{} by {}", way.0, way.1.word()));
        assert_eq!(mark("became"), format!("{} became {} by {}", way.0, way.2, way.1.word()));
        // What is judged and kept is what the user wrote, and not how it is wrapped.
        assert!(mark("command").starts_with("whoami; pwd"), "{}", mark("command"));
        assert!(rig.bench.desk.entries_of("channel.opened")[0].text.starts_with("channel:exec whoami; pwd"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_all_values_pass_both_ways() {
    let all: Vec<u8> = (0..1_u32 << 20).map(|n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let both = "import sys; all = sys.stdin.buffer.read(); sys.stdout.buffer.write(all); sys.stdout.flush(); \
                sys.stderr.buffer.write(all)";
    for way in [BY_SU, BY_SUDO, FREELY] {
        let rig = rig(way, "").await;
        let mut child = rig.ssh(&[], &format!("python3 -c '{both}'")).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let sent = all.clone();
        let sending = tokio::spawn(async move { input.write_all(&sent).await });
        let output = finish(child).await;
        sending.await.unwrap().unwrap();
        assert!(output.stdout == all && output.stderr == all, "{} and {}", output.stdout.len(), output.stderr.len());
        assert_eq!(output.status.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_has_a_terminal_that_it_controls_and_whose_size_changes() {
    for way in [BY_SU, BY_SUDO, (TERMINAL, By::Sudo, BECOME, None)] {
        let rig = rig(way, GERMAN).await;
        let mut terminal = Typing::sized(&rig, "", "").await;
        let first = terminal.until("$ ").await;
        assert!(!first.contains("no job control") && !first.contains("Password"), "{first}");
        terminal.keys("trap 'echo now-`stty size | tr \" \" x`' WINCH\n").await;
        terminal.keys("echo $(whoami) $TERM $(stty size | tr ' ' x) $(( 40 + 2 ))\n").await;
        terminal.until(&format!("{BECOME} vt220 24x80 42")).await;
        resize(&rig);
        terminal.until("now-44x99").await;
        // What is typed is echoed, and Ctrl-C ends a program and not the session.
        terminal.keys("sh -c 'echo be\"\"gun; exec sleep 100'\n").await;
        terminal.until("begun\r\n").await;
        terminal.keys("\x03").await;
        terminal.until("$ ").await;
        terminal.keys("exit 7\n").await;
        assert_eq!(terminal.end().await.status.code(), Some(7));
        // A login shell reads its profile, which prints for the user then.
        nothing_of(&events(&rig).await, &[]);
    }
}

/// A folder that the account may write to, and nobody else but root.
fn folder(rig: &Rig) -> PathBuf {
    let folder = rig.scratch().join("own");
    std::fs::create_dir(&folder).unwrap();
    let owner = nix::unistd::User::from_name(BECOME).unwrap().unwrap();
    std::os::unix::fs::chown(&folder, Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_cross_as_the_account() {
    for way in [BY_SU, BY_SUDO] {
        let rig = rig(way, "").await;
        let (own, here) = (folder(&rig), rig.fixed.home().join("here"));
        std::fs::write(&here, vec![b'f'; 300_000]).unwrap();
        for (program, options) in [("scp", vec!["-q"]), ("scp", vec!["-q", "-O"]), ("rsync", vec!["-q"])] {
            let there = own.join(format!("{program}{}", options.len()));
            let mut command = rig.client(program);
            if program == "rsync" {
                let ssh = rig.client("ssh");
                let words = ssh.as_std().get_args().map(|word| word.to_str().unwrap().to_owned());
                let shell = std::iter::once("ssh".to_owned()).chain(words).collect::<Vec<_>>().join(" ");
                command = tokio::process::Command::new("rsync");
                command.args(["-e", &shell]).stdout(Stdio::piped()).stderr(Stdio::piped());
                for (name, value) in ssh.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))) {
                    command.env(name, value);
                }
            }
            command.args(&options).arg(&here).arg(format!("{}:{}", rig.user_at_host(), there.display()));
            let output = finish(command.spawn().unwrap()).await;
            assert!(output.status.success(), "{program} {options:?}: {}", text(&output.stderr));
            assert_eq!(std::fs::read(&there).unwrap(), std::fs::read(&here).unwrap());
            let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&there).unwrap());
            assert_eq!(owner, nix::unistd::User::from_name(BECOME).unwrap().unwrap().uid.as_raw(), "{program}");
        }
        // Another subsystem has no program that is known.
        let mut ssh = rig.fixed.ssh(rig.bench.address, "ops", rig.name.as_str(), &["-s"]);
        let output = finish(ssh.arg("netconf").spawn().unwrap()).await;
        assert!(text(&output.stderr).contains("only files go through `su` and `sudo`"), "{}", text(&output.stderr));
        let told = events(&rig).await;
        nothing_is_told(&told);
        let files = told.iter().filter(|event| matches!(&event.what, What::Mark { kind, .. } if kind == "file"));
        assert!(files.count() >= 2, "what sftp and scp moved is told");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_clones_and_pushes_as_the_account() {
    for way in [BY_SU, BY_SUDO] {
        let rig = rig(way, "").await;
        let bare = folder(&rig).join("project.git");
        clones_and_pushes(&rig, &bare).await;
        let owner = nix::unistd::User::from_name(BECOME).unwrap().unwrap().uid.as_raw();
        let pushed = std::fs::metadata(bare.join("refs/heads/trunk")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&pushed), owner);
        nothing_is_told(&events(&rig).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_a_signal_ends_is_told_of_as_su_and_sudo_tell_it() {
    // `su` gives its number as a shell does; `sudo` ends itself by the same signal, which ssh says with 255.
    for (way, code, signal) in [(BY_SU, 143, None), (BY_SUDO, 255, Some("TERM")), (FREELY, 255, Some("TERM"))] {
        let rig = rig(way, "").await;
        let output = rig.run(&[], "echo begun; kill -TERM $$; sleep 100").await;
        let (out, err, exited) = said(&output);
        assert_eq!((out.as_str(), exited), ("begun\n", Some(code)), "{} by {}: {err}", way.0, way.1.word());
        let ended = events(&rig).await.into_iter().find_map(|event| match event.what {
            What::Close { signal, .. } => Some(signal),
            _ => None,
        });
        assert_eq!(ended.unwrap().as_deref(), signal, "{} by {}", way.0, way.1.word());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_become_ends_the_session_with_what_to_do() {
    let denied = |way: Way<'static>, lines: &'static str, why: &'static str| async move {
        let rig = rig(way, lines).await;
        let output = rig.run(&[], "whoami").await;
        let (out, err, code) = said(&output);
        let told = format!("the target did not let `{}` become `{}`: {why}", way.0, way.2);
        assert!(out.is_empty() && err.contains(&told) && code == Some(3), "{out} {err} {code:?}");
        nothing_is_told(&events(&rig).await);
        let close = rig.bench.desk.closes().pop().unwrap();
        assert_eq!((close.reason, close.complete), (EndReason::DialFail, true));
        assert!(close.note.contains(&told), "{}", close.note);
        assert_eq!(rig.bench.desk.entries_of("channel.denied").len(), 1);
    };
    tokio::join!(
        denied((ACCOUNT, By::Su, BECOME, Some("wrong")), GERMAN, "check the password of `spt_app`, or rotate it"),
        denied((ACCOUNT, By::Su, LOCKED, Some(BECOME_PASSWORD)), "", "check the password of `spt_lock`"),
        denied((SUDOER, By::Sudo, BECOME, Some("wrong")), "", "check the password of `spt_sudo`, or rotate it"),
        denied((TERMINAL, By::Sudo, BECOME, None), "", "its `sudo` wants a terminal: connect with `ssh -tt`"),
        denied((FREE, By::Sudo, "nobody-here", None), "", "`sudo` and a POSIX shell must be there"),
    );
    // Who is asked for what nobody has stored is told so.
    let rig = rig((SUDOER, By::Sudo, BECOME, None), "").await;
    let output = rig.run(&[], "whoami").await;
    assert!(text(&output.stderr).contains("no password is stored"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_plays_false_is_not_given_the_password() {
    // It says again what it is told, asks before it was let, floods, hangs up, or says that all is well.
    for play in [
        "printf %s \"$SSH_ORIGINAL_COMMAND\"; printf %s \"$SSH_ORIGINAL_COMMAND\" >&2; printf 'Password: ' >&2",
        "printf 'Password: '; printf 'Password: ' >&2; printf '[sudo] password for spt_ops: ' >&2",
        "head -c 70000 /dev/zero; sleep 3",
        "head -c 70000 /dev/zero >&2; sleep 3",
        "echo welcome; exit 0",
    ] {
        for way in [BY_SU, BY_SUDO] {
            let lines = format!("ForceCommand {play}; timeout 1 head -n1 >>/dev/null\n");
            let rig = rig(way, &lines).await;
            let output = rig.run(&[], "whoami").await;
            let (out, err, code) = said(&output);
            assert!(out.is_empty() && err.contains("did not let") && code == Some(3), "{play}: {out} {err} {code:?}");
            assert_eq!(lent(&rig), ["signature"], "{play}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_display_and_the_agent_stay_behind() {
    let rig = rig(FREELY, "").await;
    let socket = rig.fixed.home().join("agent");
    let mut agent = tokio::process::Command::new("ssh-agent");
    let _agent = agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    sallyport_gateway::conformance::bench::until(SOON, || socket.exists()).await.unwrap();
    let mut ssh = rig.ssh(&["-A"], "echo [$SSH_AUTH_SOCK]");
    let output = finish(ssh.env("SSH_AUTH_SOCK", &socket).spawn().unwrap()).await;
    assert_eq!(text(&output.stdout), "[]\n");
    assert!(text(&output.stderr).contains("the agent are the logon account's"), "{}", text(&output.stderr));
    assert_eq!(rig.bench.desk.entries_of("channel.denied").len(), 1);
}
