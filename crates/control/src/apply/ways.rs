//! The ways to targets, as an apply leaves them: each must lead there, and plans tell what changes.

use crate::Error;
use crate::hops::{named, walk};
use sallyport_model::inventory::{Account, Target};
use sallyport_model::way::Jump;
use sallyport_model::{TargetId, TargetName};
use std::collections::BTreeMap;

/// A target that is reached another way than before.
pub(super) struct Rerouted {
    before: Option<Jump>,
    after: Option<Jump>,
    new: bool,
    pinned: bool,
}

impl Rerouted {
    /// What changes, where something does.
    pub(super) fn of(before: Option<&Target>, after: &Target) -> Option<Self> {
        let was = before.and_then(|target| target.way.via.clone());
        (was != after.way.via).then(|| Self {
            before: was,
            after: after.way.via.clone(),
            new: before.is_none(),
            pinned: !after.host_keys.is_empty(),
        })
    }

    /// What a plan says of it.
    pub(super) fn told(&self) -> String {
        let keys = match (self.new, self.pinned) {
            (true, _) => "",
            (false, true) => {
                "; the host keys in the file are pinned for that way: compare them with what it shows there"
            }
            (false, false) => "; no host key is pinned for that way: write what it shows there",
        };
        let before = if self.new { String::new() } else { format!(", before {}", named(self.before.as_ref())) };
        format!(", {}{before}{keys}", named(self.after.as_ref()))
    }
}

/// What there is after an apply.
#[derive(Default)]
pub(super) struct Ways {
    targets: BTreeMap<TargetName, Target>,
    accounts: BTreeMap<TargetId, Vec<Account>>,
    /// Those whose way changes.
    rerouted: Vec<TargetName>,
}

impl Ways {
    pub(super) fn target(&mut self, target: &Target, rerouted: bool) {
        self.targets.insert(target.name.clone(), target.clone());
        self.rerouted.extend(rerouted.then(|| target.name.clone()));
    }

    pub(super) fn account(&mut self, account: &Account) {
        self.accounts.entry(account.target).or_default().push(account.clone());
    }

    fn jump_host(&self, jump: &Jump) -> Option<(&Target, &Account)> {
        let target = self.targets.get(&jump.target)?;
        let account = self.accounts.get(&target.id)?.iter().find(|account| account.name == jump.account)?;
        Some((target, account))
    }

    /// Sees that every way leads to its target, and gives the jump hosts on the ways that change.
    pub(super) fn check(&self) -> Result<Vec<Target>, Error> {
        let (mut wrong, mut on_the_way) = (Vec::new(), BTreeMap::new());
        for target in self.targets.values().filter(|target| target.way.via.is_some()) {
            let way = walk(target, |jump| self.jump_host(jump));
            if let Some(broken) = way.broken {
                wrong.push(format!("target {}: {broken}", target.name));
            } else if self.rerouted.contains(&target.name) {
                on_the_way.extend(way.found.into_iter().map(|(hop, _)| (hop.id, hop.clone())));
            }
        }
        if wrong.is_empty() { Ok(on_the_way.into_values().collect()) } else { Err(Error::usage(wrong.join("\n"))) }
    }
}
