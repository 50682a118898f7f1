//! Who somebody is: tokens, SSH keys, and the handles that gateways spend.

use crate::choices::Used;
use crate::control::{Open, identity, identity_of, put};
use crate::directory::kinds;
use crate::sign_in::{Client, Proof};
use crate::{Actor, Control, Error, Op};
use sallyport_model::access::{Denial, From};
use sallyport_model::authority::{AuthStep, Authenticated, Evidence, Reply};
use sallyport_model::inventory::{Identity, Rest, Token};
use sallyport_model::secret::SecretBytes;
use sallyport_model::sign_in::{Device, DeviceState, FactorKind};
use sallyport_model::{
    AccountId, AccountName, AuthId, CallId, EntryId, GatewayId, Handle, Kind, LoginId, Secret, TargetId, TargetName,
    Timestamp, TokenId,
};
use sallyport_policy::Right;
use sallyport_store::{Change, Draft};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a gateway may spend an authentication.
pub(crate) const AUTH_LIFE: Duration = Duration::from_secs(60);
/// What a sign-in over SSH calls itself among somebody's devices.
pub(crate) const AGENT: &str = "an SSH client";
/// Longest code by the clock.
const CODE: usize = 8;
/// How long one lives at most, kept alive by a person who chooses.
pub(crate) const CHOOSING: Duration = Duration::from_secs(360);
/// The longest life of a token.
const TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// What every token begins with, so that scanners find leaked ones.
const TOKEN_PREFIX: &str = "spt_";

/// A fresh token: its text exists here and at its owner only.
pub struct NewToken {
    /// Its id, by which the ledger knows it.
    pub id: TokenId,
    /// The text.
    pub text: Secret<String>,
    /// Whose.
    pub handle: Handle,
    /// When it stops working.
    pub expires: Timestamp,
}

/// Who the caller is.
#[derive(Clone, Debug)]
pub struct Who {
    /// The identity.
    pub identity: Identity,
    /// When the token or the cookie it came with stops working.
    pub expires: Timestamp,
    /// The browser it came by; absent for a token.
    pub device: Option<Device>,
}

/// A sign-in at a gateway that waits for its second factor.
pub(crate) struct Waiting {
    pub(crate) gateway: GatewayId,
    pub(crate) from: From,
    pub(crate) handle: Handle,
    pub(crate) cookie: Secret<String>,
    /// What was shown first.
    pub(crate) first: Shown,
}

/// What a sign-in has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// As entries say it.
    pub(crate) how: String,
    /// As policies ask for it: `ssh_key`, `password`, `totp`, ...
    pub(crate) factors: BTreeSet<String>,
    /// Whether a second factor was shown in this very sign-in.
    pub(crate) fresh: bool,
    /// The one place that it is good for, where whoever allowed it was told of one.
    pub(crate) place: Option<(AccountName, TargetName)>,
}

impl Shown {
    /// One thing, that was shown just now.
    pub(crate) fn only(how: &str) -> Self {
        Self { how: how.to_owned(), factors: BTreeSet::from([how.to_owned()]), ..Self::default() }
    }

    /// The same, with these factors beside it.
    pub(crate) fn with(mut self, factors: impl IntoIterator<Item = String>) -> Self {
        self.factors.extend(factors);
        self
    }
}

/// An authentication that a gateway may spend.
#[derive(Clone, Debug)]
pub(crate) struct Spendable {
    pub(crate) gateway: GatewayId,
    pub(crate) identity: sallyport_model::IdentityId,
    pub(crate) shown: Shown,
    pub(crate) from: From,
    pub(crate) expires: Timestamp,
    /// As long as this it may be kept alive, while a person chooses where to.
    pub(crate) until: Timestamp,
    /// Where it serves no session but a check of this place's credential.
    pub(crate) checks: Option<(TargetId, AccountId)>,
    /// The method by which keys were exchanged with the client; absent where it came through the door.
    pub(crate) exchange: Option<String>,
    /// Where its owner was lately, once they were asked where to.
    pub(crate) used: Option<Arc<[Used]>>,
}

impl Control {
    /// Makes a token. Its keyed hash is stored, the text is not.
    pub(crate) async fn mint(
        &self,
        actor: &Actor,
        owner: &Identity,
        life: Duration,
        label: &str,
    ) -> Result<NewToken, Error> {
        let open = self.opened()?;
        let text = Secret::new(format!("{TOKEN_PREFIX}{}", hex::encode(self.env.random::<32>())));
        let expires = self.env.now().plus(life);
        let id = TokenId::new(&self.env);
        self.under_keys(&open, |vault| {
            let token = Token {
                id,
                identity: owner.id,
                verifier: vault.token_verifier(&text)?,
                expires,
                label: label.chars().take(80).collect(),
                rest: Rest::new(),
            };
            let draft = self.draft(
                actor,
                "token.created",
                &owner.handle,
                &[("token", &token.id.to_string()), ("expires", &expires.to_string())],
            );
            Ok((Change::entry(draft).put(put(token.id, 0, kinds::TOKEN, &token)?), ()))
        })
        .await?;
        Ok(NewToken { id, text, handle: owner.handle.clone(), expires })
    }

    /// Makes a token for the caller, or for somebody else by right.
    ///
    /// # Errors
    /// When the caller lacks the right, the identity is unknown, or the life is too long.
    pub async fn create_token(
        &self,
        op: &Op,
        handle: Option<&Handle>,
        life: Duration,
        label: &str,
    ) -> Result<NewToken, Error> {
        let own = self.acting(op)?;
        self.demand_fresh_factor(op)?;
        if life > TOKEN_LIFE || life.is_zero() {
            return Err(Error::usage("a token lives between 1 second and 30 days: give `--ttl` within that"));
        }
        let owner = match handle {
            Some(handle) if *handle != own.handle => {
                self.require(op, Right::TokenCreate)?;
                identity_of(&*self.opened()?, handle)
                    .ok_or_else(|| Error::NotFound(format!("there is no identity `{handle}`: apply it first")))?
            }
            _ => own,
        };
        self.mint(&op.actor, &owner, life, label).await
    }

    /// Who a token belongs to. One keyed hash and one lookup.
    ///
    /// # Errors
    /// When the token is unknown, over its time, or its identity disabled: one answer for all three.
    pub fn sign_in(&self, token: &Secret<String>) -> Result<Who, Error> {
        let open = self.opened()?;
        let (identity, expires) = token_identity(&open, token, self.env.now()).ok_or_else(|| {
            Denial::new(Kind::Denied, "this token is not valid: run `sallyport login` with a new one")
        })?;
        Ok(Who { identity, expires, device: None })
    }

    /// One step of a login through a gateway.
    pub(crate) async fn auth_step(
        &self,
        gateway: GatewayId,
        call: CallId,
        (login, step): (LoginId, AuthStep),
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let now = self.env.now();
        let named = step.handle.as_ref();
        let matches = |found: &Identity| named.is_none_or(|handle| *handle == found.handle);
        let (found, how) = match &step.evidence {
            Evidence::SshKey { key, proof } => {
                return self.key_step(gateway, call, (login, &step), (key, proof.as_ref())).await;
            }
            Evidence::Browser(asking) => return self.pending_step(gateway, (login, &step), asking).await,
            Evidence::Allowed(late) => return self.allowed_late(gateway, call, (login, &step), *late).await,
            Evidence::Code(bytes) => return self.code_step(gateway, call, (login, &step), typed(bytes)).await,
            Evidence::Misnamed => (None, "user_name"),
            Evidence::Token(bytes) => {
                let text = typed(bytes);
                if let Some(handle) = named.filter(|_| !text.expose().starts_with(TOKEN_PREFIX)) {
                    return self.password_step(gateway, login, (step.from, handle), text).await;
                }
                (token_identity(&open, &text, now).map(|(found, _)| found).filter(matches), "token")
            }
        };
        let Some(found) = found else {
            self.count_failure(&step, how).await?;
            return Ok(Reply::Denied(Denial::new(Kind::Denied, "not signed in: unknown key or token")));
        };
        self.metrics.signed_in(how, true);
        Ok(self.known(gateway, call, found, (Shown::only(how), &step)))
    }

    /// Somebody is known now, and may spend that on this gateway for a minute.
    pub(crate) fn known(
        &self,
        gateway: GatewayId,
        call: CallId,
        found: Identity,
        (shown, step): (Shown, &AuthStep),
    ) -> Reply {
        let (auth, now) = (AuthId::from_bytes(*call.as_bytes()), self.env.now());
        let (expires, until) = (now.plus(AUTH_LIFE), now.plus(CHOOSING));
        let (identity, from, exchange) = (found.id, step.from, step.exchange.clone());
        let spendable =
            Spendable { gateway, identity, shown, from, expires, until, checks: None, exchange, used: None };
        self.live.remember(auth, spendable, now);
        Reply::Authenticated(Authenticated { auth, identity: found.id, handle: found.handle })
    }

    /// A person's password at a gateway: the first step of the very sign-in that a browser makes, with its limits,
    /// its one answer, and its second step to come.
    async fn password_step(
        &self,
        gateway: GatewayId,
        login: LoginId,
        (from, handle): (From, &Handle),
        password: Secret<String>,
    ) -> Result<Reply, Error> {
        let client = Client { from: from.0, agent: AGENT.into() };
        let begun = self.sign_in_with_password(&client, handle.as_str(), password).await?;
        if begun.state == DeviceState::Factor {
            self.live.wait_for_factor(
                login,
                Waiting {
                    gateway,
                    from,
                    handle: handle.clone(),
                    cookie: begun.cookie,
                    first: Shown::only(FactorKind::Password.word()),
                },
                self.env.now(),
            );
            return Ok(Reply::More);
        }
        self.sign_out(&begun.cookie).await?;
        let text = "enrol a second factor in the portal first: a password alone lets nobody in";
        Ok(Reply::Denied(Denial::new(Kind::Denied, text)))
    }

    /// The second step. What a browser would go on with ends here: the connection is all that was signed in for.
    async fn code_step(
        &self,
        gateway: GatewayId,
        call: CallId,
        (login, step): (LoginId, &AuthStep),
        code: Secret<String>,
    ) -> Result<Reply, Error> {
        let named = |waiting: &Waiting| step.handle.as_ref().is_none_or(|handle| *handle == waiting.handle);
        let own = |waiting: &Arc<Waiting>| waiting.from == step.from && named(waiting);
        let Some(waiting) = self.live.waits_for_factor(login, gateway, self.env.now()).filter(own) else {
            return Ok(Reply::Denied(Denial::new(Kind::Denied, "no sign-in waits for a code here")));
        };
        let client = Client { from: step.from.0, agent: AGENT.into() };
        let by_clock = code.expose().trim().len() <= CODE && code.expose().trim().bytes().all(|b| b.is_ascii_digit());
        let proof = if by_clock { Proof::Totp(code) } else { Proof::Recovery(code) };
        let begun = self.complete_sign_in(&waiting.cookie, &client, proof).await?;
        let who = self.by_cookie(&begun.cookie).await?;
        self.sign_out(&begun.cookie).await?;
        let factors = who.device.into_iter().flat_map(|device| device.factors).map(|kind| kind.word().to_owned());
        let first = waiting.first.clone();
        let shown = Shown { how: format!("{} and code", first.how), fresh: true, ..first.with(factors) };
        Ok(self.known(gateway, call, who.identity, (shown, step)))
    }

    /// Failed sign-ins are ledgered singly up to a budget per source, then as one counted entry a minute.
    pub(crate) async fn count_failure(&self, step: &AuthStep, how: &'static str) -> Result<(), Error> {
        let named = step.handle.as_ref().map_or_else(|| "no handle".into(), ToString::to_string);
        self.note_failure(step.from.0, named, how).await
    }

    /// The same, of whatever sort of sign-in.
    pub(crate) async fn note_failure(&self, from: IpAddr, object: String, how: &'static str) -> Result<(), Error> {
        self.metrics.signed_in(how, false);
        let Some(earlier) = self.live.failure(from, self.env.now()) else { return Ok(()) };
        let draft = Draft {
            id: EntryId::new(&self.env),
            actor: "nobody".into(),
            action: "login.failed",
            object,
            session: None,
            facts: BTreeMap::from([
                ("from".into(), from.to_string()),
                ("how".into(), how.into()),
                ("not_listed_before".into(), earlier.to_string()),
            ]),
        };
        self.opened()?.store.commit(Change::entry(draft)).await?;
        Ok(())
    }
}

/// What was typed, as text.
fn typed(bytes: &SecretBytes) -> Secret<String> {
    Secret::new(String::from_utf8_lossy(bytes.expose()).into_owned())
}

fn token_identity(open: &Open, token: &Secret<String>, now: Timestamp) -> Option<(Identity, Timestamp)> {
    // One verifier for each living epoch: a token outlives a rotation.
    let verifiers = open.vault().token_verifiers(token);
    let (_, id, expires) = verifiers.iter().find_map(|verifier| open.directory.token(verifier))?;
    (expires > now).then(|| identity(open, id)).flatten().map(|found| (found, expires))
}
