//! An anchor that is a file: on another disk, another mount, or a directory that somebody else copies away.

use super::{Anchor, Head, Missed, Policy, Receipt, Seen};
use crate::durable;
use sallyport_ledger::note::MAX_NOTE;
use sallyport_model::authority::Boxed;
use std::path::{Path, PathBuf};

/// The newest checkpoint in a file, replaced whole.
pub struct FileAnchor {
    name: String,
    path: PathBuf,
    policy: Policy,
}

impl FileAnchor {
    /// The anchor at this path; its directory must exist.
    #[must_use]
    pub fn new(name: &str, path: &Path, policy: Policy) -> Self {
        Self { name: name.to_owned(), path: path.to_owned(), policy }
    }

    async fn put(&self, head: &Head) -> Result<Receipt, Missed> {
        let unreachable = |e: std::io::Error| Missed::Unreachable(format!("`{}`: {e}", self.path.display()));
        let path = self.path.clone();
        let found = blocking(move || durable::read(&path, MAX_NOTE)).await.map_err(unreachable)?;
        let found = found.map(|bytes| String::from_utf8(bytes).unwrap_or_default());
        let mut receipt = Receipt::default();
        if let Some(text) = found.filter(|text| text != head.note()) {
            match head.own(&text) {
                Some(theirs) => {
                    let seen = Seen { anchor: self.name.clone(), size: theirs.size, root: hex::encode(theirs.root) };
                    if !head.accepted(&seen) && !head.continues(&theirs).await {
                        return Err(Missed::Contradicts(seen));
                    }
                }
                // It says nothing of this ledger, so it stops nothing; and it is kept, for whoever looks into it.
                None => receipt.forged = Some(self.put_aside().await.map_err(unreachable)?),
            }
        }
        let (path, note) = (self.path.clone(), head.note().to_owned());
        blocking(move || durable::replace(&path, note.as_bytes())).await.map_err(unreachable)?;
        Ok(receipt)
    }

    async fn put_aside(&self) -> std::io::Result<String> {
        let aside = durable::beside(&self.path, "forged")?;
        let (from, to) = (self.path.clone(), aside.clone());
        blocking(move || std::fs::rename(from, to)).await?;
        Ok(format!("it held no checkpoint that this ledger's key signed; that is now in `{}`", aside.display()))
    }
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(act).await.map_err(std::io::Error::other)?
}

impl Anchor for FileAnchor {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "file"
    }

    fn policy(&self) -> Policy {
        self.policy
    }

    fn publish<'a>(&'a self, head: &'a Head) -> Boxed<'a, Result<Receipt, Missed>> {
        Box::pin(self.put(head))
    }
}
