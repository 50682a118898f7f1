//! Rules over commands: what they keep from the target, and what the ledger and the recording have of it.

use crate::rig::{Rig, finish, text};
use crate::typing::Typing;
use sallyport_model::access::EndReason;
use sallyport_model::rules::{Act, CommandRule, Grammar, RuleSet};
use sallyport_recording::What;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_in_a_shell_is_judged_however_it_was_typed() {
    let rig = ruled().await;
    let mut shell = Typing::begin(&rig).await;
    let here = rig.server.scratch.display().to_string();
    shell.keys(&format!("cd {here}\r")).await;
    shell.until("now> ").await;
    let ways = [
        ("plain", "mkdir bad\r"),
        ("mistyped", "mkdix\x7fr bad\r"),
        ("put in later", "ir bad\x01mkd\r"),
        ("from the history", "\x1b[A\x1b[A\x01\x1bd\x1bd mkdir \r"),
        ("two lines", "echo 'a\rb'; mkdir bad\r"),
        ("pasted behind another", "echo first\rmkdir bad\r"),
        ("in a variable of before", "x=mkdir\r$x bad\r"),
        ("completed by the shell", "mkdi\tbad\r"),
    ];
    for (at, (way, keys)) in ways.into_iter().enumerate() {
        if way == "from the history" {
            shell.keys("true one bad\r").await;
            shell.until("now> ").await;
            shell.done("between").await;
        }
        shell.keys(keys).await;
        shell.told("The line was cleared").await;
        shell.done(&format!("way{at}")).await;
        assert!(!rig.server.scratch.join("bad").exists(), "{way}");
    }
    shell.keys("touch good\r").await;
    shell.until("now> ").await;
    shell.done("good").await;
    assert!(rig.server.scratch.join("good").exists());
    shell.keys("read -s secret\r").await;
    shell.until("\r\n").await;
    shell.keys("hunter2\r").await;
    shell.until("now> ").await;
    shell.keys("exit\r").await;
    let blocked = rig.bench.desk.entries_of("command.blocked");
    assert_eq!(blocked.len(), ways.len(), "{blocked:?}");
    assert!(blocked.iter().all(|entry| entry.text.starts_with("best effort mine/kept mkdir")), "{blocked:?}");
    let alerted = rig.bench.desk.entries_of("command.alerted");
    // The shell itself was asked for as an exec: what it reads was not known then.
    let alerted: Vec<_> = alerted.iter().filter(|entry| !entry.text.starts_with("enforced mine/unknown")).collect();
    assert_eq!(alerted.len(), 1, "{alerted:?}");
    rig.bench.returned(SOON).await.unwrap();
    let events = rig.bench.events().await.unwrap();
    let lines: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.what {
            What::Mark { kind, text } if kind == "command" => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert!(lines.contains(&"touch good") && !lines.iter().any(|line| line.contains("hunter2")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_in_a_shell_is_held_until_somebody_approves_it() {
    let rig = ruled().await;
    let path = rig.server.scratch.join("asked");
    let line = format!("ln -s a {}\r", path.display());
    let mut shell = Typing::begin(&rig).await;
    shell.keys(&line).await;
    shell.told("nobody has approved it").await;
    shell.done("held").await;
    assert!(path.symlink_metadata().is_err(), "a line that nobody has approved was run");
    rig.bench.desk.approve();
    shell.keys(&line).await;
    shell.until("now> ").await;
    shell.done("approved").await;
    assert!(path.symlink_metadata().is_ok(), "a line that was approved was not run");
    let held = rig.bench.desk.entries_of("command.held");
    assert_eq!(held.len(), 2, "{held:?}");
    assert!(held.iter().all(|entry| entry.text.starts_with("best effort mine/asked ln -s a ")), "{held:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_in_a_shell_may_end_the_session() {
    let rig = ruled().await;
    let mut shell = Typing::begin(&rig).await;
    shell.keys("mkfifo bad\r").await;
    rig.bench.returned(SOON).await.unwrap();
    assert_eq!(rig.bench.desk.closes().pop().unwrap().reason, EndReason::Block);
}

/// Runs a stock client without a terminal and writes this into it.
async fn fed(rig: &Rig, command: &str, input: &str) -> Output {
    let mut child = rig.ssh(&["-T"], command).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // Where the channel has ended, the client takes no more.
    let _ = pipe.write_all(input.as_bytes()).await;
    drop(pipe);
    finish(child).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reads_commands_from_its_input_is_unknown_before_it_runs() {
    let rig = Rig::with(|target, _| {
        target.limits.commands = ["mine".to_owned()].into();
        target.rules = vec![RuleSet { unknown: Act::Block, ..set() }];
    })
    .await;
    let bad = rig.server.scratch.join("bad");
    for command in ["bash", "sh -s", "cat | sh", "python3 -", "read x; $x", "env sh"] {
        let output = fed(&rig, command, &format!("mkdir {}\n", bad.display())).await;
        let said = text(&output.stderr);
        assert!(said.contains("the rule mine/unknown (enforced)"), "{command}: {said}");
        assert!(output.status.code() != Some(0) && !bad.exists(), "{command}");
    }
    let output = fed(&rig, "cat", "data\n").await;
    assert_eq!(text(&output.stdout), "data\n", "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_a_shell_without_a_terminal_is_fed_are_judged_before_they_go_on() {
    let rig = ruled().await;
    let here = rig.server.scratch.display().to_string();
    let bad = rig.server.scratch.join("bad");
    for (way, command, input) in [
        ("a line", "", "mkdir bad\n"),
        ("a shell that is asked for", "bash", "mkdir bad\n"),
        ("with options", "sh -s a", "mkdir bad\n"),
        ("without an end", "bash", "mkdir bad"),
        ("behind another", "", "true\nmkdir bad\n"),
        ("within a loop", "", "for i in 1; do\nmkdir bad\ndone\n"),
        ("in a here-document", "", "sh <<E\nmkdir bad\nE\n"),
        ("joined", "", "mk\\\ndir bad\n"),
        ("in a variable of before", "", "x=mkdir\n$x bad\n"),
    ] {
        let output = fed(&rig, command, &format!("cd {here}\n{input}")).await;
        let said = text(&output.stderr);
        assert!(said.contains("the rule mine/kept (best effort)"), "{way}: {said}");
        assert!(output.status.code() != Some(0) && !bad.exists(), "{way}");
    }
    let blocked = rig.bench.desk.entries_of("command.blocked");
    assert_eq!(blocked.len(), 9, "{blocked:?}");
    let script = format!("cd {here}\nif true; then\n  touch good\nfi\ncat <<'E'\n  a 'b\nE\necho done");
    let output = fed(&rig, "", &script).await;
    let shown = text(&output.stdout);
    assert!(output.status.code() == Some(0) && shown.ends_with("  a 'b\ndone\n"), "{shown} {}", text(&output.stderr));
    assert!(rig.server.scratch.join("good").exists());
    let ended = fed(&rig, "bash", "mkfifo bad\necho after\n").await;
    assert!(text(&ended.stderr).contains("the rule mine/fatal") && text(&ended.stdout).is_empty());
}
