//! Agents that clients lend: real ones behind the stock client, asked by real programs on the target; and targets that ask
//! for what nobody allowed.

use crate::rig::{Rig, finish, text};
use crate::scripted::{self, begun, channels, let_in, signed_in, soon, until, words};
use bytes::Bytes;
use sallyport_gateway::conformance::bench;
use sallyport_model::Timestamp;
use sallyport_model::inventory::fingerprint;
use sallyport_model::limits::Signing;
use sallyport_model::steering::{Pause, Steering};
use sallyport_recording::What;
use sallyport_ssh_transport::link::{Arrival, Link, Reader, Said, Writer};
use sallyport_ssh_transport::wire::Put as _;
use sallyport_testkit::sshd::{ACCOUNT, keygen, public};
use sallyport_testkit::terminal::Terminal;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

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

/// A message of the agent's protocol.
fn message(kind: u8, parts: &[&[u8]], rest: &[u8]) -> Bytes {
    let mut body = vec![kind];
    parts.iter().for_each(|part| body.string(part));
    body.bytes(rest);
    let mut out = Vec::new();
    out.string(&body);
    out.into()
}

/// What a target wants signed.
fn wanted() -> Bytes {
    let key = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20".as_slice(), &[1; 32]].concat();
    message(SIGN, &[&key, b"whatever"], &[0; 4])
}

/// A target of ours: its end of the connection, and of the program that was begun.
struct Targeted {
    link: Link,
    write: Writer,
}

/// A session with a target by script, which lends it the agent: the target's part, and the client's.
struct Lent {
    rig: Rig,
    target: Targeted,
    /// The client's connection, its program, and the channels to its agent.
    client: Link,
    read: Reader,
    write: Writer,
    agents: mpsc::UnboundedReceiver<(Reader, Writer)>,
}

async fn lent(terminal: bool, signing: Signing) -> Lent {
    let (tell, mut begins) = mpsc::unbounded_channel();
    let script = move |leg| {
        let tell = tell.clone();
        async move {
            let Ok(leg) = let_in(leg).await else { return };
            let (link, mut arrivals) = channels(leg);
            while let Some(arrival) = arrivals.next().await {
                let Arrival::Open(opening) = arrival else { continue };
                let Some((mut read, write)) = opening.accept() else { return };
                if begun(&mut read, &write).await {
                    let _ = tell.send((Targeted { link: link.clone(), write }, read));
                }
            }
        }
    };
    let (port, public) = scripted::target(script).await;
    let rig = Rig::with(move |target, _| {
        (target.port, target.host_keys, target.limits.agent) = (port, vec![public], signing);
    })
    .await;
    let (client, mut arrivals) = channels(signed_in(&rig, "ops").await);
    let (arrive, agents) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(arrival) = arrivals.next().await {
            let Arrival::Open(opening) = arrival else { continue };
            assert_eq!(opening.kind, "auth-agent@openssh.com");
            let _ = opening.accept().map(|channel| arrive.send(channel));
        }
    });
    let (read, write) = client.open("session", Bytes::new()).await.unwrap();
    if terminal {
        let size = [[0, 0, 0, 80], [0, 0, 0, 24], [0; 4], [0; 4]].concat();
        write.request("pty-req", false, words(&["xterm"], &[size, vec![0; 4]].concat())).unwrap();
    }
    write.request("auth-agent-req@openssh.com", false, Bytes::new()).unwrap();
    let (program, data) = if terminal { ("shell", Bytes::new()) } else { ("exec", words(&["x"], b"")) };
    write.request(program, false, data).unwrap();
    let (target, said) = soon(begins.recv()).await.unwrap();
    // What the client types is taken, whatever it is.
    tokio::spawn(async move {
        let mut said = said;
        while said.next().await != Said::Close {}
    });
    Lent { rig, target, client, read, write, agents }
}

impl Lent {
    /// A channel to the agent: the target's end, and the agent's.
    async fn channel(&mut self) -> ((Reader, Writer), (Reader, Writer)) {
        let target = soon(self.target.link.open("auth-agent@openssh.com", Bytes::new())).await.unwrap();
        (target, soon(self.agents.recv()).await.unwrap())
    }

    async fn over(self) -> Rig {
        drop((self.read, self.write, self.target));
        self.client.disconnect(11, "bye");
        self.rig.bench.returned(SOON).await.unwrap();
        self.rig
    }
}

/// What comes next in a channel: its bytes, or none where it is closed.
async fn said(read: &mut Reader) -> Option<Bytes> {
    loop {
        match soon(read.next()).await {
            Said::Data(data) => return Some(data),
            Said::Close => return None,
            _ => {}
        }
    }
}

/// That nothing was said in a channel up to its end.
async fn silent(read: &mut Reader) {
    assert_eq!(said(read).await, None);
}

/// How many requests the entries of refusals stand for.
fn refusals(rig: &Rig) -> (usize, usize) {
    let told = entries(rig, "agent.refused");
    (told.len(), told.iter().map(|text| text.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_asks_an_agent_for_more_than_it_may_is_refused_and_the_agent_hears_nothing() {
    let mut lent = lent(false, Signing::Asked).await;
    let ((mut read, write), (mut asked, agent)) = lent.channel().await;
    // Adding, removing, locking, smart cards, other extensions, and what nobody knows.
    let kinds = [0, 1, 9, 17, 18, 19, 20, 22, 23, 25, 26, EXTENSION, 99, 255];
    for kind in kinds {
        write.data(message(kind, &[b"query"], b"")).await.unwrap();
        assert_eq!(said(&mut read).await.unwrap(), REFUSED, "{kind}");
    }
    write.data(wanted()).await.unwrap();
    assert_eq!(said(&mut read).await.unwrap(), REFUSED, "a signature without a terminal");
    // The first thing that the agent hears is what it may be asked.
    write.data(message(LIST, &[], b"")).await.unwrap();
    assert_eq!(said(&mut asked).await.unwrap(), message(LIST, &[], b""));
    let listed = message(12, &[], &[0; 4]);
    agent.data(listed.clone()).await.unwrap();
    assert_eq!(said(&mut read).await.unwrap(), listed);
    // What is longer than any message ends the channel.
    write.data(Bytes::from_static(&[0, 4, 0, 1, SIGN])).await.unwrap();
    silent(&mut read).await;
    silent(&mut asked).await;
    // An agent that answers what nobody asked is not listened to.
    let ((mut read, _write), (mut asked, agent)) = lent.channel().await;
    agent.data(message(14, &[b"signature"], b"")).await.unwrap();
    silent(&mut read).await;
    silent(&mut asked).await;
    // A flood is refused, ever more slowly.
    let ((mut read, write), (mut asked, _agent)) = lent.channel().await;
    let began = tokio::time::Instant::now();
    write.data([wanted().as_ref(); 8].concat().into()).await.unwrap();
    let mut answers = Vec::new();
    while answers.len() < 8 * REFUSED.len() {
        answers.extend_from_slice(&said(&mut read).await.unwrap());
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(answers, REFUSED.repeat(8));
    write.close();
    silent(&mut asked).await;
    let rig = lent.over().await;
    // Each is in the recording; the ledger has few entries, which stand for all of them.
    assert_eq!(marks(&rig, "refused").await.len(), kinds.len() + 9);
    let (told, stand_for) = refusals(&rig);
    assert!(told <= 8 && stand_for == kinds.len() + 9, "{told} {stand_for}: {:?}", entries(&rig, "agent.refused"));
    let failed = marks(&rig, "failed").await;
    assert!(failed.iter().any(|text| text.contains("a length that none may have")), "{failed:?}");
    assert!(failed.iter().any(|text| text.contains("what nobody had asked")), "{failed:?}");
    assert!(entries(&rig, "agent.allowed").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_cannot_draw_over_a_question_nor_ask_without_end_nor_while_the_session_is_held() {
    let mut lent = lent(true, Signing::Asked).await;
    until(&mut lent.read, "recorded").await;
    let ((mut read, write), (mut asked, agent)) = lent.channel().await;
    // It would have the question swallowed by a title that never ends, and another one read in its place.
    lent.target.write.data(Bytes::from_static(b"\x1b[8mready\x1b]0;title")).await.unwrap();
    until(&mut lent.read, "title").await;
    write.data(wanted()).await.unwrap();
    let question = "\x1b[0m\x07\r\nsallyport: ";
    let shown = until(&mut lent.read, "y to allow, n to refuse").await;
    assert!(
        shown.starts_with("\x18\x1b\\")
            && shown.contains(question)
            && shown.contains("wants to sign something that is no sign-in with"),
        "{shown:?}"
    );
    lent.target.write.data(Bytes::from_static(b"\x1b[2JProceed? [y/n] ")).await.unwrap();
    calm().await;
    lent.write.data(Bytes::from_static(b"y")).await.unwrap();
    let shown = until(&mut lent.read, "Proceed?").await;
    assert!(shown.contains("your agent is asked to sign"), "it was shown before the answer: {shown:?}");
    assert_eq!(said(&mut asked).await.unwrap(), wanted());
    agent.data(message(14, &[b"signature"], b"")).await.unwrap();
    assert_eq!(said(&mut read).await.unwrap(), message(14, &[b"signature"], b""));

    // A question that its target does not wait for is taken back.
    let ((read_2, write_2), (mut asked_2, _agent)) = lent.channel().await;
    write_2.data(wanted()).await.unwrap();
    until(&mut lent.read, "y to allow, n to refuse").await;
    write_2.close();
    drop(read_2);
    silent(&mut asked_2).await;
    until(&mut lent.read, "withdrawn").await;
    // So is one that stands when staff pause the session; while that holds, nothing is asked.
    write.data(wanted()).await.unwrap();
    until(&mut lent.read, "y to allow, n to refuse").await;
    let mut steering = Steering::default();
    steering.pause(Some(Pause { by: "carol".parse().unwrap(), reason: "drill".into(), since: Timestamp(0) }));
    lent.rig.bench.desk.steer_all(&steering);
    assert_eq!(said(&mut read).await.unwrap(), REFUSED);
    write.data(wanted()).await.unwrap();
    assert_eq!(said(&mut read).await.unwrap(), REFUSED);
    steering.pause(None);
    lent.rig.bench.desk.steer_all(&steering);
    until(&mut lent.read, "it goes on").await;
    // The third in succession that comes to nothing is the last, for a while.
    write.data(wanted()).await.unwrap();
    until(&mut lent.read, "y to allow, n to refuse").await;
    calm().await;
    lent.write.data(Bytes::from_static(b"n")).await.unwrap();
    assert_eq!(said(&mut read).await.unwrap(), REFUSED);
    for _ in 0..2 {
        write.data(wanted()).await.unwrap();
        assert_eq!(said(&mut read).await.unwrap(), REFUSED);
    }
    write.close();
    silent(&mut asked).await;
    let rig = lent.over().await;
    let refused = entries(&rig, "agent.refused").join("\n");
    for why in
        ["nobody waited for the answer", "the session is paused", "the user said no", "nobody is asked for a while"]
    {
        assert!(refused.contains(why), "{why}: {refused}");
    }
    assert_eq!((entries(&rig, "agent.allowed").len(), entries(&rig, "agent.signed").len()), (1, 1));
    assert_eq!(refusals(&rig).1, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_stands_while_evidence_is_late_and_the_yes_waits_for_it() {
    let mut lent = lent(true, Signing::Asked).await;
    until(&mut lent.read, "recorded").await;
    let ((_read, write), (mut asked, _agent)) = lent.channel().await;
    write.data(wanted()).await.unwrap();
    until(&mut lent.read, "y to allow, n to refuse").await;
    let stuck = lent.rig.bench.gateway.recorder().stick();
    // Something that is to be evidence soon.
    lent.write.data(Bytes::from_static(b"x")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    lent.write.data(Bytes::from_static(b"y")).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(500), said(&mut asked)).await;
    assert!(early.is_err() && entries(&lent.rig, "agent.allowed").is_empty(), "it was allowed while evidence was late");
    drop(stuck);
    assert_eq!(said(&mut asked).await.unwrap(), wanted());
    assert_eq!((entries(&lent.rig, "agent.allowed").len(), entries(&lent.rig, "agent.refused").len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_read_whole_over_a_program_that_has_the_screen_for_itself() {
    let mut lent = lent(true, Signing::Asked).await;
    let mut shown = until(&mut lent.read, "recorded").await;
    let draws = b"\x1b[?1049h\x1b[2J\x1b[H\x1b(0top row\x1b[5;9r\x1b[24;1Hlast row";
    lent.target.write.data(Bytes::from_static(draws)).await.unwrap();
    shown.push_str(&until(&mut lent.read, "last row").await);
    let ((mut read, write), _agent) = lent.channel().await;
    write.data(wanted()).await.unwrap();
    shown.push_str(&until(&mut lent.read, "\x1b[0m\x1b8").await);
    let mut terminal = avt::Terminal::new(80, 24).unwrap();
    terminal.feed(&shown);
    let rows: Vec<String> = terminal.screen().visible_lines().map(|line| line.text().to_owned()).collect();
    let first = rows[..3].concat();
    let question =
        format!("sallyport: {} wants to sign something that is no sign-in with your key SHA256:", lent.rig.name);
    assert!(first.contains(&question) && first.trim_end().ends_with("y to allow, n to refuse"), "{rows:#?}");
    // The rest stands, in the letters that the target chose.
    assert!(rows[23].starts_with("┌▒"), "{rows:#?}");
    calm().await;
    lent.write.data(Bytes::from_static(b"n")).await.unwrap();
    assert_eq!(said(&mut read).await.unwrap(), REFUSED);
}
