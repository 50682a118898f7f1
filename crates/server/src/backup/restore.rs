//! Restoring a backup: into a directory aside and one transaction, believed only when all of it has proved itself.

use super::Restore;
use super::stream::{FORMAT, Frame, Head, Indexed, Reader, cannot_write, claimed};
use crate::config::Config;
use age::{DecryptError, Decryptor, IdentityFile};
use aws_lc_rs::digest;
use sallyport_cli::{Fail, Sayings, progress};
use sallyport_control::{Control, Error, Filled, Filling, Opening, Restored, durable, furnish, refill};
use sallyport_ledger::note::Note;
use sallyport_ledger::tree::hash_text;
use sallyport_ledger::{Entry, Verifier};
use sallyport_model::{Env, Kind};
use sallyport_store::{DocId, Document, Place};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

/// Directory in the data directory where everything waits until it is believed.
const ASIDE: &str = "restoring";
/// Rows that are written at once.
const PAGE: usize = 500;
/// What a data directory gets, the file that founds it last.
const PARTS: [&str; 9] = [
    "gateway",
    "journal",
    "recordings",
    "keys",
    "ledger.pub",
    "restored.json",
    "sallyport.toml",
    "sallyport.db-wal",
    "sallyport.db",
];

/// What was restored.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    pub(super) cluster: String,
    /// When the backup was made.
    pub(super) created: String,
    pub(super) size: u64,
    pub(super) documents: usize,
    pub(super) recordings: u64,
    /// Recordings that the ledger knows and the backup does not hold.
    pub(super) missing: u64,
}

pub(super) async fn restore(args: &Restore, config: &Config) -> Result<Done, Fail> {
    let aside = blank(config)?;
    let done = within(args, config, &aside.0).await?;
    for part in PARTS {
        let from = aside.0.join(part);
        if from.exists() {
            std::fs::rename(&from, config.data.join(part)).map_err(cannot_write)?;
        }
    }
    drop(aside);
    File::open(&config.data).and_then(|directory| directory.sync_all()).map_err(cannot_write)?;
    Ok(done)
}

/// A directory that goes with this value.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes the data directory, which must be empty, and the place aside in it.
fn blank(config: &Config) -> Result<Aside, Fail> {
    let data = &config.data;
    let cannot = |e: std::io::Error| Fail::failed(format!("cannot use the data directory `{}`: {e}", data.display()));
    let make = |path: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    make(data).map_err(cannot)?;
    if let Some(found) = std::fs::read_dir(data).map_err(cannot)?.next() {
        let found = found.map_err(cannot)?.file_name();
        return Err(Fail::usage(format!(
            "the data directory `{}` is not empty (it holds `{}`): restore into an empty one, and keep what is in this",
            data.display(),
            found.display()
        )));
    }
    let aside = data.join(ASIDE);
    make(&aside).map_err(cannot)?;
    let aside = Aside(aside);
    furnish(&aside.0).map_err(|e| Fail::failed(e.to_string()))?;
    Ok(aside)
}

/// Opens the age file with the identities of a file.
fn open(args: &Restore) -> Result<Reader<impl Read>, Fail> {
    let shown = args.identity.display();
    let identities = IdentityFile::from_file(args.identity.display().to_string())
        .map_err(|e| Fail::usage(format!("`{shown}` is no file of age identities ({e}): `age-keygen` makes one")))?;
    let identities = identities.into_identities().map_err(|e| Fail::usage(format!("`{shown}`: {e}")))?;
    let file = File::open(&args.file)
        .map_err(|e| Fail::usage(format!("cannot read the backup `{}`: {e}", args.file.display())))?;
    let opened = Decryptor::new_buffered(BufReader::with_capacity(256 << 10, file))
        .and_then(|decryptor| decryptor.decrypt(identities.iter().map(|i| -> &dyn age::Identity { &**i })));
    opened.map(Reader::new).map_err(|error| match error {
        DecryptError::NoMatchingKeys => Fail::new(
            Kind::Denied,
            format!("no identity in `{shown}` opens this backup: bring that of one of its recipients"),
        ),
        DecryptError::InvalidHeader | DecryptError::UnknownFormat | DecryptError::Io(_) => {
            Fail::failed(format!("`{}` is no backup, or its beginning was altered or cut off", args.file.display()))
        }
        other => Fail::failed(format!("the backup was altered or is cut off ({other}): get another copy")),
    })
}

/// What opens the vault of the backup.
fn slot(args: &Restore, config: &Config) -> Result<Vec<Opening>, Fail> {
    let typed = args.slot.typed()?;
    if !typed.is_empty() {
        return Ok(typed);
    }
    let file = match &args.key_file {
        Some(path) => crate::private::Private::file(path.clone()),
        None => config.key_file()?,
    };
    let advice = "give the one of the backup's installation with `--key-file`, or its recovery passphrase with `--passphrase-stdin`";
    Ok(vec![Opening::KeyFile(file.read("the vault's key file", advice)?)])
}

/// Everything up to the last check, with nothing outside of `aside` and the transaction.
async fn within(args: &Restore, config: &Config, aside: &Path) -> Result<Done, Fail> {
    let opening = slot(args, config)?;
    let key = match opening.first() {
        Some(Opening::KeyFile(text)) if args.key_file.is_some() => Some(text.expose().clone()),
        _ => None,
    };
    let mut reader = open(args)?;
    let Some(Frame::Head(head)) = reader.next()? else { return Err(Fail::failed("the backup has no head")) };
    if head.format != FORMAT {
        return Err(Fail::failed(format!(
            "the backup has the form {}, and this version reads {FORMAT}: restore with Sallyport {}, then upgrade",
            head.format, head.version
        )));
    }
    if head.node != config.node {
        return Err(Fail::usage(format!(
            "the backup is of the node `{0}`, and the configuration says `{1}`: set `node = \"{0}\"`",
            head.node, config.node
        )));
    }
    let place = if config.store.url.is_some() { config.place()? } else { Place::file(&aside.join("sallyport.db")) };
    let filling = refill(&place).await.map_err(|e| Fail::new(e.kind(), e.to_string()))?;
    let mut intake = Intake::new(aside, filling);
    let note = intake.take_all(&mut reader, &head.note).await?;
    progress("verifying");
    intake.check_index()?;
    let (recordings, missing) = intake.check_recordings()?;
    let mut filling = intake.filling;
    let filled = check(config, aside, &mut filling, opening).await?;
    let trust: Vec<&Verifier> = filled.nodes.iter().map(|(_, key)| key).collect();
    Note::parse(&note).and_then(|note| note.verify(&trust).map(drop)).map_err(|e| {
        Fail::failed(format!("the backup was not sealed by a node of its installation ({e}): get another copy"))
    })?;

    let checkpoint = claimed(&head.note)?;
    let sha256 = hash_of(&args.file)?;
    let restored =
        Restored::new(&Env::system(), head.created.clone(), sha256, checkpoint.size, hash_text(&checkpoint.root));
    restored.leave(aside).map_err(|e| Fail::failed(e.to_string()))?;
    if let Some(key) = key {
        durable::replace(&aside.join("keys/vault.key"), key.as_bytes()).map_err(cannot_write)?;
    }
    filling.commit().await.map_err(|e| Fail::new(e.kind(), e.to_string()))?;
    let Head { cluster, created, .. } = head;
    let (size, documents) = (filled.report.size, filled.report.documents);
    Ok(Done { cluster, created, size, documents, recordings, missing })
}

/// Opens the vault, and verifies the database as a start does.
async fn check(config: &Config, aside: &Path, filling: &mut Filling, opening: Vec<Opening>) -> Result<Filled, Fail> {
    let control = Control::new(Env::system(), aside, &config.node);
    control.check_restored(filling, opening).await.map_err(|error| {
        let advice = match &error {
            Error::Vault(_) => ": give the key file or the passphrase of the installation that the backup is of",
            _ => "",
        };
        Fail::new(error.kind(), format!("the backup is not believed: {error}{advice}"))
    })
}

fn hash_of(path: &Path) -> Result<String, Fail> {
    let mut file = File::open(path).map_err(Fail::failed)?;
    let (mut hash, mut piece) = (digest::Context::new(&digest::SHA256), vec![0; 256 << 10]);
    loop {
        match file.read(&mut piece).map_err(Fail::failed)? {
            0 => return Ok(hex::encode(hash.finish())),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

/// What has come out of the backup so far.
struct Intake<'a> {
    aside: &'a Path,
    filling: Filling,
    documents: Vec<(DocId, Document)>,
    entries: Vec<Vec<u8>>,
    count: u64,
    sayings: Sayings,
    /// The file that is being written, and those before it.
    file: Option<(Indexed, File, digest::Context)>,
    files: Vec<Indexed>,
    index: Vec<Indexed>,
}

impl<'a> Intake<'a> {
    fn new(aside: &'a Path, filling: Filling) -> Self {
        Self {
            aside,
            filling,
            documents: Vec::new(),
            entries: Vec::new(),
            count: 0,
            sayings: Sayings::default(),
            file: None,
            files: Vec::new(),
            index: Vec::new(),
        }
    }

    /// Takes every frame in; the seal.
    async fn take_all(&mut self, reader: &mut Reader<impl Read>, note: &str) -> Result<String, Fail> {
        let mut seal = None;
        while let Some(frame) = reader.next()? {
            match frame {
                Frame::Head(_) => return Err(Fail::failed("the backup has two heads: it was altered")),
                Frame::Document(id, document) => self.documents.push((id, document)),
                Frame::Entry(body) => {
                    let entry = Entry::decode(&body).map_err(|e| Fail::failed(format!("entry {}: {e}", self.count)))?;
                    self.sayings.take(self.count, &entry)?;
                    self.count += 1;
                    self.entries.push(body);
                }
                Frame::File(path) => self.begin(path)?,
                Frame::Data(bytes) => self.data(&bytes)?,
                Frame::Index(index) => {
                    self.finish_file()?;
                    self.index = index;
                }
                Frame::Seal(note) => seal = Some(note),
            }
            if self.documents.len() >= PAGE || self.entries.len() >= PAGE {
                self.flush().await?;
                progress(&format!("{} entries", self.count));
            }
        }
        self.flush().await?;
        self.filling.head(note).await.map_err(|e| Fail::new(e.kind(), e.to_string()))?;
        seal.ok_or_else(|| Fail::failed("the backup has no seal: it is cut off"))
    }

    async fn flush(&mut self) -> Result<(), Fail> {
        let failed = |e: sallyport_store::Error| Fail::new(e.kind(), e.to_string());
        self.filling.documents(&std::mem::take(&mut self.documents)).await.map_err(failed)?;
        self.filling.entries(&std::mem::take(&mut self.entries)).await.map_err(failed)
    }

    /// Begins a file. Its path is one of those that a backup has, and leads nowhere else.
    fn begin(&mut self, path: String) -> Result<(), Fail> {
        self.finish_file()?;
        let plain = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
        let known =
            matches!(path.as_str(), "keys/ledger.key" | "ledger.pub" | "gateway/ssh_host_ed25519" | "sallyport.toml")
                || path.strip_prefix("recordings/").is_some_and(|name| !name.contains('/') && name.ends_with(".sprec"));
        if !plain || !known {
            return Err(Fail::failed(format!(
                "the backup holds a file `{}`, which belongs to none",
                path.escape_debug()
            )));
        }
        let place = self.aside.join(&path);
        if let Some(parent) = place.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(cannot_write)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place).map_err(cannot_write)?;
        let indexed = Indexed { path, bytes: 0, sha256: String::new() };
        self.file = Some((indexed, file, digest::Context::new(&digest::SHA256)));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Fail> {
        let (indexed, file, hash) = self.file.as_mut().ok_or_else(|| Fail::failed("the backup has data of no file"))?;
        file.write_all(bytes).map_err(cannot_write)?;
        hash.update(bytes);
        indexed.bytes = indexed.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn finish_file(&mut self) -> Result<(), Fail> {
        if let Some((mut indexed, file, hash)) = self.file.take() {
            file.sync_all().map_err(cannot_write)?;
            indexed.sha256 = hex::encode(hash.finish());
            self.files.push(indexed);
        }
        Ok(())
    }

    /// The files are those of the index, byte for byte.
    fn check_index(&self) -> Result<(), Fail> {
        let key = |file: &Indexed| (file.path.clone(), file.bytes, file.sha256.clone());
        if self.files.iter().map(key).eq(self.index.iter().map(key)) {
            return Ok(());
        }
        Err(Fail::failed("the files in the backup are not those of its index: it was altered"))
    }

    /// Every recording is what the ledger says of it; how many are here, and how many of closed sessions are not.
    fn check_recordings(&self) -> Result<(u64, u64), Fail> {
        let (mut here, mut missing) = (0_u64, 0_u64);
        for (recording, closed) in self.sayings.recordings() {
            let name = format!("recordings/{recording}.sprec");
            match std::fs::read(self.aside.join(&name)) {
                Ok(bytes) => {
                    self.sayings
                        .check(recording, &bytes)
                        .map_err(|fail| Fail::failed(format!("the backup is not believed: {name}: {fail}")))?;
                    here += 1;
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing += u64::from(closed),
                Err(error) => return Err(Fail::failed(format!("cannot read {name}: {error}"))),
            }
        }
        let brought = self.files.iter().filter(|file| file.path.starts_with("recordings/")).count();
        if u64::try_from(brought) == Ok(here) {
            return Ok((here, missing));
        }
        Err(Fail::failed("the backup holds recordings that its ledger does not know: it was altered"))
    }
}
