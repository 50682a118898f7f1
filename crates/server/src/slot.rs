//! Which seal slot a command on the host opens the vault with.

use crate::config::Config;
use crate::control;
use clap::Args;
use sallyport_cli::Fail;
use sallyport_control::{Control, Opening};
use sallyport_model::Secret;
use std::net::{IpAddr, Ipv4Addr};

/// The key file of the configuration, or the recovery passphrase.
#[derive(Args, Debug)]
pub(crate) struct Slot {
    /// Read the recovery passphrase from standard input, instead of using the key file
    #[arg(long)]
    passphrase_stdin: bool,
}

impl Slot {
    /// Opens the vault of a stopped node.
    pub(crate) async fn unseal(&self, config: &Config, control: &Control) -> Result<(), Fail> {
        if !self.passphrase_stdin {
            return control::open(config, control).await;
        }
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(Fail::failed)?;
        let passphrase = Secret::new(line.trim_end_matches(['\r', '\n']).to_owned());
        let opened = control.unseal(IpAddr::V4(Ipv4Addr::LOCALHOST), Opening::Passphrase(passphrase)).await;
        opened.map(drop).map_err(|e| Fail::new(e.kind(), e.to_string()))
    }
}
