//! A client of OpenSSH in a terminal that the test looks at, types into and sizes.

use crate::rig::{Rig, finish, text};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Terminal {
    child: Child,
    input: ChildStdin,
    screen: ChildStdout,
}

impl Terminal {
    /// Begins a client, whose terminal keeps one size.
    pub(crate) fn of(client: &mut Command) -> Self {
        let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (input, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, screen }
    }

    /// Begins `command`, or a shell where there is none, on 80 columns and 24 rows of the kind `vt220`, which become
    /// 99 and 44 by [`resize`].
    pub(crate) fn sized(rig: &Rig, command: &str) -> Self {
        let ssh = rig.ssh(&["-tt"], command);
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"));
        let line: Vec<String> = std::iter::once("ssh".to_owned()).chain(ssh.as_std().get_args().map(quoted)).collect();
        let wait = format!("until [ -e {} ]; do sleep 0.1; done", resizes(rig).display());
        // At once, where stty changes columns before rows: a shell in its handler of the one misses the other.
        let sized = "import fcntl, struct, termios as t; \
                     fcntl.ioctl(open(\"/dev/tty\"), t.TIOCSWINSZ, struct.pack(\"4H\", 44, 99, 0, 0))";
        let script = format!("stty cols 80 rows 24; ({wait}; python3 -c '{sized}') & {}", line.join(" "));
        // `script` gives ssh a terminal that others reach from within.
        let mut outer = Command::new("script");
        outer.args(["-qec", &script, "/dev/null"]).env("TERM", "vt220");
        for (name, value) in ssh.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))) {
            outer.env(name, value);
        }
        Self::of(&mut outer)
    }

    pub(crate) async fn type_(&mut self, keys: &[u8]) {
        self.input.write_all(keys).await.unwrap();
    }

    /// Reads until something is shown.
    pub(crate) async fn see(&mut self, wanted: &str) -> String {
        let mut shown = Vec::new();
        while !text(&shown).contains(wanted) {
            let read = tokio::time::timeout(SOON, self.screen.read_buf(&mut shown)).await;
            let read = read.unwrap_or_else(|_| panic!("no {wanted:?} in {:?}", text(&shown))).unwrap();
            assert!(read > 0, "it ended without {wanted:?}: {:?}", text(&shown));
        }
        text(&shown)
    }

    /// Waits for the end of the client, and types nothing more.
    pub(crate) async fn end(self) -> Output {
        let Self { mut child, input, screen } = self;
        drop(input);
        child.stdout = Some(screen);
        finish(child).await
    }
}

/// Whether this file is there says which size a terminal has.
fn resizes(rig: &Rig) -> PathBuf {
    rig.fixed.home().join("resize")
}

/// Makes the rig's sized terminal 99 columns and 44 rows, in one change.
pub(crate) fn resize(rig: &Rig) {
    std::fs::write(resizes(rig), "").unwrap();
}
