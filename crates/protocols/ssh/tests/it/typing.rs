//! Somebody who types into a bash, through the stock client.

use crate::rig::Rig;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

const SOON: Duration = Duration::from_secs(10);

/// A real bash in a terminal.
pub(crate) struct Typing {
    said: ChildStderr,
    _ssh: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    shown: String,
}

impl Typing {
    pub(crate) async fn begin(rig: &Rig) -> Self {
        Self::of(rig.ssh(&["-tt"], "PS1='now> ' exec bash --norc --noprofile -i"), "now> ").await
    }

    /// In what this command starts, once it shows its prompt.
    pub(crate) async fn of(mut ssh: Command, prompt: &str) -> Self {
        let mut ssh = ssh.stdin(Stdio::piped()).spawn().unwrap();
        let (keys, screen) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
        let said = ssh.stderr.take().unwrap();
        let mut typing = Self { said, _ssh: ssh, keys, screen, shown: String::new() };
        typing.until(prompt).await;
        typing
    }

    pub(crate) async fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Reads until something is shown, and forgets what came before it.
    pub(crate) async fn until(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        let end = tokio::time::Instant::now() + SOON;
        while !self.shown.contains(text) {
            let read = tokio::time::timeout_at(end, self.screen.read(&mut buffer)).await;
            let read = read.unwrap_or_else(|_| panic!("{text:?} is not shown: {:?}", self.shown)).unwrap();
            assert!(read > 0, "{text:?} is not shown: {:?}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        self.shown = self.shown.split_once(text).unwrap().1.to_owned();
    }

    /// Waits for a line of the gateway, which comes beside the screen.
    pub(crate) async fn told(&mut self, text: &str) {
        let (mut buffer, mut said) = ([0; 4096], String::new());
        while !said.contains(text) {
            let read = tokio::time::timeout(SOON, self.said.read(&mut buffer)).await;
            let read = read.unwrap_or_else(|_| panic!("{text:?} is not told: {said:?}, {:?}", self.shown)).unwrap();
            assert!(read > 0, "{text:?} is not told: {said:?}");
            said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }

    /// A command whose output shows that all before it is done.
    pub(crate) async fn done(&mut self, mark: &str) {
        self.keys(&format!("echo {mark}-$((1+1))\r")).await;
        self.until(&format!("{mark}-2")).await;
        self.until("now> ").await;
    }

    /// Types a text letter by letter, each once the one before is shown.
    pub(crate) async fn letters(&mut self, text: &str) {
        for letter in text.chars() {
            self.keys(&letter.to_string()).await;
            self.until(&letter.to_string()).await;
        }
    }

    /// Runs a command, waits for what it asks, and answers it letter by letter.
    pub(crate) async fn ask(&mut self, command: &str, asks: &str, answer: &str) {
        self.keys(&format!("{command}\r")).await;
        self.until(asks).await;
        for letter in answer.chars() {
            self.keys(&letter.to_string()).await;
        }
        self.keys("\r").await;
    }
}
