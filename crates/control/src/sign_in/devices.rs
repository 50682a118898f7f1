//! Devices: a cookie becomes an identity; one's own are listed and ended.

use crate::control::{Open, identity};
use crate::directory::{Versioned, all, kinds, load};
use crate::identity::Who;
use crate::ssh_login::{OwnCertificate, certificates_of};
use crate::{Actor, Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::sign_in::{Answer, Device, DeviceState, Link, Pending};
use sallyport_model::{DeviceId, IdentityId, Kind, Secret, Timestamp};
use sallyport_store::{Change, DocId, Mark};
use std::net::IpAddr;
use std::time::Duration;

/// What every cookie begins with, so that scanners find leaked ones.
pub(super) const COOKIE_PREFIX: &str = "spd_";
/// How exactly it is known when a device was last seen.
const COARSE: Duration = Duration::from_secs(60);
/// How often what is over is cleared away.
const SWEEP: Duration = Duration::from_secs(10 * 60);
/// Documents that one change clears away: their effects must fit one ledger entry.
const BATCH: usize = 64;

/// A device, for its owner.
#[derive(Clone, Debug)]
pub struct DeviceLine {
    /// The device, as it was when it signed in.
    pub device: Device,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it was seen last, to the minute.
    pub seen: Timestamp,
}

fn mark(device: DeviceId) -> String {
    format!("seen {device}")
}

fn signed_out() -> Error {
    Denial::new(Kind::Denied, "this browser is signed out: sign in again").into()
}

/// Finds the device of a cookie. One keyed hash for each living epoch, and lookups.
pub(super) fn of_cookie(open: &Open, cookie: &Secret<String>) -> Option<Versioned<Device>> {
    let verifiers = open.vault().token_verifiers(cookie);
    let id = verifiers.iter().find_map(|verifier| open.directory.cookie(verifier))?;
    let found = load::<Device>(&open.store, &DocId::new(id), kinds::DEVICE)?;
    // INVARIANT: the index only finds; that the cookie is this device's is what its own sealed body says.
    verifiers.contains(&found.value.verifier).then_some(found)
}

impl Control {
    /// Who a cookie belongs to, and how far they are signed in.
    ///
    /// # Errors
    /// When the cookie is unknown or over its time, or its identity disabled: one answer for all three.
    pub async fn by_cookie(&self, cookie: &Secret<String>) -> Result<Who, Error> {
        let open = self.opened()?;
        let now = self.env.now();
        let device = of_cookie(&open, cookie).ok_or_else(signed_out)?.value;
        if device.expires <= now || !self.seen_lately(&open, &device, now).await? {
            return Err(signed_out());
        }
        let identity = identity(&open, device.identity).ok_or_else(signed_out)?;
        Ok(Who { identity, expires: device.expires, device: Some(device) })
    }

    /// Whether a device was used within the idle time; it is used now. Whoever writes to the database can make it look
    /// older, or newer within the time that its sealed document gives it.
    async fn seen_lately(&self, open: &Open, device: &Device, now: Timestamp) -> Result<bool, Error> {
        let idle = self.sign_in.rules.idle;
        let here = self.sign_in.seen(device.id);
        if here.is_some_and(|at| now.since(at) < COARSE) {
            return Ok(true);
        }
        let was = match open.store.mark(&mark(device.id)).await {
            Ok(was) => was,
            // The database is away: what this node saw itself must do.
            Err(error) => {
                return if here.is_some_and(|at| now.since(at) < idle) { Ok(true) } else { Err(error.into()) };
            }
        };
        let last = was.map(|mark| mark.at).max(here).max(Some(device.created)).unwrap_or(device.created);
        if now.since(last) >= idle {
            return Ok(false);
        }
        // Where another call was faster it has said the same.
        open.store.set_mark(&mark(device.id), was, Mark { count: 1, at: now }).await?;
        self.sign_in.saw(device.id, now);
        Ok(true)
    }

    /// The caller's devices, newest first.
    ///
    /// # Errors
    /// When the caller may do nothing, or the database fails.
    pub async fn devices(&self, op: &Op) -> Result<Vec<DeviceLine>, Error> {
        let own = self.acting(op)?;
        let open = self.opened()?;
        let mut lines = Vec::new();
        for device in self.living_devices(&open, own.id) {
            let device = device.value;
            let marked = open.store.mark(&mark(device.id)).await?.map(|mark| mark.at);
            let seen = marked.max(self.sign_in.seen(device.id)).unwrap_or(device.created);
            lines.push(DeviceLine { current: op.device == Some(device.id), seen, device });
        }
        lines.sort_by_key(|line| std::cmp::Reverse(line.device.created));
        Ok(lines)
    }

    /// When an identity was last seen with a browser.
    pub(crate) async fn last_seen(&self, open: &Open, identity: IdentityId) -> Result<Option<Timestamp>, Error> {
        let mut last = None;
        for device in self.living_devices(open, identity) {
            let marked = open.store.mark(&mark(device.value.id)).await?.map(|mark| mark.at);
            last = last.max(marked).max(Some(device.value.created));
        }
        Ok(last)
    }

    pub(super) fn living_devices(&self, open: &Open, identity: IdentityId) -> Vec<Versioned<Device>> {
        let now = self.env.now();
        let ids = open.directory.devices(identity);
        ids.into_iter()
            .filter_map(|id| load::<Device>(&open.store, &DocId::new(id), kinds::DEVICE))
            .filter(|device| device.value.identity == identity && device.value.expires > now)
            .collect()
    }

    /// Signs one of the caller's devices out, at once and on every node.
    ///
    /// # Errors
    /// When the caller has no such device.
    pub async fn end_device(&self, op: &Op, device: DeviceId) -> Result<(), Error> {
        let own = self.acting(op)?;
        let open = self.opened()?;
        let found = load::<Device>(&open.store, &DocId::new(device), kinds::DEVICE)
            .filter(|found| found.value.identity == own.id)
            .ok_or_else(|| Error::NotFound("you have no such device".into()))?;
        self.end(&open, &op.actor, own.handle.as_str(), &found, "signed out from another device").await
    }

    /// Signs the device of a cookie out, however far it had come.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sign_out(&self, cookie: &Secret<String>) -> Result<(), Error> {
        let open = self.opened()?;
        let Some(found) = of_cookie(&open, cookie) else { return Ok(()) };
        let Some(who) = identity(&open, found.value.identity) else { return Ok(()) };
        let actor = Actor::Identity(who.id, who.handle.clone());
        self.end(&open, &actor, who.handle.as_str(), &found, "signed out").await
    }

    async fn end(
        &self,
        open: &Open,
        actor: &Actor,
        handle: &str,
        device: &Versioned<Device>,
        why: &str,
    ) -> Result<(), Error> {
        let id = device.value.id;
        let facts = [("device", id.to_string()), ("why", why.to_owned()), ("from", device.value.from.to_string())];
        let facts = facts.each_ref().map(|(name, fact)| (*name, fact.as_str()));
        let change = Change::entry(self.draft(actor, "device.ended", handle, &facts));
        match open.store.commit(change.delete(DocId::new(id), device.version)).await {
            Ok(_) => {}
            // It was used or ended at the same moment: ended it must be.
            Err(sallyport_store::Error::Conflict(_)) => {
                let Some(again) = load::<Device>(&open.store, &DocId::new(id), kinds::DEVICE) else { return Ok(()) };
                let change = Change::entry(self.draft(actor, "device.ended", handle, &facts));
                open.store.commit(change.delete(DocId::new(id), again.version)).await?;
            }
            Err(other) => return Err(other.into()),
        }
        self.sign_in.forget(id);
        let _ = open.store.forget_mark(&mark(id)).await;
        Ok(())
    }

    /// Adds to a change that every device of an identity ends, but for one, and every certificate.
    pub(crate) fn without_devices(
        &self,
        open: &Open,
        mut change: Change,
        of: IdentityId,
        but: Option<DeviceId>,
    ) -> Change {
        for device in
            self.living_devices(open, of).into_iter().filter(|device| Some(device.value.id) != but).take(BATCH)
        {
            change = change.delete(DocId::new(device.value.id), device.version);
        }
        // Whoever is signed out everywhere signs in nowhere with what an earlier sign-in has given.
        for certificate in certificates_of(open, of).into_iter().take(BATCH) {
            change = change.delete(certificate.value.document(), certificate.version);
        }
        change
    }

    /// Clears away what is over: devices, links, certificates, counts. Never returns.
    pub async fn tend_sign_ins(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            if let Err(error) = self.provide_host_certificate().await
                && !matches!(error, Error::Sealed | Error::Quarantined(_))
            {
                tracing::warn!(%error, "The gateway is not given a certificate of its host key; it is tried again");
            }
            if let Err(error) = self.sweep().await
                && !matches!(error, Error::Sealed | Error::Quarantined(_))
            {
                tracing::warn!(%error, "Devices that are over their time are not cleared away; it is tried again");
            }
        }
    }

    /// One such round.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let open = self.opened()?;
        let now = self.env.now();
        let devices = all::<Device>(&open.store, kinds::DEVICE).into_iter().filter(|(_, d)| d.value.expires <= now);
        let links = all::<Link>(&open.store, kinds::LINK).into_iter().filter(|(_, l)| l.value.expires <= now);
        let certificates = all::<OwnCertificate>(&open.store, kinds::SSH_CERTIFICATE).into_iter();
        let certificates = certificates.filter(|(_, c)| c.value.expires <= now);
        let (waiting, answered): (Vec<_>, Vec<_>) = all::<Pending>(&open.store, kinds::PENDING)
            .into_iter()
            .filter(|(_, login)| login.value.expires <= now)
            .partition(|(_, login)| login.value.answer == Answer::Waiting);
        for (_, login) in &waiting {
            self.unanswered(&open, login).await?;
        }
        let over = devices.map(|(id, d)| (id, d.version)).chain(links.map(|(id, l)| (id, l.version)));
        let over = over.chain(answered.into_iter().map(|(id, login)| (id, login.version)));
        let over: Vec<_> = over.chain(certificates.map(|(id, c)| (id, c.version))).collect();
        for batch in over.chunks(BATCH) {
            let count = batch.len().to_string();
            let draft = self.draft(&Actor::System("sign-in"), "device.expired", "devices", &[("count", &count)]);
            let change =
                batch.iter().fold(Change::entry(draft), |change, (id, version)| change.delete(id.clone(), *version));
            match open.store.commit(change).await {
                // Another node was at it too.
                Ok(_) | Err(sallyport_store::Error::Conflict(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
        open.store.forget_marks_before(Timestamp(now.0.saturating_sub(micros(super::limits::FORGET)))).await?;
        Ok(())
    }

    /// A device that begins, and its cookie.
    pub(super) fn new_device(
        &self,
        vault: &sallyport_vault::Vault,
        identity: IdentityId,
        state: DeviceState,
        (from, agent): (IpAddr, &str),
    ) -> Result<(Device, Secret<String>), Error> {
        let cookie = fresh_cookie(&self.env);
        let now = self.env.now();
        let device = Device {
            id: DeviceId::new(&self.env),
            identity,
            verifier: vault.token_verifier(&cookie)?,
            state,
            factors: Vec::new(),
            created: now,
            expires: now.plus(self.sign_in.rules.absolute),
            fresh_until: None,
            from,
            agent: agent.chars().filter(|c| !c.is_control()).take(120).collect(),
            rest: sallyport_model::inventory::Rest::new(),
        };
        Ok((device, cookie))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// 256 random bits as text.
pub(super) fn fresh_cookie(env: &sallyport_model::Env) -> Secret<String> {
    Secret::new(format!("{COOKIE_PREFIX}{}", hex::encode(env.random::<32>())))
}
