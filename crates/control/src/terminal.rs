//! Terminals of people whom the API has signed in: asked for at the gateway's door, decided like any other session.

use crate::directory::{kinds, load};
use crate::identity::{AUTH_LIFE, Shown, Spendable};
use crate::metrics::Streaming;
use crate::sessions::SessionBody;
use crate::{Control, Error, Op};
use sallyport_model::access::{Ask, Denial, From};
use sallyport_model::authority::Authenticated;
use sallyport_model::door::{Door, Doorway, Hear, Inward, Knock, Size, Speak};
use sallyport_model::inventory::{Identity, Target};
use sallyport_model::relay::Wanted;
use sallyport_model::{AccountId, AccountName, AuthId, GatewayId, Kind, SessionId, TargetId, TargetName};
use sallyport_policy::Right;
use sallyport_store::DocId;
use std::sync::Arc;

/// What the ledger says of how such a session's owner signed in.
const HOW: &str = "api";

/// A terminal at the door: what happens with it is said there.
pub struct Terminal {
    /// Towards the session.
    pub speak: Box<dyn Speak>,
    /// From the session.
    pub hear: Box<dyn Hear>,
    /// Counted while it is held.
    pub streaming: Streaming,
}

impl Control {
    /// With the way to its gateway's door.
    #[must_use]
    pub fn with_door(mut self, door: Arc<dyn Door>) -> Self {
        self.door = Some(door);
        self
    }

    /// Asks for a session with a terminal. Whether it is granted is the first thing heard.
    ///
    /// # Errors
    /// When the caller may do nothing, or no gateway is reached.
    pub async fn open_terminal(
        &self,
        op: &Op,
        (account, target): (AccountName, TargetName),
        size: Size,
        reason: &str,
    ) -> Result<Terminal, Error> {
        let own = self.acting(op)?;
        let open = self.opened()?;
        let known =
            open.directory.target(&target).and_then(|id| load::<Target>(&open.store, &DocId::new(id), kinds::TARGET));
        // What does not exist is asked for too: the answer and the entry are those for what is not the caller's to know.
        let protocol = known.map_or_else(|| "ssh".to_owned(), |target| target.value.protocol.to_string());
        let ask = Ask { account, target, protocol, from: From(op.from), reason: reason.chars().take(500).collect() };
        self.knock(op, &own, None, |who| Knock::Open(who, ask, size)).await
    }

    /// Takes up one's own running session again, whose terminal has lost its stream or is open elsewhere.
    ///
    /// # Errors
    /// When the session is not live or somebody else's (one answer for both), or its gateway is not reached.
    pub async fn join_terminal(&self, op: &Op, session: SessionId, size: Size) -> Result<Terminal, Error> {
        let (own, known) = self.own_live(op, session)?;
        if self.elsewhere(&known) {
            return self.relay(op, &known.node, Wanted::Join(session, size)).await;
        }
        self.knock(op, &own, Some(known.gateway), |who| Knock::Join(who, session, size)).await
    }

    /// One's own running session, on whatever node.
    pub(crate) fn own_live(&self, op: &Op, session: SessionId) -> Result<(Identity, SessionBody), Error> {
        let own = self.acting(op)?;
        let unknown = || Error::NotFound(format!("session {session} is not live, or is not yours to take up"));
        let known = self.live_session(session).ok().filter(|known| known.identity == own.id).ok_or_else(unknown)?;
        Ok((own, known))
    }

    /// The terminals of this node's gateway as text, as they change.
    pub(crate) async fn screens_here(&self) -> Result<Terminal, Error> {
        let Doorway { mut speak, hear, .. } = self.at_door().await?;
        if speak.say(Inward::Knock(Box::new(Knock::Screens))).await {
            Ok(Terminal { speak, hear, streaming: self.metrics.streaming() })
        } else {
            Err(away())
        }
    }

    /// Whether somebody who watches screens may go on.
    #[must_use]
    pub fn may_watch_on(&self, op: &Op) -> bool {
        self.require(op, Right::SessionWatch).is_ok()
    }

    pub(crate) async fn knock(
        &self,
        op: &Op,
        own: &Identity,
        wanted: Option<GatewayId>,
        knock: impl FnOnce(Authenticated) -> Knock,
    ) -> Result<Terminal, Error> {
        let Doorway { gateway, mut speak, hear } = self.at_door().await?;
        if wanted.is_some_and(|wanted| wanted != gateway) {
            return Err(away());
        }
        let who = self.admit(op, own, gateway, None);
        if speak.say(Inward::Knock(Box::new(knock(who)))).await {
            Ok(Terminal { speak, hear, streaming: self.metrics.streaming() })
        } else {
            Err(away())
        }
    }

    /// Makes an authentication that this gateway alone may spend; where a place is named, on a check of it alone.
    pub(crate) fn admit(
        &self,
        op: &Op,
        own: &Identity,
        gateway: GatewayId,
        checks: Option<(TargetId, AccountId)>,
    ) -> Authenticated {
        let (auth, now) = (AuthId::new(&self.env), self.env.now());
        let (from, expires) = (From(op.from), now.plus(AUTH_LIFE));
        let spendable = Spendable {
            gateway,
            identity: own.id,
            shown: Shown::only(HOW).with(self.shown_factors(op).unwrap_or_default()),
            from,
            expires,
            until: expires,
            checks,
            exchange: None,
            used: None,
        };
        self.live.remember(auth, spendable, now);
        Authenticated { auth, identity: own.id, handle: own.handle.clone() }
    }

    /// Goes to the door of this node's gateway, which must be the one that has joined here.
    pub(crate) async fn at_door(&self) -> Result<Doorway, Error> {
        let door = self.door.as_ref().ok_or_else(away)?;
        let doorway = door.reach().await?;
        if self.live.connected(doorway.gateway) { Ok(doorway) } else { Err(away()) }
    }
}

fn away() -> Error {
    Denial::new(Kind::Unavailable, "the gateway is not reached; try again shortly").into()
}
