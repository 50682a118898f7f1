//! Passkeys (WebAuthn): making one, presenting one beside a password, presenting one alone.
//!
//! The library keeps to the ceremony: challenge, origin, name, user verification, counter. Each challenge is remembered
//! here under itself, so that whatever a browser sends back finds what was begun, once.

use super::SignIn;
use super::ceremonies::Ceremony;
use super::devices::of_cookie;
use super::factors::of_kind;
use super::limits::Limit;
use super::steps::{Begun, Client, Held, wrong_factor};
use super::{FRESH, device_of};
use crate::control::{Open, identity, put};
use crate::directory::kinds;
use crate::{Actor, Control, Error, Op};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sallyport_model::inventory::Identity;
use sallyport_model::sign_in::{Device, DeviceState, Factor, FactorKind};
use sallyport_model::{IdentityId, Secret};
use serde::Serialize;
use serde_json::Value;
use webauthn_rs::prelude::{
    AuthenticationResult, Passkey, PublicKeyCredential, RegisterPublicKeyCredential, Uuid, Webauthn, WebauthnBuilder,
};

fn to_json(what: impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(what).map_err(Error::failed)
}

/// The challenge that a browser answers, from what it signed over.
fn challenge_of(client_data: &[u8]) -> Option<Vec<u8>> {
    let data: Value = serde_json::from_slice(client_data).ok()?;
    URL_SAFE_NO_PAD.decode(data.get("challenge")?.as_str()?).ok()
}

fn passkey_of(factor: &Factor) -> Option<Passkey> {
    serde_json::from_value(factor.passkey.clone()?).ok()
}

fn no_credential(error: impl std::fmt::Display) -> Error {
    Error::usage(format!("this is no credential as browsers write it ({error}): send its `toJSON()`"))
}

impl Control {
    fn webauthn(&self) -> Result<Webauthn, Error> {
        let (name, url) = self.site().passkeys()?;
        WebauthnBuilder::new(name, &url)
            .and_then(|builder| builder.rp_name(SignIn::issuer()).build())
            .map_err(Error::failed)
    }

    /// What an authenticator must know to make a passkey.
    ///
    /// # Errors
    /// When the caller may not change factors now, or the site is reached by a number.
    pub fn begin_new_passkey(&self, op: &Op) -> Result<Value, Error> {
        let (open, who, device) = self.enroller(op)?;
        let known: Vec<Passkey> =
            of_kind(&open, who.id, FactorKind::Passkey).iter().filter_map(|f| passkey_of(&f.value)).collect();
        let known = known.iter().map(|key| key.cred_id().clone()).collect();
        let (user, handle) = (Uuid::from_bytes(*who.id.as_bytes()), who.handle.as_str());
        let begun = self.webauthn()?.start_passkey_registration(user, handle, handle, Some(known));
        let (options, state) = begun.map_err(Error::failed)?;
        let key = options.public_key.challenge.clone();
        self.sign_in.ceremonies.begin(key, Ceremony::NewPasskey(device.value.id, state), self.env.now())?;
        let mut options = to_json(options.public_key)?;
        // It is to sign in alone, without a handle: so it must be one that the authenticator finds by itself.
        if let Some(selection) = options.get_mut("authenticatorSelection").and_then(Value::as_object_mut) {
            selection.insert("residentKey".into(), "required".into());
            selection.insert("requireResidentKey".into(), true.into());
        }
        Ok(options)
    }

    /// Adds the passkey that an authenticator has made.
    ///
    /// # Errors
    /// When nothing was begun, or it is not what was asked for.
    pub async fn add_passkey(&self, op: &Op, credential: &Value, label: &str) -> Result<Begun, Error> {
        let (open, who, device) = self.enroller(op)?;
        let credential: RegisterPublicKeyCredential =
            serde_json::from_value(credential.clone()).map_err(no_credential)?;
        let over = || Error::usage("no browser of yours waits for a passkey: begin again");
        let challenge = challenge_of(&credential.response.client_data_json).ok_or_else(over)?;
        let begun = self.sign_in.ceremonies.take(&challenge, self.env.now());
        let Some(Ceremony::NewPasskey(of, state)) = begun else { return Err(over()) };
        if of != device.value.id {
            return Err(over());
        }
        let passkey = self
            .webauthn()?
            .finish_passkey_registration(&credential, &state)
            .map_err(|error| Error::usage(format!("this passkey cannot be accepted ({error}): begin again")))?;
        let taken = crate::directory::all::<Factor>(&open.store, kinds::FACTOR)
            .iter()
            .filter_map(|(_, factor)| passkey_of(&factor.value))
            .any(|known| known.cred_id() == passkey.cred_id());
        if taken {
            return Err(Error::usage("this passkey is registered already: make another one"));
        }
        let body = to_json(&passkey)?;
        self.add_factor(&open, &who, &device, |vault| {
            let (factor, puts) = self.new_factor(vault, who.id, FactorKind::Passkey, label, None)?;
            Ok((Factor { passkey: Some(body.clone()), ..factor }, puts))
        })
        .await
    }

    /// What an authenticator must know to present a passkey beside the password of this cookie; or, where no sign-in waits
    /// for a factor there, whichever it has for this site.
    ///
    /// # Errors
    /// When the site is reached by a number.
    pub async fn begin_passkey(&self, cookie: Option<&Secret<String>>, client: &Client) -> Result<Value, Error> {
        let open = self.opened()?;
        let waiting = cookie
            .and_then(|cookie| of_cookie(&open, cookie))
            .filter(|device| device.value.state == DeviceState::Factor && device.value.expires > self.env.now());
        if let Some(device) = waiting {
            return self.begin_passkey_of(&open, &device.value);
        }
        if !self.try_once(&open, &[&Limit::source(client.from)]).await? {
            return Err(Error::Busy("too many tries from this address: wait a few minutes"));
        }
        let (options, state) = self.webauthn()?.start_discoverable_authentication().map_err(Error::failed)?;
        let key = options.public_key.challenge.clone();
        self.sign_in.ceremonies.begin(key, Ceremony::AnyPasskey(state), self.env.now())?;
        to_json(options.public_key)
    }

    /// The same, for a device that is to show its factor again.
    ///
    /// # Errors
    /// When the caller did not come with a browser, or has no passkey.
    pub fn begin_step_up_passkey(&self, op: &Op) -> Result<Value, Error> {
        let open = self.opened()?;
        self.acting(op)?;
        let device = device_of(&open, op)?
            .ok_or_else(|| Error::usage("a token cannot be made fresh: only a browser that is signed in can"))?;
        self.begin_passkey_of(&open, &device.value)
    }

    fn begin_passkey_of(&self, open: &Open, device: &Device) -> Result<Value, Error> {
        let keys: Vec<Passkey> =
            of_kind(open, device.identity, FactorKind::Passkey).iter().filter_map(|f| passkey_of(&f.value)).collect();
        if keys.is_empty() {
            return Err(Error::usage("you have no passkey: use another factor"));
        }
        let (options, state) = self.webauthn()?.start_passkey_authentication(&keys).map_err(Error::failed)?;
        let key = options.public_key.challenge.clone();
        self.sign_in.ceremonies.begin(key, Ceremony::Passkey(device.id, state), self.env.now())?;
        to_json(options.public_key)
    }

    /// Whether a presented passkey holds, for a device that has begun to present one.
    pub(super) fn passkey_held(
        &self,
        open: &Open,
        who: &Identity,
        device: &Device,
        credential: &Value,
    ) -> Result<Option<Held>, Error> {
        let (credential, begun) = self.presented(credential)?;
        let Some(Ceremony::Passkey(of, state)) = begun else { return Ok(None) };
        if of != device.id {
            return Ok(None);
        }
        let Ok(result) = self.webauthn()?.finish_passkey_authentication(&credential, &state) else { return Ok(None) };
        held(open, who.id, &result)
    }

    fn presented(&self, credential: &Value) -> Result<(PublicKeyCredential, Option<Ceremony>), Error> {
        let credential: PublicKeyCredential = serde_json::from_value(credential.clone()).map_err(no_credential)?;
        let challenge = challenge_of(&credential.response.client_data_json);
        let begun = challenge.and_then(|challenge| self.sign_in.ceremonies.take(&challenge, self.env.now()));
        Ok((credential, begun))
    }

    /// Signs in with a passkey alone: the authenticator has looked who holds it.
    ///
    /// # Errors
    /// When nothing was begun, or the passkey is nobody's.
    pub async fn sign_in_with_passkey(&self, client: &Client, credential: &Value) -> Result<Begun, Error> {
        let open = self.opened()?;
        let source = Limit::source(client.from);
        if !self.try_once(&open, &[&source]).await? {
            return Err(wrong_factor());
        }
        let (credential, begun) = self.presented(credential)?;
        let found = match begun {
            Some(Ceremony::AnyPasskey(state)) => self.whose(&open, &credential, state)?,
            _ => None,
        };
        let Some((who, held)) = found else {
            self.note_failure(client.from, "an unknown passkey".into(), "passkey").await?;
            return Err(wrong_factor());
        };
        let actor = Actor::Identity(who.id, who.handle.clone());
        let committed = self.under_keys(&open, |vault| {
            let (mut device, cookie) = self.new_device(vault, who.id, DeviceState::In, (client.from, &client.agent))?;
            device.factors = vec![FactorKind::Passkey];
            device.fresh_until = Some(device.created.plus(FRESH));
            let change = self.entry_of(&actor, &who, &device, "device.signed_in", FactorKind::Passkey);
            let change = self.with_factor(&open, vault, change, &held)?;
            let change = change.put(put(device.id, 0, kinds::DEVICE, &device)?);
            let (state, expires) = (device.state, device.expires);
            Ok((change, Begun { device: device.id, cookie, state, methods: Vec::new(), expires }))
        });
        let begun = committed.await.map_err(|error| match error {
            Error::Store(sallyport_store::Error::Conflict(_)) => wrong_factor(),
            other => other,
        })?;
        self.succeeded(&open, &Limit::factor(who.id), &source).await?;
        self.metrics.signed_in("passkey", true);
        Ok(begun)
    }

    fn whose(
        &self,
        open: &Open,
        credential: &PublicKeyCredential,
        state: webauthn_rs::prelude::DiscoverableAuthentication,
    ) -> Result<Option<(Identity, Held)>, Error> {
        let webauthn = self.webauthn()?;
        let Ok((user, id)) = webauthn.identify_discoverable_authentication(credential) else { return Ok(None) };
        let Some(who) = identity(open, IdentityId::from_bytes(*user.as_bytes())) else { return Ok(None) };
        let keys = of_kind(open, who.id, FactorKind::Passkey);
        let Some(key) = keys.iter().filter_map(|f| passkey_of(&f.value)).find(|key| key.cred_id().as_slice() == id)
        else {
            return Ok(None);
        };
        let Ok(result) = webauthn.finish_discoverable_authentication_v2(credential, state, &key) else {
            return Ok(None);
        };
        Ok(held(open, who.id, &result)?.map(|held| (who, held)))
    }
}

/// The factor of a passkey that was presented, with its counter moved on.
fn held(open: &Open, identity: IdentityId, result: &AuthenticationResult) -> Result<Option<Held>, Error> {
    if !result.user_verified() {
        return Ok(None);
    }
    for factor in of_kind(open, identity, FactorKind::Passkey) {
        let Some(mut key) = passkey_of(&factor.value) else { continue };
        if key.update_credential(result).is_some() {
            let becomes = Factor { passkey: Some(to_json(&key)?), ..factor.value.clone() };
            return Ok(Some(Held { factor, becomes, spent: None }));
        }
    }
    Ok(None)
}
