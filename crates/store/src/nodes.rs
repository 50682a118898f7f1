//! The nodes of one ledger: whose keys may sign its head. One sealed document lists them.

use crate::change::{DocId, Error, Put};
use crate::working::{Document, WorkingSet};
use sallyport_ledger::Verifier;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Identity of the document.
const ID: &str = "nodes";

/// The keys of a ledger's nodes, by the names that nodes have in entries.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Nodes(BTreeMap<String, Verifier>);

impl Nodes {
    /// Kind of the document that lists them.
    pub const KIND: &str = "nodes";

    /// The document that lists them.
    #[must_use]
    pub fn id() -> DocId {
        DocId::new(ID)
    }

    /// The nodes that a working set lists, and the version of that list; empty and 0 where there is none.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn of(set: &WorkingSet) -> Result<(Self, u64), Error> {
        set.get(&Self::id()).map_or(Ok((Self::default(), 0)), |found| Ok((Self::read(found)?, found.version)))
    }

    pub(crate) fn read(document: &Document) -> Result<Self, Error> {
        let bad = || Error::Head("the list of this ledger's nodes cannot be read".into());
        let body: Value = serde_json::from_slice(&document.body).map_err(|_| bad())?;
        let listed = body.get("nodes").and_then(Value::as_object).ok_or_else(bad)?;
        let key = |(name, key): (&String, &Value)| {
            Some((name.clone(), key.as_str().and_then(|text| Verifier::parse(text).ok())?))
        };
        listed.iter().map(key).collect::<Option<_>>().map(Self).ok_or_else(bad)
    }

    /// The same nodes and one more.
    ///
    /// # Errors
    /// When a node of this name, or with this key, is listed already.
    pub fn with(mut self, name: &str, key: &Verifier) -> Result<Self, Error> {
        if let Some((other, _)) = self.0.iter().find(|(other, known)| *other == name || *known == key) {
            return Err(Error::Place(format!(
                "a node `{other}` is listed in this ledger already: give this one its own `node` name and key"
            )));
        }
        self.0.insert(name.to_owned(), key.clone());
        Ok(self)
    }

    /// The same nodes without one; `None` where it is not listed.
    #[must_use]
    pub fn without(mut self, name: &str) -> Option<Self> {
        self.0.remove(name).map(|_| self)
    }

    /// Name and key of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Verifier)> {
        self.0.iter().map(|(name, key)| (name.as_str(), key))
    }

    /// The key of a node.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&Verifier> {
        self.0.get(name)
    }

    /// The list as a document to write over that version.
    #[must_use]
    pub fn put(&self, was: u64) -> Put {
        let listed: Map<String, Value> = self.iter().map(|(name, key)| (name.into(), key.to_string().into())).collect();
        let body = Value::Object(Map::from_iter([("nodes".to_owned(), Value::Object(listed))]));
        Put { id: Self::id(), was, kind: Self::KIND, schema: 1, body: body.to_string().into_bytes() }
    }

    pub(crate) fn verifiers(&self) -> Vec<&Verifier> {
        self.0.values().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
