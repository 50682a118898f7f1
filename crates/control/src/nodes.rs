//! The nodes of an installation: whose keys sign its ledger, and letting go of one that is gone.

use crate::access::closed;
use crate::control::Open;
use crate::directory::{Versioned, all, kinds};
use crate::relay::way;
use crate::sessions::SessionBody;
use crate::{Actor, Control, Error, Op};
use sallyport_ledger::{KeySet, VOUCHED};
use sallyport_model::access::EndReason;
use sallyport_model::authority::{Anchor, Close};
use sallyport_model::{EntryId, SessionId};
use sallyport_policy::Right;
use sallyport_store::{Change, Filter, Nodes};
use std::collections::BTreeSet;

/// A node of the installation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeLine {
    /// Its name in entries.
    pub name: String,
    /// The key that signs the ledger for it, as a verifier key.
    pub key: String,
    /// Whether it is the one that answers.
    pub here: bool,
    /// Sessions that were opened through it and have not ended.
    pub sessions: usize,
}

impl Control {
    /// The nodes that may write the ledger.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub fn nodes(&self, op: &Op) -> Result<Vec<NodeLine>, Error> {
        self.require(op, Right::LedgerRead)?;
        let open = self.opened()?;
        let (nodes, _) = open.store.working(Nodes::of)?;
        let sessions = all::<SessionBody>(&open.store, kinds::SESSION);
        let line = |(name, key): (&str, &sallyport_ledger::Verifier)| NodeLine {
            name: name.to_owned(),
            key: key.to_string(),
            here: name == self.node(),
            sessions: sessions.iter().filter(|(_, session)| session.value.node == name).count(),
        };
        Ok(nodes.iter().map(line).collect())
    }

    /// Lets go of a node that is gone for good: its key signs nothing more, it stops if it still runs, and its
    /// sessions are closed as what they are, orphans whose recordings end where the ledger last heard of them. All of
    /// that is one commit. Tells how many sessions were closed.
    ///
    /// # Errors
    /// When the actor lacks the right, there is no such node, or it is the one that is asked.
    pub async fn remove_node(&self, op: &Op, name: &str) -> Result<usize, Error> {
        self.require(op, Right::NodeRemove)?;
        if name == self.node() {
            return Err(Error::usage("this is the node that you speak to: ask another one to let it go"));
        }
        let open = self.opened()?;
        loop {
            let (nodes, was) = open.store.working(Nodes::of)?;
            let key = nodes.key(name).map(ToString::to_string).unwrap_or_default();
            let unknown = || Error::NotFound(format!("there is no node `{name}`: `sallyport node list` names them"));
            let nodes = nodes.without(name).ok_or_else(unknown)?;
            let draft = self.draft(&op.actor, "node.removed", name, &[("ledger_key", &key)]);
            let change = Change::entry(draft).put(nodes.put(was));
            let mut changes = vec![match open.store.working(|set| set.version(&way(name))) {
                0 => change,
                known => change.delete(way(name), known),
            }];
            let sessions = all::<SessionBody>(&open.store, kinds::SESSION);
            for (_, session) in sessions.into_iter().filter(|(_, session)| session.value.node == name) {
                changes.push(self.orphaned(session).await?);
            }
            let count = changes.len().saturating_sub(1);
            match open.store.commit_all(changes).await {
                Ok(_) => return Ok(count),
                // A session ended, or the list was changed, in this moment: look again.
                Err(sallyport_store::Error::Conflict(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// The end of a session whose node is gone, and its recording with it.
    async fn orphaned(&self, session: Versioned<SessionBody>) -> Result<Change, Error> {
        let id = session.value.id;
        let note = "its node was removed; what the recording held behind the last anchor is on that node".to_owned();
        let anchor = self.last_anchor(id).await?;
        let close = Close {
            session: id,
            reason: EndReason::Orphan,
            anchor,
            complete: false,
            bytes: (0, 0),
            note,
            frozen: 0,
            exchanges: Vec::new(),
            not_become: None,
        };
        Ok(closed(self, EntryId::new(&self.env), &session, &close))
    }

    /// Vouches, with this node's ledger key, for the keys of nodes that it has not vouched for yet. Whoever trusts one
    /// key of the ledger reaches the others by these notes, without the database.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) async fn vouch(&self, open: &Open) -> Result<(), Error> {
        let (nodes, _) = open.store.working(Nodes::of)?;
        let strange = |known: &BTreeSet<String>| {
            let others = nodes.iter().filter(|(name, key)| *name != self.node() && !known.contains(&key.to_string()));
            others.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
        };
        let mut known = open.vouched.lock().await;
        if strange(&known).is_empty() || nodes.key(self.node()).is_none() {
            return Ok(());
        }
        let keys = self.node_keys(open.cluster)?;
        let own = [keys.signer.verifier()];
        for note in self.vouchers(open).await? {
            let set = KeySet::open(&note, &keys.origin, &own);
            known.extend(set.into_iter().flat_map(|set| set.keys).map(|key| key.to_string()));
        }
        let names = strange(&known);
        if names.is_empty() {
            return Ok(());
        }
        let set = KeySet { origin: keys.origin, keys: nodes.iter().map(|(_, key)| key.clone()).collect() };
        let note = set.sign(&keys.signer).map_err(Error::failed)?;
        let draft = self.draft(&Actor::System("nodes"), VOUCHED, names, &[("note", &note)]);
        open.store.commit(Change::entry(draft)).await?;
        known.extend(set.keys.iter().map(ToString::to_string));
        Ok(())
    }

    /// The notes by which nodes vouch for each other's keys, oldest first.
    pub(crate) async fn vouchers(&self, open: &Open) -> Result<Vec<String>, Error> {
        let filter = Filter { actions: vec![VOUCHED.into()], limit: 1000, ..Filter::default() };
        let rows = open.store.entries(&filter).await?;
        Ok(rows.into_iter().map(|row| row.entry.fact("note").to_owned()).collect())
    }

    async fn last_anchor(&self, session: SessionId) -> Result<Anchor, Error> {
        let actions = vec!["recording.anchor".into()];
        let filter = Filter { session: Some(session), actions, newest_first: true, limit: 1, ..Filter::default() };
        let rows = self.opened()?.store.entries(&filter).await?;
        let known = rows.first().and_then(|row| {
            let (segments, chain) = (row.entry.fact("segments"), row.entry.fact("chain"));
            Some(Anchor { session, segments: segments.parse().ok()?, chain: hex::decode(chain).ok()? })
        });
        Ok(known.unwrap_or_else(|| Anchor { session, segments: 0, chain: vec![0; 32] }))
    }
}
