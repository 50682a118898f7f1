//! Identities, targets, accounts and sets for tests.

use crate::{Facts, PolicySet};
use sallyport_model::inventory::{Account, Class, Identity, IdentityKind, Rest, Target, Tier};
use sallyport_model::{AccountId, IdentityId, TargetId, Timestamp};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// 2026-11-22T10:30:00Z, a Sunday.
pub(crate) const NOW: Timestamp = Timestamp(1_795_343_400_000_000);

pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));

pub(crate) fn id_bytes(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    bytes
}

pub(crate) fn identity(handle: &str, groups: &[&str]) -> Identity {
    Identity {
        id: IdentityId::from_bytes(id_bytes(handle)),
        handle: handle.parse().unwrap(),
        kind: IdentityKind::User,
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
        ssh_keys: Vec::new(),
        disabled: false,
        retired: false,
        rest: Rest::new(),
    }
}

pub(crate) fn target(name: &str, environment: &str, tier: u8, tags: &[&str]) -> Target {
    Target {
        id: TargetId::from_bytes(id_bytes(name)),
        name: name.parse().unwrap(),
        protocol: "ssh".parse().unwrap(),
        host: "192.0.2.1".into(),
        port: 22,
        zone: "default".parse().unwrap(),
        environment: environment.parse().unwrap(),
        tier: Tier::try_from(tier).unwrap(),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        host_keys: Vec::new(),
        platform: Default::default(),
        way: Default::default(),
        rest: Rest::new(),
    }
}

pub(crate) fn account(name: &str, target: &Target, class: Class) -> Account {
    Account {
        id: AccountId::from_bytes(id_bytes(name)),
        target: target.id,
        name: name.parse().unwrap(),
        class,
        owner: None,
        secret: None,
        certificate: None,
        through: None,
        rest: Rest::new(),
    }
}

/// Built-in policies, which stand before those of the files.
pub(crate) const BUILT_IN: usize = 10;

pub(crate) fn set(text: &str) -> PolicySet {
    PolicySet::load(&[("test.cedar".into(), text.into())]).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(crate) fn facts(identity: &Identity) -> Facts<'_> {
    Facts::new(identity, NOW, HERE)
}

pub(crate) fn met(facts: &[&str]) -> BTreeSet<String> {
    facts.iter().map(|fact| (*fact).to_owned()).collect()
}
