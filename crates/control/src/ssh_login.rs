//! SSH keys and certificates by which people sign in: what clients sign is verified here, and certificates are made.
//!
//! A gateway hands on what its client has signed, and control believes the signature alone: a gateway that says
//! it has seen a proof is not enough.

use crate::control::{Open, identity, put};
use crate::directory::{Versioned, all, kinds, load};
use crate::found::find;
use crate::identity::{AGENT, Shown, Waiting};
use crate::lease::{EXCHANGES, SKEW, seconds};
use crate::sign_in::Client;
use crate::slots::borrowed;
use crate::ssh_ca::SshCa;
use crate::users::user;
use crate::{Control, Error, Op};
use sallyport_model::access::{Ask, Denial, From};
use sallyport_model::authority::{AuthStep, Reply, SshProof};
use sallyport_model::inventory::{Identity, Rest};
use sallyport_model::sign_in::{DeviceState, FactorKind};
use sallyport_model::{Address, CallId, GatewayId, Handle, IdentityId, Kind, LoginId, Network, Timestamp};
use sallyport_policy::{Act, Decision, Demand, Right, decide};
use sallyport_ssh_transport::certificate::{self, Contents, Holder};
use sallyport_ssh_transport::{auth, key};
use sallyport_store::{Change, DocId};
use sallyport_vault::fingerprint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// A certificate that somebody signs in with: without its document it is worth nothing, so that deleting that revokes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnCertificate {
    /// Its serial.
    pub serial: u64,
    /// Whose.
    pub identity: IdentityId,
    /// The certified key, algorithm and base64.
    pub public: String,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// What the sign-in has shown that it was made in, such as `password` and `totp`; `token` where that was a token.
    pub factors: Vec<String>,
    /// From where it was asked for.
    pub from: IpAddr,
    #[serde(flatten)]
    rest: Rest,
}

/// A certificate to be made.
pub struct NewOwnCertificate {
    /// The public key, a line of a `.pub` file.
    pub public: String,
    /// How long it is good at most; what the installation permits where absent.
    pub life: Option<Duration>,
    /// Where it may be used from; anywhere where empty.
    pub networks: BTreeSet<Network>,
}

fn document(serial: u64) -> DocId {
    DocId::new(format_args!("ssh_certificate.{serial:016x}"))
}

/// Whether a client has signed with this key for the exchange of keys that it had with its gateway, under the name that
/// the gateway says it wrote.
fn proved(key: &str, proof: &SshProof, handle: Option<&Handle>) -> bool {
    let named = proof.user.parse::<Address>().is_ok_and(|address| address.handle() == handle);
    let shown = |blob: Vec<u8>| auth::proved(&proof.exchange, &proof.user, &proof.algorithm, &blob, &proof.signature);
    named && EXCHANGES.contains(&proof.exchange.len()) && key::parse(key).and_then(shown).is_ok()
}

/// Whether these options of a certificate let it be used from here. One that is not known refuses, as it must.
fn permitted(critical: &[(String, String)], from: IpAddr) -> bool {
    critical.iter().all(|(name, value)| {
        let holds = |network: &str| network.parse::<Network>().is_ok_and(|network| network.holds(from));
        name == "source-address" && value.split(',').any(holds)
    })
}

impl Control {
    /// A key or a certificate in a login through a gateway: offered, or shown with a proof.
    pub(crate) async fn key_step(
        &self,
        gateway: GatewayId,
        call: CallId,
        (login, step): (LoginId, &AuthStep),
        (key, proof): (&str, Option<&SshProof>),
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let found = self.owner(&open, key, step);
        let Some(proof) = proof else {
            let no = || Reply::Denied(Denial::new(Kind::Denied, "not this key"));
            return Ok(found.map_or_else(no, |_| Reply::More));
        };
        let how = if certificate::plain(&proof.algorithm).is_some() { "ssh_certificate" } else { "ssh_key" };
        let shown = found.filter(|_| proved(key, proof, step.handle.as_ref()));
        // An exchange of keys is one connection's, and so is a proof for it.
        let first = || self.live.first_login(&proof.exchange, login, self.env.now());
        match shown.filter(|_| first()) {
            Some((found, certified)) => {
                self.metrics.signed_in(how, true);
                let shown = Shown::only(how).with(certified);
                if self.wants_code(&open, (&found, &shown), proof, step.from.0) {
                    return self.ask_for_code(gateway, login, step, (found, shown)).await;
                }
                Ok(self.known(gateway, call, found, (shown, step)))
            }
            None => {
                self.count_failure(step, how).await?;
                Ok(Reply::Denied(Denial::new(Kind::Denied, "not signed in: unknown key or token")))
            }
        }
    }

    /// Whose a key or certificate is, if it may sign in here and now; with the factors that a certificate rests on.
    fn owner(&self, open: &Open, key: &str, step: &AuthStep) -> Option<(Identity, Vec<String>)> {
        let own = |found: &Identity| step.handle.as_ref().is_none_or(|handle| *handle == found.handle);
        let certified = || self.certified(open, key, step.from.0);
        let by_key = open.directory.ssh_key(key).and_then(|id| identity(open, id)).map(|found| (found, Vec::new()));
        by_key.or_else(certified).filter(|(found, _)| own(found))
    }

    /// Whether nothing but a second factor stands between somebody who has shown this and the place that they ask for,
    /// and whether they have one that can be typed.
    fn wants_code(&self, open: &Open, who: (&Identity, &Shown), proof: &SshProof, from: IpAddr) -> bool {
        let Ok(Address::Place { account, target, .. }) = proof.user.parse() else { return false };
        let ask = Ask { account, target, protocol: "ssh".into(), from: From(from), reason: String::new() };
        let Some(found) = find(open, &ask) else { return false };
        let facts = self.asking(open, who, &found, (from, ""));
        let needs = match decide(&open.policy(), &facts, Act::Connect) {
            Decision::Needs { demands, .. } => demands == [Demand::StepUp],
            _ => false,
        };
        let typed = |kind: &FactorKind| matches!(kind, FactorKind::Totp | FactorKind::Recovery);
        needs && self.methods(who.0).is_ok_and(|methods| methods.iter().any(typed))
    }

    /// The proof counts in part: a code is to follow, in the very sign-in that a browser makes, with its limits.
    async fn ask_for_code(
        &self,
        gateway: GatewayId,
        login: LoginId,
        step: &AuthStep,
        (found, first): (Identity, Shown),
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let client = Client { from: step.from.0, agent: AGENT.into() };
        let begun = self.begin(&open, &found, (DeviceState::Factor, &[]), &client, |_| Ok(())).await?;
        let waiting = Waiting { gateway, from: step.from, handle: found.handle, cookie: begun.cookie, first };
        self.live.wait_for_factor(login, waiting, self.env.now());
        Ok(Reply::More)
    }

    /// Who a certificate of ours speaks for, and what it rests on.
    fn certified(&self, open: &Open, key: &str, from: IpAddr) -> Option<(Identity, Vec<String>)> {
        let read = certificate::read(&key::parse(key).ok()?).ok()?;
        let (said, now) = (read.contents, seconds(self.env.now()));
        let ours = self.believed(open, SshCa::People).contains(&key::print(&read.authority).ok()?);
        let timely = said.after <= now && now < said.before;
        if !ours || said.holder != Holder::User || !timely || !permitted(&said.critical, from) {
            return None;
        }
        let kept = load::<OwnCertificate>(&open.store, &document(said.serial), kinds::SSH_CERTIFICATE)?.value;
        let whose = identity(open, kept.identity)?;
        let same = kept.public == key::print(&said.key).ok()? && kept.expires > self.env.now();
        (same && said.principals == [whose.handle.to_string()]).then_some((whose, kept.factors))
    }

    /// Makes a certificate by which the caller signs in at gateways, until `until` at the latest: no longer than what the
    /// caller has signed in with. Answers with the line of a `-cert.pub` file.
    ///
    /// # Errors
    /// When the key is none that can be certified, the installation makes no certificates, or no factor is fresh.
    pub async fn certify_own(
        &self,
        op: &Op,
        new: NewOwnCertificate,
        until: Timestamp,
    ) -> Result<(OwnCertificate, String), Error> {
        let own = self.acting(op)?;
        self.demand_fresh_factor(op)?;
        let longest = self.longest_certificate();
        if longest.is_zero() {
            return Err(
                Denial::new(Kind::Denied, "no certificates are made here: sign in with a key or a token").into()
            );
        }
        let public = crate::apply::public_key(&new.public)
            .ok_or_else(|| Error::usage("this is no SSH public key: send the line of a `.pub` file"))?;
        let open = self.opened()?;
        let now = self.env.now();
        let made = OwnCertificate {
            serial: u64::from_be_bytes(self.env.random()),
            identity: own.id,
            public,
            made: now,
            expires: now.plus(new.life.unwrap_or(longest).min(longest)).min(until),
            factors: self.shown_factors(op)?,
            from: op.from,
            rest: Rest::new(),
        };
        let networks: Vec<_> = new.networks.iter().map(ToString::to_string).collect();
        let contents = Contents {
            key: key::parse(&made.public).map_err(Error::usage)?,
            serial: made.serial,
            holder: Holder::User,
            id: format!("sallyport {} ({})", own.handle, made.factors.join(", ")),
            principals: vec![own.handle.to_string()],
            after: seconds(now.minus(SKEW)),
            before: seconds(made.expires),
            critical: Some(networks.join(",")).filter(|list| !list.is_empty()).into_iter().map(bound).collect(),
            // A gateway asks policy, and a target that believes this authority by mistake gives nothing away.
            extensions: Vec::new(),
        };
        let signer = self.signer(&open, SshCa::People)?;
        let no_key = |_| Error::usage("a key of this sort cannot be certified: make one with `ssh-keygen -t ed25519`");
        let blob = signer.certify(&contents, &self.env.random()).map_err(no_key)?;
        let facts = [
            ("serial", made.serial.to_string()),
            ("key", fingerprint(&made.public)),
            ("factors", made.factors.join(", ")),
            ("until", made.expires.to_string()),
            ("networks", networks.join(", ")),
            ("ca", signer.version.to_string()),
        ];
        let draft = self.draft(&op.actor, "ssh_certificate.made", &own.handle, &borrowed(&facts));
        let kept = put(document(made.serial), 0, kinds::SSH_CERTIFICATE, &made)?;
        open.store.commit(Change::entry(draft).put(kept)).await?;
        self.metrics.certificate_issued(SshCa::People);
        Ok((made, key::print(&blob).map_err(Error::failed)?))
    }

    /// The caller's certificates that are good, newest first.
    ///
    /// # Errors
    /// When the caller may do nothing.
    pub fn own_certificates(&self, op: &Op) -> Result<Vec<OwnCertificate>, Error> {
        let who = self.acting(op)?;
        Ok(self.living_certificates(&*self.opened()?, who.id))
    }

    /// Another user's certificates that are good, newest first.
    ///
    /// # Errors
    /// When the actor lacks the right, or there is no such user.
    pub fn certificates_of(&self, op: &Op, handle: &Handle) -> Result<Vec<OwnCertificate>, Error> {
        self.require(op, Right::IdentityRead)?;
        let open = self.opened()?;
        let whose = user(&open, handle)?.value;
        Ok(self.living_certificates(&open, whose.id))
    }

    fn living_certificates(&self, open: &Open, whose: IdentityId) -> Vec<OwnCertificate> {
        let now = self.env.now();
        let mut living: Vec<_> = certificates_of(open, whose).into_iter().map(|found| found.value).collect();
        living.retain(|certificate| certificate.expires > now);
        living.sort_by_key(|certificate| std::cmp::Reverse(certificate.made));
        living
    }

    /// Revokes one of the caller's certificates, at once and on every node.
    ///
    /// # Errors
    /// When the caller has no such certificate.
    pub async fn revoke_own_certificate(&self, op: &Op, serial: u64) -> Result<(), Error> {
        let who = self.acting(op)?;
        self.revoke(op, &who, serial).await
    }

    /// Revokes one of another user's certificates, at once and on every node.
    ///
    /// # Errors
    /// When the actor lacks the right, the user is above them, or has no such certificate.
    pub async fn revoke_certificate_of(&self, op: &Op, handle: &Handle, serial: u64) -> Result<(), Error> {
        self.require(op, Right::IdentityWrite)?;
        let whose = user(&*self.opened()?, handle)?.value;
        self.may_change(op, &[&whose])?;
        self.revoke(op, &whose, serial).await
    }

    async fn revoke(&self, op: &Op, whose: &Identity, serial: u64) -> Result<(), Error> {
        let open = self.opened()?;
        let found = load::<OwnCertificate>(&open.store, &document(serial), kinds::SSH_CERTIFICATE)
            .filter(|found| found.value.identity == whose.id)
            .ok_or_else(|| Error::NotFound("there is no such certificate".into()))?;
        let facts = [("serial", serial.to_string())];
        let draft = self.draft(&op.actor, "ssh_certificate.revoked", &whose.handle, &borrowed(&facts));
        open.store.commit(Change::entry(draft).delete(document(serial), found.version)).await?;
        self.metrics.certificate_revoked();
        Ok(())
    }
}

fn bound(networks: String) -> (String, String) {
    ("source-address".to_owned(), networks)
}

/// How many certificates of people are good.
pub(crate) fn living(open: &Open, now: Timestamp) -> usize {
    let all = all::<OwnCertificate>(&open.store, kinds::SSH_CERTIFICATE);
    all.iter().filter(|(_, found)| found.value.expires > now).count()
}

/// All certificates of somebody.
pub(crate) fn certificates_of(open: &Open, identity: IdentityId) -> Vec<Versioned<OwnCertificate>> {
    let all = all::<OwnCertificate>(&open.store, kinds::SSH_CERTIFICATE).into_iter().map(|(_, found)| found);
    all.filter(|found| found.value.identity == identity).collect()
}

impl OwnCertificate {
    /// Id of its document.
    pub(crate) fn document(&self) -> DocId {
        document(self.serial)
    }
}
