//! Rules over commands: what they keep from the target, and what the ledger and the recording have of it.

use crate::rig::{Rig, text};
use sallyport_model::access::EndReason;
use sallyport_model::rules::{Act, CommandRule, Grammar, RuleSet};
use sallyport_recording::What;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn set() -> RuleSet {
    let rule = |id: &str, act, program: &str| CommandRule {
        id: id.into(),
        act,
        why: format!("it is {id}"),
        program: program.into(),
        ..CommandRule::default()
    };
    RuleSet {
        name: "mine".parse().unwrap(),
        description: "for tests".into(),
        grammar: Grammar::Shell,
        unknown: Act::Alert,
        otherwise: Act::Pass,
        commands: vec![
            rule("noted", Act::Alert, "touch"),
            rule("kept", Act::Block, "mkdir"),
            rule("asked", Act::Hold, "ln"),
            rule("fatal", Act::Terminate, "mkfifo"),
        ],
        files: Vec::new(),
    }
}

async fn ruled() -> Rig {
    Rig::with(|target, _| {
        target.limits.commands = ["mine".to_owned()].into();
        target.rules = vec![set()];
    })
    .await
}

async fn marks(rig: &Rig) -> Vec<String> {
    rig.bench.returned(SOON).await.unwrap();
    let mark = |what: &What| match what {
        What::Mark { kind, text } if ["alert", "held", "blocked"].contains(&kind.as_str()) => {
            Some(format!("{kind} {text}"))
        }
        _ => None,
    };
    rig.bench.events().await.unwrap().iter().filter_map(|event| mark(&event.what)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exec_is_judged_before_the_target_hears_of_it() {
    let rig = ruled().await;
    let here = rig.server.scratch.display().to_string();
    let output = rig.run(&[], &format!("echo a; touch {here}/noted")).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "a\n".into()), "{}", text(&output.stderr));
    assert!(rig.server.scratch.join("noted").exists());
    for (command, left) in
        [("echo a; sudo mkdir", "kept"), ("x=mkd; y=ir; $x$y", "kept2"), ("sh -c 'ln -s a $0'", "asked")]
    {
        let output = rig.run(&[], &format!("{command} {here}/{left}")).await;
        let said = text(&output.stderr);
        assert_ne!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("the rule mine/"), "{said}");
        assert_eq!(text(&output.stdout), "");
        assert!(!rig.server.scratch.join(left).exists());
    }
    let entries: Vec<_> = ["command.alerted", "command.blocked", "command.held"]
        .map(|action| rig.bench.desk.entries_of(action).into_iter().map(|entry| entry.text).collect::<Vec<_>>())
        .concat();
    assert_eq!(
        entries,
        [
            format!("enforced mine/noted touch {here}/noted"),
            format!("enforced mine/kept mkdir {here}/kept"),
            format!("enforced mine/kept mkdir {here}/kept2"),
            "enforced mine/asked ln -s a *".to_owned(),
        ]
    );
    assert!(marks(&rig).await.iter().any(|mark| mark.starts_with("blocked mine/kept (enforced): it is kept: mkdir")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_may_end_the_session() {
    let rig = ruled().await;
    let output = rig.run(&[], "mkfifo /tmp/x; echo b").await;
    assert!(
        text(&output.stderr).contains("blocked by the rule mine/fatal (enforced): it is fatal"),
        "{}",
        text(&output.stderr)
    );
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes().pop().unwrap().reason, EndReason::Block);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_goes_on_once_it_is_approved() {
    let rig = ruled().await;
    rig.bench.desk.approve();
    let path = rig.server.scratch.join("asked");
    let output = rig.run(&[], &format!("ln -s a {}", path.display())).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(path.symlink_metadata().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_the_ledger_cannot_have_is_not_run() {
    let rig = ruled().await;
    let path = rig.server.scratch.join("late");
    rig.bench.desk.refuse_judging(true);
    let output = rig.run(&[], &format!("touch {}", path.display())).await;
    assert!(text(&output.stderr).contains("not run"), "{}", text(&output.stderr));
    assert!(!path.exists());
}
