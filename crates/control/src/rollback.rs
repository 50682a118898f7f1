//! A ledger that is older than an anchor: refused, until somebody with a seal slot accepts it by its size and root.

use crate::anchors::{Checked, Head, Keeping, Seen, contradiction};
use crate::control::put;
use crate::directory::{kinds, load};
use crate::quorum::Shared;
use crate::{Actor, Control, Error};
use sallyport_ledger::Verifier;
use sallyport_ledger::tree::hash_text;
use sallyport_store::{Change, DocId, Store};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::time::Duration;

/// How often, and after which pause, a node looks again whether it was only behind.
const BEHIND: usize = 8;
const MOMENT: Duration = Duration::from_millis(500);
/// Fixed id of the document.
const ROLLBACK: &str = "rollback";

/// What anchors held when a rollback was accepted, as a document: so that a database writer cannot accept one.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Accepted {
    seen: Vec<Seen>,
    #[serde(flatten)]
    rest: sallyport_model::inventory::Rest,
}

/// A head that anchors contradict.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rollback {
    /// Entries of our ledger.
    pub size: u64,
    /// Its root, as base64.
    pub root: String,
    /// What the anchors hold instead.
    pub against: Vec<Seen>,
    /// When the backup was made that this data was just restored from, where it was.
    pub restored: Option<String>,
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.restored {
            None => {
                write!(
                    f,
                    "the ledger in the data directory was set back or replaced: it has {} entries, but",
                    self.size
                )?;
            }
            Some(made) => write!(
                f,
                "this data was restored from the backup of {made}, whose ledger has {} entries: what came after it is not \
                 in it, and",
                self.size
            )?,
        }
        for (at, seen) in self.against.iter().enumerate() {
            let and = if at == 0 { "" } else { "; and" };
            write!(f, "{and} for the anchor `{}` {}", seen.anchor, contradiction(seen))?;
        }
        write!(
            f,
            ". Put the newer data back. If it is lost for good, `sallyport rollback accept --size {} --root {}` on this \
             host goes on from here, and the ledger will say so",
            self.size, self.root
        )
    }
}

impl Control {
    /// Makes this control plane one that opens the vault only to accept this head against its anchors.
    #[must_use]
    pub fn accepting_rollback(mut self, size: u64, root: &str) -> Self {
        self.accepting = Some((size, root.to_owned()));
        self
    }

    /// Compares the head with every anchor that can be reached, and begins to keep them.
    pub(crate) async fn anchored(&self, store: &Store, key: &Verifier, opened: &str) -> Result<Keeping, Error> {
        let directory = self.data.join("anchors");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        made.map_err(|e| Error::failed(format!("cannot write `{}`: {e}", directory.display())))?;
        let mut seen = accepted(store);
        let mut checked = self.compare(store, key, &seen).await;
        // Where other nodes write, an anchor may have what this one reads in a moment.
        for _ in 0..BEHIND {
            if checked.contradictions.is_empty() || !store.shared() {
                break;
            }
            tokio::time::sleep(MOMENT).await;
            checked = self.compare(store, key, &seen).await;
        }
        checked.contradictions.retain(|found| !known(&seen, found));
        let restored = self.restored()?;
        let rollback =
            Head::of(store, key, &seen.clone().into()).filter(|_| !checked.contradictions.is_empty()).map(|head| {
                let checkpoint = head.checkpoint();
                let (size, root) = (checkpoint.size, hash_text(&checkpoint.root));
                let restored = restored.map(|restored| restored.made);
                Rollback { size, root, against: checked.contradictions, restored }
            });
        match (rollback, &self.accepting) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(Error::NotFound(
                    "no anchor contradicts this ledger: there is nothing to accept, start the server".into(),
                ));
            }
            (Some(rollback), Some((size, root))) if rollback.size == *size && rollback.root == *root => {
                let quorum = Shared::stored(store).behind(opened)?;
                seen.retain(|old| !rollback.against.iter().any(|new| new.anchor == old.anchor));
                seen.extend(rollback.against.clone());
                self.write_accepted(store, &rollback, seen.clone(), &quorum).await?;
                checked = self.compare(store, key, &seen).await;
            }
            (Some(rollback), _) => return Err(Error::Rollback(Box::new(rollback))),
        }
        let cosigned = directory.join("cosigned");
        let keeping = Keeping::start(&self.env, &self.anchors, store, key, seen, cosigned);
        for (anchor, what) in checked.forged {
            tracing::warn!(anchor, what, "An anchor held something else than a checkpoint of this ledger");
            let draft = self.draft(&Actor::System("anchors"), "anchor.forged", anchor, &[("what", &what)]);
            store.commit(Change::entry(draft)).await?;
        }
        Ok(keeping)
    }

    async fn compare(&self, store: &Store, key: &Verifier, accepted: &[Seen]) -> Checked {
        match Head::of(store, key, &accepted.to_vec().into()) {
            Some(head) => self.anchors.check(head, self.env.now()).await,
            // A ledger without an entry continues nothing; it is being founded.
            None => Checked::default(),
        }
    }

    async fn write_accepted(
        &self,
        store: &Store,
        rollback: &Rollback,
        seen: Vec<Seen>,
        quorum: &str,
    ) -> Result<(), Error> {
        let against: Vec<_> = rollback.against.iter().map(|s| format!("{} {} {}", s.anchor, s.size, s.root)).collect();
        let facts = [
            ("size", rollback.size.to_string()),
            ("root", rollback.root.clone()),
            ("against", against.join("; ")),
            ("quorum", quorum.to_owned()),
        ];
        let facts = facts.each_ref().map(|(k, v)| (*k, v.as_str()));
        let draft = self.draft(&Actor::Host, "ledger.rollback_accepted", "ledger", &facts);
        let was = store.working(|set| set.version(&DocId::new(ROLLBACK)));
        let body = Accepted { seen, rest: sallyport_model::inventory::Rest::new() };
        store.commit(Change::entry(draft).put(put(ROLLBACK, was, kinds::ROLLBACK, &body)?)).await?;
        Ok(())
    }
}

/// What was accepted before.
fn accepted(store: &Store) -> Vec<Seen> {
    load::<Accepted>(store, &DocId::new(ROLLBACK), kinds::ROLLBACK).map(|d| d.value.seen).unwrap_or_default()
}

/// Whether a contradiction is one that was accepted. A witness tells no root, and never goes back: it goes on to hold
/// the size that was accepted, and stays in contradiction until it is replaced.
fn known(accepted: &[Seen], found: &Seen) -> bool {
    accepted.iter().any(|known| known == found)
}
