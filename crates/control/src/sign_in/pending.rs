//! Logins that their owner is to allow in a browser: a code is shown where the login is, and entered where somebody is signed in.
//!
//! A pending login is a sealed document, so any node's portal can answer for any node's gateway. It finds nobody by itself:
//! only the identity whose handle the login names has it, under its code, and what comes of it is what that browser's
//! sign-in has shown.

use super::device_of;
use super::limits::{Limit, network};
use super::steps::person;
use crate::control::{Open, identity, put};
use crate::directory::{Versioned, all, kinds, load};
use crate::identity::Shown;
use crate::slots::borrowed;
use crate::{Actor, Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::authority::{Asking, AuthStep, Authenticated, LATEST, LoginCode, Reply};
use sallyport_model::inventory::{Identity, Rest};
use sallyport_model::sign_in::{Answer, Device, DeviceState, Pending};
use sallyport_model::{AuthId, CallId, Env, GatewayId, Kind, LoginId, Secret, Timestamp};
use sallyport_store::{Change, DocId, Draft};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long a code is good.
const LIFE: Duration = Duration::from_secs(5 * 60);
/// Logins that may be pending at once, on all nodes.
const MOST: usize = 1000;
/// Letters and digits of codes: none that is read as another one, and no vowel, so that no words come of them.
const LETTERS: &[u8; 24] = b"CDFGHJKMNPQRTVWX23456789";
/// How many there are in a code: 36 bits.
const LENGTH: usize = 8;
/// What a browser's answer is called among factors and failures.
const HOW: &str = "browser";
/// The most that is kept of what a client calls itself.
const CLIENT: usize = 80;

/// Those who wait here until their login is answered. What is asked for beyond them is answered at once: calls of a gateway share
/// a bound, and strangers must not take it up.
const WAITING: usize = 64;

/// Tells those who wait that a login may have been answered, here or on another node.
pub(crate) struct Answers {
    changed: watch::Sender<()>,
    room: Semaphore,
}

impl Default for Answers {
    fn default() -> Self {
        Self { changed: watch::Sender::new(()), room: Semaphore::new(WAITING) }
    }
}

impl Answers {
    /// A pending login has changed.
    pub(crate) fn tell(&self) {
        self.changed.send_replace(());
    }
}

/// A pending login, for whom it is about.
#[derive(Clone, Debug)]
pub struct PendingLine {
    /// The login.
    pub login: Pending,
    /// Whether it comes from the address that the browser comes from.
    pub same_address: bool,
}

/// A code that nobody has had before, as it is shown: `K7QF-2M9X`.
fn fresh_code(env: &Env) -> String {
    let mut code = String::new();
    while code.len() < LENGTH {
        // 240 is a multiple of 24: what is above it would make some letters likelier than others.
        let letters = env.random::<32>().into_iter().filter(|byte| *byte < 240);
        let letters = letters.filter_map(|byte| LETTERS.get(usize::from(byte % 24)));
        code.extend(letters.map(|letter| char::from(*letter)).take(LENGTH.saturating_sub(code.len())));
    }
    code.insert(LENGTH / 2, '-');
    code
}

/// A code as somebody has typed it, without what is between its letters; in the form that its hash is of.
fn hashed(typed: &str) -> Option<Secret<String>> {
    let bare = typed.chars().filter(|c| *c != '-' && !c.is_whitespace()).take(LENGTH + 1);
    let bare: String = bare.map(|c| c.to_ascii_uppercase()).collect();
    let spelt = bare.len() == LENGTH && bare.bytes().all(|letter| LETTERS.contains(&letter));
    spelt.then(|| Secret::new(format!("login code {bare}")))
}

fn no_code() -> Error {
    let text = "no login of yours waits under this code: look at its letters again, or connect anew for another one; \
        after several wrong ones wait a few minutes";
    Error::NotFound(text.into())
}

fn answered() -> Error {
    Denial::new(Kind::Conflict, "this login was answered already: connect anew for another code").into()
}

/// What is told of a login in the ledger.
fn told(login: &Pending) -> Vec<(&'static str, String)> {
    let mut facts =
        vec![("login", login.id.to_string()), ("from", login.from.to_string()), ("client", login.client.clone())];
    let wants = login.wants();
    if !wants.is_empty() {
        facts.push(("wants", wants));
    }
    facts
}

fn of_login(open: &Open, login: LoginId) -> Option<Versioned<Pending>> {
    load::<Pending>(&open.store, &DocId::new(login), kinds::PENDING)
}

impl Control {
    /// A login asks to be allowed in a browser. Whether anybody has that handle, nobody can tell from the answer.
    pub(crate) async fn pending_step(
        &self,
        gateway: GatewayId,
        (login, step): (LoginId, &AuthStep),
        asking: &Asking,
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let now = self.env.now();
        let handle = step.handle.as_ref().ok_or_else(|| Error::usage("write your handle in front of the account"))?;
        if !self.try_once(&open, &[&Limit::logins(step.from.0)]).await? {
            return Err(Error::Busy("too many logins from this address wait for a browser: wait a few minutes"));
        }
        let pending = all::<Pending>(&open.store, kinds::PENDING);
        if pending.iter().filter(|(_, login)| login.value.expires > now).count() >= MOST {
            return Err(Error::Busy("too many logins wait for a browser: wait a few minutes"));
        }
        let code = fresh_code(&self.env);
        let seconds = u32::try_from(LIFE.as_secs()).unwrap_or(u32::MAX);
        let reply = LoginCode { page: self.site().link(), code: code.clone(), seconds };
        match person(&open, handle) {
            Some(who) => self.begin_pending(&open, gateway, (login, step), (asking, &who, &code)).await?,
            // What was typed as a handle may be anything, a password too.
            None => self.note_failure(step.from.0, "an unknown handle".into(), HOW).await?,
        }
        Ok(Reply::LoginCode(reply))
    }

    /// One code lives for one login: asking again replaces what was before.
    async fn begin_pending(
        &self,
        open: &Open,
        gateway: GatewayId,
        (login, step): (LoginId, &AuthStep),
        (asking, who, code): (&Asking, &Identity, &str),
    ) -> Result<(), Error> {
        let was = of_login(open, login).map_or(0, |found| found.version);
        let now = self.env.now();
        let code = hashed(code).ok_or_else(|| Error::failed("a code is not spelt as codes are"))?;
        self.under_keys(open, |vault| {
            let pending = Pending {
                id: login,
                identity: who.id,
                verifier: vault.token_verifier(&code)?,
                gateway,
                from: step.from.0,
                client: asking.client.chars().filter(|c| !c.is_control()).take(CLIENT).collect(),
                place: asking.account.clone().zip(asking.target.clone()),
                begun: now,
                expires: now.plus(LIFE),
                answer: Answer::Waiting,
                rest: Rest::new(),
            };
            let draft = self.draft(&Actor::System(HOW), "login.pending", &who.handle, &borrowed(&told(&pending)));
            let draft = Draft { actor: "nobody".into(), ..draft };
            Ok((Change::entry(draft).put(put(login, was, kinds::PENDING, &pending)?), ()))
        })
        .await
    }

    /// Whether a pending login was allowed. While nobody has answered it, this waits, so many seconds at most, and says no more than
    /// that it is to be asked again: whoever asked may have left, and a login that nobody waits for is not to be spent.
    /// Whether there is such a login cannot be told from that.
    pub(crate) async fn allowed_late(
        &self,
        gateway: GatewayId,
        call: CallId,
        (login, step): (LoginId, &AuthStep),
        late: u32,
    ) -> Result<Reply, Error> {
        let mut changed = self.answers.changed.subscribe();
        let reply = self.allowed_step(gateway, call, (login, step)).await?;
        let room = self.answers.room.try_acquire();
        if late == 0 || room.is_err() || !matches!(reply, Reply::More) {
            return Ok(reply);
        }
        let answered = async {
            while changed.changed().await.is_ok() && !self.is_answered(login)? {}
            Ok::<_, Error>(())
        };
        match tokio::time::timeout(Duration::from_secs(late.min(LATEST).into()), answered).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => Ok(Reply::More),
        }
    }

    fn is_answered(&self, login: LoginId) -> Result<bool, Error> {
        let open = self.opened()?;
        Ok(of_login(&open, login).is_some_and(|found| found.value.answer != Answer::Waiting))
    }

    /// Whether a pending login was allowed; then it is over, and its client is in.
    async fn allowed_step(
        &self,
        gateway: GatewayId,
        call: CallId,
        (login, step): (LoginId, &AuthStep),
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let now = self.env.now();
        if let Some(who) = self.known_by(&open, gateway, call, now) {
            return Ok(Reply::Authenticated(who));
        }
        let own = |found: &Versioned<Pending>| found.value.gateway == gateway && found.value.from == step.from.0;
        // Of a handle that nobody has there is nothing to be found: it waits as any other does.
        let Some(found) = of_login(&open, login).filter(own) else { return Ok(Reply::More) };
        if found.value.expires <= now {
            self.unanswered(&open, &found).await?;
            return Ok(no("nobody allowed it in a browser in time: connect again"));
        }
        let device = match found.value.answer {
            Answer::Waiting => return Ok(Reply::More),
            Answer::Refused => return Ok(no("it was refused in the browser")),
            Answer::Allowed(device) => load::<Device>(&open.store, &DocId::new(device), kinds::DEVICE),
        };
        let device = device.filter(|device| {
            let Device { identity, state, expires, .. } = &device.value;
            *identity == found.value.identity && *state == DeviceState::In && *expires > now
        });
        let who = identity(&open, found.value.identity);
        let named = |who: &Identity| step.handle.as_ref() == Some(&who.handle);
        let (Some(device), Some(who)) = (device, who.filter(named)) else {
            return Ok(no("who allowed it is signed out or disabled by now: connect again"));
        };
        let factors: Vec<_> = device.value.factors.iter().map(|kind| kind.word().to_owned()).collect();
        let mut facts = told(&found.value);
        facts.extend([("device", device.value.id.to_string()), ("factors", factors.join(" and "))]);
        let actor = Actor::Identity(who.id, who.handle.clone());
        let draft = self.draft(&actor, "login.by_browser", &who.handle, &borrowed(&facts));
        let mut change = Change::entry(draft).delete(DocId::new(login), found.version);
        change.expect.push((DocId::new(device.value.id), device.version));
        match open.store.commit(change).await {
            Ok(_) => {}
            // The browser, or the login, has changed in this moment: it is looked at again.
            Err(sallyport_store::Error::Conflict(_)) => return Ok(Reply::More),
            Err(other) => return Err(other.into()),
        }
        self.succeeded(&open, &Limit::login_code(who.id), &Limit::logins(step.from.0)).await?;
        self.metrics.signed_in(HOW, true);
        let fresh = device.value.fresh_until.is_some_and(|until| until > now);
        // What the browser has shown, and not more: that a browser was there is no factor.
        let factors = factors.into_iter().collect();
        let shown = Shown { how: HOW.into(), factors, fresh, place: found.value.place };
        Ok(self.known(gateway, call, who, (shown, step)))
    }

    /// The same call again: its answer was lost.
    fn known_by(&self, open: &Open, gateway: GatewayId, call: CallId, now: Timestamp) -> Option<Authenticated> {
        let auth = AuthId::from_bytes(*call.as_bytes());
        let who = identity(open, self.live.spendable(auth, gateway, now)?.identity)?;
        Some(Authenticated { auth, identity: who.id, handle: who.handle })
    }

    /// Nobody has answered a login in its time.
    pub(super) async fn unanswered(&self, open: &Open, found: &Versioned<Pending>) -> Result<(), Error> {
        let handle = identity(open, found.value.identity).map_or_else(String::new, |who| who.handle.to_string());
        let draft = self.draft(&Actor::System(HOW), "login.unanswered", handle, &borrowed(&told(&found.value)));
        let change = Change::entry(draft).delete(DocId::new(found.value.id), found.version);
        match open.store.commit(change).await {
            // Another node was at it too.
            Ok(_) | Err(sallyport_store::Error::Conflict(_)) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    /// The caller's pending login of this code, which nobody has answered yet, and the browser that the caller has.
    async fn own_pending(
        &self,
        op: &Op,
        code: &str,
    ) -> Result<(Arc<Open>, Identity, Versioned<Device>, Versioned<Pending>), Error> {
        let own = self.acting(op)?;
        let open = self.opened()?;
        let device = device_of(&open, op)?
            .ok_or_else(|| Error::usage("a login is allowed with a browser that is signed in, not with a token"))?;
        let (tries, source) = (Limit::login_code(own.id), Limit::source(op.from));
        let may = self.try_once(&open, &[&source, &tries]).await?;
        let verifiers = hashed(code).map(|code| open.vault().token_verifiers(&code)).unwrap_or_default();
        let now = self.env.now();
        // INVARIANT: whose login it is stands in its own sealed body; the code of anybody else's is a wrong one.
        let is_own =
            |login: &Pending| login.identity == own.id && login.expires > now && verifiers.contains(&login.verifier);
        let mut pending = all::<Pending>(&open.store, kinds::PENDING).into_iter().map(|(_, found)| found);
        let Some(found) = pending.find(|found| is_own(&found.value)).filter(|_| may) else {
            self.note_failure(op.from, own.handle.to_string(), HOW).await?;
            return Err(no_code());
        };
        self.succeeded(&open, &tries, &source).await?;
        if found.value.answer != Answer::Waiting {
            return Err(answered());
        }
        Ok((open, own, device, found))
    }

    /// What waits under a code that the caller was shown.
    ///
    /// # Errors
    /// When nothing of the caller's does, or the caller has no browser.
    pub async fn pending_login(&self, op: &Op, code: &str) -> Result<PendingLine, Error> {
        let (_, _, _, found) = self.own_pending(op, code).await?;
        Ok(PendingLine { same_address: network(found.value.from) == network(op.from), login: found.value })
    }

    /// Allows a login of the caller's, or refuses it.
    ///
    /// # Errors
    /// When nothing of the caller's waits under this code, or it is to be allowed and no factor is fresh.
    pub async fn answer_login(&self, op: &Op, code: &str, allow: bool) -> Result<(), Error> {
        self.acting(op)?;
        if allow {
            self.demand_fresh_factor(op)?;
        }
        let (open, own, device, found) = self.own_pending(op, code).await?;
        let (action, answer) = if allow {
            ("login.allowed", Answer::Allowed(device.value.id))
        } else {
            ("login.refused", Answer::Refused)
        };
        let mut facts = told(&found.value);
        facts.extend([("device", device.value.id.to_string()), ("browser", op.from.to_string())]);
        let draft = self.draft(&op.actor, action, &own.handle, &borrowed(&facts));
        let next = Pending { answer, ..found.value };
        let mut change = Change::entry(draft).put(put(next.id, found.version, kinds::PENDING, &next)?);
        change.expect.push((DocId::new(device.value.id), device.version));
        match open.store.commit(change).await {
            Ok(_) => Ok(()),
            Err(sallyport_store::Error::Conflict(_)) => Err(answered()),
            Err(other) => Err(other.into()),
        }
    }
}

fn no(text: &str) -> Reply {
    Reply::Denied(Denial::new(Kind::Denied, text))
}
