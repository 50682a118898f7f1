//! The steps of a sign-in: a password, then a second factor; or a passkey alone. And the same factor again, to be fresh.

use super::devices::{fresh_cookie, of_cookie};
use super::factors::{factors_of, methods, of_kind, reveal, totp};
use super::limits::Limit;
use super::{FRESH, device_of};
use crate::control::{Open, identity, identity_of, put};
use crate::directory::{Versioned, kinds};
use crate::{Actor, Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::inventory::{Identity, IdentityKind};
use sallyport_model::sign_in::{Device, DeviceState, Factor, FactorKind};
use sallyport_model::{DeviceId, Handle, Kind, Secret, Timestamp};
use sallyport_store::Change;
use sallyport_vault::{PasswordVerifier, RecoveryCodes, Vault};
use std::net::IpAddr;

/// Who asks, before it is known who that is.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub from: IpAddr,
    /// What its browser calls itself.
    pub agent: String,
}

/// A device that has come a step further.
pub struct Begun {
    /// The device.
    pub device: DeviceId,
    /// Its cookie from here on; the one before it is worth nothing.
    pub cookie: Secret<String>,
    /// How far it is.
    pub state: DeviceState,
    /// What can be presented next.
    pub methods: Vec<FactorKind>,
    /// When it ends.
    pub expires: Timestamp,
}

/// What is presented as a second factor.
pub enum Proof {
    /// A code by the clock.
    Totp(Secret<String>),
    /// A recovery code.
    Recovery(Secret<String>),
    /// What an authenticator made of a challenge, as a browser gives it.
    Passkey(Box<serde_json::Value>),
}

/// What came of a proof that holds: what its factor becomes.
pub(super) struct Held {
    pub(super) factor: Versioned<Factor>,
    pub(super) becomes: Factor,
    /// Recovery codes that are left, where that is what was spent.
    pub(super) spent: Option<RecoveryCodes>,
}

/// What a proof is for.
enum Purpose {
    SignIn(Client),
    StepUp,
}

fn wrong() -> Error {
    Denial::new(Kind::Denied, "this does not sign you in: check handle and password, or wait a few minutes").into()
}

pub(super) fn wrong_factor() -> Error {
    let text = "this does not confirm it is you: each code works once, and only for a minute; after several wrong ones \
        wait before the next";
    Denial::new(Kind::Denied, text).into()
}

impl Control {
    /// The first step: handle and password. Whether either is wrong, nobody has that handle, or there were too many
    /// tries: the same work, and one answer.
    ///
    /// # Errors
    /// That answer; or that too many sign in at this moment.
    pub async fn sign_in_with_password(
        &self,
        client: &Client,
        handle: &str,
        password: Secret<String>,
    ) -> Result<Begun, Error> {
        let open = self.opened()?;
        let found = handle.parse::<Handle>().ok().and_then(|handle| person(&open, &handle));
        let known = found.as_ref().and_then(|who| {
            let factor = of_kind(&open, who.id, FactorKind::Password).into_iter().next()?;
            Some((who.clone(), factor))
        });
        let (own, source) = (Limit::password(found.as_ref().map(|who| who.id)), Limit::source(client.from));
        let may = self.try_once(&open, &[&source, &own]).await?;
        let verifier = match &known {
            Some((_, factor)) => PasswordVerifier::decode(&reveal(&open, &factor.value)?)?,
            None => PasswordVerifier::of_nobody(),
        };
        let right = self.sign_in.passwords.matches(verifier, password).await?;
        let Some((who, factor)) = known.filter(|_| right && may) else {
            // What was typed as a handle may be anything, a password too: only a known one is told to the ledger.
            let object = found.map_or_else(|| "an unknown handle".into(), |who| who.handle.to_string());
            self.note_failure(client.from, object, "password").await?;
            return Err(wrong());
        };
        self.succeeded(&open, &own, &source).await?;
        self.metrics.signed_in("password", true);
        let methods = methods(&open, who.id);
        let state = if factors_of(&open, who.id).iter().any(|factor| factor.value.kind.lasts()) {
            DeviceState::Factor
        } else {
            DeviceState::Enrolling
        };
        let began = self.begin(&open, &who, (state, &[FactorKind::Password]), client, |change| {
            change.expect.push((sallyport_store::DocId::new(factor.value.id), factor.version));
            Ok(())
        });
        Ok(Begun { methods, ..began.await? })
    }

    /// Begins a device that has shown these factors, or a client that has shown an SSH key where there are none; what
    /// else the change does, the caller adds.
    pub(crate) async fn begin(
        &self,
        open: &Open,
        who: &Identity,
        (state, factors): (DeviceState, &[FactorKind]),
        client: &Client,
        add: impl Fn(&mut Change) -> Result<(), Error>,
    ) -> Result<Begun, Error> {
        let actor = Actor::Identity(who.id, who.handle.clone());
        let from = client.from.to_string();
        self.under_keys(open, |vault| {
            let (mut device, cookie) = self.new_device(vault, who.id, state, (client.from, &client.agent))?;
            device.factors = factors.to_vec();
            let id = device.id.to_string();
            let by = if factors.is_empty() { "ssh" } else { "password" };
            let facts = [("device", id.as_str()), ("from", &from), ("next", state.word()), ("by", by)];
            let draft = self.draft(&actor, "device.begun", &who.handle, &facts);
            let mut change = Change::entry(draft).put(put(device.id, 0, kinds::DEVICE, &device)?);
            add(&mut change)?;
            let expires = device.expires;
            Ok((change, Begun { device: device.id, cookie, state, methods: Vec::new(), expires }))
        })
        .await
    }

    /// Whether the sign-in of this cookie waits for a second factor.
    #[must_use]
    pub fn waits_for_factor(&self, cookie: &Secret<String>) -> bool {
        let found = self.opened().ok().and_then(|open| of_cookie(&open, cookie));
        found.is_some_and(|device| device.value.state == DeviceState::Factor)
    }

    /// What a device can present as its second factor.
    ///
    /// # Errors
    /// While the vault is sealed.
    pub fn methods(&self, who: &Identity) -> Result<Vec<FactorKind>, Error> {
        Ok(methods(&*self.opened()?, who.id))
    }

    /// The second step: a factor beside the password.
    ///
    /// # Errors
    /// When the cookie is not that of a sign-in that waits for one, or the proof does not hold.
    pub async fn complete_sign_in(
        &self,
        cookie: &Secret<String>,
        client: &Client,
        proof: Proof,
    ) -> Result<Begun, Error> {
        let open = self.opened()?;
        let waiting = of_cookie(&open, cookie)
            .filter(|device| device.value.state == DeviceState::Factor && device.value.expires > self.env.now());
        let device = waiting.ok_or_else(|| {
            Denial::new(Kind::Denied, "no sign-in waits for a second factor here: begin with your password")
        })?;
        self.settle(&open, device, proof, Purpose::SignIn(client.clone())).await
    }

    /// Presents a factor again, so that it is fresh.
    ///
    /// # Errors
    /// When the caller did not come with a browser, or the proof does not hold.
    pub async fn step_up(&self, op: &Op, proof: Proof) -> Result<Begun, Error> {
        let open = self.opened()?;
        self.acting(op)?;
        let device = device_of(&open, op)?
            .ok_or_else(|| Error::usage("a token cannot be made fresh: only a browser that is signed in can"))?;
        self.settle(&open, device, proof, Purpose::StepUp).await
    }

    /// Checks a proof and writes what comes of it, in one commit: of many that present one code at once, one passes.
    async fn settle(
        &self,
        open: &Open,
        device: Versioned<Device>,
        proof: Proof,
        purpose: Purpose,
    ) -> Result<Begun, Error> {
        let who = identity(open, device.value.identity)
            .ok_or_else(|| Denial::new(Kind::Denied, "this identity may do nothing: it is disabled or gone"))?;
        let from = match &purpose {
            Purpose::SignIn(client) => client.from,
            Purpose::StepUp => device.value.from,
        };
        let (own, source) = (Limit::factor(who.id), Limit::source(from));
        let may = self.try_once(open, &[&source, &own]).await?;
        let how = proof.kind().word();
        let held = if may { self.held(open, &who, &device.value, proof)? } else { None };
        let Some(held) = held else {
            self.note_failure(from, who.handle.to_string(), how).await?;
            return Err(wrong_factor());
        };
        let begun = self.commit_held(open, &who, device, held, &purpose).await;
        match begun {
            Ok(begun) => {
                self.succeeded(open, &own, &source).await?;
                self.metrics.signed_in(how, true);
                Ok(begun)
            }
            // Somebody else has used the same code, or the same device, in this very moment.
            Err(Error::Store(sallyport_store::Error::Conflict(_))) => {
                self.note_failure(from, who.handle.to_string(), how).await?;
                Err(wrong_factor())
            }
            Err(other) => Err(other),
        }
    }

    async fn commit_held(
        &self,
        open: &Open,
        who: &Identity,
        device: Versioned<Device>,
        held: Held,
        purpose: &Purpose,
    ) -> Result<Begun, Error> {
        let now = self.env.now();
        let actor = Actor::Identity(who.id, who.handle.clone());
        let kind = held.becomes.kind;
        self.under_keys(open, |vault| {
            let mut next = Device { fresh_until: Some(now.plus(FRESH)), ..device.value.clone() };
            let (action, cookie) = match purpose {
                Purpose::SignIn(_) => {
                    next.state = DeviceState::In;
                    next.factors.push(kind);
                    // What was given away before the factor was shown is worth nothing behind it.
                    let cookie = fresh_cookie(&self.env);
                    next.verifier = vault.token_verifier(&cookie)?;
                    ("device.signed_in", cookie)
                }
                Purpose::StepUp => ("device.stepped_up", Secret::new(String::new())),
            };
            let change = self.entry_of(&actor, who, &next, action, kind);
            let change = self.with_factor(open, vault, change, &held)?;
            let change = change.put(put(next.id, device.version, kinds::DEVICE, &next)?);
            let begun =
                Begun { device: next.id, cookie, state: next.state, methods: Vec::new(), expires: next.expires };
            Ok((change, begun))
        })
        .await
    }

    /// The entry that a device signed in, or has shown a factor again.
    pub(super) fn entry_of(
        &self,
        actor: &Actor,
        who: &Identity,
        device: &Device,
        action: &'static str,
        kind: FactorKind,
    ) -> Change {
        let factors = device.factors.iter().map(|factor| factor.word()).collect::<Vec<_>>().join(" and ");
        let facts = [
            ("device", device.id.to_string()),
            ("from", device.from.to_string()),
            ("factors", factors),
            ("factor", kind.word().to_owned()),
        ];
        let facts = facts.each_ref().map(|(name, fact)| (*name, fact.as_str()));
        Change::entry(self.draft(actor, action, &who.handle, &facts))
    }

    /// Adds what a factor becomes by its use.
    pub(super) fn with_factor(&self, open: &Open, vault: &Vault, change: Change, held: &Held) -> Result<Change, Error> {
        let (change, becomes) = match &held.spent {
            Some(codes) => self.spent(open, vault, change, &held.factor.value, codes)?,
            None => (change, Factor { used: Some(self.env.now()), ..held.becomes.clone() }),
        };
        Ok(change.put(put(becomes.id, held.factor.version, kinds::FACTOR, &becomes)?))
    }

    /// Whether a proof holds; what its factor becomes then.
    fn held(&self, open: &Open, who: &Identity, device: &Device, proof: Proof) -> Result<Option<Held>, Error> {
        match proof {
            Proof::Totp(code) => self.totp_held(open, who, &code),
            Proof::Recovery(code) => recovery_held(open, who, &code),
            Proof::Passkey(credential) => self.passkey_held(open, who, device, &credential),
        }
    }

    fn totp_held(&self, open: &Open, who: &Identity, code: &Secret<String>) -> Result<Option<Held>, Error> {
        let seconds = u64::try_from(self.env.now().0.div_euclid(1_000_000)).unwrap_or(0);
        for factor in of_kind(open, who.id, FactorKind::Totp) {
            let codes = totp(&reveal(open, &factor.value)?, who.handle.as_str())?;
            let step = codes.check(code.expose().trim(), seconds);
            // A code is accepted once: its step is written with the sign-in, and none at or before it counts again.
            if let Some(step) = step.filter(|step| factor.value.step.is_none_or(|last| last < *step)) {
                let becomes = Factor { step: Some(step), ..factor.value.clone() };
                return Ok(Some(Held { factor, becomes, spent: None }));
            }
        }
        Ok(None)
    }
}

impl Proof {
    const fn kind(&self) -> FactorKind {
        match self {
            Self::Totp(_) => FactorKind::Totp,
            Self::Recovery(_) => FactorKind::Recovery,
            Self::Passkey(_) => FactorKind::Passkey,
        }
    }
}

fn recovery_held(open: &Open, who: &Identity, code: &Secret<String>) -> Result<Option<Held>, Error> {
    for factor in of_kind(open, who.id, FactorKind::Recovery) {
        let codes = RecoveryCodes::decode(&reveal(open, &factor.value)?)?;
        if let Some(rest) = codes.without(code) {
            return Ok(Some(Held { becomes: factor.value.clone(), factor, spent: Some(rest) }));
        }
    }
    Ok(None)
}

/// A person who may act; machines do not sign in here.
pub(super) fn person(open: &Open, handle: &Handle) -> Option<Identity> {
    let found = identity_of(open, handle)?;
    identity(open, found.id).filter(|who| who.kind == IdentityKind::User)
}
