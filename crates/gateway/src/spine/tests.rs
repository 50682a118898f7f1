use crate::conformance::bench::{TOKEN, until};
use crate::conformance::desk::{HELD_ACCOUNT, Target};
use crate::conformance::toy::{Toy, Toys, enter, hear, say};
use crate::conformance::{Bench, Fixture, Transport, with};
use crate::observe::ship;
use sallyport_model::TargetName;
use sallyport_model::access::EndReason;
use sallyport_model::limits::Record;
use sallyport_recording::What;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

async fn bench(change: impl FnOnce(&mut Target)) -> (Bench, TargetName) {
    let bench = Bench::start(Arc::new(Toy), Transport::Unix).await.unwrap();
    let (_, mut target) = Toys.target().await.unwrap();
    change(&mut target);
    let name = bench.know(target).await.unwrap();
    (bench, name)
}

async fn ended(bench: &Bench) -> EndReason {
    bench.returned(Duration::from_secs(10)).await.unwrap();
    bench.desk.closes().pop().unwrap().reason
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_two_connections_ends_with_the_last_of_them() {
    let (bench, name) = bench(|_| {}).await;
    let (mut first, answer) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    let session = answer.strip_prefix("OK ").unwrap().to_owned();
    let (mut second, answer) = enter(bench.address, &format!("JOIN {TOKEN} {session}")).await.unwrap();
    assert_eq!(answer, format!("OK {session}"));
    assert_eq!(say(&mut first, "one").await.unwrap(), "said: one");
    assert_eq!(say(&mut second, "two").await.unwrap(), "said: two");
    drop(first);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(say(&mut second, "still").await.unwrap(), "said: still");
    assert_eq!(bench.gateway.sessions(), 1);
    drop(second);
    assert_eq!(ended(&bench).await, EndReason::ClientClose);
    assert_eq!(bench.desk.entries_of("session.opened").len(), 1);
    let channels: std::collections::BTreeSet<u32> = bench.events().await.unwrap().iter().map(|e| e.channel).collect();
    assert!(channels.is_superset(&[0, 1].into()), "{channels:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_joins_the_session_of_another() {
    let (bench, name) = bench(|_| {}).await;
    bench.desk.person(&"eve".parse().unwrap(), "eve-token", &[]);
    let (_first, answer) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    let session = answer.strip_prefix("OK ").unwrap();
    let (_, answer) = enter(bench.address, &format!("JOIN eve-token {session}")).await.unwrap();
    assert!(answer.starts_with("NO no such"), "{answer}");
    let (_, answer) = enter(bench.address, &format!("JOIN wrong-token {session}")).await.unwrap();
    assert!(answer.starts_with("NO"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_waited_for() {
    let (bench, name) = bench(|_| {}).await;
    let (mut side, answer) = enter(bench.address, &format!("LOGIN {TOKEN} {HELD_ACCOUNT} {name}")).await.unwrap();
    assert!(answer.starts_with("WAIT request req_1"), "{answer}");
    bench.desk.approve();
    let shown = tokio::time::timeout(SOON, async {
        loop {
            let shown = say(&mut side, "now").await.unwrap();
            if shown.starts_with("OK") {
                return shown;
            }
        }
    });
    assert!(shown.await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_deadline_and_revocation_end_it() {
    let (bench, name) = bench(|target| target.limits.idle = 1).await;
    let _side = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    assert_eq!(ended(&bench).await, EndReason::Idle);
    let (bench, name) = self::bench(|target| target.limits.max_duration = 1).await;
    let _side = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    assert_eq!(ended(&bench).await, EndReason::Deadline);
    let (bench, name) = self::bench(|_| {}).await;
    let _side = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    bench.desk.revoke_all();
    assert_eq!(ended(&bench).await, EndReason::Revoke);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_of_the_authority_ends_it_at_grace() {
    let (bench, name) = bench(|target| target.grace = 2).await;
    let (mut side, _) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    bench.partition();
    assert_eq!(say(&mut side, "within grace").await.unwrap(), "said: within grace");
    let gone =
        tokio::time::timeout(SOON, async { while say(&mut side, "x").await.is_ok_and(|s| s.contains("said")) {} });
    assert!(gone.await.is_ok(), "the session outlives its grace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_that_cannot_decide_or_hear_is_as_good_as_silent() {
    for (sealed, deaf) in [(true, false), (false, true)] {
        let (bench, name) = bench(|target| target.grace = 3).await;
        let (mut side, _) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
        bench.desk.seal(sealed);
        bench.desk.deafen(deaf);
        assert_eq!(say(&mut side, "within grace").await.unwrap(), "said: within grace");
        let gone =
            tokio::time::timeout(SOON, async { while say(&mut side, "x").await.is_ok_and(|s| s.contains("said")) {} });
        assert!(gone.await.is_ok(), "the session outlives its grace: sealed {sealed}, deaf {deaf}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_recorder_freezes_the_client_and_ends_the_session_at_grace() {
    let (bench, name) = bench(|target| target.grace = 2).await;
    let (mut side, _) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    assert_eq!(say(&mut side, "before").await.unwrap(), "said: before");
    bench.gateway.recorder().break_down();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = tokio::time::timeout(Duration::from_secs(1), say(&mut side, "while frozen")).await;
    assert!(answer.is_err(), "a frozen session went on: {answer:?}");
    until(Duration::from_secs(10), || bench.gateway.sessions() == 0).await.unwrap();
    // It is told why, and then its connection is over.
    let over = async { while say(&mut side, "afterwards").await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), over).await.unwrap();
    assert!(
        bench.desk.closes().is_empty(),
        "what the recording comes to is for the next gateway to say: it has the tail"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorder_that_sticks_holds_the_client_back_until_it_goes_on_and_nothing_is_lost() {
    let (bench, name) = bench(|target| target.grace = 60).await;
    let (mut side, _) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    let stuck = bench.gateway.recorder().stick();
    assert_eq!(say(&mut side, "before").await.unwrap(), "said: before", "what was not due yet goes on");
    let mut frozen = bench.gateway.recorder().frozen();
    frozen.wait_for(|frozen| *frozen).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_millis(700), say(&mut side, "while frozen")).await;
    assert!(answer.is_err(), "a frozen session went on: {answer:?}");
    drop(stuck);
    assert_eq!(hear(&mut side).await.unwrap(), "said: while frozen");
    assert_eq!(say(&mut side, "after").await.unwrap(), "said: after");
    drop(side);
    ended(&bench).await;
    let events = bench.events().await.unwrap();
    let typed: Vec<u8> =
        events.into_iter().flat_map(|e| if let What::Input(b) = e.what { b } else { vec![] }).collect();
    assert_eq!(String::from_utf8(typed).unwrap(), "before\nwhile frozen\nafter\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_recording_is_durable_before_it_goes_on() {
    let (bench, name) = bench(|target| target.limits.record = Record::Strict).await;
    let (mut side, answer) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    let recordings = bench.desk.leased().len();
    assert_eq!((recordings, say(&mut side, "strict").await.unwrap()), (1, "said: strict".into()), "{answer}");
    drop(side);
    ended(&bench).await;
    let inputs = bench.events().await.unwrap().into_iter().filter(|e| matches!(e.what, What::Input(_))).count();
    assert_eq!(inputs, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_see_a_session_live_and_anchors_are_written() {
    let (bench, name) = bench(|target| target.anchor = 1).await;
    let (mut side, _) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    say(&mut side, "early").await.unwrap();
    bench.desk.watch_all(&"carol".parse().unwrap());
    let desk = bench.desk.clone();
    let seen = move |text: &'static [u8]| {
        desk.views().iter().any(|view| view.events.windows(text.len()).any(|window| window == text))
    };
    until(SOON, || seen(b"early")).await.unwrap();
    say(&mut side, "later").await.unwrap();
    until(SOON, || seen(b"said: later")).await.unwrap();
    until(SOON, || !bench.desk.entries_of("recording.anchored").is_empty()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_vault_opens_nothing_new() {
    let (bench, name) = bench(|_| {}).await;
    let (mut side, _) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    bench.desk.seal(true);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (_, answer) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    assert!(answer.contains("the vault is sealed"), "{answer}");
    assert_eq!(say(&mut side, "goes on").await.unwrap(), "said: goes on");
    bench.desk.seal(false);
    let mut opened = false;
    for _ in 0..50 {
        let (_, answer) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
        opened = answer.starts_with("OK");
        if opened {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(opened, "the gateway did not learn of the unsealing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_closes_its_sessions() {
    let (bench, _oracle, name) = with(&Toys, Transport::Unix).await.unwrap();
    let _side = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    let desk = bench.desk.clone();
    bench.stop().await.unwrap();
    let close = desk.closes().pop().unwrap();
    assert_eq!((close.reason, close.complete), (EndReason::Shutdown, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orphan_of_which_nothing_is_left_is_closed_as_such() {
    let (bench, name) = bench(|_| {}).await;
    let _side = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    let session = bench.desk.leased()[0];
    let (_lost, desk, _tail) = bench.crash();
    let elsewhere = tempfile::tempdir().unwrap();
    let tail = crate::observe::tail::Tail::create(2).unwrap();
    let again = Bench::over(Arc::new(Toy), Transport::Unix, elsewhere, desk, tail).await.unwrap();
    until(SOON, || again.desk.closed(session).is_some()).await.unwrap();
    let close = again.desk.closed(session).unwrap();
    assert_eq!((close.reason, close.complete, close.anchor.segments), (EndReason::Orphan, false, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_rules_that_did_not_come_refuse_the_session() {
    let (bench, name) = bench(|target| target.limits.commands = ["no-shutdown".to_owned()].into()).await;
    let (_, answer) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    assert!(answer.starts_with("NO the policy names the rule set no-shutdown"), "{answer}");
    assert_eq!(ended(&bench).await, EndReason::RecorderStall);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_control_did_not_hear_is_told_by_the_next_gateway() {
    let (bench, name) = bench(|_| {}).await;
    let (mut side, _) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    say(&mut side, "something").await.unwrap();
    let session = bench.desk.leased()[0];
    bench.partition();
    drop(side);
    let recordings = bench.directory.path().join("recordings");
    let shipped = || {
        std::fs::read_dir(&recordings)
            .is_ok_and(|mut files| files.any(|file| file.is_ok_and(|file| ship::is_whole(&file.path()))))
    };
    until(SOON, shipped).await.unwrap();
    assert!(bench.desk.closed(session).is_none());
    let (directory, desk, tail) = bench.crash();
    let again = Bench::over(Arc::new(Toy), Transport::Unix, directory, desk, tail).await.unwrap();
    until(SOON, || again.desk.closed(session).is_some()).await.unwrap();
    assert!(again.desk.closed(session).unwrap().complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_waits_for_the_ledger() {
    let (bench, name) = bench(|_| {}).await;
    let (side, _) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    bench.desk.ledger_down(true);
    drop(side);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(bench.desk.leased().len(), 1);
    bench.desk.ledger_down(false);
    assert_eq!(ended(&bench).await, EndReason::ClientClose);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_that_dies_and_returns_ends_no_session_within_grace() {
    let (bench, name) = bench(|_| {}).await;
    let (mut side, _) = enter(bench.address, &format!("LOGIN {TOKEN} ops {name}")).await.unwrap();
    bench.partition();
    for n in 0..5 {
        assert_eq!(say(&mut side, &format!("alone {n}")).await.unwrap(), format!("said: alone {n}"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bench.rejoin().await.unwrap();
    bench.desk.kill_all();
    assert_eq!(ended(&bench).await, EndReason::Kill, "orders reach a session again after a reconnection");
}
