//! Somebody who types into a terminal, through the stock client.

use crate::rig::{Rig, finish};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

const SOON: Duration = Duration::from_secs(20);
/// How long nothing comes of a screen that stands.
const STILL: Duration = Duration::from_millis(400);

/// What runs in a terminal, and who looks at it.
pub(crate) struct Typing {
    said: ChildStderr,
    ssh: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    shown: String,
}

impl Typing {
    /// In a bash.
    pub(crate) async fn begin(rig: &Rig) -> Self {
        Self::of(rig.ssh(&["-tt"], "PS1='now> ' exec bash --norc --noprofile -i"), "now> ").await
    }

    /// In what this command starts, once it shows its prompt.
    pub(crate) async fn of(mut ssh: Command, prompt: &str) -> Self {
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut ssh = ssh.spawn().unwrap();
        let (keys, screen) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
        let said = ssh.stderr.take().unwrap();
        let mut typing = Self { said, ssh, keys, screen, shown: String::new() };
        typing.until(prompt).await;
        typing
    }

    /// In what this command starts, once it shows its prompt, on 80 columns and 24 rows of the kind `vt220`, which
    /// become 99 and 44 by [`resize`].
    pub(crate) async fn sized(rig: &Rig, command: &str, prompt: &str) -> Self {
        let ssh = rig.ssh(&["-tt"], command);
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"));
        let line: Vec<String> = std::iter::once("ssh".to_owned()).chain(ssh.as_std().get_args().map(quoted)).collect();
        let wait = format!("until [ -e {} ]; do sleep 0.1; done", resizes(rig).display());
        // At once, where stty changes columns before rows: a shell in its handler of the one misses the other.
        let change = "import fcntl, struct, termios as t; \
                      fcntl.ioctl(open(\"/dev/tty\"), t.TIOCSWINSZ, struct.pack(\"4H\", 44, 99, 0, 0))";
        let script = format!("stty cols 80 rows 24; ({wait}; python3 -c '{change}') & {}", line.join(" "));
        // `script` gives ssh a terminal that others reach from within.
        let mut outer = Command::new("script");
        outer.args(["-qec", &script, "/dev/null"]).env("TERM", "vt220");
        for (name, value) in ssh.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))) {
            outer.env(name, value);
        }
        Self::of(outer, prompt).await
    }

    pub(crate) async fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
    }

    /// Reads until something is shown, and gives what came before it.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut buffer = [0; 4096];
        let end = tokio::time::Instant::now() + SOON;
        while !self.shown.contains(text) {
            let read = tokio::time::timeout_at(end, self.screen.read(&mut buffer)).await;
            let read = read.unwrap_or_else(|_| panic!("{text:?} is not shown: {:?}", self.shown)).unwrap();
            assert!(read > 0, "{text:?} is not shown: {:?}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        let (before, after) = self.shown.split_once(text).unwrap();
        let (before, after) = (before.to_owned(), after.to_owned());
        self.shown = after;
        before
    }

    /// Waits until nothing has been shown for a moment, and forgets what was: of keys that come while a screen is being painted
    /// nobody can tell whether they are shown.
    pub(crate) async fn still(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(read) = tokio::time::timeout(STILL, self.screen.read(&mut buffer)).await {
            assert!(read.unwrap() > 0, "it has ended: {:?}", self.shown);
        }
        self.shown.clear();
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
    /// Types nothing more, and waits for the end of the client; its standard output is what was not shown before.
    pub(crate) async fn end(self) -> Output {
        let Self { said, mut ssh, keys, screen, shown } = self;
        drop(keys);
        (ssh.stdout, ssh.stderr) = (Some(screen), Some(said));
        let mut output = finish(ssh).await;
        output.stdout.splice(..0, shown.into_bytes());
        output
    }
}

/// A file that is there once a terminal of the rig's has its other size.
fn resizes(rig: &Rig) -> PathBuf {
    rig.fixed.home().join("resize")
}

/// Makes a sized terminal 99 columns and 44 rows, in one change.
pub(crate) fn resize(rig: &Rig) {
    std::fs::write(resizes(rig), "").unwrap();
}
