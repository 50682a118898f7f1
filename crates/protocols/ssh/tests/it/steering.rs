//! What staff do to live sessions, as the stock client and a real sshd see it.

use crate::rig::{Heard, Rig, finish};
use sallyport_gateway::conformance::bench::until;
use sallyport_model::Timestamp;
use sallyport_model::access::EndReason;
use sallyport_model::steering::{Pause, Steering};
use sallyport_testkit::terminal::Terminal;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;

const SOON: Duration = Duration::from_secs(15);
/// Counts for as long as somebody takes it.
const COUNT: &str = "i=0; while :; do i=$((i+1)); echo $i; done";

fn pause() -> Pause {
    Pause { by: "carol".parse().unwrap(), reason: "drill".into(), since: Timestamp(0) }
}

struct Person {
    child: Child,
    shown: Heard,
    told: Heard,
}

impl Person {
    fn at(rig: &Rig, options: &[&str], command: &str) -> Self {
        let mut child = rig.ssh(options, command).stdin(Stdio::piped()).spawn().unwrap();
        let (shown, told) = (Heard::of(child.stdout.take().unwrap()), Heard::of(child.stderr.take().unwrap()));
        Self { child, shown, told }
    }

    async fn types(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until nothing more comes: what was on its way has arrived.
    async fn quiet(&self) {
        let mut before = usize::MAX;
        while before != self.shown.all().len() {
            before = self.shown.all().len();
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_session_lets_nothing_through_loses_nothing_and_holds_up_nobody() {
    let rig = Rig::new().await;
    let mut person = Person::at(&rig, &["-tt"], "stty -echo; echo ready; read x; echo got-$x; read y; echo then-$y");
    let counting = Person::at(&rig, &[], COUNT);
    until(SOON, || person.shown.has("ready") && counting.shown.has("\n1000\n")).await.unwrap();

    let mut steering = Steering::default();
    steering.pause(Some(pause()));
    rig.bench.desk.steer_all(&steering);
    until(SOON, || person.told.has("paused by security staff (carol): drill; what you type waits")).await.unwrap();
    person.types("typed\n").await;
    counting.quiet().await;
    let held = counting.shown.all().len();
    assert!(!person.shown.has("got-"), "what was typed went on");
    // A session that begins meanwhile is nobody's prisoner.
    assert_eq!(rig.run(&[], "echo free").await.stdout, b"free\n");
    // Hearing the same again changes nothing, and neither does something older.
    rig.bench.desk.steer_all(&steering);
    rig.bench.desk.steer_all(&Steering::default());
    person.quiet().await;
    assert!(!person.shown.has("got-"));
    assert_eq!(counting.shown.all().len(), held, "the target's output was not held");

    steering.pause(None);
    rig.bench.desk.steer_all(&steering);
    until(SOON, || person.shown.has("got-typed") && person.told.has("it goes on")).await.unwrap();
    person.types("more\n").await;
    until(SOON, || person.shown.has("then-more")).await.unwrap();
    assert_eq!(person.told.all().matches("paused by").count(), 1);
    assert_eq!(finish(person.child).await.status.code(), Some(0));
    // Far more than windows and pipes held meanwhile.
    until(SOON, || counting.shown.all().len() > held + (4 << 20)).await.unwrap();
    rig.bench.desk.kill_all();
    let shown = counting.shown.all();
    let (whole, _) = shown.rsplit_once('\n').unwrap();
    let broken = whole.lines().zip(1_usize..).find(|(line, wanted)| line.parse() != Ok(*wanted));
    assert_eq!(broken, None, "something was lost");
    finish(counting.child).await;
    rig.bench.returned(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_ends_a_paused_session_at_once_and_says_why() {
    let rig = Rig::new().await;
    let mut person = Person::at(&rig, &["-tt"], "stty -echo; echo ready; while :; do echo tick; done");
    until(SOON, || person.shown.has("tick")).await.unwrap();
    let mut steering = Steering::default();
    steering.pause(Some(pause()));
    rig.bench.desk.steer_all(&steering);
    until(SOON, || person.told.has("paused by")).await.unwrap();
    person.types("x").await;
    rig.bench.desk.kill_all();
    let told = person.told.clone();
    assert_ne!(finish(person.child).await.status.code(), Some(0));
    until(SOON, || told.has("killed by the suite")).await.unwrap();
    rig.bench.returned(SOON).await.unwrap();
    let closes = rig.bench.desk.closes();
    assert_eq!((closes[0].reason, closes[0].complete), (EndReason::Kill, true));
    assert_eq!(closes[0].note, "killed by the suite");
}

/// What a terminal of 80 by 24 shows after these bytes.
fn screen(bytes: &str) -> Vec<String> {
    let mut terminal = avt::Terminal::new(80, 24).unwrap();
    terminal.feed(bytes);
    terminal.screen().visible_lines().map(|line| line.text().trim_end().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_stands_over_a_full_screen_program_for_a_while_and_then_its_screen_is_whole_again() {
    let rig = Rig::new().await;
    let draw = r"stty -echo; printf 'before\r\n'; printf '\033[?1049h\033[2J\033[H\033[1;32mtop row\033[0m\033[12;5Hmiddle\033[24;1Hlast row\033[12;11H'; read x; printf '\033[?1049l'; echo back-$x; read y";
    let mut person = Terminal::run(rig.ssh(&["-tt"], draw).as_std()).unwrap();
    person.until_shown("last row").unwrap();
    until(SOON, || screen(&person.shown())[11] == "    middle").await.unwrap();
    let drawn = screen(&person.shown());
    assert_eq!((drawn[0].as_str(), drawn[23].as_str()), ("top row", "last row"));

    let mut steering = Steering::default();
    steering.say("carol".parse().unwrap(), "save your work".into());
    rig.bench.desk.steer_all(&steering);
    let line = "message from security staff (carol): save your work";
    until(SOON, || screen(&person.shown())[0].contains(line)).await.unwrap();
    assert_eq!(screen(&person.shown())[1..], drawn[1..], "something else was touched");
    until(SOON, || screen(&person.shown()) == drawn).await.unwrap();
    // The program goes on where its cursor was, and behind it the shell's screen is as it was left.
    person.type_in("typed\r").unwrap();
    person.until_shown("back-typed").unwrap();
    let after = screen(&person.shown());
    assert_eq!((after[0].as_str(), after[1].as_str()), ("before", "back-typed"), "{after:?}");
    // A shell has no rows to give: there it is a line with a bell, and each message is shown once.
    steering.say("carol".parse().unwrap(), "thank you".into());
    rig.bench.desk.steer_all(&steering);
    person.until_shown("\x07\r\nsallyport: message from security staff (carol): thank you\r\n").unwrap();
    assert_eq!(person.shown().matches("save your work").count(), 1);
    person.type_in("\r").unwrap();
    assert_eq!(person.ended().unwrap(), 0);
    rig.bench.returned(SOON).await.unwrap();
}
