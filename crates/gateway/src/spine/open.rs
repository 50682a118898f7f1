//! `open`: header and ledger entry made durable beside each other; both, or no session.

use super::company::Knocking;
use super::door::Followed;
use super::gateway::Gateway;
use super::live::{Denials, Ending, Live, Notice, Typed};
use super::proof::{Authenticated, Clearance, EntryDurable, HeaderDurable, Lease, Permit};
use super::questions::{About, Asked, Consulted};
use super::signing::Signatures;
use super::steer::Pauses;
use crate::authority::{self, Order, PATIENCE};
use crate::observe::{Inputs, Judge, Lines, Recording, Tap};
use crate::sabotage::sabotaged;
use sallyport_model::access::{Ask, Channel, Denial, EndReason, Freeze, LeaseKind};
use sallyport_model::authority::{Anchor, Call, Close, Open as OpenCall, Opened, Reply, Welcome};
use sallyport_model::company::Guest;
use sallyport_model::door::Opened as Outline;
use sallyport_model::limits::Record;
use sallyport_model::sealed::PrivateKey;
use sallyport_model::way::{MOST_HOPS, Stop};
use sallyport_model::{Env, IdentityId, Kind, RecordingId, SessionId};
use sallyport_recording::Facts;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

/// Pieces of what peers type that wait for their session; then each of them waits.
const PEERS: usize = 16;

/// An open session, before and while it is driven.
pub(super) struct Open {
    pub(super) session: SessionId,
    pub(super) identity: IdentityId,
    pub(super) clearance: Arc<Clearance>,
    pub(super) recording: Arc<Recording>,
    pub(super) tap: Arc<Tap>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) began: Instant,
    pub(super) stopped: watch::Sender<bool>,
    pub(super) frozen: watch::Sender<Option<Freeze>>,
    pub(super) pauses: Pauses,
    /// Who is there beside the user.
    pub(super) guests: watch::Sender<Vec<Guest>>,
    /// What the user is asked.
    pub(super) asked: watch::Sender<Option<Asked>>,
    pub(super) answers: mpsc::UnboundedReceiver<(About, bool)>,
    answer: mpsc::UnboundedSender<(About, bool)>,
    shown: Arc<Mutex<Option<(About, Instant)>>>,
    /// Who comes and goes at the door.
    pub(super) knocking: mpsc::UnboundedReceiver<Knocking>,
    pub(super) knock: mpsc::UnboundedSender<Knocking>,
    /// What peers type.
    pub(super) typed: mpsc::Sender<Typed>,
    peers: Arc<Mutex<Option<mpsc::Receiver<Typed>>>>,
    pub(super) ending: watch::Sender<Option<Ending>>,
    pub(super) notices: broadcast::Sender<Notice>,
    channels: Arc<AtomicU32>,
    refused: Arc<Mutex<HashSet<Channel>>>,
    denials: Arc<Denials>,
    signatures: Arc<Signatures>,
}

impl Open {
    /// What whoever holds it through the door is told of it.
    pub(super) fn outline(&self, env: &Env) -> Outline {
        let limits = self.clearance.permit().terms().limits.clone();
        let expires = env.now().plus(limits.duration());
        Outline { session: self.session, recording: self.recording.id(), expires, limits }
    }

    /// What whoever holds it through the door follows.
    pub(super) fn followed(&self) -> Followed {
        let (frozen, paused) = (self.frozen.subscribe(), self.pauses.subscribe());
        Followed { frozen, paused, guests: self.guests.subscribe(), asked: self.asked.subscribe() }
    }

    /// The session, as a relay has it.
    pub(super) fn live(&self, gateway: &Gateway) -> Live {
        Live {
            env: gateway.parts.env.clone(),
            clearance: self.clearance.clone(),
            tap: self.tap.clone(),
            authority: gateway.parts.authority.clone(),
            channels: self.channels.clone(),
            refused: self.refused.clone(),
            denials: self.denials.clone(),
            notices: self.notices.clone(),
            heard: self.notices.subscribe(),
            ending: self.ending.subscribe(),
            consulted: Consulted {
                asked: self.asked.subscribe(),
                answers: self.answer.clone(),
                shown: self.shown.clone(),
            },
            knock: self.knock.clone(),
            signatures: self.signatures.clone(),
            peers: self.peers.clone(),
            guests: self.guests.subscribe(),
            span: tracing::Span::current(),
        }
    }
}

/// Opens a session, or says why not. What was begun is ended on every way out.
pub(super) async fn open(gateway: &Gateway, who: &Authenticated, ask: &Ask) -> Result<Open, Denial> {
    let parts = &gateway.parts;
    if gateway.stop.is_cancelled() {
        return Err(Denial::unavailable("this gateway"));
    }
    if !parts.arrears.paid(PATIENCE).await {
        return Err(Denial::unavailable("the ledger"));
    }
    let welcome = parts.authority.welcome().borrow().clone().ok_or_else(|| Denial::unavailable("the authority"))?;
    let session = SessionId::new(&parts.env);
    let recording = begin(gateway, &welcome, session, who, ask)?;
    let (key, public) = match PrivateKey::generate(&parts.env) {
        Ok(pair) => pair,
        Err(error) => {
            recording.discard();
            return Err(Denial::new(Kind::Failed, error.to_string()));
        }
    };
    let orders = parts.authority.enlist(session);
    let call = Call::Open(OpenCall {
        session,
        who: who.auth(),
        ask: ask.clone(),
        recording: recording.id(),
        header: recording.header_hash().to_vec(),
        key: public,
    });
    let (header, reply) = tokio::join!(recording.opened(), parts.authority.call(call, PATIENCE));
    let header = if sabotaged("recorder") { Ok(()) } else { header };
    #[cfg(feature = "sabotage")]
    let reply = sabotage(reply, who, ask);
    let refusal = match (header, reply) {
        (Ok(()), Ok(Reply::Opened(opened))) => {
            let proofs = (HeaderDurable(()), EntryDurable(()));
            match equip(gateway, *opened, (session, key), proofs, recording.clone(), orders) {
                Ok(open) => return Ok(open),
                Err(denial) => Refusal { denial, open: true },
            }
        }
        (Err(error), Ok(Reply::Opened(_))) => {
            tracing::error!(%error, "the header is not durable");
            Refusal { denial: Denial::unavailable("the recorder"), open: true }
        }
        (_, Ok(Reply::Denied(denial))) => Refusal { denial, open: false },
        // The outcome is unknown: control may have opened it, so it is closed.
        (_, Err(error)) => {
            tracing::error!(%error, %session, "a session's opening was not answered");
            Refusal { denial: Denial::unavailable("the authority"), open: true }
        }
        (_, Ok(_)) => Refusal { denial: authority::Error::Misfit.into(), open: true },
    };
    Err(abort(gateway, session, &recording, refusal))
}

struct Refusal {
    denial: Denial,
    /// Whether control has or may have the session open.
    open: bool,
}

fn begin(
    gateway: &Gateway,
    welcome: &Welcome,
    session: SessionId,
    who: &Authenticated,
    ask: &Ask,
) -> Result<Arc<Recording>, Denial> {
    let parts = &gateway.parts;
    let key = welcome.recording_key.as_ref().ok_or_else(|| {
        Denial::new(Kind::Sealed, "the vault is sealed, so no session can be opened; ask an administrator to unseal it")
    })?;
    let facts = Facts {
        recording: RecordingId::new(&parts.env),
        session,
        cluster: welcome.cluster,
        started: parts.env.now(),
        handle: who.handle().clone(),
        target: ask.target.clone(),
        account: ask.account.clone(),
        protocol: ask.protocol.clone(),
        size: None,
    };
    parts.recorder.begin(facts, key).map_err(|error| {
        tracing::error!(%error, "a recording cannot begin");
        Denial::unavailable("the recorder")
    })
}

fn equip(
    gateway: &Gateway,
    opened: Opened,
    (session, key): (SessionId, PrivateKey),
    proofs: (HeaderDurable, EntryDurable),
    recording: Arc<Recording>,
    orders: mpsc::UnboundedReceiver<Order>,
) -> Result<Open, Denial> {
    let parts = &gateway.parts;
    let Opened { terms, lease } = opened;
    if terms.place.hops.len() > MOST_HOPS {
        return Err(authority::Error::Misfit.into());
    }
    let observers = (parts.observers)(&terms)?;
    let judge = Judge::new(&terms, session, parts.authority.clone())?;
    let strict = terms.limits.record == Record::Strict;
    let inputs = Inputs::new(terms.limits.recording);
    let (identity, platform) = (terms.identity, terms.place.platform);
    let (key, hops) = (Arc::new(key), terms.place.hops.iter().map(|hop| hop.lease.clone()));
    let lend = |lent: (Stop, LeaseKind)| Lease::new(session, lent, key.clone(), parts.authority.clone());
    let leases = (lend((Stop::Target, lease)), (0..).map(Stop::Hop).zip(hops).map(lend).collect());
    let clearance = Clearance::new(Permit::new(session, terms), leases, parts.dialer.clone(), proofs);
    let (stopped, frozen) = (watch::Sender::new(false), watch::Sender::new(None));
    let pauses = Pauses::new();
    let (knock, knocking) = mpsc::unbounded_channel();
    let (answer, answers) = mpsc::unbounded_channel();
    let (typed, peers) = mpsc::channel(PEERS);
    let began = Instant::now();
    let tap = Tap {
        recording: recording.clone(),
        observers,
        judge,
        inputs,
        lines: Lines::of(platform),
        frozen: frozen.subscribe(),
        paused: pauses.subscribe(),
        verdict: OnceLock::new(),
        not_become: OnceLock::new(),
        ended: stopped.subscribe(),
        strict,
        began,
        active: AtomicU64::new(0),
        bytes: Default::default(),
    };
    Ok(Open {
        session,
        identity,
        clearance: Arc::new(clearance),
        recording,
        tap: Arc::new(tap),
        orders,
        began,
        stopped,
        frozen,
        pauses,
        guests: watch::Sender::new(Vec::new()),
        asked: watch::Sender::new(None),
        answers,
        answer,
        shown: Arc::default(),
        knocking,
        knock,
        typed,
        peers: Arc::new(Mutex::new(Some(peers))),
        ending: watch::Sender::new(None),
        notices: broadcast::Sender::new(8),
        channels: Arc::new(AtomicU32::new(0)),
        refused: Arc::default(),
        denials: Arc::default(),
        signatures: Arc::default(),
    })
}

/// Undoes a session that did not come to be, and says so in the ledger where control may have it.
fn abort(gateway: &Gateway, session: SessionId, recording: &Arc<Recording>, refusal: Refusal) -> Denial {
    let (authority, recording) = (gateway.parts.authority.clone(), recording.clone());
    if !refusal.open {
        authority.delist(session);
        recording.discard();
        return refusal.denial;
    }
    let note = format!("aborted: {}", refusal.denial.message);
    gateway.running.spawn(async move {
        // Without an end the next gateway closes it, as in `drive`.
        let Ok(at) = recording.finish().await else { return };
        let anchor = Anchor { session, segments: at.0, chain: at.1.to_vec() };
        let (reason, bytes, exchanges) = (EndReason::RecorderStall, (0, 0), Vec::new());
        let not_become = None;
        let close = Close { session, reason, anchor, complete: true, bytes, note, frozen: 0, exchanges, not_become };
        super::drive::tell(&*authority, session, &|| Call::Close(close.clone())).await;
        authority.delist(session);
    });
    refusal.denial
}

/// Opens what control refused, as control would have opened it. For the suite alone.
#[cfg(feature = "sabotage")]
fn sabotage(reply: Result<Reply, authority::Error>, who: &Authenticated, ask: &Ask) -> Result<Reply, authority::Error> {
    let wanted = match &reply {
        Ok(Reply::Denied(denial)) if denial.kind == Kind::Unavailable => sabotaged("ledger"),
        Ok(Reply::Denied(_)) => sabotaged("denied"),
        Err(_) => sabotaged("ledger"),
        Ok(_) => false,
    };
    match crate::sabotage::known(&ask.target).filter(|_| wanted) {
        Some(target) => Ok(Reply::Opened(Box::new(target.opened(ask, (who.identity(), who.handle()), 0)))),
        None => reply,
    }
}
