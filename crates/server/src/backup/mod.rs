//! `backup` and `restore`: an installation under age recipients, and a blank host that becomes it again.

mod make;
mod restore;
mod stream;

use crate::config::Config;
use crate::slot::Slot;
use age::x25519::Recipient;
use clap::Args;
use sallyport_cli::{Fail, Format};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// `backup`
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// File to write; it gets this name when it is whole, and replaces none
    file: PathBuf,
    /// Who can open it, an age recipient (age1...); again for more. Those of `[backup] recipients` where absent
    #[arg(long, value_name = "AGE1")]
    recipient: Vec<String>,
    /// Leave the recordings out; they stay verifiable where they are kept
    #[arg(long)]
    without_recordings: bool,
    #[command(flatten)]
    slot: Slot,
}

/// `restore`
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The backup
    file: PathBuf,
    /// File with the age identity of a recipient (AGE-SECRET-KEY-1...)
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// The vault's key file: it is not in the backup. Copied into the data directory
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_stdin", "shares_stdin"])]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    slot: Slot,
}

/// Who can open a backup.
pub(crate) struct Reader {
    recipient: Recipient,
    fingerprint: String,
}

/// Reads recipients; each is an X25519 key in age's own form.
pub(crate) fn recipients(texts: &[String]) -> Result<Vec<Reader>, String> {
    let reader = |text: &String| {
        let recipient: Recipient = text.trim().parse().map_err(|why| {
            format!("`{text}` is no age recipient ({why}): `age-keygen` makes an identity and prints its `age1...`")
        })?;
        let fingerprint = stream::sha256(recipient.to_string().as_bytes());
        Ok(Reader { fingerprint: fingerprint.chars().take(16).collect(), recipient })
    };
    texts.iter().map(reader).collect()
}

pub(crate) fn backup(args: &Backup, path: Option<&Path>, format: Format) -> Result<(), Fail> {
    let config = Config::load(path)?;
    let texts = if args.recipient.is_empty() { &config.backup.recipients } else { &args.recipient };
    let readers = recipients(texts).map_err(Fail::usage)?;
    if readers.is_empty() {
        return Err(Fail::usage(
            "nobody could open this backup: give `--recipient age1...`, or set `[backup] recipients`",
        ));
    }
    let made = runtime()?.block_on(make::make(args, &config, path, &readers))?;
    let text = format!(
        "{}: {} bytes, the ledger up to {} entries, {} recordings.\nSHA-256 {}\nKeep the vault's key file or recovery passphrase elsewhere: without it nobody restores this.",
        args.file.display(),
        made.bytes,
        made.size,
        made.recordings,
        made.sha256
    );
    tell(format, &made, &text)
}

pub(crate) fn restore(args: &Restore, path: Option<&Path>, format: Format) -> Result<(), Fail> {
    let config = Config::load(path)?;
    let done = runtime()?.block_on(restore::restore(args, &config))?;
    let text = format!(
        "`{}` is the installation {} again, as of {}: {} entries, {} documents, {} recordings, all verified.\n{}Start it with `sallyport serve`: its first entry says that it was restored. Where an anchor knows of newer \
         entries the start says so, and how to go on.",
        config.data.display(),
        done.cluster,
        done.created,
        done.size,
        done.documents,
        done.recordings,
        if done.missing == 0 {
            String::new()
        } else {
            format!("{} recordings are not in the backup: bring them from where they are kept.\n", done.missing)
        }
    );
    tell(format, &done, &text)
}

fn runtime() -> Result<tokio::runtime::Runtime, Fail> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Fail::failed)
}

fn tell(format: Format, value: &impl serde::Serialize, text: &str) -> Result<(), Fail> {
    sallyport_cli::progress("");
    let mut out = std::io::stdout().lock();
    let written = match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(value).map_err(Fail::failed)?),
        Format::Text => writeln!(out, "{text}"),
    };
    written.map_err(Fail::failed)
}
