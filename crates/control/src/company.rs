//! Company in sessions: joining somebody's, sending a guest away, and the entries of who came and went.

use crate::access::entry_id;
use crate::control::in_session;
use crate::directory::{kinds, load};
use crate::sessions::SessionBody;
use crate::terminal::Terminal;
use crate::{Actor, Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::authority::Reply;
use sallyport_model::company::{Change as Changed, Company, Guest, Part};
use sallyport_model::door::Knock;
use sallyport_model::inventory::{Identity, Target};
use sallyport_model::relay::Wanted;
use sallyport_model::{CallId, GatewayId, Kind, SessionId, WatchId};
use sallyport_policy::Right;
use sallyport_store::{Change, DocId, Draft};

impl Control {
    /// Asks to be in somebody's running session, to see it and to type in it. Whether one is let in is heard first.
    ///
    /// # Errors
    /// When the actor lacks the right at the session's target, it is their own, or its gateway is not reached.
    pub async fn accompany(&self, op: &Op, session: SessionId) -> Result<Terminal, Error> {
        let (own, known) = self.joinable(op, session)?;
        if self.elsewhere(&known) {
            return self.relay(op, &known.node, Wanted::Accompany(session)).await;
        }
        let draft = self.draft(&op.actor, "session.join_asked", session, &[("user", known.handle.as_str())]);
        self.opened()?.store.commit(Change::entry(in_session(draft, session))).await?;
        let guest =
            Guest { id: WatchId::new(&self.env), identity: own.id, handle: own.handle.clone(), part: Part::Peer };
        self.knock(op, &own, Some(known.gateway), |_| Knock::Accompany(guest, session)).await
    }

    /// Whether somebody may be in a session of somebody else's that is live.
    #[must_use]
    pub fn may_accompany(&self, op: &Op, session: SessionId) -> bool {
        self.joinable(op, session).is_ok()
    }

    fn joinable(&self, op: &Op, session: SessionId) -> Result<(Identity, SessionBody), Error> {
        let own = self.acting(op)?;
        let known = self.live_session(session)?;
        let open = self.opened()?;
        let target = load::<Target>(&open.store, &DocId::new(known.target), kinds::TARGET)
            .ok_or_else(|| Error::NotFound("the target of this session is gone".into()))?;
        self.require_at(op, Right::SessionJoin, &target.value)?;
        if known.identity == own.id {
            return Err(Error::usage("this session is your own: you are in it already"));
        }
        Ok((own, known))
    }

    /// Sends a guest of a session away: its user may, and whoever may end it.
    ///
    /// # Errors
    /// When the actor may not, or there is no such guest.
    pub async fn dismiss(&self, op: &Op, session: SessionId, guest: WatchId) -> Result<(), Error> {
        let own = self.acting(op)?;
        let known = self.live_session(session).ok().filter(|known| known.identity == own.id);
        if known.is_none() {
            self.require(op, Right::SessionKill)?;
        }
        self.amend(&*self.opened()?, session, |body| {
            let Some(leaving) = body.guests.iter().find(|present| present.id == guest) else {
                return Err(Error::NotFound("nobody with this id is with the session".into()));
            };
            if leaving.part == Part::Observer && body.identity == own.id {
                let text = "whoever observes a session is sent away by those who may end it";
                return Err(Denial::new(Kind::Denied, text).into());
            }
            let facts = [("who", leaving.handle.as_str()), ("part", leaving.part.word())];
            let draft = self.draft(&op.actor, "session.guest_dismissed", session, &facts);
            body.steering.dismiss(guest);
            Ok(draft)
        })
        .await
        .map(drop)
    }

    /// Writes who came and went, and keeps who is there with the session.
    pub(crate) async fn company(&self, gateway: GatewayId, call: CallId, told: Company) -> Result<Reply, Error> {
        self.own_session(gateway, told.session)?;
        let action = match told.change {
            Changed::Came => "session.joined",
            Changed::Left => "session.left",
            Changed::Refused => "session.join_refused",
            Changed::Waits => "session.waits",
            Changed::GoesOn => "session.observed",
        };
        let open = self.opened()?;
        let index = self
            .amend(&open, told.session, |body| {
                body.guests.clone_from(&told.guests);
                body.waits = told.waits;
                let mut facts = vec![("user", body.handle.as_str()), ("address", body.address.as_str())];
                if let Some(whom) = &told.whom {
                    facts.extend([("who", whom.handle.as_str()), ("part", whom.part.word())]);
                }
                if !told.why.is_empty() {
                    facts.push(("why", &told.why));
                }
                let draft = self.draft(&Actor::Gateway(gateway), action, told.session, &facts);
                Ok(Draft { id: entry_id(call), ..draft })
            })
            .await?;
        Ok(Reply::Done(index))
    }
}
