//! A person's terminal: a program on a pseudo-terminal of its own, typed to and looked at.

use crate::waiting::wait_for;
use anyhow::{Context as _, Result};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

/// Key of an interrupt.
pub const CTRL_C: &str = "\x03";

/// A program in a terminal.
pub struct Terminal {
    child: Child,
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    seen: usize,
}

impl Terminal {
    /// Runs a command with a terminal of 80 columns and 24 rows as the one that controls it.
    ///
    /// # Errors
    /// When there is no terminal to be had, or the program does not start.
    pub fn run(command: &Command) -> Result<Self> {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None)?;
        let slave = File::from(pair.slave);
        let mut inside = Command::new("setsid");
        inside.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args()).env("TERM", "xterm");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
        let child = inside.spawn().context("setsid of util-linux")?;
        // The command holds our copies of its end: while it does, the terminal never hangs up.
        drop(inside);
        let keyboard = File::from(pair.master);
        let shown = Arc::default();
        let (mut screen, said) = (keyboard.try_clone()?, Arc::<Mutex<Vec<u8>>>::clone(&shown));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // A terminal whose program has ended answers with an error (EIO).
            while let Ok(count @ 1..) = screen.read(&mut piece) {
                said.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(piece.get(..count).unwrap_or(&[]));
            }
        });
        Ok(Self { child, keyboard, shown, seen: 0 })
    }

    /// Everything that was shown so far.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until this is shown, behind what was waited for before.
    ///
    /// # Errors
    /// With what was shown, when that takes over 30 seconds.
    pub fn until_shown(&mut self, text: &str) -> Result<()> {
        let place = || {
            let shown = self.shown();
            Some(self.seen + shown.get(self.seen..)?.find(text)? + text.len())
        };
        let end = wait_for(&format!("{text:?}"), 30, place).with_context(|| self.shown())?;
        self.seen = end;
        Ok(())
    }

    /// Types this.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn type_in(&mut self, text: &str) -> Result<()> {
        Ok(self.keyboard.write_all(text.as_bytes())?)
    }

    /// Waits for the program's end; its exit code.
    ///
    /// # Errors
    /// When that takes over 30 seconds.
    pub fn ended(&mut self) -> Result<i32> {
        let status = wait_for("the end of the program", 30, || self.child.try_wait().ok().flatten());
        Ok(status.with_context(|| self.shown())?.code().unwrap_or(-1))
    }
}

impl Drop for Terminal {
    /// Hangs up, which ends what still runs.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
