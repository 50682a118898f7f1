//! From an ask to a permit: one decision, one lease, one entry, one commit.

use crate::control::{Open, POLICY, clip, identity, in_session, put};
use crate::directory::{Versioned, kinds, load};
use crate::found::{Found, find};
use crate::identity::{Shown, Spendable};
use crate::lease::lease_kind;
use crate::sessions::SessionBody;
use crate::sign_in::STEP_UP;
use crate::slots::borrowed;
use crate::{Actor, Control, Error, exchange};
use sallyport_model::access::{Ask, Denial};
use sallyport_model::authority::{Anchor, Close, Open as OpenCall, OpenChannel, Opened, Reply, Thawed};
use sallyport_model::inventory::{Identity, Rest};
use sallyport_model::steering::Steering;
use sallyport_model::way::Exchange;
use sallyport_model::{AccountId, CallId, EntryId, GatewayId, Kind, Limits, SessionId, TargetId};
use sallyport_policy::{Act, Decision, Facts, Standing, decide, standing};
use sallyport_store::{Change, DocId, Draft, Filter};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// How long a watcher waits for the last view of a session that is closed.
const LAST_VIEW: Duration = Duration::from_secs(5);

/// How long the check of a credential may take, in seconds.
const CHECK: u32 = 60;

/// A permitted ask.
struct Permitted {
    found: Found,
    limits: sallyport_model::Limits,
    determining: Vec<String>,
    met: BTreeSet<String>,
}

impl Control {
    /// Decides, leases, and writes `session.opened`, in one commit.
    pub(crate) async fn open_session(&self, gateway: GatewayId, call: CallId, ask: OpenCall) -> Result<Reply, Error> {
        let open = self.opened()?;
        if let Some(known) = load::<SessionBody>(&open.store, &DocId::new(ask.session), kinds::SESSION) {
            return self.reopened(&open, gateway, call, &known.value).await;
        }
        let now = self.env.now();
        let Some(spent) = self.live.spendable(ask.who, gateway, now).filter(|s| s.from == ask.ask.from) else {
            return Ok(Reply::Denied(Denial::new(Kind::Denied, "the sign-in is over its time: connect again")));
        };
        let Some(who) = identity(&open, spent.identity) else {
            return Ok(Reply::Denied(Denial::new(
                Kind::Denied,
                "this identity may do nothing: it is disabled or gone",
            )));
        };
        let judged = |()| match spent.checks {
            None => self.judge(&open, (&who, &spent), &ask.ask),
            Some(place) => self.judge_check(&open, place, &ask.ask),
        };
        let permitted = match self.thaw().and_then(|()| self.room()).and_then(judged) {
            Ok(permitted) => permitted,
            Err((denial, why)) => {
                self.write_denied(&open, call, &who, &ask, (&denial, &why)).await?;
                return Ok(Reply::Denied(denial));
            }
        };
        let body = SessionBody {
            id: ask.session,
            identity: who.id,
            handle: who.handle.clone(),
            target: permitted.found.target.id,
            account: permitted.found.account.id,
            address: format!("{}@{}", permitted.found.account.name, permitted.found.target.name),
            protocol: ask.ask.protocol.clone(),
            gateway,
            recording: ask.recording,
            key: hex::encode(ask.key.0),
            from: ask.ask.from.0,
            reason: ask.ask.reason.chars().take(500).collect(),
            rules: open.policy().rules(&permitted.limits.commands),
            limits: permitted.limits,
            policy: open.policy().hash().to_owned(),
            determining: permitted.determining,
            opened: now,
            met: permitted.met,
            factors: spent.shown.factors.clone(),
            ending: None,
            node: self.node().to_owned(),
            logon: permitted.found.way.logon(),
            steering: Steering::default(),
            guests: Vec::new(),
            waits: false,
            hops: permitted.found.hops.iter().map(|hop| (hop.target.id, hop.account.id)).collect(),
            rest: Rest::new(),
        };
        let (lease, place) = (lease_kind(&open, &permitted.found)?, permitted.found.dial(&open, now)?);
        let how = if spent.checks.is_some() { "check" } else { spent.shown.how.as_str() };
        let way = permitted.found.hops.iter().map(|hop| hop.jump().to_string()).collect::<Vec<_>>().join(" ");
        let draft = Draft {
            id: entry_id(call),
            ..opened_draft(self, &body, &ask, (how, &way, &permitted.found.exceptions(now)))
        };
        // The decision is made over these documents: if one changes before the commit, decide again.
        let mut change = Change::entry(draft).put(put(body.id, 0, kinds::SESSION, &body)?).repeatable();
        let logon = permitted.found.way.account().map(|logon| DocId::new(logon.id));
        change.expect.extend(decided_over(&open, &body, logon));
        // The commit goes on whoever waits for it, and until it is known nobody may take the session for one that never was.
        let (opening, store) = (self.live.opening(body.id, gateway), open.store.clone());
        let commit = tokio::spawn(async move {
            let committed = store.commit(change).await;
            drop(opening);
            committed
        });
        let committed = commit.await.map_err(Error::failed)??;
        self.live.began(body.id, gateway);
        self.metrics.session_opened();
        Ok(Reply::Opened(Box::new(Opened { terms: body.terms(place, committed.index), lease })))
    }

    /// Refuses while evidence does not reach an anchor that must not be late.
    fn thaw(&self) -> Result<(), (Denial, String)> {
        if self.anchors.frozen() {
            let text = "no new session begins: the ledger does not reach its anchors; ask the operator to run `sallyport ledger anchors`";
            return Err((Denial::new(Kind::Unavailable, text), "an anchor is late".into()));
        }
        Ok(())
    }

    /// The same open again: the reply was lost, the outcome is not.
    async fn reopened(
        &self,
        open: &Open,
        gateway: GatewayId,
        call: CallId,
        known: &SessionBody,
    ) -> Result<Reply, Error> {
        if known.gateway != gateway {
            return Ok(Reply::Denied(Denial::new(Kind::Denied, "this session belongs to another gateway")));
        }
        let index = open.store.entry_index(entry_id(call)).await?;
        let found = known.found(open);
        let (Some(index), Some(found)) = (index, found) else {
            return Ok(Reply::Denied(Denial::new(Kind::Conflict, "this session is open already")));
        };
        self.live.began(known.id, gateway);
        let lease = lease_kind(open, &found)?;
        Ok(Reply::Opened(Box::new(Opened { terms: known.terms(found.dial(open, self.env.now())?, index), lease })))
    }

    /// One decision. A denial comes with what the ledger says of it.
    fn judge(
        &self,
        open: &Open,
        (who, spent): (&Identity, &Spendable),
        ask: &Ask,
    ) -> Result<Permitted, (Denial, String)> {
        if let Some((account, target)) = &spent.shown.place
            && (account, target) != (&ask.account, &ask.target)
        {
            let text = format!("this login was allowed for {account}@{target}: connect again for another place");
            return Err((Denial::new(Kind::Denied, text), format!("it was allowed for {account}@{target}")));
        }
        let Some(found) = find(open, ask) else {
            return Err((Denial::unknown(), "no such target or account".into()));
        };
        if found.target.protocol.as_str() != ask.protocol {
            return Err((Denial::unknown(), format!("the target speaks {}", found.target.protocol)));
        }
        let policy = open.policy();
        let facts = self.asking(open, (who, &spent.shown), &found, (ask.from.0, &ask.reason));
        let decision = decide(&policy, &facts, Act::Connect);
        self.metrics.decided(Act::Connect, &decision);
        let why = decision.denial().map(|denial| denial.message).unwrap_or_default();
        match decision {
            Decision::Permit { limits, determining } => {
                let yours = |kind, why: String| {
                    let text = format!("{}@{} is yours to use, but {why}", ask.account, ask.target);
                    Err((Denial::new(kind, text), why))
                };
                if let Some(why) = exchange::wrong(&limits, spent.exchange.as_deref()) {
                    return yours(Kind::Denied, why);
                }
                if let Some(why) = found.unready() {
                    return yours(Kind::Unavailable, why);
                }
                let met = facts.met.clone();
                Ok(Permitted { found, limits, determining, met })
            }
            Decision::Needs { .. } => Err((Denial::new(Kind::NeedsApproval, why.clone()), why)),
            Decision::Deny { .. } => match standing(&policy, &facts) {
                Standing::Invisible => Err((Denial::unknown(), why)),
                Standing::Requestable | Standing::Usable => {
                    let text = format!("you may not connect to {}@{}: {why}", ask.account, ask.target);
                    Err((Denial::new(Kind::Denied, text), why))
                }
            },
        }
    }

    /// What is known when somebody who has shown this asks for a place.
    pub(crate) fn asking<'a>(
        &self,
        open: &Open,
        (who, shown): (&'a Identity, &Shown),
        found: &'a Found,
        (from, reason): (IpAddr, &'a str),
    ) -> Facts<'a> {
        let mut facts = found.facts(who, self.env.now(), from, reason);
        facts.met = self.met_by(open, who.id);
        if shown.fresh {
            facts.met.insert(STEP_UP.to_owned());
        }
        facts.factors.clone_from(&shown.factors);
        facts
    }

    /// A check of a stored credential: whoever may store it may see whether it works. No channel comes of it.
    fn judge_check(
        &self,
        open: &Open,
        (target, account): (TargetId, AccountId),
        ask: &Ask,
    ) -> Result<Permitted, (Denial, String)> {
        let found = find(open, ask).filter(|found| found.target.id == target && found.account.id == account);
        let found = found.ok_or_else(|| (Denial::unknown(), "the place was changed meanwhile".to_owned()))?;
        let limits = Limits { max_duration: CHECK, idle: CHECK, ..Limits::house() };
        Ok(Permitted { found, limits, determining: Vec::new(), met: BTreeSet::new() })
    }

    async fn write_denied(
        &self,
        open: &Open,
        call: CallId,
        who: &Identity,
        ask: &OpenCall,
        (denial, why): (&Denial, &str),
    ) -> Result<(), Error> {
        let actor = Actor::Identity(who.id, who.handle.clone());
        let object = format!("{}@{}", ask.ask.account, ask.ask.target);
        let policy = open.policy();
        let facts = [
            ("why", why),
            ("told", denial.kind.word()),
            ("from", &ask.ask.from.0.to_string()),
            ("protocol", &ask.ask.protocol),
            ("policy", policy.hash()),
        ];
        let draft = Draft { id: entry_id(call), ..self.draft(&actor, "session.denied", object, &facts) };
        open.store.commit(Change::entry(in_session(draft, ask.session)).repeatable()).await?;
        Ok(())
    }

    /// Decides on one channel of an open session.
    pub(crate) async fn open_channel(
        &self,
        gateway: GatewayId,
        call: CallId,
        ask: OpenChannel,
    ) -> Result<Reply, Error> {
        let open = self.opened()?;
        let session = self.going_on(gateway, ask.session)?;
        let actor = Actor::Identity(session.identity, session.handle.clone());
        let verdict = match &ask.refused {
            None => self.judge_channel(&open, &session, &ask),
            Some(why) => Err(Denial::new(Kind::Denied, clip(why))),
        };
        let (action, why) = match &verdict {
            Ok(()) => ("channel.opened", String::new()),
            Err(denial) => ("channel.denied", denial.message.clone()),
        };
        let kind = ask.kind.action();
        let mut facts = vec![("channel", kind), ("detail", ask.detail.as_str())];
        if !why.is_empty() {
            facts.push(("why", &why));
        }
        let draft = Draft { id: entry_id(call), ..self.draft(&actor, action, &session.address, &facts) };
        let committed = open.store.commit(Change::entry(in_session(draft, session.id)).repeatable()).await?;
        Ok(match verdict {
            Ok(()) => Reply::Done(committed.index),
            Err(denial) => Reply::Denied(denial),
        })
    }

    fn judge_channel(&self, open: &Open, session: &SessionBody, ask: &OpenChannel) -> Result<(), Denial> {
        let gone = || Denial::new(Kind::Denied, "the right to this session is gone");
        let who = identity(open, session.identity).ok_or_else(gone)?;
        let found = session.found(open).ok_or_else(gone)?;
        let mut facts = session.facts(&found, &who, self.env.now());
        facts.destination = ask.kind.forwards().then_some(ask.detail.as_str());
        let decision = decide(&open.policy(), &facts, Act::Channel(ask.kind));
        self.metrics.decided(Act::Channel(ask.kind), &decision);
        match decision.denial() {
            None => Ok(()),
            Some(denial) => {
                // As it was asked for: `localhost` is not `127.0.0.1` to a policy.
                let place = facts.destination.map(|place| format!(" to {}", plain(place))).unwrap_or_default();
                let text = format!("policy does not permit {}{place} here: {}", ask.kind.action(), denial.message);
                Err(Denial::new(denial.kind, text))
            }
        }
    }

    /// An open session of this gateway, and no other's.
    pub(crate) fn own_session(&self, gateway: GatewayId, session: SessionId) -> Result<SessionBody, Error> {
        let known = self.live_session(session)?;
        if known.gateway == gateway { Ok(known) } else { Err(foreign()) }
    }

    /// An open session of this gateway that may still begin something.
    pub(crate) fn going_on(&self, gateway: GatewayId, session: SessionId) -> Result<SessionBody, Error> {
        let known = self.own_session(gateway, session)?;
        match known.ending {
            None => Ok(known),
            Some(_) => Err(Denial::new(Kind::Denied, "this session is being ended").into()),
        }
    }

    /// A session that this gateway may close: its own, or an orphan. An orphan's credential is nobody's to use.
    fn closable(&self, gateway: GatewayId, session: SessionId) -> Result<SessionBody, Error> {
        let known = self.live_session(session)?;
        let orphan = !self.live.connected(known.gateway) && !self.elsewhere(&known);
        if known.gateway == gateway || orphan { Ok(known) } else { Err(foreign()) }
    }

    /// Writes how far a recording has come.
    pub(crate) async fn anchor(&self, gateway: GatewayId, call: CallId, anchor: Anchor) -> Result<Reply, Error> {
        let session = self.own_session(gateway, anchor.session)?;
        let facts = [("segments", anchor.segments.to_string()), ("chain", hex::encode(&anchor.chain))];
        let facts = facts.each_ref().map(|(k, v)| (*k, v.as_str()));
        let draft = Draft {
            id: entry_id(call),
            ..self.draft(&Actor::Gateway(gateway), "recording.anchor", session.recording, &facts)
        };
        let committed = self.opened()?.store.commit(Change::entry(in_session(draft, session.id)).repeatable()).await?;
        Ok(Reply::Done(committed.index))
    }

    /// Writes that a session was frozen, and goes on.
    pub(crate) async fn thawed(&self, gateway: GatewayId, call: CallId, thawed: Thawed) -> Result<Reply, Error> {
        let session = self.own_session(gateway, thawed.session)?;
        let facts = [("without", thawed.without.word()), ("millis", &thawed.millis.to_string())];
        let draft = self.draft(&Actor::Gateway(gateway), "session.frozen", &session.address, &facts);
        let draft = Draft { id: entry_id(call), ..draft };
        let committed = self.opened()?.store.commit(Change::entry(in_session(draft, session.id)).repeatable()).await?;
        Ok(Reply::Done(committed.index))
    }

    /// The end of a session: the lease returns, the document goes, the entry stays.
    pub(crate) async fn close_session(&self, gateway: GatewayId, call: CallId, close: Close) -> Result<Reply, Error> {
        let open = self.opened()?;
        let (committed, logon) = loop {
            let opening = self.live.is_opening(close.session);
            let Some(known) = load::<SessionBody>(&open.store, &DocId::new(close.session), kinds::SESSION) else {
                if opening {
                    return Ok(Reply::Denied(Denial::unavailable("what becomes of the session's opening")));
                }
                return self.closed_before(&open, close.session).await;
            };
            self.closable(gateway, close.session)?;
            match open.store.commit(closed(self, entry_id(call), &known, &close).repeatable()).await {
                Ok(committed) => break (committed, known.value.logon),
                // Somebody ordered its end in this moment: that is no reason to keep it.
                Err(sallyport_store::Error::Conflict(_)) => {}
                Err(other) => return Err(other.into()),
            }
        };
        self.live.ended(close.session);
        self.metrics.session_ended(close.reason);
        if let (Some(why), Some(logon)) = (close.not_become, logon) {
            self.metrics.not_become(logon.by, why);
        }
        if close.exchanges.iter().any(|exchange| !exchange.exceptions.is_empty()) {
            self.metrics.session_excepted();
        }
        let (live, id) = (self.live.clone(), close.session);
        tokio::spawn(async move {
            tokio::time::sleep(LAST_VIEW).await;
            live.release(id);
        });
        Ok(Reply::Done(committed.index))
    }
}

impl Control {
    /// A session is closed once, whoever asks again and under whichever call.
    async fn closed_before(&self, open: &Open, session: SessionId) -> Result<Reply, Error> {
        let filter =
            Filter { session: Some(session), actions: vec!["session.closed".into()], limit: 1, ..Filter::default() };
        let rows = open.store.entries(&filter).await?;
        let index = rows.first().map(|row| row.index);
        index.map(Reply::Done).ok_or_else(|| Error::NotFound(format!("session {session} is not open")))
    }
}

/// The end of a session: its document goes, the entry stays.
pub(crate) fn closed(control: &Control, entry: EntryId, known: &Versioned<SessionBody>, close: &Close) -> Change {
    let session = &known.value;
    let facts = [
        ("reason", close.reason.word().to_owned()),
        ("recording", session.recording.to_string()),
        ("segments", close.anchor.segments.to_string()),
        ("chain", hex::encode(&close.anchor.chain)),
        ("complete", close.complete.to_string()),
        ("bytes_in", close.bytes.0.to_string()),
        ("bytes_out", close.bytes.1.to_string()),
        ("frozen_millis", close.frozen.to_string()),
        ("note", clip(&close.note)),
        ("lasted_seconds", control.env.now().since(session.opened).as_secs().to_string()),
        ("exchanges", exchanges(close)),
        ("exceptions", excepted(close)),
    ];
    let said = |(name, value): &(&str, &str)| !value.is_empty() || !["exchanges", "exceptions"].contains(name);
    let facts: Vec<_> = facts.iter().map(|(k, v)| (*k, v.as_str())).filter(said).collect();
    let actor = Actor::Identity(session.identity, session.handle.clone());
    let draft = Draft { id: entry, ..control.draft(&actor, "session.closed", &session.address, &facts) };
    Change::entry(in_session(draft, session.id)).delete(DocId::new(session.id), known.version)
}

/// The documents that a decision is made over, as they are.
fn decided_over(open: &Open, body: &SessionBody, logon: Option<DocId>) -> Vec<(DocId, u64)> {
    let own = [DocId::new(body.identity), DocId::new(POLICY)];
    let places = body.hops.iter().copied().chain([(body.target, body.account)]);
    let ids = own
        .into_iter()
        .chain(logon)
        .chain(places.flat_map(|(target, account)| [DocId::new(target), DocId::new(account)]));
    open.store.working(|set| ids.map(|id| (id.clone(), set.version(&id))).collect())
}

/// What each leg agreed on.
fn exchanges(close: &Close) -> String {
    let told = |exchange: &Exchange| format!("{}: {}", exchange.leg, exchange.algorithms);
    close.exchanges.iter().map(told).collect::<Vec<_>>().join("; ")
}

/// What was spoken by exception, and on which leg.
fn excepted(close: &Close) -> String {
    let old = close.exchanges.iter().filter(|exchange| !exchange.exceptions.is_empty());
    old.map(|exchange| format!("{}: {}", exchange.leg, exchange.exceptions.join(" "))).collect::<Vec<_>>().join("; ")
}

/// A destination as it is told: a client says what it likes.
fn plain(place: &str) -> String {
    const MOST: usize = 300;
    place.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

fn foreign() -> Error {
    Denial::new(Kind::Denied, "this session belongs to another gateway").into()
}

/// The entry of a call: a repeated call finds it.
pub(crate) fn entry_id(call: CallId) -> EntryId {
    EntryId::from_bytes(*call.as_bytes())
}

fn opened_draft(control: &Control, body: &SessionBody, ask: &OpenCall, (how, way, old): (&str, &str, &str)) -> Draft {
    let actor = Actor::Identity(body.identity, body.handle.clone());
    let facts = [
        ("identity", body.identity.to_string()),
        ("account", body.account.to_string()),
        ("target", body.target.to_string()),
        ("address", body.address.clone()),
        ("protocol", body.protocol.clone()),
        ("gateway", body.gateway.to_string()),
        ("from", body.from.to_string()),
        ("sign_in", how.to_owned()),
        ("recording", body.recording.to_string()),
        ("header", hex::encode(&ask.header)),
        ("policy", body.policy.clone()),
        ("policies", body.determining.join(" ")),
        ("max_duration", body.limits.max_duration.to_string()),
        ("idle", body.limits.idle.to_string()),
        ("reason", body.reason.clone()),
        ("via", way.to_owned()),
        ("exceptions", old.to_owned()),
    ];
    let through = body.logon.as_ref().map(|logon| ("through", logon.to_string()));
    let said = |(name, value): &(&str, String)| !value.is_empty() || !["via", "exceptions"].contains(name);
    let facts: Vec<_> = facts.into_iter().chain(through).filter(said).collect();
    in_session(control.draft(&actor, "session.opened", &body.address, &borrowed(&facts)), body.id)
}
