//! The product's processes: found by what the parent logged, killed, started again, and stopped in good order.

use super::{Product, wait_for};
use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

impl Product {
    /// The newest process of this role, by what the parent logged.
    ///
    /// # Errors
    /// When the parent has not started one.
    pub fn pid(&self, role: &str) -> Result<Pid> {
        let mark = format!("Started the {role} pid=");
        let log = self.log();
        let line = log.lines().rev().find_map(|line| line.split_once(&mark)).context("not started")?;
        Ok(Pid::from_raw(line.1.trim().parse()?))
    }

    /// kill -9 of a child of the parent.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill(&self, role: &str) -> Result<()> {
        Ok(kill(self.pid(role)?, Signal::SIGKILL)?)
    }

    /// The parent's process.
    ///
    /// # Errors
    /// When it was not started.
    pub fn parent(&self) -> Result<Pid> {
        let parent = self.parent.as_ref().context("the server was not started")?;
        Ok(Pid::from_raw(i32::try_from(parent.id())?))
    }

    /// kill -9 of the parent. What it started ends by itself, some time later.
    ///
    /// # Errors
    /// When it was not started.
    pub fn crash(&mut self) -> Result<()> {
        let mut parent = self.parent.take().context("the server was not started")?;
        parent.kill()?;
        parent.wait()?;
        Ok(())
    }

    /// Starts the parent again where it has ended, as a service manager does; whether it had.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn supervise(&mut self) -> Result<bool> {
        let runs = self.parent.as_mut().is_some_and(|parent| matches!(parent.try_wait(), Ok(None)));
        if !runs {
            self.launch()?;
        }
        Ok(!runs)
    }

    /// Stops the parent in good order.
    ///
    /// # Errors
    /// When it does not stop within 30 seconds.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut parent) = self.parent.take() {
            kill(Pid::from_raw(i32::try_from(parent.id())?), Signal::SIGTERM)?;
            wait_for("the end of the server", 30, || parent.try_wait().ok().flatten()).with_context(|| self.log())?;
        }
        Ok(())
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        if self.stop().is_err()
            && let Some(mut parent) = self.parent.take()
        {
            let _ = parent.kill();
            let _ = parent.wait();
        }
    }
}
