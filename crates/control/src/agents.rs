//! Agents that users lend their targets: the entries of what those wanted of them, and what became of it.

use crate::access::entry_id;
use crate::control::{clip, in_session};
use crate::{Actor, Control, Error};
use sallyport_model::access::Denial;
use sallyport_model::agent::{By, Outcome, Signature};
use sallyport_model::authority::Reply;
use sallyport_model::limits::Signing;
use sallyport_model::{CallId, GatewayId, Kind};
use sallyport_store::{Change, Draft};

impl Control {
    /// Writes what a target wants of its user's agent. Nothing goes on to the agent before the answer: of a session that is being
    /// ended nothing does, and without a question only where the session's own limits say so.
    pub(crate) async fn agent_asked(&self, gateway: GatewayId, call: CallId, told: Signature) -> Result<Reply, Error> {
        let allowed = told.outcome == Outcome::Allowed;
        let session =
            if allowed { self.going_on(gateway, told.session)? } else { self.own_session(gateway, told.session)? };
        if allowed && told.by != By::User && session.limits.agent != Signing::Unattended {
            return Err(Denial::new(Kind::Denied, "the user of this session must be asked about each signature").into());
        }
        let actor = Actor::Identity(session.identity, session.handle.clone());
        let (what, key, why) = (clip(&told.what), clip(&told.key), clip(&told.why));
        let times = told.times.to_string();
        let mut facts = vec![("what", what.as_str()), ("by", told.by.word())];
        facts.extend([("key", key.as_str()), ("why", &why)].into_iter().filter(|(_, text)| !text.is_empty()));
        if told.times > 1 {
            facts.push(("times", &times));
        }
        let draft = self.draft(&actor, told.outcome.action(), &session.address, &facts);
        let draft = Draft { id: entry_id(call), ..draft };
        let committed = self.opened()?.store.commit(Change::entry(in_session(draft, session.id)).repeatable()).await?;
        self.metrics.agent_asked(&told);
        Ok(Reply::Done(committed.index))
    }
}
