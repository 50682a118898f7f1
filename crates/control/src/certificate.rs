//! The certificate that an ACME directory gives this installation: ordered by one node, kept in the vault, shown by all.
//!
//! What is known of it is one document: the account at the directory, the certificate, the order that runs, and what came
//! of the last one. The keys of account and certificate are secrets beside it.

use crate::control::put;
use crate::directory::{kinds, load};
use crate::durable;
use crate::lease::version_id;
use crate::slots::{TRIES, busy};
use crate::{Actor, Control, Error};
use sallyport_model::inventory::Rest;
use sallyport_model::name::Label;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{Secret, SecretId, Timestamp};
use sallyport_store::{Change, DocId};
use sallyport_vault::{SecretKind, Vault, VersionBody, Where};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a host finds key and chain, PEM, below its data directory.
pub const CERTIFICATE: &str = "keys/tls-acme.pem";
/// The document of what is known of it.
pub const CERTIFICATE_DOCUMENT: &str = "api.certificate";

/// The key domain of its secrets.
const DOMAIN: &str = "api";
const ACTOR: Actor = Actor::System("edge");
/// How long an order is left to the node that has begun it.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is known of the certificate, without its keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CertificateBody {
    /// The account at a directory, where there is one.
    #[serde(default)]
    account: Option<DirectoryAccount>,
    /// The certificate, where there is one.
    #[serde(default)]
    pub certificate: Option<Issued>,
    /// The order that runs, or was left.
    #[serde(default)]
    pub order: Option<Order>,
    /// How many orders in a row have failed.
    #[serde(default)]
    pub failed: u32,
    /// Why the last one has.
    #[serde(default)]
    pub detail: String,
    /// When the next is tried.
    #[serde(default)]
    pub next: Option<Timestamp>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct DirectoryAccount {
    directory: String,
    secret: SecretId,
}

/// A certificate that was issued.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Issued {
    /// The directory that it comes from, a URL.
    pub directory: String,
    /// The names that it is good for.
    pub names: Vec<String>,
    /// The chain, PEM, its own certificate first.
    pub chain: String,
    /// When it ends.
    pub until: Timestamp,
    /// When it is to be renewed.
    pub renew: Timestamp,
    secret: SecretId,
}

/// An order that a node has begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Name of the node.
    node: String,
    /// Until when others leave it alone.
    until: Timestamp,
    /// What a directory must be shown, by any node that it asks.
    pub challenges: Vec<Challenge>,
}

/// What proves that a name is ours (RFC 8737).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// The name.
    pub name: String,
    /// SHA-256 of the key authorization.
    pub digest: [u8; 32],
}

/// A certificate as it came.
pub struct NewCertificate {
    /// The directory that it comes from, a URL.
    pub directory: String,
    /// The names that it is good for.
    pub names: Vec<String>,
    /// The chain, PEM.
    pub chain: String,
    /// Its key, PKCS#8 as PEM.
    pub key: Secret<String>,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

fn place(secret: SecretId, kind: SecretKind) -> Result<Where, Error> {
    let environment: Label = DOMAIN.parse().map_err(Error::failed)?;
    Ok(Where { environment, secret, version: 1, kind })
}

/// When a certificate is renewed: after two thirds of its life, less up to a twelfth by chance, so that not all
/// installations that began on one day come on one day.
fn renewal(from: Timestamp, until: Timestamp, chance: u16) -> Timestamp {
    let life = until.since(from);
    let early = (life / 12).mul_f64(f64::from(chance) / f64::from(u16::MAX));
    from.plus((life * 2 / 3).saturating_sub(early))
}

/// Words of one entry, and the secret that the change brings.
struct Told<'a> {
    action: &'static str,
    facts: &'a [(&'a str, &'a str)],
    secret: Option<(Where, SecretBytes)>,
}

impl Control {
    /// What is known of the certificate.
    ///
    /// # Errors
    /// When the vault is sealed.
    pub fn certificate(&self) -> Result<CertificateBody, Error> {
        let open = self.opened()?;
        let found = load::<CertificateBody>(&open.store, &DocId::new(CERTIFICATE_DOCUMENT), kinds::SETTING);
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    /// Whether this node may begin an order: no other node is at one.
    #[must_use]
    pub fn may_order(&self, known: &CertificateBody) -> bool {
        known.order.as_ref().is_none_or(|order| order.node == self.node() || order.until <= self.env.now())
    }

    /// Whether an order that was begun on what is `known` may still be written into this `body`.
    fn its_turn(&self, known: &CertificateBody, body: &CertificateBody) -> Result<(), Error> {
        if !self.may_order(body) {
            return Err(Error::Busy("another node is ordering a certificate"));
        }
        let ended = |body: &CertificateBody| (body.certificate.as_ref().map(|issued| issued.secret), body.failed);
        if ended(body) != ended(known) {
            return Err(Error::Busy("another node has just ordered a certificate"));
        }
        Ok(())
    }

    fn opened_secret(&self, secret: SecretId, kind: SecretKind) -> Result<SecretBytes, Error> {
        let open = self.opened()?;
        let sealed = load::<VersionBody>(&open.store, &DocId::new(version_id(secret, 1)), kinds::VERSION);
        let sealed = sealed.ok_or_else(|| Error::failed("a key of the API's certificate is gone from the vault"))?;
        Ok(open.vault().open_secret(&place(secret, kind)?, &sealed.value)?)
    }

    /// The credentials of the account at this directory, where there is one.
    ///
    /// # Errors
    /// When the vault is sealed, or does not have them any more.
    pub fn directory_account(&self, directory: &str) -> Result<Option<SecretBytes>, Error> {
        let known = self.certificate()?.account.filter(|account| account.directory == directory);
        known.map(|account| self.opened_secret(account.secret, SecretKind::AcmeAccount)).transpose()
    }

    /// Keeps the credentials of an account that was made at a directory.
    ///
    /// # Errors
    /// When the vault is sealed, or the change cannot be written; `Busy` when another node has begun an order since
    /// this was `known`, with an account that stays.
    pub async fn keep_directory_account(
        &self,
        known: &CertificateBody,
        directory: &str,
        credentials: SecretBytes,
    ) -> Result<(), Error> {
        let secret = SecretId::new(&self.env);
        let facts = [("directory", directory)];
        let kept = Some((place(secret, SecretKind::AcmeAccount)?, credentials));
        self.change_certificate(Told { action: "certificate.account", facts: &facts, secret: kept }, |body| {
            self.its_turn(known, body)?;
            let account = DirectoryAccount { directory: directory.to_owned(), secret };
            Ok(body.account.replace(account).map(|old| old.secret))
        })
        .await
    }

    /// Begins an order: from here on every node shows these to the directory.
    ///
    /// # Errors
    /// `Busy` when another node has begun or ended one since this was `known`.
    pub async fn order_certificate(
        &self,
        known: &CertificateBody,
        directory: &str,
        challenges: Vec<Challenge>,
    ) -> Result<(), Error> {
        let names = challenges.iter().map(|challenge| challenge.name.as_str()).collect::<Vec<_>>().join(", ");
        let facts = [("directory", directory), ("names", names.as_str())];
        self.change_certificate(Told { action: "certificate.ordered", facts: &facts, secret: None }, |body| {
            self.its_turn(known, body)?;
            let (node, until) = (self.node().to_owned(), self.env.now().plus(PATIENCE));
            body.order = Some(Order { node, until, challenges: challenges.clone() });
            Ok(None)
        })
        .await
    }

    /// Keeps a certificate that was issued: every node shows it within seconds.
    ///
    /// # Errors
    /// When the vault is sealed, or the change cannot be written.
    pub async fn keep_certificate(&self, new: NewCertificate) -> Result<(), Error> {
        let NewCertificate { directory, names, chain, key, from, until } = new;
        let secret = SecretId::new(&self.env);
        let renew = renewal(from, until, u16::from_be_bytes(self.env.random()));
        let (listed, ends) = (names.join(", "), until.to_string());
        let facts = [("directory", directory.as_str()), ("names", listed.as_str()), ("until", ends.as_str())];
        let key = Secret::new(key.expose().as_bytes().to_vec());
        let kept = Some((place(secret, SecretKind::TlsKey)?, key));
        self.change_certificate(Told { action: "certificate.issued", facts: &facts, secret: kept }, |body| {
            let (directory, names, chain) = (directory.clone(), names.clone(), chain.clone());
            (body.order, body.failed, body.next) = (None, 0, None);
            body.detail.clear();
            let old = body.certificate.replace(Issued { directory, names, chain, until, renew, secret });
            Ok(old.map(|old| old.secret))
        })
        .await
    }

    /// Keeps that an order came to nothing, and when the next is tried.
    ///
    /// # Errors
    /// When the vault is sealed, or the change cannot be written; `Busy` when another node has begun or ended an order
    /// since this was `known`, which the failure of this one does not touch.
    pub async fn certificate_failed(
        &self,
        known: &CertificateBody,
        directory: &str,
        why: &str,
        wait: Duration,
    ) -> Result<(), Error> {
        let next = self.env.now().plus(wait);
        let at = next.to_string();
        let facts = [("directory", directory), ("why", why), ("next", at.as_str())];
        self.change_certificate(Told { action: "certificate.failed", facts: &facts, secret: None }, |body| {
            self.its_turn(known, body)?;
            (body.order, body.failed, body.next) = (None, body.failed.saturating_add(1), Some(next));
            why.clone_into(&mut body.detail);
            Ok(None)
        })
        .await
    }

    /// Changes what is known; `edit` names the secret that nobody needs any more, and is asked again about what another
    /// node wrote first.
    async fn change_certificate(
        &self,
        told: Told<'_>,
        edit: impl Fn(&mut CertificateBody) -> Result<Option<SecretId>, Error>,
    ) -> Result<(), Error> {
        let open = self.opened()?;
        if let Some((place, _)) = &told.secret {
            self.ensure_environment(&ACTOR, &open, &place.environment).await?;
        }
        let changed = |vault: &Vault| {
            let found = load::<CertificateBody>(&open.store, &DocId::new(CERTIFICATE_DOCUMENT), kinds::SETTING);
            let (was, mut body) = found.map_or_else(Default::default, |found| (found.version, found.value));
            let old = edit(&mut body)?;
            let mut change = Change::entry(self.draft(&ACTOR, told.action, "the API's certificate", told.facts))
                .put(put(CERTIFICATE_DOCUMENT, was, kinds::SETTING, &body)?);
            if let Some((place, value)) = &told.secret {
                let sealed = vault.seal_secret(&self.env, place, value)?;
                change = change.put(put(version_id(place.secret, 1), 0, kinds::VERSION, &sealed)?);
            }
            if let Some(old) = old {
                let id = DocId::new(version_id(old, 1));
                if let Some(found) = load::<VersionBody>(&open.store, &id, kinds::VERSION) {
                    change = change.delete(id, found.version);
                }
            }
            Ok((change, ()))
        };
        for _ in 0..TRIES {
            match self.under_keys(&open, changed).await {
                Err(Error::Store(sallyport_store::Error::Conflict(id))) if id.as_str() == CERTIFICATE_DOCUMENT => {}
                done => return done,
            }
        }
        Err(busy())
    }

    /// Puts key and chain where this host finds them, unless `there` says that they are; a host whose vault is sealed shows what it has.
    ///
    /// # Errors
    /// When the vault is sealed, or the file cannot be written.
    pub fn provide_certificate(&self, there: &mut Option<SecretId>) -> Result<(), Error> {
        let Some(found) = self.certificate()?.certificate else { return Ok(()) };
        if *there == Some(found.secret) {
            return Ok(());
        }
        let key = self.opened_secret(found.secret, SecretKind::TlsKey)?;
        let text = Secret::new([key.expose().as_slice(), b"\n", found.chain.as_bytes()].concat());
        let path = self.data.join(CERTIFICATE);
        let known = durable::read(&path, text.expose().len()).ok().flatten().map(Secret::new);
        if known.is_none_or(|known| known.expose() != text.expose()) {
            durable::replace(&path, text.expose()).map_err(Error::failed)?;
        }
        *there = Some(found.secret);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_renewed_in_time_and_not_everywhere_on_one_day() {
        let (day, begin) = (Duration::from_secs(24 * 3600), Timestamp(0));
        let until = begin.plus(day * 90);
        assert_eq!(renewal(begin, until, 0), begin.plus(day * 60));
        assert_eq!(renewal(begin, until, u16::MAX), begin.plus(day * 60 - day * 90 / 12));
        assert_eq!(renewal(until, begin, 7), until, "one that has ended before it begins is renewed at once");
    }
}
