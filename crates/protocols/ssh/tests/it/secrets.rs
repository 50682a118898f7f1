//! Secrets that are typed where nothing is shown: what a recording, its index, its exports and live watchers have of them.

use crate::rig::{Rig, finish, text};
use crate::typing::Typing;
use sallyport_model::{ClusterId, Env, RecordingId, SessionId};
use sallyport_recording::event::events;
use sallyport_recording::find::Finder;
use sallyport_recording::{Event, What, WhatRef, cast, marks};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const SOON: Duration = Duration::from_secs(10);

/// Secrets of these tests: no three characters of one stand in any word that is typed or shown here.
const SECRETS: [&str; 10] = [
    "zqjxkwvb1",
    "zqjxkwvb2",
    "zqjxkwvb3",
    "zqjxkwvb4",
    "zqjxkwvb5",
    "zqjxkwvb6",
    "zqjxkwvb7",
    "zqjxkwvb8",
    "zqjxkwvb9",
    "zqjxkwvb0",
];

fn typed(events: &[Event]) -> String {
    let bytes = |event: &Event| match &event.what {
        What::Input(bytes) => bytes.clone(),
        What::Hidden(0) => "•".into(),
        _ => Vec::new(),
    };
    let mut typed = text(&events.iter().flat_map(bytes).collect::<Vec<_>>());
    while typed.contains("••") {
        typed = typed.replace("••", "•");
    }
    typed
}

/// Every part of a secret, three characters long.
fn parts() -> impl Iterator<Item = String> {
    let part = |secret: &str| secret.as_bytes().windows(3).map(text).collect::<Vec<_>>();
    SECRETS.into_iter().flat_map(part)
}

/// All that can be had of a recording.
fn everything(events: &[Event]) -> String {
    let mut all = format!("{:?}\n", marks::index(events));
    let env = Env::system();
    let facts = sallyport_recording::Facts {
        recording: RecordingId::new(&env),
        session: SessionId::new(&env),
        cluster: ClusterId::new(&env),
        started: sallyport_model::Timestamp(0),
        handle: "ada".parse().unwrap(),
        target: "web-1".parse().unwrap(),
        account: "ops".parse().unwrap(),
        protocol: "ssh".into(),
        size: None,
    };
    all.push_str(&cast::export(&facts, events.iter().cloned().map(Ok), None).unwrap());
    for event in events {
        all.push_str(&format!("{event:?}"));
        if let What::Output(bytes) | What::Stderr(bytes) | What::Input(bytes) = &event.what {
            all.push_str(&text(bytes));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_that_are_typed_without_echo_are_nowhere_and_lines_are_there() {
    let rig = Rig::new().await;
    let mut shell = Typing::begin(&rig).await;
    rig.bench.desk.watch_all(&"carol".parse().unwrap());
    shell.done("begun").await;
    at_prompts(&mut shell).await;
    beside_other_text(&mut shell).await;
    in_whole_screens(&mut shell).await;
    shell.keys("exit\r").await;
    rig.bench.returned(SOON).await.unwrap();

    let recorded = rig.bench.events().await.unwrap();
    let lines = typed(&recorded);
    for line in [
        "echo begun-$((1+1))\r",
        "&); read -s x\r•\r",
        "PI''N:'; read x; stty echo\r•\r",
        "su root -c id\r•\r",
        "true\r•\r\x03passwd\r•\r",
        "read -s x; echo got-${#x}\n•\n",
        "echo in-the-$((40+2))-screen\r",
        "hello-from-the-editor\x1b",
        "echo edited-$((1+1))\r",
    ] {
        assert!(lines.contains(line), "{line:?} is not in {lines:?}");
    }
    let everything = everything(&recorded);
    let live: Vec<Event> = rig.bench.desk.views().iter().flat_map(|view| owned(&view.events)).collect();
    assert!(live.len() > 20, "nobody watched");
    let entries = format!("{:?}", rig.bench.desk.entries());
    for secret in SECRETS {
        assert!(!everything.contains(secret), "{secret} is in the recording: {lines:?}");
        assert!(!format!("{live:?} {}", self::everything(&live)).contains(secret), "{secret} was shown to who watched");
        assert!(!entries.contains(secret), "{secret} is in the ledger");
        let mut finder = Finder::new(secret, 1);
        for event in &recorded {
            finder.look(&event.as_ref());
        }
        assert!(finder.hits().is_empty(), "{secret} is found");
    }
    for part in parts() {
        assert!(!lines.contains(&part), "{part:?}, a part of a secret, is in {lines:?}");
    }
}

/// At the prompts of a shell, of `su`, `sudo` and `passwd`, and where somebody turned the echo off.
async fn at_prompts(shell: &mut Typing) {
    let [read, asked, stty, su, sudo, passwd, ..] = SECRETS;
    shell.ask(&hushed("read -s x"), "ready", read).await;
    shell.until("now> ").await;
    shell.ask("stty -echo; printf 'PI''N:'; read x; stty echo", "PIN:", asked).await;
    shell.until("now> ").await;
    shell.ask("stty -echo; printf 'da''ta:'; cat >/dev/null; stty echo", "data:", stty).await;
    shell.keys("\x04").await;
    shell.until("now> ").await;
    shell.ask("su root -c id", "Password:", su).await;
    shell.until("now> ").await;
    shell.ask("sudo -k; sudo -p 'For'' sudo:' true", "For sudo:", sudo).await;
    shell.until("For sudo:").await;
    shell.keys("\x03").await;
    shell.until("now> ").await;
    shell.ask("passwd", "assword:", passwd).await;
    shell.until("now> ").await;
}

/// Where stars stand in its place, others write, or it comes ahead of its prompt.
async fn beside_other_text(shell: &mut Typing) {
    let [.., stars, noise, ahead, _] = SECRETS;
    // Stars in the place of what is typed.
    let starry = "stty -echo; printf 'Sta''rs:'; while IFS= read -rn1 c && [ \"$c\" ]; do printf '*'; done; stty echo";
    shell.keys(&format!("{starry}\r")).await;
    shell.until("Stars:").await;
    for key in stars.chars() {
        shell.keys(&key.to_string()).await;
        shell.until("*").await;
    }
    shell.keys("\r").await;
    shell.until("now> ").await;
    // Somebody else writes all the time what may be a secret's letters.
    let noisy = "until stty -a </dev/tty | grep -q ' -echo '; do :; done; while sleep 0.02; do echo z q j x k w v b 1 2 3 4; done";
    shell.keys(&format!("({noisy}) & read -s x; kill %1\r")).await;
    for key in noise.chars() {
        shell.until("k w v b 1").await;
        shell.keys(&key.to_string()).await;
    }
    shell.keys("\r").await;
    shell.until("now> ").await;
    // Ahead of its prompt, in one piece with the line before.
    shell.keys(&format!("sleep 0.3; read -s x; echo got-${{#x}}\n{ahead}\n")).await;
    shell.until(&format!("got-{}", ahead.len())).await;
    shell.until("now> ").await;
}

/// Within tmux; and text for an editor, which is none.
async fn in_whole_screens(shell: &mut Typing) {
    let [.., screen] = SECRETS;
    // In a program that has the screen for itself; its status line, drawn between a key and its echo, would be a doubt.
    let tmux = "tmux -L secrets -f /dev/null start-server \\; set -g status off \\; new-session";
    shell.keys(&format!("TERM=xterm {tmux} 'PS1=\"i\"\"n> \" bash --norc --noprofile -i'\r")).await;
    shell.until("in> ").await;
    shell.still().await;
    // Letter by letter: of what comes at once such a program may draw a part late, and what is not shown in time is no text.
    shell.letters("echo in-the-$((40+2))-screen").await;
    shell.keys("\r").await;
    shell.until("in-the-42-screen").await;
    shell.until("in> ").await;
    shell.ask("stty -echo; printf 'in''ner:'; read x; exit", "inner:", screen).await;
    shell.until("[exited]").await;
    shell.until("now> ").await;
    shell.keys("TERM=xterm vim.tiny -N -u NONE\r").await;
    shell.until("VIM").await;
    shell.keys("i").await;
    shell.until("INSERT").await;
    shell.still().await;
    shell.letters("hello-from-the-editor").await;
    // Alone: what comes right behind an escape may be one key with it.
    shell.keys("\x1b").await;
    shell.still().await;
    shell.keys(":").await;
    shell.until(":").await;
    shell.letters("q!").await;
    shell.keys("\r").await;
    shell.until("now> ").await;
    shell.done("edited").await;
}

/// A command, and beside it something that says `ready` once the terminal shows nothing any more.
fn hushed(command: &str) -> String {
    let ready = "until stty -a </dev/tty | grep -q ' -echo '; do :; done; printf 'rea''dy'";
    format!("(({ready}) &); {command}")
}

fn owned(bytes: &[u8]) -> Vec<Event> {
    events(bytes).map(|event| event.unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_of_a_program_without_a_terminal_is_told_by_its_size_and_a_script_is_kept() {
    let [secret, ..] = SECRETS;
    for (command, given, kept) in [
        ("cat >/dev/null", format!("{secret}\n"), None),
        ("sh -s; true", "echo said by a script\n".to_owned(), Some("echo said by a script\n")),
        ("", "echo said by a shell\n".to_owned(), Some("echo said by a shell\n")),
    ] {
        let rig = Rig::new().await;
        let mut child = rig.ssh(&[], command).stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(given.as_bytes()).await.unwrap();
        drop(input);
        let output = finish(child).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        rig.bench.returned(SOON).await.unwrap();
        let recorded = rig.bench.events().await.unwrap();
        assert_eq!(typed(&recorded), kept.unwrap_or_default());
        let size = u64::try_from(given.len()).unwrap();
        let told = recorded.iter().any(|event| matches!(event.as_ref().what, WhatRef::Hidden(told) if told == size));
        assert_eq!(told, kept.is_none(), "{recorded:?}");
        assert!(!everything(&recorded).contains(secret));
    }
}
