//! One atomic write, as data.

use sallyport_model::{EntryId, Kind, SessionId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Identity of a document: the text form of a typed id, or a fixed name such as `keyring`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DocId(Arc<str>);

impl DocId {
    /// The document with this identity.
    pub fn new(id: impl fmt::Display) -> Self {
        Self(id.to_string().into())
    }

    /// The identity as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A document to be written.
#[derive(Clone, Debug)]
pub struct Put {
    /// Which.
    pub id: DocId,
    /// The version that the writer saw; 0 where there was none.
    pub was: u64,
    /// Kind, such as `target`.
    pub kind: &'static str,
    /// Schema of the body, at least 1. A node refuses to write a schema newer than it knows.
    pub schema: u32,
    /// JSON.
    pub body: Vec<u8>,
}

/// What the ledger entry of a change says; the batcher adds time, node and state effects.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Identity of the entry. A change that is repeated with the same id is written once.
    pub id: EntryId,
    /// Who acted.
    pub actor: String,
    /// What happened, such as `session.opened`.
    pub action: &'static str,
    /// What it happened to.
    pub object: String,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// Further facts; no secret ever.
    pub facts: BTreeMap<String, String>,
}

/// A name that a change gives to something: it is refused where somebody else was faster, on whichever node. Versions do
/// not show that, since two things of one name are two documents.
#[derive(Clone)]
pub struct Claim {
    pub(crate) name: String,
    pub(crate) free: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Claim {
    /// A claim to this name, with its kind, such as `target web-1`. Whether it is free is asked under the lock of the
    /// ledger, when the follower has been told of everything that other nodes wrote.
    pub fn new(name: impl fmt::Display, free: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { name: name.to_string(), free: Arc::new(free) }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.name).finish()
    }
}

/// One atomic write: all of it, with its entry, or nothing.
#[derive(Clone, Debug)]
pub struct Change {
    /// Further versions that must still be true (0 = absent).
    pub expect: Vec<(DocId, u64)>,
    /// Names that must be free.
    pub claims: Vec<Claim>,
    /// Documents to write; each names the version it replaces.
    pub put: Vec<Put>,
    /// Documents to delete, with the version each has.
    pub delete: Vec<(DocId, u64)>,
    /// The entry. There is no change without one.
    pub entry: Draft,
    /// Whether an earlier commit of the same entry id is looked for first.
    pub repeatable: bool,
}

impl Change {
    /// A change that writes its entry and nothing else.
    #[must_use]
    pub const fn entry(entry: Draft) -> Self {
        Self { expect: Vec::new(), claims: Vec::new(), put: Vec::new(), delete: Vec::new(), entry, repeatable: false }
    }

    /// Adds a document to write.
    #[must_use]
    pub fn put(mut self, put: Put) -> Self {
        self.put.push(put);
        self
    }

    /// Adds a name that must be free.
    #[must_use]
    pub fn claim(mut self, claim: Claim) -> Self {
        self.claims.push(claim);
        self
    }

    /// Adds a document to delete.
    #[must_use]
    pub fn delete(mut self, id: DocId, was: u64) -> Self {
        self.delete.push((id, was));
        self
    }

    /// Makes a repetition with the same entry id harmless.
    #[must_use]
    pub const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

/// A durable change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Committed {
    /// Ledger index of its entry.
    pub index: u64,
}

/// What can go wrong with the store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another writer was faster; read again and decide again.
    #[error("`{0}` was changed by somebody else in the meantime: read it again and repeat")]
    Conflict(DocId),
    /// Another writer was faster to give a name away.
    #[error("the name `{0}` was taken by somebody else in the meantime: choose another")]
    Taken(String),
    /// A document was altered behind our back.
    #[error("`{0}` does not carry a valid seal: it was altered outside Sallyport")]
    Forged(String),
    /// The signed head or the tree does not fit what is stored.
    #[error("the ledger in this store is not the one this node signed: {0}")]
    Head(String),
    /// The entry is too large or cannot be encoded.
    #[error("the ledger entry cannot be written: {0}")]
    Entry(String),
    /// The set of documents is not the one that the ledger says.
    #[error("the documents do not match the state root of ledger entry {index}: {what}")]
    State {
        /// Where the root was written.
        index: u64,
        /// What differs.
        what: String,
    },
    /// The database said no.
    #[error("the database failed: {0}")]
    Sql(String),
    /// The database is not the one that was meant, or not fit to hold a store.
    #[error("{0}")]
    Place(String),
    /// The database went away; this change was not written.
    #[error("the database does not answer ({0}); nothing was written, try again in a moment")]
    Lost(String),
    /// The database went away while it committed, and has not come back yet.
    #[error(
        "the database was lost while it wrote; whether entry {0} was written is not known yet: look for it before you repeat"
    )]
    Unknown(EntryId),
    /// The database was written by a newer Sallyport.
    #[error(
        "the data directory was written by a newer version (schema {found}, this one knows {known}): upgrade first"
    )]
    TooNew {
        /// What is stored.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// The batcher has stopped after an error that it cannot repair.
    #[error("the store has stopped writing after an earlier failure; restart this node")]
    Stopped,
}

impl Error {
    /// Sort of failure.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Conflict(_) | Self::Taken(_) => Kind::Conflict,
            Self::Entry(_) | Self::Place(_) => Kind::Usage,
            Self::Sql(_) | Self::Lost(_) | Self::Unknown(_) | Self::Stopped => Kind::Unavailable,
            Self::Forged(_) | Self::Head(_) | Self::State { .. } | Self::TooNew { .. } => Kind::Failed,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // Codes of SQLSTATE (PostgreSQL 15, appendix A): 42501 no privilege, 08 connection, 57P0x the server is
        // stopping or starting.
        if let sqlx::Error::Database(said) = &error
            && said.code().as_deref() == Some("42501")
        {
            return Self::Place(format!(
                "the database does not permit this ({}): make the role in `[store] url` the owner of the database",
                said.message()
            ));
        }
        let gone = match &error {
            sqlx::Error::Database(said) => said.code().is_some_and(|c| c.starts_with("08") || c.starts_with("57P0")),
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
            _ => false,
        };
        if gone { Self::Lost(error.to_string()) } else { Self::Sql(error.to_string()) }
    }
}
