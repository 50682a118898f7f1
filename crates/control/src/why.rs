//! Explanations: why somebody may or may not, and what somebody may reach.

use crate::access::by_id;
use crate::control::identity_of;
use crate::directory::{all, kinds};
use crate::vault::place;
use crate::{Control, Error, Op};
use sallyport_model::inventory::Account;
use sallyport_model::{Address, Handle, TargetId};
use sallyport_policy::{Act, Explanation, Right, Standing, explain, standing};

/// Why.
pub struct Why {
    /// What policy says.
    pub explanation: Explanation,
    /// Hash of the set that says it.
    pub policy: String,
}

/// One place in somebody's reach.
#[derive(Clone, Debug)]
pub struct ReachLine {
    /// The target.
    pub target: sallyport_model::inventory::Target,
    /// The account.
    pub account: Account,
    /// Usable now, or requestable.
    pub usable: bool,
    /// What stands in the way all the same.
    pub note: Option<&'static str>,
}

impl Control {
    /// Explains a decision about oneself, or about anybody by right.
    ///
    /// # Errors
    /// When the caller may not ask that, or names something unknown.
    pub fn why(&self, op: &Op, handle: Option<&Handle>, address: &Address, act: Act) -> Result<Why, Error> {
        let own = self.acting(op)?;
        let open = self.opened()?;
        let asked = match handle {
            Some(handle) if *handle != own.handle => {
                self.require(op, Right::Explain)?;
                identity_of(&open, handle).ok_or_else(|| Error::NotFound(format!("there is no identity `{handle}`")))?
            }
            _ => own,
        };
        let policy = open.policy();
        let found = place(&open, address);
        let everything = self.require(op, Right::Explain).is_ok();
        let unknown = || Error::NotFound(sallyport_model::access::Denial::unknown().message);
        let found = found.map_err(|error| if everything { error } else { unknown() })?;
        let facts = found.facts(&asked, self.env.now(), op.from, "");
        if !everything && standing(&policy, &facts) == Standing::Invisible {
            return Err(unknown());
        }
        Ok(Why { explanation: explain(&policy, &facts, act), policy: policy.hash().to_owned() })
    }

    /// What the caller may use or ask for.
    ///
    /// # Errors
    /// When the caller may do nothing at all.
    pub fn reach(&self, op: &Op) -> Result<Vec<ReachLine>, Error> {
        let who = self.acting(op)?;
        let open = self.opened()?;
        let policy = open.policy();
        let mut lines: Vec<ReachLine> = all::<Account>(&open.store, kinds::ACCOUNT)
            .into_iter()
            .filter_map(|(_, account)| {
                let target: TargetId = account.value.target;
                let found = by_id(&open, target, account.value.id)?;
                let facts = found.facts(&who, self.env.now(), op.from, "");
                let usable = match standing(&policy, &facts) {
                    Standing::Invisible => return None,
                    Standing::Usable => true,
                    Standing::Requestable => false,
                };
                let note = found.unready();
                Some(ReachLine { target: found.target, account: found.account, usable, note })
            })
            .collect();
        lines.sort_by(|a, b| (&a.target.name, &a.account.name).cmp(&(&b.target.name, &b.account.name)));
        Ok(lines)
    }
}
