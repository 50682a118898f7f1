//! Factors of an identity: what is kept of them, and where.

use super::SignIn;
use crate::control::{Open, put};
use crate::directory::{Versioned, kinds, load, parse};
use crate::lease::version_id;
use crate::{Control, Error};
use sallyport_model::inventory::Rest;
use sallyport_model::name::Label;
use sallyport_model::secret::SecretBytes;
use sallyport_model::sign_in::{Factor, FactorKind};
use sallyport_model::{FactorId, IdentityId, SecretId, Timestamp};
use sallyport_store::{Change, DocId, Put};
use sallyport_vault::{RecoveryCodes, SecretKind, Vault, VersionBody, Where};
use totp_rs::{Builder, Secret as TotpSecret, Totp};

/// Whose codes these are, in the app that computes them.
const ISSUER: &str = "Sallyport";

/// A factor, for its owner.
#[derive(Clone, Debug)]
pub struct FactorLine {
    /// The factor.
    pub id: FactorId,
    /// What it is.
    pub kind: FactorKind,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was used last.
    pub used: Option<Timestamp>,
    /// Recovery codes that are left.
    pub left: Option<u8>,
}

impl From<Factor> for FactorLine {
    fn from(factor: Factor) -> Self {
        Self {
            id: factor.id,
            kind: factor.kind,
            label: factor.label,
            created: factor.created,
            used: factor.used,
            left: factor.left,
        }
    }
}

/// The key domain of what is kept of people. It is made with the first factor.
pub(super) fn domain() -> Result<Label, Error> {
    "sign-in".parse().map_err(Error::failed)
}

/// The factors of an identity.
pub(crate) fn factors_of(open: &Open, identity: IdentityId) -> Vec<Versioned<Factor>> {
    let ids = open.directory.factors(identity);
    // INVARIANT: a factor is its identity's by what its own sealed body says, not by the index that found it.
    ids.into_iter()
        .filter_map(|id| load::<Factor>(&open.store, &DocId::new(id), kinds::FACTOR))
        .filter(|factor| factor.value.identity == identity)
        .collect()
}

/// The factors of one kind.
pub(super) fn of_kind(open: &Open, identity: IdentityId, kind: FactorKind) -> Vec<Versioned<Factor>> {
    factors_of(open, identity).into_iter().filter(|factor| factor.value.kind == kind).collect()
}

/// By what an identity may complete a sign-in with its password, most usual first.
pub(super) fn methods(open: &Open, identity: IdentityId) -> Vec<FactorKind> {
    let mut kinds: Vec<_> = factors_of(open, identity)
        .into_iter()
        .filter(|factor| factor.value.kind.lasts() || factor.value.left.is_some_and(|left| left > 0))
        .map(|factor| factor.value.kind)
        .collect();
    kinds.sort_by_key(|kind| match kind {
        FactorKind::Passkey => 0,
        FactorKind::Totp => 1,
        FactorKind::Recovery | FactorKind::Password => 2,
    });
    kinds.dedup();
    kinds
}

const fn secret_kind(kind: FactorKind) -> Option<SecretKind> {
    match kind {
        FactorKind::Password => Some(SecretKind::PasswordVerifier),
        FactorKind::Totp => Some(SecretKind::Totp),
        FactorKind::Recovery => Some(SecretKind::RecoveryCodes),
        FactorKind::Passkey => None,
    }
}

fn place(factor: &Factor) -> Result<Where, Error> {
    let kept = factor.secret.zip(secret_kind(factor.kind));
    let ((secret, version), kind) = kept.ok_or_else(|| Error::failed("a factor has nothing in the vault"))?;
    Ok(Where { environment: domain()?, secret, version, kind })
}

/// What the vault keeps of a factor.
pub(super) fn reveal(open: &Open, factor: &Factor) -> Result<SecretBytes, Error> {
    let place = place(factor)?;
    let id = DocId::new(version_id(place.secret, place.version));
    let body = open.store.working(|set| {
        let document = set.get(&id).filter(|document| &*document.kind == kinds::VERSION)?;
        parse::<VersionBody>(document)
    });
    let body = body.ok_or_else(|| Error::failed("what the vault keeps of a factor is gone"))?;
    Ok(open.vault().open_secret(&place, &body)?)
}

/// Deletes what the vault keeps of a factor.
fn unkept(open: &Open, change: Change, factor: &Factor) -> Change {
    let Some((secret, version)) = factor.secret else { return change };
    let id = DocId::new(version_id(secret, version));
    match open.store.working(|set| set.version(&id)) {
        0 => change,
        was => change.delete(id, was),
    }
}

/// Deletes a factor and what the vault keeps of it.
pub(super) fn removed(open: &Open, change: Change, factor: &Versioned<Factor>) -> Change {
    unkept(open, change, &factor.value).delete(DocId::new(factor.value.id), factor.version)
}

/// The codes by the clock that belong to a secret of theirs.
pub(super) fn totp(secret: &SecretBytes, handle: &str) -> Result<Totp, Error> {
    Builder::new()
        .with_secret(TotpSecret::new(secret.expose().clone().into_boxed_slice()))
        .with_account_name(handle)
        .with_issuer(Some(ISSUER))
        .build()
        .map_err(Error::failed)
}

impl Control {
    /// A new factor, which keeps `bytes` in the vault.
    pub(super) fn new_factor(
        &self,
        vault: &Vault,
        identity: IdentityId,
        kind: FactorKind,
        label: &str,
        bytes: Option<&SecretBytes>,
    ) -> Result<(Factor, Vec<Put>), Error> {
        let mut factor = Factor {
            id: FactorId::new(&self.env),
            identity,
            kind,
            label: label.trim().chars().filter(|c| !c.is_control()).take(60).collect(),
            created: self.env.now(),
            secret: None,
            step: None,
            left: None,
            passkey: None,
            used: None,
            rest: Rest::new(),
        };
        let mut puts = Vec::new();
        if let Some(bytes) = bytes {
            factor.secret = Some((SecretId::new(&self.env), 1));
            let sealed = vault.seal_secret(&self.env, &place(&factor)?, bytes)?;
            let (secret, version) = (sealed.secret, sealed.version);
            puts.push(put(version_id(secret, version), 0, kinds::VERSION, &sealed)?);
        }
        Ok((factor, puts))
    }

    /// Recovery codes with one less: what is written is the next version of what the vault keeps.
    pub(super) fn spent(
        &self,
        open: &Open,
        vault: &Vault,
        change: Change,
        factor: &Factor,
        codes: &RecoveryCodes,
    ) -> Result<(Change, Factor), Error> {
        let (secret, version) = factor.secret.ok_or_else(|| Error::failed("recovery codes are gone"))?;
        let next = Factor {
            secret: Some((secret, version.saturating_add(1))),
            left: Some(codes.left()),
            used: Some(self.env.now()),
            ..factor.clone()
        };
        let place = place(&next)?;
        let sealed = vault.seal_secret(&self.env, &place, &codes.encode()?)?;
        let change =
            unkept(open, change, factor).put(put(version_id(place.secret, place.version), 0, kinds::VERSION, &sealed)?);
        Ok((change, next))
    }

    /// Makes the key domain of what is kept of people, once.
    pub(super) async fn ensure_domain(&self, open: &Open) -> Result<(), Error> {
        self.ensure_environment(&crate::Actor::System("sign-in"), open, &domain()?).await
    }
}

impl SignIn {
    /// The name of this installation for authenticators.
    pub(super) const fn issuer() -> &'static str {
        ISSUER
    }
}
