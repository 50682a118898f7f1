//! What an apply writes: its files compared with what is there, and each difference a line of the plan.

use super::after::After;
use super::files::{AccountLine, Desired, check, public_keys};
use super::ways::{Rerouted, Ways};
use super::{ApplyFile, PlanLine, Sign, privileged};
use crate::Error;
use crate::control::{Open, POLICY, PolicyBody, put};
use crate::directory::{Versioned, all, kinds, load};
use crate::route::Rewayed;
use sallyport_model::inventory::{Account, Identity, IdentityKind, Rest, Target};
use sallyport_model::name::Label;
use sallyport_model::{AccountId, AccountName, Env, Handle, IdentityId, TargetId, TargetName};
use sallyport_store::{Claim, DocId, Put};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that an apply writes.
pub(super) struct Work {
    pub(super) lines: Vec<PlanLine>,
    pub(super) puts: Vec<Put>,
    pub(super) deletes: Vec<(DocId, u64)>,
    pub(super) touched: Vec<Target>,
    /// Changed identities that hold, held or get a role of the product or of a tier.
    pub(super) privileged: Vec<Handle>,
    /// Names that are new.
    pub(super) claims: Vec<Claim>,
    /// What changes of how targets are reached.
    pub(super) rewayed: Vec<Rewayed>,
    pub(super) desired: Desired,
    pub(super) policy_put: Option<Put>,
    pub(super) warnings: Vec<String>,
}

impl Work {
    /// The files, compared with what is there.
    pub(super) fn of(env: &Env, open: &Open, files: &[ApplyFile], prune: bool) -> Result<Self, Error> {
        let desired = check(files)?;
        let mut work = Self {
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
        work.identities(env, open, prune)?;
        work.inventory(env, open, prune)?;
        Ok(work)
    }

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
