//! Explanations: why somebody may or may not, and what somebody may reach.

use crate::access::Found;
use crate::control::identity_of;
use crate::vault::place;
use crate::{Control, Error, Op};
use sallyport_model::inventory::Account;
use sallyport_model::{Address, Handle};
use sallyport_policy::{Act, Explanation, Facts, Right, Standing, Standings, explain, standing, standings};

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
        let inventory = open.inventory();
        let facts = Facts::new(&who, self.env.now(), op.from);
        let Standings { usable, requestable } = standings(&open.policy(), &facts, &inventory);
        let mut lines: Vec<ReachLine> = (&usable | &requestable)
            .into_iter()
            .filter_map(|number| {
                let (target, account) = inventory.get(number)?;
                let found = Found { target: target.clone(), account: account.clone() };
                let note = found.unready();
                Some(ReachLine { target: found.target, account: found.account, usable: usable.contains(number), note })
            })
            .collect();
        lines.sort_by(|a, b| (&a.target.name, &a.account.name).cmp(&(&b.target.name, &b.account.name)));
        Ok(lines)
    }
}
