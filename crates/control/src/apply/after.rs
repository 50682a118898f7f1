//! What the inventory will be, looked at as a whole: whether every account is reached, and whether rules read what is typed.

use crate::Error;
use crate::approach::wrong;
use sallyport_model::TargetId;
use sallyport_model::inventory::{Account, Target};
use sallyport_policy::{Misread, PolicySet};
use std::collections::BTreeMap;

/// What will be there.
#[derive(Default)]
pub(super) struct After {
    pub(super) targets: Vec<Target>,
    accounts: BTreeMap<TargetId, Vec<Account>>,
}

impl After {
    pub(super) fn takes(&mut self, account: &Account) {
        self.accounts.entry(account.target).or_default().push(account.clone());
    }

    /// Refuses accounts that nobody could reach.
    pub(super) fn ways_lead(&self) -> Result<(), Error> {
        self.accounts.values().try_for_each(|accounts| ways_lead(accounts))
    }

    /// What works under these policies, and is most likely not meant so.
    pub(super) fn warnings(&self, policy: &PolicySet) -> Vec<String> {
        let mut places = Vec::new();
        for target in &self.targets {
            let own = self.accounts.get(&target.id).into_iter().flatten();
            places.extend(own.map(|account| (target, account)));
        }
        policy.misread(&places).iter().map(warning).collect()
    }
}

/// Targets that a warning names.
const NAMED: usize = 5;

/// What is told of a rule set that reads other lines than are typed.
fn warning(found: &Misread<'_>) -> String {
    let mut names: Vec<_> = found.targets.iter().take(NAMED).map(|name| name.as_str()).collect();
    if found.targets.len() > NAMED {
        names.push("...");
    }
    format!(
        "the policy {} names the rule set {}, which reads {}, and may reach targets where others are typed: {}; \
         name a set of theirs, or say `platform` of the target",
        found.policy,
        found.rules,
        found.reads.told(),
        names.join(", ")
    )
}

/// Whether every account of a target is reached, as all of them will be.
pub(crate) fn ways_lead(accounts: &[Account]) -> Result<(), Error> {
    let wrong = accounts.iter().filter_map(|account| {
        let named = &account.through.as_ref()?.account;
        let why = wrong(account, accounts.iter().find(|logon| logon.name == *named))?;
        Some(format!("account {}, through {named}: {why}", account.name))
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(Error::usage(wrong.join("\n"))) }
}
