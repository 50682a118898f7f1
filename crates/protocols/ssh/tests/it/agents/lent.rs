//! Agents of clients by script: targets that ask for what nobody allowed, or too much of it, and what the user sees of that.

use super::{EXTENSION, LIST, REFUSED, SIGN, SOON, calm, entries, marks};
use crate::rig::Rig;
use crate::scripted::{self, channels, let_in, signed_in, soon, until, words};
use bytes::Bytes;
use sallyport_model::Timestamp;
use sallyport_model::limits::Signing;
use sallyport_model::steering::{Pause, Steering};
use sallyport_ssh_transport::link::{Arrival, Link, Reader, Said, Writer};
use sallyport_ssh_transport::wire::Put as _;
use std::time::Duration;
use tokio::sync::mpsc;

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

/// A target of ours: its end of the connection, and of the program.
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
    let lent = early(terminal, signing).await;
    lent.target.write.answer(true).unwrap();
    lent
}

/// The same before the target has granted the program.
async fn early(terminal: bool, signing: Signing) -> Lent {
    let (tell, mut begins) = mpsc::unbounded_channel();
    let script = move |leg| {
        let tell = tell.clone();
        async move {
            let Ok(leg) = let_in(leg).await else { return };
            let (link, mut arrivals) = channels(leg);
            while let Some(arrival) = arrivals.next().await {
                let Arrival::Open(opening) = arrival else { continue };
                let Some((mut read, write)) = opening.accept() else { return };
                if scripted::program(&mut read, &write).await {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_signatures_may_wait_to_be_asked_about_and_a_ninth_is_refused_at_once() {
    let mut lent = lent(true, Signing::Asked).await;
    until(&mut lent.read, "recorded").await;
    let mut channels = Vec::new();
    for _ in 0..9 {
        let ((read, write), (asked, agent)) = lent.channel().await;
        channels.push((read, write, asked, agent));
    }
    for (_, write, ..) in &channels {
        write.data(wanted()).await.unwrap();
    }
    until(&mut lent.read, "y to allow, n to refuse").await;
    // Whichever of them came last.
    let answers = channels.iter_mut().map(|(read, ..)| Box::pin(said(read)));
    let (answer, refused, _) = futures_util::future::select_all(answers).await;
    assert_eq!(answer.unwrap(), REFUSED);
    // None of the eight is touched by it; one is allowed, and then there is room for another.
    calm().await;
    lent.write.data(Bytes::from_static(b"y")).await.unwrap();
    let asked = channels.iter_mut().map(|(_, _, asked, _)| Box::pin(said(asked)));
    let (request, allowed, _) = futures_util::future::select_all(asked).await;
    assert_eq!(request.unwrap(), wanted());
    assert_ne!(allowed, refused);
    until(&mut lent.read, "y to allow, n to refuse").await;
    channels[refused].1.data(wanted()).await.unwrap();
    let answers = channels.iter_mut().map(|(read, ..)| Box::pin(said(read)));
    let early = tokio::time::timeout(Duration::from_millis(500), futures_util::future::select_all(answers)).await;
    assert!(early.is_err(), "each of the others waits for its turn");
    let refused = entries(&lent.rig, "agent.refused");
    assert!(refused.len() == 1 && refused[0].contains("too many signatures wait to be asked about"), "{refused:?}");
    assert_eq!(entries(&lent.rig, "agent.allowed").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_asks_before_its_program_runs_is_asked_about_as_soon_as_the_user_sees_it() {
    let mut lent = early(true, Signing::Asked).await;
    let ((_read, write), (mut asked, _agent)) = lent.channel().await;
    write.data(wanted()).await.unwrap();
    calm().await;
    lent.target.write.answer(true).unwrap();
    let shown = until(&mut lent.read, "y to allow, n to refuse").await;
    assert!(shown.contains("this session is recorded"), "{shown:?}");
    calm().await;
    lent.write.data(Bytes::from_static(b"y")).await.unwrap();
    assert_eq!(said(&mut asked).await.unwrap(), wanted());
    assert!(entries(&lent.rig, "agent.refused").is_empty());
}
