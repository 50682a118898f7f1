//! Which seal slot a command on the host opens the vault with.

use crate::config::Config;
use crate::control;
use crate::logs::say;
use clap::Args;
use sallyport_cli::Fail;
use sallyport_control::{Control, Opening};
use sallyport_model::Secret;
use std::net::{IpAddr, Ipv4Addr};

/// The key file of the configuration, the recovery passphrase, or the shares of a quorum.
#[derive(Args, Debug)]
pub(crate) struct Slot {
    /// Read the recovery passphrase from standard input, instead of using the key file
    #[arg(long)]
    passphrase_stdin: bool,
    /// Read the shares of a quorum from standard input, one a line
    #[arg(long, conflicts_with = "passphrase_stdin")]
    shares_stdin: bool,
}

impl Slot {
    /// Opens the vault of a stopped node.
    pub(crate) async fn unseal(&self, config: &Config, control: &Control) -> Result<(), Fail> {
        if self.shares_stdin {
            return shares(control).await;
        }
        if !self.passphrase_stdin {
            return control::open(config, control).await;
        }
        for opening in self.typed()? {
            let opened = control.unseal(IpAddr::V4(Ipv4Addr::LOCALHOST), opening).await;
            opened.map_err(|e| Fail::new(e.kind(), e.to_string()))?;
        }
        Ok(())
    }

    /// What is typed on standard input to open the vault; nothing where the configuration says what opens it.
    pub(crate) fn typed(&self) -> Result<Vec<Opening>, Fail> {
        if !self.passphrase_stdin && !self.shares_stdin {
            return Ok(Vec::new());
        }
        let mut typed = Vec::new();
        for line in std::io::stdin().lines() {
            let line = Secret::new(line.map_err(Fail::failed)?.trim_end_matches('\r').to_owned());
            if self.passphrase_stdin {
                return Ok(vec![Opening::Passphrase(line)]);
            }
            typed.push(Opening::Share(line));
        }
        if typed.is_empty() {
            return Err(Fail::usage("standard input holds no line that could open the vault"));
        }
        Ok(typed)
    }
}

/// Presents one share after the other, until they are enough.
async fn shares(control: &Control) -> Result<(), Fail> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    loop {
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).map_err(Fail::failed)? == 0 {
            return Err(Fail::usage("the shares end before they are a quorum: give each a line of its own"));
        }
        let share = Secret::new(line.trim().to_owned());
        match control.unseal(here, Opening::Share(share)).await {
            Ok(Some(progress)) => say(&format!("{} of {} shares", progress.have, progress.need)),
            Ok(None) => return Ok(()),
            Err(error) => return Err(Fail::new(error.kind(), error.to_string())),
        }
    }
}
