//! Commands over the product: those that ask the server, those that read its configuration, and the stock client.

use super::Product;
use crate::command::{feed, json, outcome, success, text};
use crate::sshd::ACCOUNT;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::process::{Command, Stdio};

impl Product {
    /// As `run_local`, with these lines of input.
    ///
    /// # Errors
    /// As `run_local`.
    pub fn local_stdin(&self, args: &[&str], lines: &[&str]) -> Result<(i32, String, String)> {
        Ok(outcome(feed(self.local_command(args), &lines.join("\n"))?))
    }

    /// A command of the binary with the administrator's token.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .env("XDG_CONFIG_HOME", self.at("settings"))
            .env("SALLYPORT_URL", &self.url)
            .env("SALLYPORT_TOKEN", &self.token)
            .stdin(Stdio::null());
        command
    }

    /// A command that reads the configuration instead of asking the server, and must succeed.
    ///
    /// # Errors
    /// With its standard error, when it fails.
    pub fn local(&self, args: &[&str]) -> Result<String> {
        success(args, self.local_command(args).output()?)
    }

    /// As `local`, for a command that may fail: exit code, standard output and standard error.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_local(&self, args: &[&str]) -> Result<(i32, String, String)> {
        Ok(outcome(self.local_command(args).output()?))
    }

    /// A command that reads the configuration, to be run in other ways than to its end.
    #[must_use]
    pub fn local_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(self.at("sallyport.toml")).args(args).stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed; its standard output.
    ///
    /// # Errors
    /// With its standard error, when it fails.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        success(args, self.command(args).output()?)
    }

    /// Runs a command that may fail: exit code, standard output and standard error.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, args: &[&str]) -> Result<(i32, String, String)> {
        Ok(outcome(self.command(args).output()?))
    }

    /// Runs a command with one line of input.
    ///
    /// # Errors
    /// With its standard error, when it fails.
    pub fn stdin(&self, args: &[&str], line: &str) -> Result<String> {
        success(args, feed(self.command(args), line)?)
    }

    /// Runs a command as the auditor.
    ///
    /// # Errors
    /// With its standard error, when it fails.
    pub fn as_carol(&self, args: &[&str]) -> Result<String> {
        let token = json(&self.ok(&["token", "carol", "--output", "json"])?)?;
        let mut command = self.command(args);
        command.env("SALLYPORT_TOKEN", text(&token, "token")?);
        success(args, command.output()?)
    }

    /// The stock client, as `who`, at the sample account of `web-1`.
    #[must_use]
    pub fn ssh(&self, who: &str) -> Command {
        self.ssh_at(who, &format!("{who}+{ACCOUNT}@web-1"))
    }

    /// The stock client with `who`'s key and any login.
    #[must_use]
    pub fn ssh_at(&self, who: &str, login: &str) -> Command {
        let mut command = Command::new("ssh");
        command
            .args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"])
            .args(["-p", &self.ssh_port.to_string(), "-l", login, "-i"])
            .arg(self.at(who))
            .arg("127.0.0.1")
            .stdin(Stdio::null());
        command
    }

    /// The newest session that `sessions` lists.
    ///
    /// # Errors
    /// When there is none.
    pub fn newest_session(&self) -> Result<Value> {
        let page = json(&self.ok(&["sessions", "--output", "json"])?)?;
        page.pointer("/items/0").cloned().context("no session")
    }
}
