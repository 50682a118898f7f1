//! Policies, targets, accounts and identities from files: the plan says what would change, apply does it.

mod after;
mod files;
mod ways;
mod work;

use crate::control::Open;
use crate::directory::{all, kinds};
use crate::found::OTHER_WAY;
use crate::sessions::{Ending, SessionBody};
use crate::{Control, Error, Op};
pub(crate) use after::ways_lead;
pub(crate) use files::{default_label, host_fits, public_key, public_keys};
use sallyport_model::access::Denial;
use sallyport_model::inventory::Identity;
use sallyport_model::{Handle, Kind};
use sallyport_policy::{Act, Decision, Right, decide};
use sallyport_store::{Change, DocId, Put};
use work::Work;

/// A file of a checkout.
#[derive(Clone, Debug)]
pub struct ApplyFile {
    /// Path inside the checkout.
    pub name: String,
    /// Text.
    pub text: String,
}

/// What happens to something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sign {
    /// Is made.
    Add,
    /// Is changed.
    Change,
    /// Is deleted.
    Delete,
    /// Is kept, though no file names it.
    Keep,
}

impl Sign {
    /// One character.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Change => "~",
            Self::Delete => "-",
            Self::Keep => "=",
        }
    }
}

/// One line of a plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlanLine {
    /// What happens.
    pub sign: Sign,
    /// `policy`, `target`, `account`, `identity`.
    pub kind: &'static str,
    /// Name.
    pub name: String,
    /// What about it.
    pub detail: String,
}

/// What would change, or did.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Lines, in the order of the files.
    pub lines: Vec<PlanLine>,
    /// Hash of the resulting policy set.
    pub policy: String,
    /// Live sessions that were ended.
    pub revoked: usize,
    /// What works, and is most likely not meant so.
    pub warnings: Vec<String>,
}

impl Control {
    /// What the files would change.
    ///
    /// # Errors
    /// Names the file and line that is wrong, and what to write instead.
    pub fn plan(&self, op: &Op, files: &[ApplyFile], prune: bool) -> Result<Plan, Error> {
        self.require(op, Right::PolicyRead)?;
        let work = Work::of(&self.env, &*self.opened()?, files, prune)?;
        Ok(Plan {
            policy: work.desired.policy.hash().to_owned(),
            lines: work.lines,
            revoked: 0,
            warnings: work.warnings,
        })
    }

    /// Makes it so, all of it or nothing: one commit carries the inventory and the policies. A session that
    /// the new state does not permit is ended before this returns.
    ///
    /// # Errors
    /// As `plan`, and when the actor may not write at one of the tiers; nothing is written then.
    pub async fn apply(&self, op: &Op, files: &[ApplyFile], prune: bool) -> Result<Plan, Error> {
        self.require(op, Right::PolicyApply)?;
        let open = self.opened()?;
        let work = Work::of(&self.env, &open, files, prune)?;
        if work.lines.iter().any(|line| line.kind == kinds::IDENTITY && line.sign != Sign::Keep) {
            self.require(op, Right::IdentityWrite)?;
            self.may_raise(op, &work.privileged)?;
        }
        for target in &work.touched {
            self.require_at(op, Right::InventoryWrite, target)?;
        }
        let policy = work.desired.policy;
        let mut changes = self.inventory_changes(op, work.puts, work.deletes);
        if let Some(body) = work.policy_put {
            let facts = [("policy", policy.hash()), ("before", open.policy().hash())].map(|(k, v)| (k, v.to_owned()));
            let facts = facts.each_ref().map(|(k, v)| (*k, v.as_str()));
            changes.push(Change::entry(self.draft(&op.actor, "policy.applied", "policy", &facts)).put(body));
        }
        changes.extend(work.rewayed.iter().flat_map(|rewayed| rewayed.drafts(self, op)).map(Change::entry));
        self.end_solo(op, &open, &mut changes);
        // They stand or fall together, so it is one where the names are asked for.
        if let Some(first) = changes.first_mut() {
            first.claims = work.claims;
        }
        if !changes.is_empty() {
            open.store.commit_all(changes).await?;
        }
        let revoked = self.redecide(&open).await?;
        Ok(Plan { policy: open.policy().hash().to_owned(), lines: work.lines, revoked, warnings: work.warnings })
    }

    /// An entry holds what it changed, and an entry has a largest size: many objects, several changes, which
    /// are committed as one.
    fn inventory_changes(&self, op: &Op, puts: Vec<Put>, deletes: Vec<(DocId, u64)>) -> Vec<Change> {
        let (mut puts, mut deletes) = (puts.into_iter().peekable(), deletes.into_iter().peekable());
        let mut changes = Vec::new();
        while puts.peek().is_some() || deletes.peek().is_some() {
            let mut change = Change::entry(self.draft(&op.actor, "inventory.applied", "inventory", &[]));
            change.put.extend(puts.by_ref().take(OBJECTS));
            change.delete.extend(deletes.by_ref().take(OBJECTS));
            let count = (change.put.len() + change.delete.len()).to_string();
            change.entry.facts.insert("objects".into(), count);
            changes.push(change);
        }
        changes
    }

    /// Nobody raises himself or others, nor gives himself the key of somebody higher: identities with a role
    /// are changed by tier 0 alone.
    pub(crate) fn may_raise(&self, op: &Op, privileged: &[Handle]) -> Result<(), Error> {
        let Some(first) = privileged.first() else { return Ok(()) };
        if op.identity().is_none() || self.acting(op)?.groups.iter().any(|g| g.as_str() == TIER_0) {
            return Ok(());
        }
        let text = format!(
            "{first} holds or would get a role (`sallyport:*`, `tier*-admin`): only a member of {TIER_0} changes that"
        );
        Err(Denial::new(Kind::Denied, text).into())
    }

    /// Ends live sessions that are no longer permitted.
    pub(crate) async fn redecide(&self, open: &Open) -> Result<usize, Error> {
        let policy = open.policy();
        let mut revoked = 0;
        let sessions = all::<SessionBody>(&open.store, kinds::SESSION).into_iter().map(|(_, session)| session.value);
        for session in sessions.filter(|session| session.ending.is_none()) {
            let why = match (crate::control::identity(open, session.identity), session.found(open)) {
                (Some(_), Some(found)) if found.way.logon() != session.logon => OTHER_WAY,
                (Some(who), Some(found)) => {
                    let facts = session.facts(&found, &who, self.env.now());
                    match decide(&policy, &facts, Act::Connect) {
                        Decision::Permit { .. } => continue,
                        Decision::Needs { .. } => "policy now wants an approval first",
                        Decision::Deny { .. } => "policy no longer permits it",
                    }
                }
                (None, _) => "the identity is disabled or gone",
                (_, None) => "the target or account is gone, or a jump host on the way",
            };
            let system = crate::control::system("policy");
            let draft = self.draft(&system.actor, "session.revoked", session.id, &[("why", why)]);
            match self.order_end(open, session.id, Ending::Revoked(why.into()), draft).await {
                Ok(()) => revoked += 1,
                Err(Error::NotFound(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(revoked)
    }
}

/// Objects put, and deleted, in one entry.
const OBJECTS: usize = 40;

/// The group whose members manage everything.
const TIER_0: &str = "tier0-admin";

/// Whether an identity holds a role of the product or of a tier.
pub(crate) fn privileged(identity: &Identity) -> bool {
    let role = |group: &str| {
        // Whoever may merely use what policies give is nobody special.
        (group.starts_with("sallyport:") && group != "sallyport:user")
            || (group.starts_with("tier") && group.ends_with("-admin"))
    };
    identity.groups.iter().any(|group| role(group.as_str()))
}
