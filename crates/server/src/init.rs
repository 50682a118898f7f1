//! `init`: an installation in an empty data directory.

use crate::config::Config;
use crate::logs::say;
use clap::Args;
use sallyport_cli::{Fail, Format};
use sallyport_control::{Founding, found, join};
use sallyport_model::{Env, Kind};
use sallyport_vault::Argon;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// `init`
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// Handle of the first administrator
    #[arg(long, default_value = "admin")]
    admin: String,
    /// OpenSSH public key file of the first administrator
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// One person administers this installation, until a second administrator is made
    #[arg(long)]
    solo: bool,
    /// Make this host a further node of the installation in `[store] url`, instead of a new one
    #[arg(long, requires = "key_file", conflicts_with_all = ["admin", "ssh_key", "fast", "solo"])]
    join: bool,
    /// With --join: the vault's key file, brought from another node; it is copied into the data directory
    #[arg(long, value_name = "FILE", requires = "join")]
    key_file: Option<PathBuf>,
    /// Derive the recovery passphrase as cheaply as is allowed: for demonstrations and tests
    #[arg(long, hide = true)]
    fast: bool,
}

pub(crate) fn init(args: &Init, path: Option<&Path>, format: Format) -> Result<(), Fail> {
    let config = Config::load(path)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(Fail::failed)?;
    if let Some(key_file) = args.key_file.as_ref().filter(|_| args.join) {
        return joined(&config, key_file, &runtime, format);
    }
    let ssh_keys = match &args.ssh_key {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Fail::usage(format!("cannot read `{}`: {e}", path.display())))?;
            text.lines()
                .map(|l| l.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
                .filter(|l| !l.is_empty())
                .collect()
        }
        None => Vec::new(),
    };
    let founding = Founding {
        admin: args.admin.parse().map_err(Fail::usage)?,
        ssh_keys,
        token_seconds: 24 * 3600,
        argon: if args.fast { Argon::cheapest() } else { Argon::house() },
        place: config.store.url.is_some().then(|| config.place()).transpose()?,
        solo: args.solo,
        sign_in: config.sign_in().map_err(Fail::usage)?,
    };
    let founded = runtime
        .block_on(found(&Env::system(), &config.data, &config.node, &founding))
        .map_err(|e| Fail::new(e.kind(), e.to_string()))?;
    let json = serde_json::json!({
        "cluster": founded.cluster.to_string(),
        "admin": args.admin,
        "token": founded.token.expose(),
        "link": founded.link.url.expose(),
        "recovery": founded.recovery.expose(),
        "trust": founded.trust,
        "key_file": founded.key_file,
    });
    let text = format_args!(
        "Installation {} in {}.\n\n\
         Recovery passphrase (write it on paper and keep it away from this host; shown once):\n\n    {}\n\n\
         First token of {} (valid for 24 hours; shown once):\n\n    {}\n\n\
         To sign in with a browser, open this link within an hour (good once):\n\n    {}\n\n\
         Vault key file    {}\nLedger key        {}  give it to your auditor",
        founded.cluster,
        config.data.display(),
        founded.recovery.expose(),
        args.admin,
        founded.token.expose(),
        founded.link.url.expose(),
        founded.key_file.display(),
        founded.trust.display(),
    );
    tell(format, &json, text)?;
    if format == Format::Text {
        say("\nNext: `sallyport serve`, and in another terminal `sallyport login`.");
    }
    Ok(())
}

/// `init --join`
fn joined(config: &Config, key_file: &Path, runtime: &Runtime, format: Format) -> Result<(), Fail> {
    let bytes = std::fs::read(key_file)
        .map_err(|e| Fail::usage(format!("cannot read the vault's key file `{}`: {e}", key_file.display())))?;
    let place = config.place()?;
    let joined = runtime
        .block_on(join(&Env::system(), &config.data, &config.node, &place, &bytes))
        .map_err(|e| Fail::new(e.kind(), e.to_string()))?;
    let json = serde_json::json!({
        "cluster": joined.cluster.to_string(),
        "node": config.node,
        "nodes": joined.nodes,
        "trust": joined.trust,
    });
    let text = format_args!(
        "This host is the node `{}` of installation {}. Its nodes: {}.\n\nLedger key        {}  give it to your auditor",
        config.node,
        joined.cluster,
        joined.nodes.join(", "),
        joined.trust.display(),
    );
    tell(format, &json, text)
}

/// Prints the outcome in the form that was asked for.
fn tell(format: Format, json: &serde_json::Value, text: std::fmt::Arguments<'_>) -> Result<(), Fail> {
    let mut out = std::io::stdout().lock();
    let written = match format {
        Format::Json => writeln!(out, "{json}"),
        Format::Text => writeln!(out, "{text}"),
    };
    written.map_err(|e| Fail::new(Kind::Failed, e.to_string()))
}
