//! Writing a backup: one moment of the database, then the files that belong to it, straight into age.

use super::stream::{FORMAT, Head, Writer, cannot_write, claimed};
use super::{Backup, Reader};
use crate::config::Config;
use crate::host::{self, Ask};
use crate::{control, parent};
use age::Encryptor;
use age::stream::StreamWriter;
use aws_lc_rs::digest;
use sallyport_cli::{Fail, Sayings, progress};
use sallyport_control::durable::Fresh;
use sallyport_control::{Made, Op};
use sallyport_ledger::note::Note;
use sallyport_ledger::tree::hash_text;
use sallyport_ledger::{Checkpoint, Entry, Signer};
use sallyport_model::{Env, Secret};
use sallyport_store::Offline;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Rows that are read at once.
const PAGE: u32 = 500;

/// Bytes on their way to the disk, counted and hashed.
struct Counted {
    file: BufWriter<Fresh>,
    hash: digest::Context,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

type Out = Writer<StreamWriter<Counted>>;

pub(super) async fn make(
    args: &Backup,
    config: &Config,
    path: Option<&Path>,
    readers: &[Reader],
) -> Result<Made, Fail> {
    let running = host::is_running(config);
    let _lock = if running { None } else { Some(parent::lock(config)?) };
    let name = args.file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Fail::usage(format!("`{}` names no file", args.file.display())))?.to_owned();
    let taken = || Fail::usage(format!("`{}` is there already: choose another name", args.file.display()));
    if args.file.exists() {
        return Err(taken());
    }
    let place = config.place()?;
    let mut snapshot = Offline::open(&place).await.map_err(|e| Fail::new(e.kind(), e.to_string()))?;
    let note = snapshot.head().await.map_err(|e| Fail::new(e.kind(), e.to_string()))?;
    let (checkpoint, signer) = head(config, &note)?;

    let fresh =
        Fresh::create(&args.file).map_err(|e| Fail::failed(format!("cannot write `{}`: {e}", args.file.display())))?;
    let counted = Counted {
        file: BufWriter::with_capacity(256 << 10, fresh),
        hash: digest::Context::new(&digest::SHA256),
        bytes: 0,
    };
    let to = readers.iter().map(|reader| -> &dyn age::Recipient { &reader.recipient });
    let sealed = Encryptor::with_recipients(to).map_err(Fail::failed)?.wrap_output(counted).map_err(cannot_write)?;
    let mut out = Writer::new(sealed);
    out.head(&Head {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        created: Env::system().now().to_string(),
        cluster: checkpoint.origin.trim_start_matches("sallyport/").to_owned(),
        node: config.node.clone(),
        note,
    })?;
    let sayings = rows(&mut out, &mut snapshot, checkpoint.size).await?;
    snapshot.close().await;
    let recordings = files(&mut out, config, path, (!args.without_recordings).then_some(&sayings))?;
    let sealed = out.seal(|text| Ok(Note::sign(text, &[&signer]).map_err(Fail::failed)?.to_string()))?;
    let Counted { file, hash, bytes } = sealed.finish().map_err(cannot_write)?;
    let fresh = file.into_inner().map_err(|e| cannot_write(e.into_error()))?;
    fresh.sync().map_err(cannot_write)?;

    let made = Made {
        file: name,
        bytes,
        sha256: hex::encode(hash.finish()),
        size: checkpoint.size,
        root: hash_text(&checkpoint.root),
        recipients: readers.iter().map(|reader| reader.fingerprint.clone()).collect(),
        recordings,
    };
    progress("telling the ledger");
    tell(args, config, running, &made).await?;
    if args.file.exists() {
        return Err(taken());
    }
    fresh.publish().map_err(cannot_write)?;
    Ok(made)
}

/// The head of this very snapshot, and the key that seals the backup.
fn head(config: &Config, note: &str) -> Result<(Checkpoint, Signer), Fail> {
    let origin = note.lines().next().unwrap_or_default();
    let path = config.data.join("keys/ledger.key");
    let file = crate::private::Private::file(path);
    let text = file.read("the ledger's key", "run this on a node of the installation, as its user")?;
    let seed = Secret::new(hex::decode(text.expose().trim()).map_err(|_| Fail::failed("the ledger's key is none"))?);
    let signer = Signer::new(origin, &seed).map_err(Fail::failed)?;
    // Another node may have signed it; whose keys those are is for the restore to prove.
    let checkpoint = claimed(note)?;
    Ok((checkpoint, signer))
}

/// Documents and entries; what the entries say of recordings.
async fn rows(out: &mut Out, snapshot: &mut Offline, size: u64) -> Result<Sayings, Fail> {
    let failed = |e: sallyport_store::Error| Fail::new(e.kind(), e.to_string());
    let (mut after, mut count) = (String::new(), 0_u64);
    loop {
        let page = snapshot.documents(&after, PAGE).await.map_err(failed)?;
        let Some((last, _)) = page.last() else { break };
        after = last.to_string();
        for (id, document) in &page {
            out.document(id, document)?;
        }
        count = count.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
        progress(&format!("{count} documents"));
    }
    let (mut at, mut sayings) = (0, Sayings::default());
    while at < size {
        let page = snapshot.bodies(at, PAGE).await.map_err(failed)?;
        if page.is_empty() {
            return Err(missing(at));
        }
        for (index, body) in page {
            if index != at || at >= size {
                return Err(missing(at));
            }
            let entry = Entry::decode(&body).map_err(|e| Fail::failed(format!("entry {at}: {e}")))?;
            sayings.take(at, &entry)?;
            out.entry(&body)?;
            at += 1;
        }
        progress(&format!("{at} of {size} entries"));
    }
    Ok(sayings)
}

fn missing(at: u64) -> Fail {
    Fail::failed(format!("entry {at} of the ledger is missing: `sallyport quarantine show` says what else is"))
}

/// The files that belong to the snapshot; how many recordings are among them.
fn files(out: &mut Out, config: &Config, path: Option<&Path>, sayings: Option<&Sayings>) -> Result<u64, Fail> {
    let data = &config.data;
    for name in ["keys/ledger.key", "ledger.pub", "gateway/ssh_host_ed25519"] {
        put(out, name, &data.join(name))?;
    }
    if let Some(path) = path {
        put(out, "sallyport.toml", path)?;
    }
    let mut count = 0_u64;
    for (recording, _) in sayings.into_iter().flat_map(Sayings::recordings) {
        let name = format!("recordings/{recording}.sprec");
        if put(out, &name, &data.join(&name))? {
            count = count.saturating_add(1);
            progress(&format!("{count} recordings"));
        }
    }
    Ok(count)
}

/// Copies a file in, where there is one.
fn put(out: &mut Out, name: &str, path: &Path) -> Result<bool, Fail> {
    match File::open(path) {
        Ok(mut file) => out.file(name, &mut file).map(|_| true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Fail::failed(format!("cannot read `{}`: {error}", path.display()))),
    }
}

/// Tells the ledger: through the running server, or by opening the vault of a stopped one.
async fn tell(args: &Backup, config: &Config, running: bool, made: &Made) -> Result<(), Fail> {
    let said = if running {
        host::ask(config, &Ask::BackupMade(made.clone())).await.map(drop)
    } else {
        let control = control::host(config)?;
        args.slot.unseal(config, &control).await?;
        let told = control.backup_made(&Op::host(), made).await;
        control.close().await;
        told.map(drop).map_err(|e| Fail::new(e.kind(), e.to_string()))
    };
    said.map_err(|fail| {
        Fail::new(fail.kind, format!("the ledger does not take the entry of this backup, so it was not kept: {fail}"))
    })
}
