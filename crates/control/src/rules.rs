//! Rule sets: what the policy has of them, and what their rules said of commands.

use crate::access::entry_id;
use crate::control::in_session;
use crate::{Actor, Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::authority::{Judged, Reply};
use sallyport_model::rules::{Act, RuleSet};
use sallyport_model::{CallId, GatewayId, Kind};
use sallyport_policy::Right;
use sallyport_policy::rules::READY;
use sallyport_statements::{Finding, Rules};
use sallyport_store::{Change, Draft};

/// A rule set, and where it applies.
#[derive(Clone, Debug)]
pub struct Known {
    /// The set.
    pub set: RuleSet,
    /// Whether it comes with the product.
    pub ready: bool,
    /// The policies that put it into force; without one it applies nowhere.
    pub policies: Vec<String>,
}

/// What a rule set makes of a command that was tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// What it says of it.
    pub finding: Option<Finding>,
    /// The programs in it with their words, as it reads them.
    pub read: Vec<Vec<String>>,
}

impl Control {
    /// Every rule set, by name.
    ///
    /// # Errors
    /// When the actor may not read the policy.
    pub fn rule_sets(&self, op: &Op) -> Result<Vec<Known>, Error> {
        self.require(op, Right::PolicyRead)?;
        let policy = self.opened()?.policy();
        let ready = |set: &RuleSet| READY.iter().any(|(file, _)| file.split('.').next() == Some(set.name.as_str()));
        let known =
            |set: &RuleSet| Known { ready: ready(set), policies: policy.rules_of(set.name.as_str()), set: set.clone() };
        Ok(policy.rule_sets().map(known).collect())
    }

    /// What one rule set says of a command, as a gateway would judge it, and how it reads it. Nothing is found where it may
    /// simply run.
    ///
    /// # Errors
    /// When the actor may not read the policy, or there is no such set.
    pub fn try_rules(&self, op: &Op, name: &str, command: &str) -> Result<Tried, Error> {
        let sets = self.rule_sets(op)?;
        let found = sets.into_iter().find(|known| known.set.name.as_str() == name);
        let known = found.ok_or_else(|| {
            Error::NotFound(format!("there is no rule set {name}: `sallyport rules list` shows those that there are"))
        })?;
        let rules = Rules::new(&[known.set]);
        Ok(Tried { finding: rules.command(command), read: rules.read(command) })
    }

    /// A rule applies to a command: the entry that says so. Of one that is held the answer is no while nobody can
    /// approve it.
    pub(crate) async fn judged(&self, gateway: GatewayId, call: CallId, judged: Judged) -> Result<Reply, Error> {
        let session = self.own_session(gateway, judged.session)?;
        let actor = Actor::Identity(session.identity, session.handle.clone());
        let facts = [
            ("rule", judged.rule.as_str()),
            ("act", judged.act.word()),
            ("guarantee", judged.guarantee.word()),
            (judged.about.word(), &judged.command),
            ("why", &judged.why),
        ];
        let draft = Draft { id: entry_id(call), ..self.draft(&actor, judged.action(), &session.address, &facts) };
        let committed = self.opened()?.store.commit(Change::entry(in_session(draft, session.id)).repeatable()).await?;
        self.metrics.ruled(&judged);
        if judged.act == Act::Hold {
            let text =
                "it waits for somebody's approval, which this version cannot take yet; ask for a rule without `hold`";
            return Ok(Reply::Denied(Denial::new(Kind::NeedsApproval, text)));
        }
        Ok(Reply::Done(committed.index))
    }
}
