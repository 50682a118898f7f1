//! The `state` fact of an entry: what it did to which documents, as leaves of the state root.

use crate::change::{DocId, Error};
use crate::state::Hash;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use sallyport_ledger::Entry;

/// Name of the fact.
pub(crate) const FACT: &str = "state";

/// What an entry says it did to a document; `None` is absent.
pub(crate) struct Effect {
    pub(crate) id: DocId,
    pub(crate) old: Option<Hash>,
    pub(crate) new: Option<Hash>,
}

impl Effect {
    /// `id=old>new`, with `-` for absent.
    pub(crate) fn text(&self) -> String {
        let token = |leaf: Option<Hash>| leaf.map_or_else(|| "-".into(), |hash| BASE64.encode(hash));
        format!("{}={}>{}", self.id, token(self.old), token(self.new))
    }

    fn parse(text: &str) -> Option<Self> {
        let leaf = |text: &str| match text {
            "-" => Some(None),
            text => BASE64.decode(text).ok().and_then(|b| Hash::try_from(b).ok()).map(Some),
        };
        let (id, leaves) = text.split_once('=')?;
        let (old, new) = leaves.split_once('>')?;
        Some(Self { id: DocId::new(id), old: leaf(old)?, new: leaf(new)? })
    }
}

/// Reads the effects of an entry, in their order.
pub(crate) fn effects(entry: &Entry, index: u64) -> Result<Vec<Effect>, Error> {
    let Some(text) = entry.facts.get(FACT) else { return Ok(Vec::new()) };
    let read: Option<_> = text.split(' ').map(Effect::parse).collect();
    read.ok_or_else(|| Error::Head(format!("entry {index} has an unreadable `state` fact")))
}
