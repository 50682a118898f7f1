use super::Arrears;
use crate::conformance::bench::{TOKEN, until};
use crate::conformance::desk::Target;
use crate::conformance::toy::{Side, Toy, ToyTarget, Toys, enter, say};
use crate::conformance::{Bench, Fixture, Oracle, Transport};
use sallyport_model::access::EndReason;
use sallyport_recording::What;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);
/// What the product promises: within this nothing of a client's goes on.
const FROZEN: Duration = Duration::from_secs(1);

struct Stage {
    bench: Bench,
    oracle: ToyTarget,
    side: Side,
    login: String,
}

async fn stage(change: impl FnOnce(&mut Target)) -> Stage {
    let bench = Bench::start(Arc::new(Toy), Transport::Unix).await.unwrap();
    let (oracle, mut target) = Toys.target().await.unwrap();
    change(&mut target);
    let login = format!("LOGIN {TOKEN} ops {}", bench.know(target).await.unwrap());
    let (mut side, _) = enter(bench.address, &login).await.unwrap();
    assert_eq!(say(&mut side, "before").await.unwrap(), "said: before");
    Stage { bench, oracle, side, login }
}

impl Stage {
    /// Says something that must not go on, and gives the answer that comes once it did.
    async fn held(mut self, text: &'static str, thaw: impl AsyncFnOnce(&Bench)) -> (Bench, Side) {
        tokio::time::sleep(FROZEN).await;
        {
            let mut saying = std::pin::pin!(say(&mut self.side, text));
            let early = tokio::time::timeout(Duration::from_millis(700), &mut saying).await;
            assert!(early.is_err() && !self.oracle.heard(text), "a frozen session went on");
            thaw(&self.bench).await;
            let answer = tokio::time::timeout(SOON, &mut saying).await.expect("the session does not go on");
            assert_eq!(answer.unwrap(), format!("said: {text}"));
        }
        (self.bench, self.side)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_takes_nothing_freezes_sessions_and_they_go_on_with_nothing_lost() {
    let stage = stage(|_| {}).await;
    stage.bench.desk.ledger_down(true);
    let (bench, side) = stage.held("while frozen", async |bench| bench.desk.ledger_down(false)).await;
    let told = bench.desk.clone();
    until(SOON, move || !told.entries_of("session.frozen").is_empty()).await.unwrap();
    let actions: Vec<_> = bench.desk.entries().iter().map(|entry| entry.action).collect();
    let at = |action| actions.iter().position(|other| *other == action).unwrap();
    assert!(at("recording.anchored") < at("session.frozen"), "{actions:?}");
    assert!(bench.desk.entries_of("session.frozen")[0].text.starts_with("ledger "));
    drop(side);
    bench.returned(SOON).await.unwrap();
    assert!(bench.desk.closes()[0].frozen > 500, "{:?}", bench.desk.closes());
    let events = bench.events().await.unwrap();
    assert!(events.iter().any(|e| matches!(&e.what, What::Mark { kind, .. } if kind == "frozen")), "{events:?}");
    let inputs: Vec<_> = events.iter().filter(|e| matches!(e.what, What::Input(_))).collect();
    assert_eq!(inputs.len(), 2, "what was held is recorded once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_highest_tier_freezes_while_control_is_not_heard() {
    for how in ["deaf", "sealed", "gone"] {
        let stage = stage(|target| target.freezes = true).await;
        match how {
            "deaf" => stage.bench.desk.deafen(true),
            "sealed" => stage.bench.desk.seal(true),
            _ => stage.bench.partition(),
        }
        let thaw = async |bench: &Bench| match how {
            "deaf" => bench.desk.deafen(false),
            "sealed" => bench.desk.seal(false),
            _ => bench.rejoin().await.unwrap(),
        };
        let (bench, _side) = stage.held("while unheard", thaw).await;
        let told = bench.desk.clone();
        until(SOON, move || told.entries_of("session.frozen").iter().any(|e| e.text.starts_with("control ")))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_tier_goes_on_within_grace_and_the_ledger_hears_of_it_before_anything_new() {
    let mut stage = stage(|_| {}).await;
    stage.bench.partition();
    tokio::time::sleep(FROZEN).await;
    assert_eq!(say(&mut stage.side, "unheard").await.unwrap(), "said: unheard");
    stage.bench.rejoin().await.unwrap();
    let (_new, answer) = enter(stage.bench.address, &stage.login).await.unwrap();
    assert!(answer.starts_with("OK"), "{answer}");
    let actions: Vec<_> = stage.bench.desk.entries().iter().map(|entry| entry.action).collect();
    let anchored = actions.iter().position(|action| *action == "recording.anchored");
    let second = actions.iter().rposition(|action| *action == "session.opened");
    assert!(anchored.is_some() && anchored < second, "{actions:?}");
    assert!(stage.bench.desk.entries_of("session.frozen").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_session_ends_at_grace() {
    let stage = stage(|target| target.grace = 2).await;
    stage.bench.desk.ledger_down(true);
    let gateway = stage.bench.gateway.clone();
    let mut side = stage.side;
    let last = tokio::time::timeout(SOON, side.line()).await.expect("a frozen session outlives its grace").unwrap();
    assert_eq!(last, "NO the ledger takes no entries, so the session cannot go on");
    stage.bench.desk.ledger_down(false);
    until(Duration::from_secs(10), move || gateway.sessions() == 0).await.unwrap();
    let close = stage.bench.desk.closes().pop().unwrap();
    assert_eq!((close.reason, close.complete), (EndReason::Partition, true));
}

#[tokio::test]
async fn new_sessions_wait_for_what_is_owed() {
    let arrears = Arc::new(Arrears::default());
    let (one, two) = (arrears.owe(), arrears.owe());
    assert!(!arrears.paid(Duration::from_millis(20)).await);
    drop(one);
    assert!(!arrears.paid(Duration::from_millis(20)).await);
    drop(two);
    assert!(arrears.paid(Duration::ZERO).await);
}
