//! What is managed: targets, accounts, identities. These are bodies of sealed documents, kept as JSON.
//!
//! Every body keeps the fields it does not know (`rest`), so that an older node never drops what
//! a newer one wrote.

use crate::name::Label;
use crate::network::Network;
use crate::rules::Grammar;
use crate::sealed::PublicKey;
use crate::way::{Accepts, Hop, Way};
use crate::{AccountId, AccountName, Handle, IdentityId, SecretId, TargetId, TargetName, Timestamp};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Fields of a newer schema, carried along untouched.
pub type Rest = serde_json::Map<String, serde_json::Value>;

/// How close to the keys of the kingdom something is: 0 identity systems, 1 servers and data, 2 the rest.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Tier {
    /// Identity systems, Sallyport's own vault and certificate authority.
    Zero,
    /// Servers and data.
    One,
    /// Workstations and the rest.
    Two,
}

impl Tier {
    /// Seconds that a session may go on while its gateway hears nothing from control:
    /// the bound on revocation under partition.
    #[must_use]
    pub const fn grace_seconds(self) -> u32 {
        match self {
            Self::Zero => 5,
            Self::One => 60,
            Self::Two => 300,
        }
    }

    /// Whether a session freezes as soon as its gateway does not hear control, instead of going on within its
    /// grace.
    #[must_use]
    pub const fn freezes(self) -> bool {
        matches!(self, Self::Zero)
    }

    /// Seconds between two anchors of a recording in the ledger.
    #[must_use]
    pub const fn anchor_seconds(self) -> u32 {
        match self {
            Self::Zero => 1,
            Self::One | Self::Two => 10,
        }
    }
}

impl TryFrom<u8> for Tier {
    type Error = String;

    fn try_from(tier: u8) -> Result<Self, String> {
        match tier {
            0 => Ok(Self::Zero),
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            other => Err(format!("tier {other} does not exist: write 0, 1 or 2")),
        }
    }
}

impl From<Tier> for u8 {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Zero => 0,
            Tier::One => 1,
            Tier::Two => 2,
        }
    }
}

/// A host key as OpenSSH prints it: algorithm and base64, without a comment.
pub type HostKey = String;

/// A key as people compare it: the SHA-256 of its bytes, as OpenSSH prints it; `None` where it is no key.
#[must_use]
pub fn fingerprint(key: &str) -> Option<String> {
    let blob = STANDARD.decode(key.split(' ').nth(1)?).ok()?;
    let hash = digest::digest(&digest::SHA256, &blob);
    Some(format!("SHA256:{}", STANDARD_NO_PAD.encode(hash.as_ref())))
}

/// What sort of system a target is: how the lines that are typed there are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Platform {
    /// A POSIX system: lines are a shell's.
    #[default]
    #[n(0)]
    Posix,
    /// Cisco IOS and what reads lines alike: words, prompts such as `core-1(config)#`, a pager that says `--More--`.
    #[n(1)]
    CiscoIos,
    /// Junos: words, prompts such as `ada@edge-1>`, a pager that says `---(more 40%)---`.
    #[n(2)]
    Junos,
    /// Another network device that reads lines of words.
    #[n(3)]
    Device,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Posix, Self::CiscoIos, Self::Junos, Self::Device];

    /// The word of inventory files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Posix => "posix",
            Self::CiscoIos => "cisco_ios",
            Self::Junos => "junos",
            Self::Device => "device",
        }
    }

    /// How its lines are read.
    #[must_use]
    pub const fn grammar(self) -> Grammar {
        match self {
            Self::Posix => Grammar::Shell,
            Self::CiscoIos | Self::Junos | Self::Device => Grammar::Device,
        }
    }

    /// Whether it is the one that is taken where nothing is said.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::word).join(", ");
        let found = Self::ALL.into_iter().find(|platform| platform.word() == word);
        found.ok_or_else(|| format!("`{word}` is no platform: write one of {}", names()))
    }
}

/// A system that can be reached.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Identity of the document.
    pub id: TargetId,
    /// Unique name, the last part of an address.
    pub name: TargetName,
    /// `ssh`, `postgres`, ...
    pub protocol: Label,
    /// Host name or IP address, without port.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Network area whose gateways reach it.
    pub zone: Label,
    /// Environment: part of the key domain of its secrets.
    pub environment: Label,
    /// Tier.
    pub tier: Tier,
    /// Free labels that policies select by.
    #[serde(default)]
    pub tags: BTreeSet<Label>,
    /// Pinned host keys; empty means that no session is possible.
    #[serde(default)]
    pub host_keys: Vec<HostKey>,
    /// What sort of system it is.
    #[serde(default, skip_serializing_if = "Platform::is_usual")]
    pub platform: Platform,
    /// How gateways get there.
    #[serde(flatten)]
    pub way: Way,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What an account is for; policies select by it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// All-powerful on its target: just-in-time or break-glass only.
    Administrative,
    /// Run by programs.
    Service,
    /// Everything else.
    Standard,
}

/// An identity on a target.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Identity of the document.
    pub id: AccountId,
    /// The target it lives on.
    pub target: TargetId,
    /// Its name there.
    pub name: AccountName,
    /// What it is for.
    pub class: Class,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Handle>,
    /// The credential, once one is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretId>,
    /// That it is opened with a certificate made for each session, whatever is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateTerms>,
    /// That nobody logs in at it: it is become, by way of another account of the same target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Through>,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Account {
    /// Whether there is something that opens it.
    #[must_use]
    pub const fn opens(&self) -> bool {
        self.secret.is_some() || self.certificate.is_some()
    }
}

/// The program of a target by which one account becomes another.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum By {
    /// `su`, which asks for the password of the account that is become.
    #[n(0)]
    Su,
    /// `sudo`, which asks for the password of the logon account, or for none.
    #[n(1)]
    Sudo,
}

impl By {
    /// The program, and the word of inventory files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Su => "su",
            Self::Sudo => "sudo",
        }
    }
}

/// The way to an account that nobody logs in at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Through {
    /// The logon account: it is on the same target, and is logged in at.
    pub account: AccountName,
    /// What is run there.
    pub by: By,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The logon account of a session, and how it becomes the account that the session is of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Logon {
    /// Its name on the target.
    #[n(0)]
    pub account: AccountName,
    /// What is run there.
    #[n(1)]
    pub by: By,
}

/// As people read it: `deploy by sudo`.
impl fmt::Display for Logon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.account, self.by.word())
    }
}

/// Why a logon account did not become the account of its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum NotBecome {
    /// The password that was asked for was not accepted.
    #[n(0)]
    Password,
    /// The program, a shell or a rule that would let it is missing on the target.
    #[n(1)]
    Refused,
    /// The program wants a terminal.
    #[n(2)]
    Terminal,
    /// It neither asked nor went on.
    #[n(3)]
    Silent,
    /// It showed more than anybody would look through for the question.
    #[n(4)]
    Flood,
    /// The channel was closed under it.
    #[n(5)]
    Gone,
}

impl NotBecome {
    /// Stable word, as figures spell it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Refused => "refused",
            Self::Terminal => "terminal",
            Self::Silent => "silent",
            Self::Flood => "flood",
            Self::Gone => "gone",
        }
    }
}

/// What the certificates say by which an account is opened.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct CertificateTerms {
    /// The name that it is good for on the target; the account's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Where it may be used from, as the target sees it; anywhere where empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub source_addresses: BTreeSet<Network>,
    /// The one command that the target runs, whatever is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_command: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

impl CertificateTerms {
    /// What is wrong with them.
    #[must_use]
    pub fn wrong(&self) -> Option<&'static str> {
        let plain = |text: &String| !text.is_empty() && text.len() <= 255 && !text.contains(char::is_control);
        if !self.principal.as_ref().is_none_or(|name| plain(name) && !name.contains(',')) {
            Some("the `principal` of a certificate is one name, without a comma")
        } else if !self.force_command.as_ref().is_none_or(plain) {
            Some("the `force_command` of a certificate is one line of at most 255 bytes")
        } else {
            None
        }
    }
}

/// What sort of identity acts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// A person.
    User,
    /// A machine identity.
    Workload,
}

/// Who acts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Identity of the document.
    pub id: IdentityId,
    /// Unique short login name, never reused.
    pub handle: Handle,
    /// Person or machine.
    pub kind: IdentityKind,
    /// Groups, the shipped roles among them (`sallyport:admin`, ...).
    #[serde(default)]
    pub groups: BTreeSet<Label>,
    /// OpenSSH public keys that sign it in: algorithm and base64, without a comment.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// Whether it may do nothing at all.
    #[serde(default)]
    pub disabled: bool,
    /// Whether it was removed. What is left of it, disabled and empty, keeps its handle from being used
    /// again: the ledger's past must not come to speak of somebody else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A short-lived token: the server keeps a keyed hash only.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Identity of the document.
    pub id: crate::TokenId,
    /// Whose it is.
    pub identity: IdentityId,
    /// HMAC-SHA256 of the token's text under the vault's authentication key: its epoch, `:`, hexadecimal.
    pub verifier: String,
    /// When it stops working.
    pub expires: Timestamp,
    /// What it is for, in the owner's words.
    #[serde(default)]
    pub label: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What a gateway must know of a target to dial it: sent with a permit, never taken from a client.
#[derive(Clone, Debug, Eq, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Place {
    /// The target's name.
    #[n(0)]
    pub target: TargetName,
    /// Host name or IP address.
    #[n(1)]
    pub host: String,
    /// TCP port.
    #[n(2)]
    pub port: u16,
    /// The account's name on the target.
    #[n(3)]
    pub account: AccountName,
    /// Pinned host keys: algorithm and base64.
    #[n(4)]
    pub host_keys: Vec<HostKey>,
    /// Seconds of grace without control (from the tier).
    #[n(5)]
    pub grace: u32,
    /// Seconds between anchors (from the tier).
    #[n(6)]
    pub anchor: u32,
    /// Whether the session freezes while control is not heard (from the tier).
    #[n(7)]
    pub freezes: bool,
    /// The account that is logged in at, where that is another one.
    #[n(8)]
    pub logon: Option<Logon>,
    /// How the lines that are typed there are read.
    #[cbor(n(9), default)]
    pub platform: Platform,
    /// Jump hosts on the way, the outermost first.
    #[n(10)]
    pub hops: Vec<Hop>,
    /// What else the target may show and speak.
    #[n(11)]
    pub accepts: Accepts,
}

impl Place {
    /// The name that is logged in with.
    #[must_use]
    pub fn login(&self) -> &AccountName {
        self.logon.as_ref().map_or(&self.account, |logon| &logon.account)
    }

    /// The same, where nothing but a post-quantum key exchange is spoken with the target and every jump host.
    #[must_use]
    pub fn post_quantum(mut self) -> Self {
        let hops = self.hops.iter_mut().map(|hop| &mut hop.accepts);
        hops.chain([&mut self.accepts]).for_each(|accepts| accepts.post_quantum = true);
        self
    }
}

/// The public half of a session, under which control seals what it lends.
pub type SessionKey = PublicKey;
