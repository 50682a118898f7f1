//! The spool: what failed while the vault was sealed, signed with the node's ledger key until the ledger can take it.
//!
//! One file, a signed note (c2sp.org/signed-note) of one JSON line a record. It is bounded: the first failures stand
//! singly, the rest are counted. Every change is a new file, made durable before the old one goes. Whoever can write
//! the node's files can delete it; they cannot make it say something else.

use crate::{Error, durable};
use sallyport_ledger::{Note, Signer};
use sallyport_model::{EntryId, Timestamp};
use sallyport_store::Draft;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FIRST_LINE: &str = "sallyport spool v1";
/// Failures that stand singly.
const SINGLE: usize = 32;

/// A failed attempt to unseal.
pub(crate) struct Attempt {
    pub(crate) id: EntryId,
    pub(crate) at: Timestamp,
    pub(crate) how: &'static str,
    pub(crate) why: String,
    pub(crate) from: IpAddr,
}

/// One line of the spool: one failure, or those that are counted together.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    id: EntryId,
    first: Timestamp,
    last: Timestamp,
    times: u64,
    how: String,
    why: String,
    from: IpAddr,
}

/// The spool of a node.
pub(crate) struct Spool {
    directory: PathBuf,
    signer: Arc<Signer>,
}

impl Spool {
    pub(crate) fn new(data: &Path, signer: Arc<Signer>) -> Self {
        Self { directory: data.join("spool"), signer }
    }

    /// Keeps an attempt, durably. Blocks on the disk.
    pub(crate) fn add(&self, attempt: &Attempt) -> Result<(), Error> {
        let mut records = match self.read() {
            Ok(records) => records,
            Err(error) => {
                // What was altered is kept aside as it is, and said when the vault opens.
                tracing::error!(%error, "The spool was altered");
                std::fs::rename(self.file(), self.altered()).map_err(|e| self.failed(&e))?;
                Vec::new()
            }
        };
        let counted = records.iter_mut().skip(SINGLE).find(|record| record.how == attempt.how);
        match counted {
            Some(record) => {
                record.times = record.times.saturating_add(1);
                record.last = attempt.at;
                record.from = attempt.from;
                record.why.clone_from(&attempt.why);
            }
            None => records.push(Record {
                id: attempt.id,
                first: attempt.at,
                last: attempt.at,
                times: 1,
                how: attempt.how.to_owned(),
                why: attempt.why.clone(),
                from: attempt.from,
            }),
        }
        self.write(&records)
    }

    /// What the ledger is to be told. Each draft has the id that the failure got when it happened, so that a crash
    /// between the ledger and `clear` tells nothing twice.
    pub(crate) fn changes<T>(&self, change: impl Fn(Draft) -> T) -> Result<Vec<T>, Error> {
        let draft = |id, action, facts: &[(&str, String)]| Draft {
            id,
            actor: "nobody".into(),
            action,
            object: "vault".into(),
            session: None,
            facts: facts.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<BTreeMap<_, _>>(),
        };
        let mut drafts = Vec::new();
        let altered = match self.read() {
            Ok(records) => {
                drafts.extend(records.iter().map(|record| {
                    let facts = [
                        ("how", record.how.clone()),
                        ("why", record.why.clone()),
                        ("from", record.from.to_string()),
                        ("times", record.times.to_string()),
                        ("first", record.first.to_string()),
                        ("last", record.last.to_string()),
                    ];
                    draft(record.id, "vault.unseal_failed", &facts)
                }));
                self.altered().exists()
            }
            Err(error) => {
                tracing::error!(%error, "The spool was altered");
                true
            }
        };
        if altered {
            let hash = sallyport_ledger::leaf_hash(
                &std::fs::read(self.altered()).or_else(|_| std::fs::read(self.file())).unwrap_or_default(),
            );
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = hash;
            let id = EntryId::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]);
            drafts.push(draft(id, "vault.spool_altered", &[("sha256", hex::encode(hash))]));
        }
        Ok(drafts.into_iter().map(change).collect())
    }

    /// Empties the spool, after the ledger has it.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        for path in [self.file(), self.altered()] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(&error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<Vec<Record>, Error> {
        let text = match std::fs::read_to_string(self.file()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(|e| self.failed(&e))?,
        };
        let note = Note::parse(&text).map_err(Error::failed)?;
        let mut lines = note.verify(&[self.signer.verifier()]).map_err(Error::failed)?.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(Error::failed("the spool has another form than this release writes"));
        }
        lines.map(|line| serde_json::from_str(line).map_err(Error::failed)).collect()
    }

    fn write(&self, records: &[Record]) -> Result<(), Error> {
        let mut text = format!("{FIRST_LINE}\n");
        for record in records {
            text.push_str(&serde_json::to_string(record).map_err(Error::failed)?);
            text.push('\n');
        }
        let note = Note::sign(text, &[&self.signer]).map_err(Error::failed)?.to_string();
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.and_then(|()| durable::replace(&self.file(), note.as_bytes())).map_err(|e| self.failed(&e))
    }

    fn file(&self) -> PathBuf {
        self.directory.join("unseal")
    }

    fn altered(&self) -> PathBuf {
        self.directory.join("unseal.altered")
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        Error::failed(format!("cannot use the spool in `{}`: {error}", self.directory.display()))
    }
}
