//! The way to a target: the jump hosts that a gateway goes over, and what an SSH server on it may show and speak.

use crate::access::LeaseKind;
use crate::inventory::HostKey;
use crate::name::BadName;
use crate::{AccountName, Address, TargetName, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Jump hosts on the way to one target, at most.
pub const MOST_HOPS: usize = 4;

/// An account on a target, spelled as addresses spell it: `account@target`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Jump {
    /// The account on the jump host.
    pub account: AccountName,
    /// The jump host: a target like any other.
    pub target: TargetName,
}

impl FromStr for Jump {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.parse()? {
            Address::Place { handle: None, account, target } => Ok(Self { account, target }),
            Address::Place { .. } => Err(BadName::Account),
            Address::Chooser { .. } => Err(BadName::Target),
        }
    }
}

impl TryFrom<String> for Jump {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|bad| format!("`{text}` is no jump host: write `account@target` ({bad})"))
    }
}

impl From<Jump> for String {
    fn from(jump: Jump) -> Self {
        jump.to_string()
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (account, target) = (self.account.clone(), self.target.clone());
        Address::Place { handle: None, account, target }.fmt(f)
    }
}

/// How a gateway gets to a target: a part of its document.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// The jump host next to it, which may have one itself; absent where gateways reach it directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Jump>,
    /// Keys of OpenSSH authorities: what they have certified as this host counts like a pinned key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_authorities: Vec<HostKey>,
    /// Names beside its host that such a certificate may be of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub host_aliases: BTreeSet<String>,
    /// Old algorithms that are spoken with it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceptions: Option<Exceptions>,
    /// Whether nothing but a post-quantum key exchange is spoken with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub post_quantum: bool,
    /// Every jump host on the way, the outermost first, as the documents had them when this target was looked up. Never
    /// stored: documents change. Where one is missing the way begins with what is missing.
    #[serde(skip)]
    pub jumps: Vec<Jump>,
}

/// Old algorithms that are spoken with one target, why, and until when.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Exceptions {
    /// Names of SSH algorithms, of a closed table.
    pub algorithms: BTreeSet<String>,
    /// Why.
    pub reason: String,
    /// From then on they are as if they were not there.
    pub until: Timestamp,
}

impl Way {
    /// What the SSH server of this target may show and speak at this time.
    #[must_use]
    pub fn accepts(&self, host: &str, now: Timestamp) -> Accepts {
        let holds = self.exceptions.as_ref().filter(|exceptions| now < exceptions.until);
        let names = [host.to_owned()].into_iter().chain(self.host_aliases.iter().cloned());
        Accepts {
            authorities: self.host_authorities.clone(),
            names: if self.host_authorities.is_empty() { Vec::new() } else { names.collect() },
            exceptions: holds.iter().flat_map(|exceptions| exceptions.algorithms.iter().cloned()).collect(),
            ended: self.exceptions.as_ref().filter(|_| holds.is_none()).map(|exceptions| exceptions.until),
            post_quantum: self.post_quantum,
        }
    }
}

/// What an SSH server may show beside its pinned keys, and speak beside what all speak.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Accepts {
    /// Keys of authorities whose certificates count like pinned keys: algorithm and base64.
    #[n(0)]
    pub authorities: Vec<HostKey>,
    /// Names, one of which a certificate must be good for.
    #[n(1)]
    pub names: Vec<String>,
    /// Old algorithms that are spoken by exception.
    #[n(2)]
    pub exceptions: Vec<String>,
    /// When its exceptions ended, where they have.
    #[n(3)]
    pub ended: Option<Timestamp>,
    /// Whether nothing but a post-quantum key exchange is spoken.
    #[n(4)]
    pub post_quantum: bool,
}

/// What one leg of a session agreed on.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Exchange {
    /// `client`, a jump host as `account@target`, or `target`.
    #[n(0)]
    pub leg: String,
    /// Names of algorithms: key exchange, host key, and what protects packets.
    #[n(1)]
    pub algorithms: String,
    /// Those of them that were spoken by exception.
    #[n(2)]
    pub exceptions: Vec<String>,
}

/// What a gateway must know of a jump host to go through it.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Hop {
    /// The jump host's name.
    #[n(0)]
    pub target: TargetName,
    /// Host name or IP address, as the hop before it knows it.
    #[n(1)]
    pub host: String,
    /// TCP port.
    #[n(2)]
    pub port: u16,
    /// The account's name there.
    #[n(3)]
    pub account: AccountName,
    /// Its own pinned host keys, never another's: algorithm and base64.
    #[n(4)]
    pub host_keys: Vec<HostKey>,
    /// What may be done with the account's credential.
    #[n(5)]
    pub lease: LeaseKind,
    /// What else it may show and speak.
    #[n(6)]
    pub accepts: Accepts,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (account, target) = (self.account.clone(), self.target.clone());
        Jump { account, target }.fmt(f)
    }
}

/// Which credential of a session is meant.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Encode, Decode)]
pub enum Stop {
    /// The target's.
    #[default]
    #[n(0)]
    Target,
    /// That of a jump host, counted from the outermost, which is 0.
    #[n(1)]
    Hop(#[n(0)] u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_host_is_an_account_on_a_target() {
        let jump: Jump = "ops@bastion".parse().unwrap();
        assert_eq!((jump.account.as_str(), jump.target.as_str()), ("ops", "bastion"));
        let odd: Jump = "a%40b@bastion".parse().unwrap();
        assert_eq!((odd.account.as_str(), odd.to_string().as_str()), ("a@b", "a%40b@bastion"));
        for wrong in ["bastion", "", "@bastion", "ops@", "ada+ops@bastion", "ops@Bastion", "ops@a@b"] {
            assert!(wrong.parse::<Jump>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn exceptions_are_there_until_they_end() {
        let algorithms = BTreeSet::from(["ssh-rsa".to_owned()]);
        let until = Timestamp(1_000);
        let way =
            Way { exceptions: Some(Exceptions { algorithms, reason: "no update".into(), until }), ..Way::default() };
        let before = way.accepts("10.0.0.7", Timestamp(999));
        assert_eq!((before.exceptions.as_slice(), before.ended), (["ssh-rsa".to_owned()].as_slice(), None));
        let after = way.accepts("10.0.0.7", Timestamp(1_000));
        assert_eq!((after.exceptions.len(), after.ended), (0, Some(until)));
    }

    #[test]
    fn a_way_is_kept_without_what_was_looked_up() {
        let via: Jump = "ops@bastion".parse().unwrap();
        let way = Way { via: Some(via.clone()), jumps: vec![via], ..Way::default() };
        let kept = serde_json::to_string(&way).unwrap();
        assert_eq!(kept, r#"{"via":"ops@bastion"}"#);
        assert_eq!(serde_json::from_str::<Way>(&kept).unwrap().jumps, []);
        let wrong = serde_json::from_str::<Way>(r#"{"via":"bastion"}"#).unwrap_err().to_string();
        assert!(wrong.contains("write `account@target`"), "{wrong}");
    }
}
