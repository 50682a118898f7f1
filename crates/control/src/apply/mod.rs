//! Policies, targets, accounts and identities from files: the plan says what would change, apply does it.

mod after;
mod files;
mod ways;

use crate::control::{Open, POLICY, PolicyBody, put};
use crate::directory::{Versioned, all, kinds, load};
use crate::found::OTHER_WAY;
use crate::route::Rewayed;
use crate::sessions::{Ending, SessionBody};
use crate::{Control, Error, Op};
use after::After;
pub(crate) use after::ways_lead;
use files::{AccountLine, Desired, check};
pub(crate) use files::{default_label, host_fits, public_key, public_keys};
use sallyport_model::access::Denial;
use sallyport_model::inventory::{Account, Identity, IdentityKind, Rest, Target};
use sallyport_model::name::Label;
use sallyport_model::{AccountId, AccountName, Env, Handle, IdentityId, Kind, TargetId, TargetName};
use sallyport_policy::{Act, Decision, Right, decide};
use sallyport_store::{Change, Claim, DocId, Put};
use std::collections::{BTreeMap, BTreeSet};
use ways::{Rerouted, Ways};

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

/// Everything that an apply writes.
struct Work {
    lines: Vec<PlanLine>,
    puts: Vec<Put>,
    deletes: Vec<(DocId, u64)>,
    touched: Vec<Target>,
    /// Changed identities that hold, held or get a role of the product or of a tier.
    privileged: Vec<Handle>,
    /// Names that are new.
    claims: Vec<Claim>,
    /// What changes of how targets are reached.
    rewayed: Vec<Rewayed>,
    desired: Desired,
    policy_put: Option<Put>,
    warnings: Vec<String>,
}

impl Control {
    /// What the files would change.
    ///
    /// # Errors
    /// Names the file and line that is wrong, and what to write instead.
    pub fn plan(&self, op: &Op, files: &[ApplyFile], prune: bool) -> Result<Plan, Error> {
        self.require(op, Right::PolicyRead)?;
        let work = self.work(&*self.opened()?, files, prune)?;
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
        let work = self.work(&open, files, prune)?;
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

    fn work(&self, open: &Open, files: &[ApplyFile], prune: bool) -> Result<Work, Error> {
        let desired = check(files)?;
        let mut work = Work {
            lines: Vec::new(),
            puts: Vec::new(),
            deletes: Vec::new(),
            touched: Vec::new(),
            privileged: Vec::new(),
            claims: Vec::new(),
            rewayed: Vec::new(),
            desired,
            policy_put: None,
            warnings: Vec::new(),
        };
        work.policy(open)?;
        work.identities(&self.env, open, prune)?;
        work.inventory(&self.env, open, prune)?;
        Ok(work)
    }
}

impl Work {
    fn line(&mut self, sign: Sign, kind: &'static str, name: impl ToString, detail: impl ToString) {
        self.lines.push(PlanLine { sign, kind, name: name.to_string(), detail: detail.to_string() });
    }

    fn policy(&mut self, open: &Open) -> Result<(), Error> {
        let id = DocId::new(POLICY);
        let old = load::<PolicyBody>(&open.store, &id, kinds::POLICY);
        let was = old.as_ref().map_or(0, |o| o.version);
        let old: BTreeMap<_, _> = old.map(|o| o.value.files).unwrap_or_default().into_iter().collect();
        let new: BTreeMap<_, _> = self.desired.policy_files.iter().cloned().collect();
        if old == new {
            return Ok(());
        }
        for (name, text) in &new {
            let lines = text.lines().filter(|l| !l.trim().is_empty()).count();
            match old.get(name) {
                None => self.line(Sign::Add, "policy", name, format!("{lines} lines")),
                Some(before) if before != text => self.line(Sign::Change, "policy", name, difference(before, text)),
                Some(_) => {}
            }
        }
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            self.line(Sign::Delete, "policy", name, "no file of this name is left");
        }
        let body = PolicyBody { files: new.into_iter().collect(), rest: Rest::new() };
        self.policy_put = Some(put(POLICY, was, kinds::POLICY, &body)?);
        Ok(())
    }

    fn identities(&mut self, env: &Env, open: &Open, prune: bool) -> Result<(), Error> {
        let mut known: BTreeMap<Handle, Versioned<Identity>> = all::<Identity>(&open.store, kinds::IDENTITY)
            .into_iter()
            .map(|(_, i)| (i.value.handle.clone(), i))
            .collect();
        let mut owners: BTreeMap<String, Handle> = BTreeMap::new();
        for line in std::mem::take(&mut self.desired.identities) {
            let old = known.remove(&line.handle);
            if old.as_ref().is_some_and(|o| o.value.retired) && !line.returns {
                return Err(Error::usage(format!(
                    "identity {0}: somebody of this handle was removed, and a handle is never used again: choose another, or write `returns = true` if it is the same person",
                    line.handle
                )));
            }
            let new = Identity {
                id: old.as_ref().map_or_else(|| IdentityId::new(env), |o| o.value.id),
                kind: line.kind.unwrap_or(IdentityKind::User),
                groups: line.groups,
                ssh_keys: public_keys(&line.ssh_keys),
                disabled: line.disabled,
                retired: false,
                rest: old.as_ref().map(|o| o.value.rest.clone()).unwrap_or_default(),
                handle: line.handle,
            };
            one_owner(&mut owners, &new)?;
            let former = old.as_ref().map(|o| &o.value);
            if former != Some(&new) && former.into_iter().chain([&new]).any(privileged) {
                self.privileged.push(new.handle.clone());
            }
            if old.is_none() {
                self.claims.push(open.directory.claim_handle(&new.handle));
            }
            // A key that has an owner goes from one line to another: these files say so.
            let unowned = new.ssh_keys.iter().filter(|key| open.directory.ssh_key(key).is_none());
            self.claims.extend(unowned.map(|key| open.directory.claim_ssh_key(key)));
            let detail = join(&new.groups);
            self.write((kinds::IDENTITY, &new.handle.to_string(), &new.id.to_string()), old, &new, detail)?;
        }
        for (handle, old) in known {
            // The founder is made by `init`, not by a file: pruning must not lock everybody out.
            let founder = old.value.groups.iter().any(|g| g.as_str() == "sallyport:admin");
            if old.value.retired {
                continue;
            }
            if !prune || founder {
                one_owner(&mut owners, &old.value)?;
                self.keep(kinds::IDENTITY, handle.as_str());
                continue;
            }
            if privileged(&old.value) {
                self.privileged.push(handle.clone());
            }
            self.line(Sign::Delete, kinds::IDENTITY, &handle, "no file names it; its handle stays taken");
            self.puts.push(put(old.value.id, old.version, kinds::IDENTITY, &retired(old.value))?);
        }
        Ok(())
    }

    fn inventory(&mut self, env: &Env, open: &Open, prune: bool) -> Result<(), Error> {
        let mut targets: BTreeMap<TargetName, Versioned<Target>> =
            all::<Target>(&open.store, kinds::TARGET).into_iter().map(|(_, t)| (t.value.name.clone(), t)).collect();
        let mut accounts: BTreeMap<(TargetId, AccountName), Versioned<Account>> =
            all::<Account>(&open.store, kinds::ACCOUNT)
                .into_iter()
                .map(|(_, a)| ((a.value.target, a.value.name.clone()), a))
                .collect();
        let (mut after, mut ways) = (After::default(), Ways::default());
        for line in std::mem::take(&mut self.desired.targets) {
            let old = targets.remove(&line.name);
            let id = old.as_ref().map_or_else(|| TargetId::new(env), |o| o.value.id);
            let target = Target {
                id,
                way: line.way()?,
                port: line.port.unwrap_or(22),
                host_keys: public_keys(&line.host_keys),
                platform: line.platform,
                rest: old.as_ref().map(|o| o.value.rest.clone()).unwrap_or_default(),
                name: line.name,
                protocol: line.protocol,
                host: line.host,
                zone: line.zone,
                environment: line.environment,
                tier: line.tier,
                tags: line.tags,
            };
            if old.as_ref().is_some_and(|o| o.value.environment != target.environment) {
                return Err(Error::usage(format!(
                    "target {}: moving between environments re-encrypts its secrets, which is not possible yet; make a new target",
                    target.name
                )));
            }
            let before = self.puts.len();
            let sort = if target.platform.is_usual() { String::new() } else { format!(" {}", target.platform.word()) };
            after.targets.push(target.clone());
            let former = old.as_ref().map(|o| o.value.clone());
            let rerouted = Rerouted::of(former.as_ref(), &target);
            self.rewayed.push(Rewayed::of(former.as_ref(), &target));
            let place = format!("{}:{} tier {}", target.host, target.port, u8::from(target.tier));
            let detail = format!("{}{sort} {place}", target.protocol);
            let detail = detail + &rerouted.as_ref().map_or_else(String::new, Rerouted::told);
            if old.is_none() {
                self.claims.push(open.directory.claim_target(&target.name));
            }
            self.write((kinds::TARGET, target.name.as_str(), &id.to_string()), old, &target, detail)?;
            self.accounts(env, open, (&target, line.account), &mut accounts, (&mut after, &mut ways))?;
            ways.target(&target, rerouted.is_some());
            if self.puts.len() > before {
                // The tier rule looks at both ends of a move: what it was, and what it becomes.
                self.touched.extend(former.into_iter().chain([target]));
            }
        }
        for ((_, name), old) in accounts {
            if !prune {
                after.takes(&old.value);
                ways.account(&old.value);
            }
            self.drop_or_keep(kinds::ACCOUNT, name.as_str(), old.value.id.to_string(), old.version, prune);
        }
        for (name, old) in targets {
            if prune {
                self.touched.push(old.value.clone());
            } else {
                ways.target(&old.value, false);
            }
            self.drop_or_keep(kinds::TARGET, name.as_str(), old.value.id.to_string(), old.version, prune);
        }
        self.warnings = after.warnings(&self.desired.policy);
        after.ways_lead()?;
        // Whoever has others go over a jump host has its credential used: it is theirs to write.
        self.touched.extend(ways.check()?);
        Ok(())
    }

    fn accounts(
        &mut self,
        env: &Env,
        open: &Open,
        (target, lines): (&Target, Vec<AccountLine>),
        known: &mut BTreeMap<(TargetId, AccountName), Versioned<Account>>,
        (after, ways): (&mut After, &mut Ways),
    ) -> Result<(), Error> {
        for line in lines {
            let old = known.remove(&(target.id, line.name.clone()));
            let account = Account {
                id: old.as_ref().map_or_else(|| AccountId::new(env), |o| o.value.id),
                target: target.id,
                class: line.class,
                owner: line.owner,
                secret: old.as_ref().and_then(|o| o.value.secret),
                certificate: line.certificate.as_ref().map(Into::into),
                through: line.through.map(Into::into),
                rest: old.as_ref().map(|o| o.value.rest.clone()).unwrap_or_default(),
                name: line.name,
            };
            if old.is_none() {
                self.claims.push(open.directory.claim_account(target.id, &account.name));
            }
            after.takes(&account);
            ways.account(&account);
            let name = format!("{}@{}", account.name, target.name);
            let detail = described(&account);
            self.write((kinds::ACCOUNT, &name, &account.id.to_string()), old, &account, detail)?;
        }
        Ok(())
    }

    fn write<T: serde::Serialize + PartialEq>(
        &mut self,
        (kind, name, id): (&'static str, &str, &str),
        old: Option<Versioned<T>>,
        new: &T,
        detail: String,
    ) -> Result<(), Error> {
        let was = match old {
            None => {
                self.line(Sign::Add, kind, name, detail);
                0
            }
            Some(old) if old.value == *new => return Ok(()),
            Some(old) => {
                self.line(Sign::Change, kind, name, detail);
                old.version
            }
        };
        self.puts.push(put(id, was, kind, new)?);
        Ok(())
    }

    fn drop_or_keep(&mut self, kind: &'static str, name: &str, id: String, version: u64, prune: bool) {
        if prune {
            self.line(Sign::Delete, kind, name, "no file names it");
            self.deletes.push((DocId::new(id), version));
        } else {
            self.keep(kind, name);
        }
    }

    fn keep(&mut self, kind: &'static str, name: &str) {
        self.line(Sign::Keep, kind, name, "no file names it; `--prune` deletes it");
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

/// An account in a line of a plan.
fn described(account: &Account) -> String {
    let class = format!("{:?}", account.class).to_lowercase();
    let how = if account.certificate.is_some() { ", by certificate" } else { "" };
    let way = account.through.as_ref().map(|t| format!(", through {} by {}", t.account, t.by.word()));
    format!("{class}{how}{}", way.unwrap_or_default())
}

/// A key signs in one identity: with two owners nobody could say who acted.
fn one_owner(owners: &mut BTreeMap<String, Handle>, identity: &Identity) -> Result<(), Error> {
    for key in &identity.ssh_keys {
        if let Some(other) = owners.insert(key.clone(), identity.handle.clone())
            && other != identity.handle
        {
            let text = format!("identities `{other}` and `{}` share an SSH key: each needs its own", identity.handle);
            return Err(Error::usage(text));
        }
    }
    Ok(())
}

/// What is left of an identity that is removed.
fn retired(identity: Identity) -> Identity {
    Identity { groups: BTreeSet::new(), ssh_keys: Vec::new(), disabled: true, retired: true, ..identity }
}

fn join(labels: &BTreeSet<Label>) -> String {
    labels.iter().map(Label::as_str).collect::<Vec<_>>().join(" ")
}

/// Lines that came and went.
fn difference(before: &str, after: &str) -> String {
    let old: BTreeSet<&str> = before.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let new: BTreeSet<&str> = after.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let mut text = format!("{} lines in, {} out", new.difference(&old).count(), old.difference(&new).count());
    for line in
        old.difference(&new).map(|l| format!("- {l}")).chain(new.difference(&old).map(|l| format!("+ {l}"))).take(12)
    {
        text.push_str("\n      ");
        text.push_str(&line);
    }
    text
}
