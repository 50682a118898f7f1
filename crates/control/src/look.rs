//! Looking at places that are to be targets, and trying stored credentials: what a gateway's door is asked for staff.

use crate::apply::default_label;
use crate::found::{Found, jump_host};
use crate::hops::{named, no_jump_host};
use crate::inventory::host;
use crate::{Control, Error, Op};
use sallyport_model::access::{Ask, Denial, From};
use sallyport_model::door::{Closed, Inward, Knock, Outward, Probe, Probed};
use sallyport_model::inventory::{Identity, Platform, Rest, Target, Tier};
use sallyport_model::name::Label;
use sallyport_model::way::{Jump, Way};
use sallyport_model::{AccountId, AccountName, Env, GatewayId, Kind, TargetId, TargetName};
use sallyport_policy::Right;
use std::collections::BTreeSet;

impl Control {
    /// What a place shows of itself to a gateway that only looks: its host keys, and what it says it is.
    ///
    /// # Errors
    /// When the actor lacks the right, or the place may not be or is not reached.
    pub async fn probe(
        &self,
        op: &Op,
        protocol: &Label,
        (name, port): (&str, u16),
        via: Option<&Jump>,
    ) -> Result<Probed, Error> {
        host(name)?;
        self.require_at(op, Right::InventoryWrite, &nowhere(&self.env, protocol, name, port)?)?;
        let through = via.map(|jump| self.jump_host_for(op, jump)).transpose();
        let (way, through) = (named(via), through.map_err(|error| error.of_field("via"))?);
        let facts = [("protocol", protocol.as_str()), ("way", way.as_str())];
        self.note(op.actor.clone(), "target.probed", format!("{name}:{port}"), &facts).await?;
        let probe = Probe { protocol: protocol.to_string(), host: name.to_owned(), port };
        let knock = |gateway| {
            let admitted = through.map(|(own, ask, place)| (self.admit(op, &own, gateway, Some(place)), ask));
            Knock::Probe(probe, admitted)
        };
        match self.ask_door(knock).await? {
            Outward::Probed(probed) => Ok(*probed),
            other => Err(unfit(other)),
        }
    }

    /// What it takes to look from a jump host: who goes there, what they ask for, and that it is this place alone. That is a
    /// session of theirs, recorded like a check.
    fn jump_host_for(&self, op: &Op, jump: &Jump) -> Result<(Identity, Ask, (TargetId, AccountId)), Error> {
        let (open, own) = (self.opened()?, self.acting(op)?);
        let unknown = || Error::NotFound(format!("there is no account `{jump}` to go through: apply it first"));
        let (target, account) = jump_host(&open, jump).ok_or_else(unknown)?;
        self.require_at(op, Right::InventoryWrite, &target)?;
        if let Some(broken) = no_jump_host(jump, &target, &account) {
            return Err(Error::usage(broken.to_string()));
        }
        let (place, protocol) = ((target.id, account.id), target.protocol.to_string());
        if let Some(why) = Found::of(&open, target, account).unready() {
            let text = format!("the jump host `{jump}` is not ready: {why}");
            return Err(Denial::new(Kind::Unavailable, text).into());
        }
        let reason = "a look at what lies behind it".into();
        let ask =
            Ask { account: jump.account.clone(), target: jump.target.clone(), protocol, from: From(op.from), reason };
        Ok((own, ask, place))
    }

    /// Logs in at an account with the credential that is stored for it, and leaves. Where it fails the text says why.
    ///
    /// # Errors
    /// When the actor may not manage the account, or no gateway is reached.
    pub async fn check(
        &self,
        op: &Op,
        target: &TargetName,
        account: &AccountName,
    ) -> Result<Result<(), String>, Error> {
        let open = self.opened()?;
        let own = self.acting(op)?;
        let ask = Ask {
            account: account.clone(),
            target: target.clone(),
            protocol: String::new(),
            from: From(op.from),
            reason: "a check of the stored credential".into(),
        };
        let found = crate::found::find(&open, &ask)
            .ok_or_else(|| Error::NotFound(format!("there is no `{account}@{target}`")))
            .and_then(|found| self.require_at(op, Right::VaultWrite, &found.target).map(|()| found));
        let found = self.unless_unseen(op, found)?;
        if let Some(why) = found.unready() {
            return Ok(Err(why));
        }
        let ask = Ask { protocol: found.target.protocol.to_string(), ..ask };
        let place = (found.target.id, found.account.id);
        match self.ask_door(|gateway| Knock::Check(self.admit(op, &own, gateway, Some(place)), ask)).await? {
            Outward::Checked => Ok(Ok(())),
            Outward::Closed(Closed { text, .. }) => Ok(Err(text)),
            other => Err(unfit(other)),
        }
    }

    /// Says one thing at the door, and hears the answer to it.
    async fn ask_door(&self, knock: impl FnOnce(GatewayId) -> Knock) -> Result<Outward, Error> {
        let mut doorway = self.at_door().await?;
        doorway.speak.say(Inward::Knock(Box::new(knock(doorway.gateway)))).await;
        let away = || Error::from(Denial::new(Kind::Unavailable, "the gateway gave no answer; try again shortly"));
        doorway.hear.hear().await.ok_or_else(away)
    }
}

/// An answer of the door that is a refusal, or none that was asked for.
fn unfit(answer: Outward) -> Error {
    match answer {
        Outward::Closed(closed) => Denial::new(closed.kind(), closed.text).into(),
        _ => Error::failed("the gateway gave an answer that does not fit the question"),
    }
}

/// A place that is no target yet, as the least that it could become: who may not write that may write none.
pub(crate) fn nowhere(env: &Env, protocol: &Label, host: &str, port: u16) -> Result<Target, Error> {
    Ok(Target {
        id: TargetId::new(env),
        name: "new".parse().map_err(Error::failed)?,
        protocol: protocol.clone(),
        host: host.to_owned(),
        port,
        zone: default_label(),
        environment: default_label(),
        tier: Tier::Two,
        tags: BTreeSet::new(),
        host_keys: Vec::new(),
        platform: Platform::default(),
        way: Way::default(),
        rest: Rest::new(),
    })
}
