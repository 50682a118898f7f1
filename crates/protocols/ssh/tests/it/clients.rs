//! Other people's clients, as they are packaged: each logs in with a token and does its daily work.

use crate::becoming;
use crate::rig::{Rig, finish, key, text};
use crate::typing::Typing;
use sallyport_gateway::conformance::bench::TOKEN;
use sallyport_testkit::sshd::accounts;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

fn program(rig: &Rig, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("HOME", rig.fixed.home()).env("TOKEN", TOKEN).env("PORT", rig.bench.address.port().to_string());
    command.env("TARGET_USER", format!("ops@{}", rig.name)).env("SCRATCH", rig.scratch());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(command: &mut Command) -> Output {
    finish(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))).await
}

async fn says(command: &mut Command, expected: &str) {
    let output = run(command).await;
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && all.contains(expected), "{command:?}: {}\n{all}", output.status);
}

/// `ssh` with everything it needs, as one word for programs that start it.
fn remote_shell(rig: &Rig) -> String {
    let ssh = rig.client("ssh");
    let ssh = ssh.as_std();
    std::iter::once("ssh".to_owned())
        .chain(ssh.get_args().map(|arg| arg.to_str().unwrap().to_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A program that starts `ssh` by itself.
fn over_ssh(rig: &Rig, name: &str) -> Command {
    let mut command = program(rig, name);
    for (name, value) in rig.client("ssh").as_std().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env("GIT_SSH_COMMAND", remote_shell(rig)).env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropbear() {
    let rig = Rig::new().await;
    let mut dbclient = program(&rig, "dbclient");
    dbclient.env("DROPBEAR_PASSWORD", TOKEN).args(["-y", "-y", "-p"]).arg(rig.bench.address.port().to_string());
    dbclient.arg("-l").arg(format!("ops@{}", rig.name)).args(["127.0.0.1", "echo from dropbear; exit 0"]);
    says(&mut dbclient, "from dropbear").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn putty() {
    let rig = Rig::new().await;
    let print = rig.fixed.home().join("host.pub");
    std::fs::write(&print, format!("{}\n", rig.fixed.host_key())).unwrap();
    let shown = run(program(&rig, "ssh-keygen").arg("-lf").arg(&print)).await;
    let print = text(&shown.stdout).split(' ').nth(1).unwrap().to_owned();
    let putty = |name: &str| {
        let mut command = program(&rig, name);
        command.args(["-batch", "-P", &rig.bench.address.port().to_string(), "-hostkey", &print, "-pw", TOKEN]);
        command
    };
    let user = format!("ops@{}", rig.name);
    says(putty("plink").args(["-ssh", "-l", &user, "127.0.0.1", "echo from plink"]), "from plink").await;
    let file = rig.fixed.home().join("file");
    std::fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
    for mode in ["-scp", "-sftp"] {
        let there = format!("127.0.0.1:{}/{mode}", rig.scratch().display());
        let output = run(putty("pscp").args([mode, "-q", "-l", &user]).arg(&file).arg(there)).await;
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(std::fs::read(rig.scratch().join(mode)).unwrap().len(), 3 << 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paramiko_with_sftp_and_a_shell() {
    let rig = Rig::new().await;
    says(program(&rig, "/usr/bin/python3").args(["-c", include_str!("clients/paramiko.py")]), "paramiko is content")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asyncssh_with_a_hundred_channels_on_one_connection() {
    let rig = Rig::new().await;
    let mut python = program(&rig, "/usr/bin/python3");
    says(python.args(["-c", include_str!("clients/asyncssh.py")]), "asyncssh is content").await;
    assert_eq!(rig.bench.desk.entries_of("session.opened").len(), 1);
    assert!(rig.bench.desk.entries_of("channel.opened").len() >= 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libssh() {
    let rig = Rig::new().await;
    let (source, binary) = (rig.fixed.home().join("client.c"), rig.fixed.home().join("client"));
    std::fs::write(&source, include_str!("clients/libssh.c")).unwrap();
    let built = run(program(&rig, "cc").arg(&source).arg("-o").arg(&binary).arg("-lssh")).await;
    assert!(built.status.success(), "{}", text(&built.stderr));
    says(&mut program(&rig, binary.to_str().unwrap()), "libssh is content").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsync_both_ways() {
    let rig = Rig::new().await;
    let (here, back) = (rig.fixed.home().join("tree"), rig.fixed.home().join("back"));
    for n in 0..40_usize {
        let folder = here.join(format!("folder{}", n % 4));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("file{n}")), vec![b'r'; n * 9000]).unwrap();
    }
    let there = format!("{}:{}/tree/", rig.user_at_host(), rig.scratch().display());
    let rsync = |from: &str, to: &str| {
        let mut command = over_ssh(&rig, "rsync");
        command.args(["-a", "--no-owner", "--no-group", "-e", &remote_shell(&rig), from, to]);
        command
    };
    let (here, back) = (format!("{}/", here.display()), format!("{}/", back.display()));
    for (from, to) in [(&here, &there), (&there, &back)] {
        let output = run(&mut rsync(from, to)).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let output = run(program(&rig, "diff").args(["-r", &here, &back])).await;
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_clones_and_pushes() {
    let rig = Rig::configured("AcceptEnv GIT_PROTOCOL\n", |_, _| {}).await;
    let bare = rig.scratch().join("project.git");
    clones_and_pushes(&rig, &bare).await;
    // In the newer version of what it speaks, which the client asks for by a variable.
    let mut asks = over_ssh(&rig, "git");
    let at = format!("ssh://{}/{}", rig.user_at_host(), bare.display());
    let output = run(asks.env("GIT_TRACE_PACKET", "1").args(["-c", "protocol.version=2", "ls-remote", &at])).await;
    assert!(text(&output.stderr).contains("< version 2"), "{}", text(&output.stderr));
}

/// Makes a repository on the target, and has what is pushed there come back.
pub(crate) async fn clones_and_pushes(rig: &Rig, bare: &Path) {
    let at = format!("ssh://{}/{}", rig.user_at_host(), bare.display());
    let output = rig.run(&[], &format!("git init -q --bare -b trunk {}", bare.display())).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let work = rig.fixed.home().join("work");
    let git = |arguments: &[&str], folder: &Path| {
        let mut command = over_ssh(rig, "git");
        command.args(["-c", "user.name=ada", "-c", "user.email=ada@example.org"]).args(arguments).current_dir(folder);
        command
    };
    let home = rig.fixed.home().to_owned();
    let work_name = work.to_str().unwrap();
    let steps: [(&[&str], &Path); 6] = [
        (&["clone", "-q", &at, work_name], &home),
        (&["checkout", "-q", "-b", "trunk"], &work),
        (&["commit", "-q", "--allow-empty", "-m", "one"], &work),
        (&["push", "-q", "origin", "trunk"], &work),
        (&["clone", "-q", &at, "again"], &home),
        (&["-C", "again", "log", "--oneline", "-1"], &home),
    ];
    for (arguments, folder) in steps {
        let output = run(&mut git(arguments, folder)).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
    let log = run(&mut git(&["-C", "again", "log", "--format=%s", "-1"], &home)).await;
    assert_eq!(text(&log.stdout), "one\n");
}

/// Ansible, about to configure the target, with these words behind `ansible web`.
async fn ansible(rig: &Rig, words: &[&str]) -> Output {
    let inventory = rig.fixed.home().join("inventory");
    let options = remote_shell(rig).replace("ssh -F none", "-F none");
    let host = format!(
        "web ansible_host=127.0.0.1 ansible_port={} ansible_user=ops@{} ansible_password={TOKEN} \
         ansible_python_interpreter=/usr/bin/python3 ansible_remote_tmp={}/tmp ansible_ssh_common_args='{options}'\n",
        rig.bench.address.port(),
        rig.name,
        rig.scratch().display(),
    );
    std::fs::write(&inventory, host).unwrap();
    let mut ansible = program(rig, "ansible");
    ansible.env("ANSIBLE_HOME", rig.fixed.home().join("ansible")).env("LC_ALL", "C.UTF-8");
    let child = ansible.arg("-i").arg(&inventory).arg("web").args(words).spawn().unwrap();
    tokio::time::timeout(Duration::from_secs(90), child.wait_with_output()).await.unwrap().unwrap()
}

/// That it writes a file on the target; who owns it then.
async fn configures(rig: &Rig, words: &[&str]) -> u32 {
    let there = rig.scratch().join("ansible.txt");
    let copy = format!("content=configured dest={}", there.display());
    let output = ansible(rig, &[&["-m", "copy", "-a", &copy], words].concat()).await;
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "configured");
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&there).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ansible_with_a_token_in_place_of_the_password() {
    configures(&Rig::new().await, &[]).await;
}

/// On an account with `sudo` it becomes root itself, and is asked for that account's password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ansible_becomes_root_with_a_password_of_its_own() {
    tokio::task::spawn_blocking(accounts::make).await.unwrap().unwrap();
    let rig = Rig::with(|target, sshd| {
        target.login = Some(accounts::SUDOER.parse().unwrap());
        target.credential = key(sshd);
    })
    .await;
    let password = format!("ansible_become_password={}", accounts::SUDOER_PASSWORD);
    assert_eq!(configures(&rig, &["--become", "-e", &password]).await, 0);
}

/// On an account that is become it is that account from the start, and knows no password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ansible_is_the_account_that_a_logon_account_became() {
    let rig = becoming::rig(becoming::ROOT_BY_SUDO, "").await;
    assert_eq!(configures(&rig, &[]).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_sessions_share_the_connection_of_one_master() {
    let rig = Rig::new().await;
    let socket = rig.fixed.home().join("master").display().to_string();
    let master = rig.ssh(&["-M", "-N", "-S", &socket], "").spawn().unwrap();
    let there = std::path::Path::new(&socket);
    sallyport_gateway::conformance::bench::until(Duration::from_secs(20), || there.exists()).await.unwrap();
    let children: Vec<_> = (0..12_u32)
        .map(|n| (n, rig.ssh(&["-S", &socket], &format!("echo {n}; sleep 1; exit {n}")).spawn().unwrap()))
        .collect();
    for (n, child) in children {
        let output = finish(child).await;
        assert_eq!((text(&output.stdout), output.status.code()), (format!("{n}\n"), Some(n.cast_signed())));
    }
    drop(master);
    rig.bench.returned(Duration::from_secs(20)).await.unwrap();
    assert_eq!(rig.bench.desk.closes().len(), 1, "one session carries them all");
    assert_eq!(rig.bench.desk.entries_of("channel.opened").len(), 12);
}

/// Both legs, and in the middle of everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_renewed_every_mebibyte() {
    let rig = Rig::configured("RekeyLimit 1M\n", |_, _| {}).await;
    let size = 12 << 20;
    let mut child = rig.ssh(&["-o", "RekeyLimit=1M"], "cat").stdin(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sent: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[usize::try_from(n % 4).unwrap()]).collect();
    let copy = sent.clone();
    let sending = tokio::spawn(async move { input.write_all(&copy).await });
    let mut came = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), output.read_to_end(&mut came)).await.expect("it stalls").unwrap();
    sending.await.unwrap().unwrap();
    assert!(came == sent, "{} bytes came back of {}", came.len(), sent.len());
    assert_eq!(finish(child).await.status.code(), Some(0));
    let (here, there) = (rig.fixed.home().join("big"), rig.scratch().join("big"));
    std::fs::write(&here, &sent).unwrap();
    let mut sftp = rig.client("sftp");
    sftp.args(["-o", "BatchMode=no", "-o", "RekeyLimit=1M", "-b", "-"]).arg(rig.user_at_host());
    let mut child = sftp.stdin(Stdio::piped()).spawn().unwrap();
    let batch = format!("put {0} {1}\nget {1} {0}.back\n", here.display(), there.display());
    child.stdin.take().unwrap().write_all(batch.as_bytes()).await.unwrap();
    let output = finish(child).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(std::fs::read(rig.fixed.home().join("big.back")).unwrap() == sent);
}

/// The shape of a remote development server's start: a script on standard input, which reports a port; a
/// forward to that port on the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_editor_starts_its_server_and_reaches_it() {
    let rig = Rig::new().await;
    let socks = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let script = "python3 -u -c 'import socket; s=socket.socket(); s.bind((\"127.0.0.1\",0)); s.listen(); \
                  print(\"listeningOn==%d==\" % s.getsockname()[1]); c,_=s.accept(); c.sendall(b\"server\"); c.close()'\n";
    let mut child = rig.ssh(&["-T", "-D", &socks], "bash -s").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(script.as_bytes()).await.unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
    let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap().unwrap();
    let port = line.split("==").nth(1).unwrap().to_owned();
    let mut curl = program(&rig, "curl");
    curl.args(["-s", "--http0.9", "--socks5", &format!("127.0.0.1:{socks}"), &format!("http://127.0.0.1:{port}/")]);
    says(&mut curl, "server").await;
    drop(input);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_screen_programs_draw_and_take_keys() {
    let rig = Rig::new().await;
    let file = rig.scratch().join("note");
    let vim = format!("TERM=xterm vim.tiny -u NONE -n {}", file.display());
    let session = format!("TERM=xterm tmux -L spt -f /dev/null new-session '{vim}'");
    let mut terminal = Typing::of(rig.ssh(&["-tt"], &session), "note").await;
    terminal.keys("iwritten in vim inside tmux\x1b").await;
    terminal.until("inside tmux").await;
    terminal.keys(":wq\r").await;
    terminal.until("[exited]").await;
    terminal.end().await;
    assert_eq!(std::fs::read_to_string(file).unwrap(), "written in vim inside tmux\n");
}
