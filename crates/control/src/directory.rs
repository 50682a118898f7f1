//! Small indexes over the working set: names to ids. Bodies stay raw and are parsed on demand.

use sallyport_model::inventory::{Account, Identity, Target, Token};
use sallyport_model::sign_in::{Device, Factor, Link};
use sallyport_model::{
    AccountId, AccountName, DeviceId, FactorId, Handle, IdentityId, LinkId, TargetId, TargetName, Timestamp, TokenId,
};
use sallyport_store::{Claim, DocId, Document, Store};
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The kinds of documents that control writes.
pub(crate) mod kinds {
    pub(crate) const ACCOUNT: &str = "account";
    pub(crate) const DEVICE: &str = "device";
    pub(crate) const FACTOR: &str = "factor";
    pub(crate) const IDENTITY: &str = "identity";
    pub(crate) const KEYRING: &str = "keyring";
    pub(crate) const LINK: &str = "link";
    pub(crate) const NODES: &str = "nodes";
    pub(crate) const PENDING: &str = "pending_login";
    pub(crate) const POLICY: &str = "policy";
    pub(crate) const ROLLBACK: &str = "rollback";
    pub(crate) const ROTATION: &str = "rotation";
    pub(crate) const SECRET: &str = "secret";
    pub(crate) const SESSION: &str = "session";
    pub(crate) const SETTING: &str = "setting";
    pub(crate) const SLOT: &str = "slot";
    pub(crate) const SSH_CERTIFICATE: &str = "ssh_certificate";
    pub(crate) const TARGET: &str = "target";
    pub(crate) const TOKEN: &str = "token";
    pub(crate) const VERSION: &str = "secret_version";

    /// Every kind: what is carried over when the key of their MACs is rotated.
    pub(crate) const ALL: &[&str] = &[
        ACCOUNT,
        DEVICE,
        FACTOR,
        IDENTITY,
        KEYRING,
        LINK,
        NODES,
        PENDING,
        POLICY,
        ROLLBACK,
        ROTATION,
        SECRET,
        SESSION,
        SETTING,
        SLOT,
        SSH_CERTIFICATE,
        TARGET,
        TOKEN,
        VERSION,
    ];
}

/// A parsed document and the version it had.
#[derive(Clone, Debug)]
pub(crate) struct Versioned<T> {
    pub(crate) version: u64,
    pub(crate) value: T,
}

#[derive(Default)]
struct Maps {
    targets: HashMap<TargetName, TargetId>,
    accounts: HashMap<(TargetId, AccountName), AccountId>,
    identities: HashMap<Handle, IdentityId>,
    ssh_keys: HashMap<String, IdentityId>,
    tokens: HashMap<String, (TokenId, IdentityId, Timestamp)>,
    cookies: HashMap<String, DeviceId>,
    links: HashMap<String, LinkId>,
    factors: HashMap<IdentityId, BTreeSet<FactorId>>,
    devices: HashMap<IdentityId, BTreeSet<DeviceId>>,
    /// Counts changes of targets and accounts.
    places: u64,
    /// What a document put into the maps, so that its next version can take it out again.
    keys: HashMap<DocId, Vec<Key>>,
}

enum Key {
    Target(TargetName),
    Account(TargetId, AccountName),
    Identity(Handle),
    Ssh(String),
    Token(String),
    Device(IdentityId, DeviceId, String),
    Factor(IdentityId, FactorId),
    Link(String),
}

/// Finds documents by name.
#[derive(Default)]
pub(crate) struct Directory(RwLock<Maps>);

impl Directory {
    fn read(&self) -> RwLockReadGuard<'_, Maps> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Maps> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a document, new or changed.
    pub(crate) fn put(&self, id: &DocId, document: &Document) {
        let mut maps = self.write();
        maps.forget(id);
        maps.places += u64::from(matches!(&*document.kind, kinds::TARGET | kinds::ACCOUNT));
        let keys = match &*document.kind {
            kinds::TARGET => parse::<Target>(document).map(|target| {
                maps.targets.insert(target.name.clone(), target.id);
                vec![Key::Target(target.name)]
            }),
            kinds::ACCOUNT => parse::<Account>(document).map(|account| {
                maps.accounts.insert((account.target, account.name.clone()), account.id);
                vec![Key::Account(account.target, account.name)]
            }),
            kinds::IDENTITY => parse::<Identity>(document).map(|identity| {
                maps.identities.insert(identity.handle.clone(), identity.id);
                let mut keys = vec![Key::Identity(identity.handle)];
                for key in identity.ssh_keys {
                    maps.ssh_keys.insert(key.clone(), identity.id);
                    keys.push(Key::Ssh(key));
                }
                keys
            }),
            kinds::TOKEN => parse::<Token>(document).map(|token| {
                maps.tokens.insert(token.verifier.clone(), (token.id, token.identity, token.expires));
                vec![Key::Token(token.verifier)]
            }),
            kinds::DEVICE => parse::<Device>(document).map(|device| {
                maps.cookies.insert(device.verifier.clone(), device.id);
                maps.devices.entry(device.identity).or_default().insert(device.id);
                vec![Key::Device(device.identity, device.id, device.verifier)]
            }),
            kinds::FACTOR => parse::<Factor>(document).map(|factor| {
                maps.factors.entry(factor.identity).or_default().insert(factor.id);
                vec![Key::Factor(factor.identity, factor.id)]
            }),
            kinds::LINK => parse::<Link>(document).map(|link| {
                maps.links.insert(link.verifier.clone(), link.id);
                vec![Key::Link(link.verifier)]
            }),
            _ => None,
        };
        if let Some(keys) = keys {
            maps.keys.insert(id.clone(), keys);
        }
    }

    /// Forgets a deleted document.
    pub(crate) fn delete(&self, id: &DocId) {
        self.write().forget(id);
    }

    /// Grows with every change of a target or an account.
    pub(crate) fn places(&self) -> u64 {
        self.read().places
    }

    pub(crate) fn target(&self, name: &TargetName) -> Option<TargetId> {
        self.read().targets.get(name).copied()
    }

    pub(crate) fn account(&self, target: TargetId, name: &AccountName) -> Option<AccountId> {
        self.read().accounts.get(&(target, name.clone())).copied()
    }

    pub(crate) fn identity(&self, handle: &Handle) -> Option<IdentityId> {
        self.read().identities.get(handle).copied()
    }

    pub(crate) fn ssh_key(&self, key: &str) -> Option<IdentityId> {
        self.read().ssh_keys.get(key).copied()
    }

    pub(crate) fn token(&self, verifier: &str) -> Option<(TokenId, IdentityId, Timestamp)> {
        self.read().tokens.get(verifier).copied()
    }

    pub(crate) fn cookie(&self, verifier: &str) -> Option<DeviceId> {
        self.read().cookies.get(verifier).copied()
    }

    pub(crate) fn link(&self, verifier: &str) -> Option<LinkId> {
        self.read().links.get(verifier).copied()
    }

    pub(crate) fn factors(&self, identity: IdentityId) -> Vec<FactorId> {
        self.read().factors.get(&identity).into_iter().flatten().copied().collect()
    }

    pub(crate) fn devices(&self, identity: IdentityId) -> Vec<DeviceId> {
        self.read().devices.get(&identity).into_iter().flatten().copied().collect()
    }
}

/// Claims to names: refused where this directory knows an owner by then. Everything that other nodes wrote is in it when
/// the store asks.
impl Directory {
    pub(crate) fn claim_target(self: &Arc<Self>, name: &TargetName) -> Claim {
        let (own, wanted) = (self.clone(), name.clone());
        Claim::new(format_args!("target {name}"), move || own.target(&wanted).is_none())
    }

    pub(crate) fn claim_account(self: &Arc<Self>, target: TargetId, name: &AccountName) -> Claim {
        let (own, wanted) = (self.clone(), name.clone());
        Claim::new(format_args!("account {name} of {target}"), move || own.account(target, &wanted).is_none())
    }

    pub(crate) fn claim_handle(self: &Arc<Self>, handle: &Handle) -> Claim {
        let (own, wanted) = (self.clone(), handle.clone());
        Claim::new(format_args!("handle {handle}"), move || own.identity(&wanted).is_none())
    }

    pub(crate) fn claim_ssh_key(self: &Arc<Self>, key: &str) -> Claim {
        let (own, wanted) = (self.clone(), key.to_owned());
        Claim::new(format_args!("key {key}"), move || own.ssh_key(&wanted).is_none())
    }
}

impl Maps {
    fn forget(&mut self, id: &DocId) {
        for key in self.keys.remove(id).unwrap_or_default() {
            self.places += u64::from(matches!(key, Key::Target(_) | Key::Account(..)));
            match key {
                Key::Target(name) => release(&mut self.targets, &name, id),
                Key::Account(target, name) => release(&mut self.accounts, &(target, name), id),
                Key::Identity(handle) => release(&mut self.identities, &handle, id),
                Key::Ssh(key) => release(&mut self.ssh_keys, &key, id),
                Key::Token(verifier) => drop(self.tokens.remove(&verifier)),
                Key::Link(verifier) => drop(self.links.remove(&verifier)),
                Key::Device(identity, device, verifier) => {
                    self.cookies.remove(&verifier);
                    remove_from(&mut self.devices, identity, device);
                }
                Key::Factor(identity, factor) => remove_from(&mut self.factors, identity, factor),
            }
        }
    }
}

fn remove_from<T: Ord>(map: &mut HashMap<IdentityId, BTreeSet<T>>, of: IdentityId, what: T) {
    if let Some(set) = map.get_mut(&of) {
        set.remove(&what);
        if set.is_empty() {
            map.remove(&of);
        }
    }
}

/// Gives a key back, unless another document has taken it meanwhile: documents of one commit come in any order.
fn release<K: Eq + Hash, V: Display>(map: &mut HashMap<K, V>, key: &K, owner: &DocId) {
    if map.get(key).is_some_and(|found| DocId::new(found) == *owner) {
        map.remove(key);
    }
}

/// The body of a document. A body that does not parse is treated as absent, and said so loudly:
/// its MAC was right, so it was written by a newer node.
pub(crate) fn parse<T: DeserializeOwned>(document: &Document) -> Option<T> {
    serde_json::from_slice(&document.body)
        .inspect_err(
            |error| tracing::error!(kind = &*document.kind, %error, "A document is not readable by this version"),
        )
        .ok()
}

/// One document, parsed.
pub(crate) fn load<T: DeserializeOwned>(store: &Store, id: &DocId, kind: &str) -> Option<Versioned<T>> {
    store.working(|set| {
        let document = set.get(id).filter(|d| &*d.kind == kind)?;
        Some(Versioned { version: document.version, value: parse(document)? })
    })
}

/// All documents of a kind, parsed.
pub(crate) fn all<T: DeserializeOwned>(store: &Store, kind: &str) -> Vec<(DocId, Versioned<T>)> {
    store.working(|set| {
        set.of_kind(kind)
            .filter_map(|(id, document)| {
                Some((id.clone(), Versioned { version: document.version, value: parse(document)? }))
            })
            .collect()
    })
}
