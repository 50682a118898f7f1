//! What a witness must not forget: per log, the newest checkpoint that it cosigned. Durable before it is told.

use crate::config;
use rustix::fs::{FlockOperation, flock};
use sallyport_cli::Fail;
use sallyport_control::durable;
use sallyport_ledger::witness::{Refusal, Submission, judge};
use sallyport_ledger::{Checkpoint, Cosigner, Note, Verifier, WitnessKey};
use sallyport_model::{Env, Secret};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// File of the key: the seed, as hex.
const KEY: &str = "witness.key";
/// File of what was seen: per origin the note that was cosigned, as JSON.
const STATE: &str = "seen.json";
/// Longest file of state, in bytes: what 64 logs with the longest notes may take.
const MAX_STATE: usize = 64 << 20;

/// Why nothing was cosigned.
#[derive(Debug)]
pub(super) enum Error {
    /// The submission is not one to cosign.
    Refused(Refusal),
    /// What was seen cannot be kept.
    State(String),
}

/// What a witness has seen, and the key that it cosigns with.
pub(super) struct Seen {
    cosigner: Cosigner,
    logs: Vec<Verifier>,
    path: PathBuf,
    notes: BTreeMap<String, String>,
    /// Held as long as the witness runs: two that share a state would forget each other's.
    _lock: File,
}

/// Makes key and empty state; the public key.
pub(super) fn init(env: &Env, settings: &config::Witness) -> Result<WitnessKey, Fail> {
    let cannot = |what: &Path, e: std::io::Error| Fail::failed(format!("cannot write `{}`: {e}", what.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(&settings.state).map_err(|e| cannot(&settings.state, e))?;
    let (key, state) = (settings.state.join(KEY), settings.state.join(STATE));
    if key.exists() || state.exists() {
        return Err(Fail::usage(format!(
            "`{}` holds a witness already. A witness that has lost its state must not go on: it could cosign a fork; \
             make a new one, with another key, in an empty directory",
            settings.state.display()
        )));
    }
    let seed = Secret::new(env.random::<32>().to_vec());
    let cosigner = Cosigner::new(&settings.name, &seed).map_err(|e| Fail::usage(format!("[witness] name: {e}")))?;
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key).map_err(|e| cannot(&key, e))?;
    file.write_all(hex::encode(seed.expose()).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| cannot(&key, e))?;
    durable::replace(&state, b"{}").map_err(|e| cannot(&state, e))?;
    Ok(cosigner.key().clone())
}

impl Seen {
    /// Reads key and state, and holds them.
    pub(super) fn open(settings: &config::Witness) -> Result<Self, Fail> {
        let (key, path) = (settings.state.join(KEY), settings.state.join(STATE));
        let unreadable = |what: &Path, why: &dyn std::fmt::Display| {
            Fail::usage(format!("cannot use `{}`: {why}; `sallyport witness init` makes a new witness", what.display()))
        };
        let file = File::open(&key).map_err(|e| unreadable(&key, &e))?;
        if file.metadata().map_err(Fail::failed)?.permissions().mode() & 0o077 != 0 {
            return Err(Fail::usage(format!("`{0}` is readable by others: run `chmod 600 {0}`", key.display())));
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Fail::failed(format!("another witness runs on `{}`: stop it", settings.state.display())))?;
        let seed = durable::read(&key, 1024).map_err(|e| unreadable(&key, &e))?.unwrap_or_default();
        let seed = hex::decode(String::from_utf8_lossy(&seed).trim()).map_err(|e| unreadable(&key, &e))?;
        let cosigner = Cosigner::new(&settings.name, &Secret::new(seed)).map_err(|e| unreadable(&key, &e))?;
        let bytes = durable::read(&path, MAX_STATE).map_err(|e| unreadable(&path, &e))?;
        let lost = "it is gone, and a witness that has forgotten what it saw could cosign a fork";
        let notes: BTreeMap<String, String> = serde_json::from_slice(&bytes.ok_or_else(|| unreadable(&path, &lost))?)
            .map_err(|e| unreadable(&path, &e))?;
        for (origin, note) in &notes {
            checkpoint(origin, note)
                .ok_or_else(|| unreadable(&path, &format!("what it says of `{origin}` is no checkpoint")))?;
        }
        let logs = settings.logs.iter().map(|text| Verifier::parse(text.trim()));
        let logs = logs.collect::<Result<_, _>>().map_err(|e| Fail::usage(format!("[witness] logs: {e}")))?;
        Ok(Self { cosigner, logs, path, notes, _lock: file })
    }

    pub(super) const fn key(&self) -> &WitnessKey {
        self.cosigner.key()
    }

    /// Cosigns a checkpoint that continues the one seen last; it is durable when this returns.
    pub(super) fn cosign(&mut self, submission: &Submission, seconds: u64) -> Result<String, Error> {
        let seen = |origin: &str| self.notes.get(origin).and_then(|note| checkpoint(origin, note));
        let (note, newest) = judge(submission, &self.logs, seen).map_err(Error::Refused)?;
        let line = self.cosigner.cosign(&note, seconds);
        let mut notes = self.notes.clone();
        notes.insert(newest.origin, note.to_string());
        let bytes = serde_json::to_vec(&notes).map_err(|e| Error::State(e.to_string()))?;
        durable::replace(&self.path, &bytes).map_err(|e| Error::State(e.to_string()))?;
        self.notes = notes;
        Ok(line)
    }
}

/// A checkpoint of the state, which this witness wrote after it had verified it.
fn checkpoint(origin: &str, note: &str) -> Option<Checkpoint> {
    Note::parse(note).ok()?;
    let (text, _) = note.rsplit_once("\n\n")?;
    Checkpoint::parse(&format!("{text}\n")).ok().filter(|checkpoint| checkpoint.origin == origin)
}
