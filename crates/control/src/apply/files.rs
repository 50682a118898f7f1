//! The files of a checkout: what they may say, and every mistake in them at once.

use super::ApplyFile;
use crate::{Error, route};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sallyport_model::inventory::{By, CertificateTerms, Class, IdentityKind, Platform, Rest, Through, Tier};
use sallyport_model::name::Label;
use sallyport_model::way::{Jump, Way};
use sallyport_model::{AccountName, Handle, Network, TargetName};
use sallyport_policy::PolicySet;
use sallyport_policy::rules::RULES_FILE;
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InventoryFile {
    #[serde(default)]
    pub(super) identity: Vec<IdentityLine>,
    #[serde(default)]
    pub(super) target: Vec<TargetLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityLine {
    pub(super) handle: Handle,
    #[serde(default)]
    pub(super) kind: Option<IdentityKind>,
    #[serde(default)]
    pub(super) groups: BTreeSet<Label>,
    #[serde(default)]
    pub(super) ssh_keys: Vec<String>,
    #[serde(default)]
    pub(super) disabled: bool,
    /// Says that somebody who was removed is back: the same person under the same handle.
    #[serde(default)]
    pub(super) returns: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetLine {
    pub(super) name: TargetName,
    #[serde(default = "ssh")]
    pub(super) protocol: Label,
    pub(super) host: String,
    #[serde(default)]
    pub(super) port: Option<u16>,
    #[serde(default = "default_label")]
    pub(super) zone: Label,
    #[serde(default = "default_label")]
    pub(super) environment: Label,
    pub(super) tier: Tier,
    #[serde(default)]
    pub(super) tags: BTreeSet<Label>,
    #[serde(default)]
    pub(super) host_keys: Vec<String>,
    /// The jump host next to it, as `account@target`.
    #[serde(default)]
    via: Option<Jump>,
    #[serde(default)]
    host_authorities: Vec<String>,
    #[serde(default)]
    host_aliases: BTreeSet<String>,
    #[serde(default)]
    exceptions: Option<ExceptionsLine>,
    #[serde(default)]
    post_quantum: bool,
    #[serde(default)]
    pub(super) platform: Platform,
    #[serde(default)]
    pub(super) account: Vec<AccountLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptionsLine {
    algorithms: BTreeSet<String>,
    reason: String,
    until: When,
}

/// A day or an instant, in quotes or as TOML has them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum When {
    Text(String),
    Toml(toml::value::Datetime),
}

impl TargetLine {
    /// How it is reached, as the line says.
    ///
    /// # Errors
    /// When something of that cannot be.
    pub(super) fn way(&self) -> Result<Way, Error> {
        let made = |line: &ExceptionsLine| {
            let until = match &line.until {
                When::Text(text) => text.clone(),
                When::Toml(time) => time.to_string(),
            };
            route::exceptions(line.algorithms.clone(), &line.reason, &until)
        };
        let way = Way {
            via: self.via.clone(),
            host_authorities: public_keys(&self.host_authorities),
            host_aliases: self.host_aliases.clone(),
            exceptions: self.exceptions.as_ref().map(made).transpose()?,
            post_quantum: self.post_quantum,
            jumps: Vec::new(),
        };
        route::wrong(self.protocol.as_str(), &way).map_or(Ok(way), |wrong| Err(Error::usage(wrong)))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountLine {
    pub(super) name: AccountName,
    pub(super) class: Class,
    #[serde(default)]
    pub(super) owner: Option<Handle>,
    /// That it is opened with a certificate made for each session; empty where nothing is special about it.
    #[serde(default)]
    pub(super) certificate: Option<CertificateLine>,
    /// That it is become by way of another account.
    #[serde(default)]
    pub(super) through: Option<ThroughLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThroughLine {
    account: AccountName,
    by: By,
}

impl From<ThroughLine> for Through {
    fn from(line: ThroughLine) -> Self {
        Self { account: line.account, by: line.by, rest: Rest::new() }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CertificateLine {
    #[serde(default)]
    principal: Option<String>,
    #[serde(default)]
    source_addresses: BTreeSet<Network>,
    #[serde(default)]
    force_command: Option<String>,
}

impl From<&CertificateLine> for CertificateTerms {
    fn from(line: &CertificateLine) -> Self {
        let CertificateLine { principal, source_addresses, force_command } = line.clone();
        Self { principal, source_addresses, force_command, rest: Rest::new() }
    }
}

#[expect(clippy::unwrap_used, reason = "two literals that the grammar allows, as a test shows")]
pub(super) fn ssh() -> Label {
    "ssh".parse().unwrap()
}

#[expect(clippy::unwrap_used, reason = "two literals that the grammar allows, as a test shows")]
pub(crate) fn default_label() -> Label {
    "default".parse().unwrap()
}

/// Desired state, checked.
pub(super) struct Desired {
    pub(super) identities: Vec<IdentityLine>,
    pub(super) targets: Vec<TargetLine>,
    pub(super) policy: PolicySet,
    pub(super) policy_files: Vec<(String, String)>,
}

/// Parses and checks every file; all mistakes are reported at once.
pub(super) fn check(files: &[ApplyFile]) -> Result<Desired, Error> {
    let mut wrong = Vec::new();
    let mut identities = Vec::new();
    let mut targets = Vec::new();
    let mut policy_files = Vec::new();
    for file in files {
        if file.name.ends_with(".cedar") || file.name.ends_with(RULES_FILE) {
            policy_files.push((file.name.clone(), file.text.clone()));
        } else if file.name.ends_with(".toml") {
            match toml::from_str::<InventoryFile>(&file.text) {
                Ok(parsed) => {
                    identities.extend(parsed.identity);
                    targets.extend(parsed.target);
                }
                Err(error) => wrong.push(format!("{}: {}", file.name, error.to_string().trim())),
            }
        } else {
            wrong.push(format!(
                "{}: only `*.cedar` policies, `*.rules.toml` rule sets and `*.toml` inventory files are read",
                file.name
            ));
        }
    }
    if files.is_empty() {
        wrong.push("there is no file to apply: put `*.cedar` and `*.toml` files into the directory".into());
    }
    doubles(identities.iter().map(|i: &IdentityLine| i.handle.to_string()), "identity", &mut wrong);
    doubles(targets.iter().map(|t: &TargetLine| t.name.to_string()), "target", &mut wrong);
    for target in &targets {
        doubles(target.account.iter().map(|a| format!("{}@{}", a.name, target.name)), "account", &mut wrong);
        for account in &target.account {
            let name = format!("{}@{}", account.name, target.name);
            match account.certificate.as_ref().map(|line| CertificateTerms::from(line).wrong()) {
                Some(_) if target.protocol.as_str() != "ssh" => {
                    wrong.push(format!("account {name}: `certificate` is for targets that speak ssh"));
                }
                Some(Some(what)) => wrong.push(format!("account {name}: {what}")),
                _ => {}
            }
            if account.through.is_some() && target.protocol.as_str() != "ssh" {
                wrong.push(format!("account {name}: `through` is for targets that speak ssh"));
            }
        }
        if let Err(error) = target.way() {
            wrong.push(format!("target {}: {error}", target.name));
        }
        if !host_fits(&target.host) {
            wrong.push(format!("target {}: `host` is a host name or an IP address", target.name));
        }
    }
    let policy = PolicySet::load(&policy_files);
    match policy {
        Ok(policy) if wrong.is_empty() => Ok(Desired { identities, targets, policy, policy_files }),
        Ok(_) => Err(Error::usage(wrong.join("\n"))),
        Err(errors) => {
            wrong.push(errors.to_string());
            Err(Error::usage(wrong.join("\n")))
        }
    }
}

/// Whether a text may be a host: a name or an IP address.
pub(crate) fn host_fits(host: &str) -> bool {
    !host.is_empty() && host.len() <= 253 && !host.contains(|c: char| c.is_whitespace() || c.is_control())
}

pub(super) fn doubles(names: impl Iterator<Item = String>, kind: &str, wrong: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            wrong.push(format!("{kind} `{name}` stands twice: keep one of them"));
        }
    }
}

pub(crate) fn public_keys(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

/// The algorithm and base64 of a line of a `.pub` file, if that is what it is: the algorithm is said again inside
/// (RFC 4253 section 6.6).
pub(crate) fn public_key(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (algorithm, encoded) = (words.next()?, words.next()?);
    let known = ["ssh-ed25519", "ssh-rsa"].contains(&algorithm)
        || algorithm.starts_with("ecdsa-sha2-")
        || algorithm.starts_with("sk-");
    let bytes = STANDARD.decode(encoded).ok()?;
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let said = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    (known && said == algorithm.as_bytes()).then(|| format!("{algorithm} {encoded}"))
}
