//! Becoming able to sign in: a link, a password, a second factor, recovery codes; and changing them.

use super::ceremonies::Ceremony;
use super::devices::{COOKIE_PREFIX, fresh_cookie};
use super::factors::{FactorLine, factors_of, of_kind, removed, reveal, totp};
use super::limits::Limit;
use super::steps::{Begun, Client};
use super::{FRESH, device_of};
use crate::control::{Open, identity, put};
use crate::directory::{Versioned, kinds, load};
use crate::{Actor, Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::inventory::{Identity, Rest};
use sallyport_model::secret::SecretBytes;
use sallyport_model::sign_in::{Device, DeviceState, Factor, FactorKind, Link};
use sallyport_model::{DeviceId, FactorId, Handle, Kind, LinkId, Secret, Timestamp};
use sallyport_store::{Change, DocId};
use sallyport_vault::{PasswordVerifier, RecoveryCodes, Vault};
use std::time::Duration;
use totp_rs::Secret as TotpSecret;

/// How long the link of the first administrator, or one made on the host, is good.
pub(crate) const HOST_LINK: Duration = Duration::from_secs(3600);
/// How long a link is good that an administrator gives to somebody.
pub(crate) const USER_LINK: Duration = Duration::from_secs(24 * 3600);
/// Characters of a password, at least.
const SHORTEST: usize = 12;
/// Bytes of a password, at most.
const LONGEST: usize = 1024;
/// Bytes of a shared secret (RFC 4226 section 4).
const TOTP_SECRET: usize = 20;
/// Passkeys and apps of one person, at most.
const FACTORS: usize = 10;

/// A link for somebody: shown once.
pub struct NewLink {
    /// For whom.
    pub handle: Handle,
    /// The whole link.
    pub url: Secret<String>,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// A shared secret for an app that computes codes.
pub struct NewTotp {
    /// The secret in base 32, to be typed.
    pub secret: Secret<String>,
    /// The same as `otpauth://`, to be scanned.
    pub uri: Secret<String>,
}

fn dead_link() -> Error {
    let text = "this link is used up, over its time, or none of ours: ask whoever gave it for another";
    Denial::new(Kind::Denied, text).into()
}

/// Refuses a password that is too easy to guess or to mistype.
fn check_password(password: &Secret<String>, handle: &Handle) -> Result<(), Error> {
    let text = password.expose();
    let length = text.chars().count();
    if length < SHORTEST || text.len() > LONGEST {
        return Err(Error::usage(format!(
            "a password has {SHORTEST} to {LONGEST} characters: four words are a good one"
        )));
    }
    let lower = text.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 || lower.replace(handle.as_str(), "").chars().count() < SHORTEST / 2 {
        return Err(Error::usage("this password is mostly one pattern, or your handle: four words are a good one"));
    }
    Ok(())
}

impl Control {
    /// Makes a link for an identity. Earlier ones of it die.
    pub(crate) async fn make_link(&self, actor: &Actor, of: &Identity, life: Duration) -> Result<NewLink, Error> {
        let open = self.opened()?;
        let token = fresh_cookie(&self.env);
        let expires = self.env.now().plus(life);
        self.under_keys(&open, |vault| {
            let link = Link {
                id: LinkId::new(&self.env),
                identity: of.id,
                verifier: vault.token_verifier(&token)?,
                expires,
                rest: Rest::new(),
            };
            let facts = [("link", link.id.to_string()), ("expires", expires.to_string())];
            let facts = facts.each_ref().map(|(name, fact)| (*name, fact.as_str()));
            let change = Change::entry(self.draft(actor, "link.made", &of.handle, &facts));
            let change = without_links(&open, change, of);
            Ok((change.put(put(link.id, 0, kinds::LINK, &link)?), ()))
        })
        .await?;
        let plain = token.expose().trim_start_matches(COOKIE_PREFIX);
        Ok(NewLink { handle: of.handle.clone(), url: Secret::new(self.site().enrolment(plain)), expires })
    }

    fn link(&self, open: &Open, token: &Secret<String>) -> Result<(Versioned<Link>, Identity), Error> {
        let token = Secret::new(format!("{COOKIE_PREFIX}{}", token.expose()));
        let verifiers = open.vault().token_verifiers(&token);
        let id = verifiers.iter().find_map(|verifier| open.directory.link(verifier)).ok_or_else(dead_link)?;
        let found = load::<Link>(&open.store, &DocId::new(id), kinds::LINK)
            .filter(|link| link.value.expires > self.env.now() && verifiers.contains(&link.value.verifier))
            .ok_or_else(dead_link)?;
        let who = identity(open, found.value.identity).ok_or_else(dead_link)?;
        Ok((found, who))
    }

    /// Whose a link is. It stays good.
    ///
    /// # Errors
    /// When it is used up, over its time, or none.
    pub async fn enrolment_of(&self, client: &Client, token: &Secret<String>) -> Result<Handle, Error> {
        let open = self.opened()?;
        let source = Limit::source(client.from);
        if !self.try_once(&open, &[&source]).await? {
            return Err(dead_link());
        }
        let (_, who) = self.link(&open, token)?;
        Ok(who.handle)
    }

    /// Spends a link: sets the password, and begins a device that may add a factor and nothing else. Every factor, device
    /// and link from before is gone.
    ///
    /// # Errors
    /// When the link is dead, or the password too easy.
    pub async fn enrol(
        &self,
        client: &Client,
        token: &Secret<String>,
        password: Secret<String>,
    ) -> Result<Begun, Error> {
        let open = self.opened()?;
        let source = Limit::source(client.from);
        if !self.try_once(&open, &[&source]).await? {
            return Err(dead_link());
        }
        let (link, who) = self.link(&open, token)?;
        check_password(&password, &who.handle)?;
        self.ensure_domain(&open).await?;
        let verifier = self.sign_in.passwords.verifier(&self.env, password).await?.encode()?;
        let actor = Actor::Identity(who.id, who.handle.clone());
        let from = client.from.to_string();
        let begun = self.under_keys(&open, |vault| {
            let (mut device, cookie) =
                self.new_device(vault, who.id, DeviceState::Enrolling, (client.from, &client.agent))?;
            device.factors = vec![FactorKind::Password];
            let (factor, puts) = self.new_factor(vault, who.id, FactorKind::Password, "password", Some(&verifier))?;
            let device_id = device.id.to_string();
            let link_id = link.value.id.to_string();
            let facts = [("link", link_id.as_str()), ("device", &device_id), ("from", &from)];
            let mut change = Change::entry(self.draft(&actor, "link.used", &who.handle, &facts));
            for old in factors_of(&open, who.id) {
                change = removed(&open, change, &old);
            }
            change = self.without_devices(&open, without_links(&open, change, &who), who.id, None);
            change.put.extend(puts);
            change = change.put(put(factor.id, 0, kinds::FACTOR, &factor)?);
            change = change.put(put(device.id, 0, kinds::DEVICE, &device)?);
            let (device, state, expires) = (device.id, device.state, device.expires);
            Ok((change, Begun { device, cookie, state, methods: Vec::new(), expires }))
        });
        match begun.await {
            Err(Error::Store(sallyport_store::Error::Conflict(_))) => Err(dead_link()),
            other => other,
        }
    }

    /// The identity of a device that may change its own factors: one that enrols, or one with a fresh factor.
    pub(super) fn enroller(&self, op: &Op) -> Result<(std::sync::Arc<Open>, Identity, Versioned<Device>), Error> {
        let open = self.opened()?;
        let device = device_of(&open, op)?
            .ok_or_else(|| Error::usage("factors are changed with a browser that is signed in, not with a token"))?;
        match device.value.state {
            DeviceState::Enrolling => {}
            DeviceState::Factor => return Err(Denial::new(Kind::Denied, "present your second factor first").into()),
            DeviceState::In => self.demand_fresh_factor(op)?,
        }
        let who = identity(&open, device.value.identity)
            .ok_or_else(|| Denial::new(Kind::Denied, "this identity may do nothing: it is disabled or gone"))?;
        if factors_of(&open, who.id).iter().filter(|factor| factor.value.kind.lasts()).count() >= FACTORS {
            return Err(Error::usage(format!("you have {FACTORS} factors: remove one first")));
        }
        Ok((open, who, device))
    }

    /// A fresh secret for an app that computes codes. It counts once a code of it was shown.
    ///
    /// # Errors
    /// When the caller may not change factors now.
    pub fn begin_totp(&self, op: &Op) -> Result<NewTotp, Error> {
        let (_, who, device) = self.enroller(op)?;
        let bytes: SecretBytes = Secret::new(self.env.random::<TOTP_SECRET>().to_vec());
        let codes = totp(&bytes, who.handle.as_str())?;
        let new = NewTotp {
            secret: Secret::new(TotpSecret::new(bytes.expose().clone().into_boxed_slice()).to_base32()),
            uri: Secret::new(codes.to_url().map_err(Error::failed)?),
        };
        self.sign_in.ceremonies.begin(totp_key(device.value.id), Ceremony::Totp(bytes), self.env.now())?;
        Ok(new)
    }

    /// Adds the app, once it has computed a code.
    ///
    /// # Errors
    /// When nothing was begun, or the code is wrong: then it is begun anew.
    pub async fn add_totp(&self, op: &Op, code: &Secret<String>, label: &str) -> Result<Begun, Error> {
        let (open, who, device) = self.enroller(op)?;
        let now = self.env.now();
        let begun = self.sign_in.ceremonies.take(&totp_key(device.value.id), now);
        let Some(Ceremony::Totp(bytes)) = begun else {
            return Err(Error::usage("no app waits for its first code: scan a new one"));
        };
        let seconds = u64::try_from(now.0.div_euclid(1_000_000)).unwrap_or(0);
        let step = totp(&bytes, who.handle.as_str())?.check(code.expose().trim(), seconds);
        let Some(step) = step else {
            // The same secret may be tried again: the person has scanned it already.
            self.sign_in.ceremonies.begin(totp_key(device.value.id), Ceremony::Totp(bytes), now)?;
            return Err(Error::usage(
                "this code does not belong to the new app: look at its clock, and take the newest",
            ));
        };
        self.ensure_domain(&open).await?;
        let new = |vault: &Vault| {
            let (factor, puts) = self.new_factor(vault, who.id, FactorKind::Totp, label, Some(&bytes))?;
            Ok((Factor { step: Some(step), ..factor }, puts))
        };
        self.add_factor(&open, &who, &device, new).await
    }

    /// Writes a new factor. A device that enrols is wholly signed in by it.
    pub(super) async fn add_factor(
        &self,
        open: &Open,
        who: &Identity,
        device: &Versioned<Device>,
        new: impl Fn(&Vault) -> Result<(Factor, Vec<sallyport_store::Put>), Error>,
    ) -> Result<Begun, Error> {
        let actor = Actor::Identity(who.id, who.handle.clone());
        let now = self.env.now();
        self.under_keys(open, |vault| {
            let (factor, puts) = new(vault)?;
            let mut next = device.value.clone();
            let mut cookie = Secret::new(String::new());
            if next.state == DeviceState::Enrolling {
                next.state = DeviceState::In;
                next.factors.push(factor.kind);
                cookie = fresh_cookie(&self.env);
                next.verifier = vault.token_verifier(&cookie)?;
            }
            next.fresh_until = Some(now.plus(FRESH));
            let facts = [
                ("kind", factor.kind.word().to_owned()),
                ("factor", factor.id.to_string()),
                ("label", factor.label.clone()),
                ("device", next.id.to_string()),
                ("from", next.from.to_string()),
            ];
            let facts = facts.each_ref().map(|(name, fact)| (*name, fact.as_str()));
            let mut change = Change::entry(self.draft(&actor, "factor.added", &who.handle, &facts));
            change.put.extend(puts);
            change = change.put(put(factor.id, 0, kinds::FACTOR, &factor)?);
            change = change.put(put(next.id, device.version, kinds::DEVICE, &next)?);
            let begun =
                Begun { device: next.id, cookie, state: next.state, methods: Vec::new(), expires: next.expires };
            Ok((change, begun))
        })
        .await
    }

    /// Fresh recovery codes, shown once. Earlier ones die.
    ///
    /// # Errors
    /// When the caller may not change factors now.
    pub async fn new_recovery_codes(&self, op: &Op) -> Result<Vec<Secret<String>>, Error> {
        let open = self.opened()?;
        let who = self.acting(op)?;
        device_of(&open, op)?.ok_or_else(|| {
            Error::usage("recovery codes are made with a browser that is signed in, not with a token")
        })?;
        self.demand_fresh_factor(op)?;
        self.ensure_domain(&open).await?;
        let (codes, texts) = RecoveryCodes::generate(&self.env);
        let bytes = codes.encode()?;
        self.under_keys(&open, |vault| {
            let (factor, puts) =
                self.new_factor(vault, who.id, FactorKind::Recovery, "recovery codes", Some(&bytes))?;
            let factor = Factor { left: Some(codes.left()), ..factor };
            let id = factor.id.to_string();
            let facts = [("kind", factor.kind.word()), ("factor", id.as_str())];
            let mut change = Change::entry(self.draft(&op.actor, "factor.added", &who.handle, &facts));
            for old in of_kind(&open, who.id, FactorKind::Recovery) {
                change = removed(&open, change, &old);
            }
            change.put.extend(puts);
            Ok((change.put(put(factor.id, 0, kinds::FACTOR, &factor)?), ()))
        })
        .await?;
        Ok(texts)
    }

    /// Changes the caller's password. Every other device of theirs ends.
    ///
    /// # Errors
    /// When the present one is wrong, or the new one too easy.
    pub async fn change_password(&self, op: &Op, current: Secret<String>, new: Secret<String>) -> Result<(), Error> {
        let open = self.opened()?;
        let who = self.acting(op)?;
        check_password(&new, &who.handle)?;
        let old = of_kind(&open, who.id, FactorKind::Password)
            .into_iter()
            .next()
            .ok_or_else(|| Error::usage("you have no password: ask for an enrolment link"))?;
        let (own, source) = (Limit::password(Some(who.id)), Limit::source(op.from));
        let may = self.try_once(&open, &[&source, &own]).await?;
        let verifier = PasswordVerifier::decode(&reveal(&open, &old.value)?)?;
        if !self.sign_in.passwords.matches(verifier, current).await? || !may {
            self.note_failure(op.from, who.handle.to_string(), "password").await?;
            return Err(Denial::new(Kind::Denied, "this is not your present password").into());
        }
        self.succeeded(&open, &own, &source).await?;
        let verifier = self.sign_in.passwords.verifier(&self.env, new).await?.encode()?;
        self.under_keys(&open, |vault| {
            let (factor, puts) = self.new_factor(vault, who.id, FactorKind::Password, "password", Some(&verifier))?;
            let change = Change::entry(self.draft(&op.actor, "factor.password_changed", &who.handle, &[]));
            let mut change = self.without_devices(&open, removed(&open, change, &old), who.id, op.device);
            change.put.extend(puts);
            Ok((change.put(put(factor.id, 0, kinds::FACTOR, &factor)?), ()))
        })
        .await
    }

    /// The caller's factors.
    ///
    /// # Errors
    /// While the vault is sealed.
    pub fn own_factors(&self, who: &Identity) -> Result<Vec<FactorLine>, Error> {
        let open = self.opened()?;
        let shown = factors_of(&open, who.id).into_iter().filter(|factor| factor.value.kind != FactorKind::Password);
        Ok(shown.map(|factor| factor.value.into()).collect())
    }

    /// Removes a factor of the caller; never the last one.
    ///
    /// # Errors
    /// When there is none of this id, it is the last, or no factor is fresh.
    pub async fn remove_factor(&self, op: &Op, id: FactorId) -> Result<(), Error> {
        let open = self.opened()?;
        let who = self.acting(op)?;
        self.demand_fresh_factor(op)?;
        let factors = factors_of(&open, who.id);
        let found = factors
            .iter()
            .find(|factor| factor.value.id == id && factor.value.kind != FactorKind::Password)
            .ok_or_else(|| Error::NotFound("you have no such factor".into()))?;
        let lasting: Vec<_> = factors.iter().filter(|factor| factor.value.kind.lasts()).collect();
        if found.value.kind.lasts() && lasting.len() < 2 {
            return Err(Error::usage("this is your last factor: add another one first"));
        }
        let facts = [
            ("kind", found.value.kind.word().to_owned()),
            ("factor", id.to_string()),
            ("label", found.value.label.clone()),
        ];
        let facts = facts.each_ref().map(|(name, fact)| (*name, fact.as_str()));
        let mut change =
            removed(&open, Change::entry(self.draft(&op.actor, "factor.removed", &who.handle, &facts)), found);
        // Of two that each remove the other one, one must lose.
        change.expect.extend(
            lasting
                .iter()
                .filter(|factor| factor.value.id != id)
                .map(|factor| (DocId::new(factor.value.id), factor.version)),
        );
        open.store.commit(change).await?;
        Ok(())
    }
}

/// Deletes the links of an identity.
pub(crate) fn without_links(open: &Open, mut change: Change, of: &Identity) -> Change {
    let links = crate::directory::all::<Link>(&open.store, kinds::LINK);
    for (id, link) in links.into_iter().filter(|(_, link)| link.value.identity == of.id) {
        change = change.delete(id, link.version);
    }
    change
}

fn totp_key(device: DeviceId) -> Vec<u8> {
    format!("totp {device}").into_bytes()
}
