//! Agents that clients lend: real ones behind the stock client, asked by real programs on the target.

mod lent;

use crate::rig::{Rig, finish, text};
use sallyport_gateway::conformance::bench;
use sallyport_model::inventory::fingerprint;
use sallyport_model::limits::Signing;
use sallyport_recording::What;
use sallyport_testkit::sshd::{ACCOUNT, keygen, public};
use sallyport_testkit::terminal::Terminal;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

const SOON: Duration = Duration::from_secs(20);
const REFUSED: &[u8] = &[0, 0, 0, 1, 5];
const LIST: u8 = 11;
const SIGN: u8 = 13;
const EXTENSION: u8 = 27;

/// A real ssh-agent with one key, and what it was asked.
struct Agent {
    _process: tokio::process::Child,
    socket: PathBuf,
    key: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Agent {
    async fn start(rig: &Rig) -> Self {
        let (real, socket) = (rig.fixed.home().join("real.sock"), rig.fixed.home().join("agent.sock"));
        let mut agent = tokio::process::Command::new("ssh-agent");
        agent.arg("-D").arg("-a").arg(&real).stdout(Stdio::null()).kill_on_drop(true);
        let process = agent.spawn().unwrap();
        bench::until(SOON, || real.exists()).await.unwrap();
        let file = rig.fixed.home().join("mine");
        keygen(&file).unwrap();
        let mut add = tokio::process::Command::new("ssh-add");
        let added = add.env("SSH_AUTH_SOCK", &real).arg(&file).output().await.unwrap();
        assert!(added.status.success(), "{}", text(&added.stderr));
        let listener = UnixListener::bind(&socket).unwrap();
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        tokio::spawn(listen(listener, real, heard.clone()));
        // What the target's programs know of the key, and what its server lets in.
        let key = public(&file.with_extension("pub")).unwrap();
        std::fs::write(rig.scratch().join("mine.pub"), format!("{key}\n")).unwrap();
        std::fs::write(rig.server.sshd.key().with_file_name("authorized"), format!("{key}\n")).unwrap();
        Self { _process: process, socket, key, heard }
    }

    fn fingerprint(&self) -> String {
        fingerprint(&self.key).unwrap()
    }

    fn signatures(&self) -> usize {
        self.heard.lock().unwrap().iter().filter(|kind| **kind == SIGN).count()
    }

    /// Whether it heard nothing but what may be heard.
    fn untouched(&self) -> bool {
        self.heard.lock().unwrap().iter().all(|kind| [LIST, SIGN, EXTENSION].contains(kind))
    }
}

/// Carries what comes to the real agent, request by request.
async fn listen(listener: UnixListener, real: PathBuf, heard: Arc<Mutex<Vec<u8>>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (real, heard) = (real.clone(), heard.clone());
        tokio::spawn(async move {
            let agent = UnixStream::connect(real).await.unwrap();
            let ((mut asks, mut told), (mut answers, mut says)) = (client.into_split(), agent.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut told).await });
            while let Ok(length) = asks.read_u32().await {
                let mut body = vec![0; usize::try_from(length).unwrap()];
                asks.read_exact(&mut body).await.unwrap();
                heard.lock().unwrap().push(body[0]);
                says.write_all(&[&length.to_be_bytes(), body.as_slice()].concat()).await.unwrap();
            }
        });
    }
}

/// Whoever answers has read the question, and types nothing else.
async fn calm() {
    tokio::time::sleep(Duration::from_millis(900)).await;
}

/// The next host: the target's own server, by the key in the agent.
fn hop(rig: &Rig) -> String {
    let port = rig.server.sshd.address().port();
    format!(
        "ssh -n -F none -p {port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
         -o PreferredAuthentications=publickey -o BatchMode=yes {ACCOUNT}@127.0.0.1 'echo hopped-$((40+2))'"
    )
}

fn entries(rig: &Rig, action: &str) -> Vec<String> {
    rig.bench.desk.entries_of(action).into_iter().map(|entry| entry.text).collect()
}

/// Marks of a kind in the recording of the one session.
async fn marks(rig: &Rig, wanted: &str) -> Vec<String> {
    let told = |event: sallyport_recording::Event| match event.what {
        What::Mark { kind, text } if kind == wanted => Some(text),
        _ => None,
    };
    rig.bench.events().await.unwrap().into_iter().filter_map(told).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_signature_is_asked_for_at_the_terminal_and_without_a_yes_the_agent_hears_of_none() {
    let rig = Rig::new().await;
    let agent = Agent::start(&rig).await;
    let mut ssh = rig.ssh(&["-tt", "-A"], "");
    ssh.env("SSH_AUTH_SOCK", &agent.socket);
    let mut person = Terminal::run(ssh.as_std()).unwrap();
    person.until_shown("$ ").unwrap();
    // What keys there are, nobody is asked.
    person.type_in("ssh-add -l\r").unwrap();
    person.until_shown(&agent.fingerprint()).unwrap();

    let host = fingerprint(&rig.server.sshd.host_key().unwrap()).unwrap();
    let key = format!("{} (ED25519)", agent.fingerprint());
    let what = format!("sign in as `{ACCOUNT}` at the host with the key {host} (ED25519)");
    let question = format!("sallyport: {} wants to {what} with your key {key}: y to allow, n to refuse", rig.name);
    person.type_in(&format!("{}\r", hop(&rig))).unwrap();
    person.until_shown(&question).unwrap();
    calm().await;
    // Any other key is nothing, and goes nowhere.
    person.type_in("x").unwrap();
    calm().await;
    person.type_in("n").unwrap();
    person.until_shown("Permission denied").unwrap();
    assert!(person.shown().contains("sallyport: not signed"), "{}", person.shown());
    assert_eq!(agent.signatures(), 0);
    person.type_in(&format!("{}\r", hop(&rig))).unwrap();
    person.until_shown(&question).unwrap();
    assert_eq!(agent.signatures(), 0, "before the answer");
    calm().await;
    person.type_in("y").unwrap();
    person.until_shown("hopped-42").unwrap();
    assert_eq!(agent.signatures(), 1);

    let pubs = rig.scratch().join("mine.pub").display().to_string();
    person.type_in(&format!("echo signed | ssh-keygen -q -Y sign -n git -f {pubs}\r")).unwrap();
    person.until_shown(&format!("wants to sign a message for `git` with your key {key}")).unwrap();
    calm().await;
    person.type_in("y").unwrap();
    person.until_shown("END SSH SIGNATURE").unwrap();
    assert_eq!(agent.signatures(), 2);
    // What would change the agent does not reach it.
    person.type_in("ssh-add -D; ssh-add -l | wc -l\r").unwrap();
    person.until_shown("1\r\n").unwrap();
    assert!(agent.untouched(), "{:?}", agent.heard.lock().unwrap());
    person.type_in("exit\r").unwrap();
    person.ended().unwrap();
    rig.bench.returned(SOON).await.unwrap();

    let message = format!("sign a message for `git` {key}  1");
    assert_eq!(entries(&rig, "agent.allowed"), [format!("user {what} {key}  1"), format!("user {message}")]);
    assert_eq!(entries(&rig, "agent.signed"), [format!("user {what} {key}  1"), format!("user {message}")]);
    let refused = entries(&rig, "agent.refused");
    assert_eq!(refused[0], format!("user {what} {key} the user said no 1"));
    assert!(refused[1..].iter().any(|text| text.starts_with("gateway remove every key from it")), "{refused:?}");
    let all = rig.bench.desk.entries();
    let at = |action: &str| all.iter().position(|entry| entry.action == action).unwrap();
    assert!(at("agent.allowed") < at("agent.signed"), "the entry comes first");
    let (told, refused) = (marks(&rig, "agent").await, marks(&rig, "refused").await);
    let full = format!("{what}, with the key {key}");
    for text in [format!("asked to {full}"), format!("allowed by the user: to {full}"), format!("signed to {full}")] {
        assert!(told.contains(&text), "{text}: {told:?}");
    }
    assert!(refused.contains(&format!("agent: to {full}: the user said no")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_a_terminal_gets_no_signature_unless_policy_says_that_nobody_need_be_there() {
    let run = async |rig: &Rig, agent: &Agent| {
        let mut ssh = rig.ssh(&["-A"], &hop(rig));
        ssh.env("SSH_AUTH_SOCK", &agent.socket);
        finish(ssh.spawn().unwrap()).await
    };
    let rig = Rig::new().await;
    let agent = Agent::start(&rig).await;
    let output = run(&rig, &agent).await;
    let told = text(&output.stderr);
    assert!(told.contains("Permission denied"), "{told}");
    let hint = format!("sallyport: {} wants to sign in as `{ACCOUNT}`", rig.name);
    assert!(told.contains(&hint) && told.contains("`ssh -t` gives you one"), "{told}");
    assert_eq!((agent.signatures(), output.stdout.len()), (0, 0));
    let refused = entries(&rig, "agent.refused");
    assert!(
        refused.len() == 1 && refused[0].contains("there is no terminal in which the user could be asked"),
        "{refused:?}"
    );

    let rig = Rig::with(|target, _| target.limits.agent = Signing::Unattended).await;
    let agent = Agent::start(&rig).await;
    // Nothing is signed that the ledger does not have.
    rig.bench.desk.refuse_judging(true);
    let output = run(&rig, &agent).await;
    assert!(!output.status.success() && agent.signatures() == 0, "{}", text(&output.stdout));
    assert!(entries(&rig, "agent.allowed").is_empty());
    rig.bench.desk.refuse_judging(false);
    let output = run(&rig, &agent).await;
    assert_eq!(text(&output.stdout), "hopped-42\n", "{}", text(&output.stderr));
    assert_eq!(agent.signatures(), 1);
    let (allowed, signed) = (entries(&rig, "agent.allowed"), entries(&rig, "agent.signed"));
    assert!(allowed.len() == 1 && allowed[0].starts_with(&format!("policy sign in as `{ACCOUNT}`")), "{allowed:?}");
    assert_eq!(signed, allowed);
}
