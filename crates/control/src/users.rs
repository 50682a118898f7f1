//! People and what they own: users, their groups and links; one's own tokens and SSH keys.

use crate::control::{Open, identity_of, put};
use crate::directory::{Versioned, all, kinds, load};
use crate::look::nowhere;
use crate::recovery::ROLES as FIRST;
use crate::sign_in::{HOST_LINK, NewLink, USER_LINK, factors_of, without_links};
use crate::{Actor, Control, Error, Op};
use sallyport_model::inventory::{Identity, IdentityKind, Rest, Target, Token};
use sallyport_model::name::Label;
use sallyport_model::sign_in::FactorKind;
use sallyport_model::{Handle, IdentityId, Timestamp, TokenId};
use sallyport_policy::{Act, Facts, Place, Right, decide, reach};
use sallyport_store::{Change, Claim, DocId};
use sallyport_vault::ssh::fingerprint;
use std::collections::{BTreeMap, BTreeSet};

/// Fixed id of the document that says that one person administers this installation.
pub(crate) const SOLO: &str = "solo";

/// A role that is shipped: a group that the built-in policies give rights to.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// The group.
    pub group: &'static str,
    /// What it is for, in a sentence.
    pub sentence: &'static str,
}

/// The seven roles of the product.
pub(crate) const ROLES: [Role; 7] = [
    Role {
        group: "sallyport:admin",
        sentence: "Runs the product: inventory, users, policies, vault. Plays no recording and reveals no secret.",
    },
    Role {
        group: "sallyport:security",
        sentence: "Answers for security: policies, and ending what must end. Changes no inventory, reveals no secret.",
    },
    Role {
        group: "sallyport:auditor",
        sentence: "Sees everything that happened, and takes evidence out. Changes nothing.",
    },
    Role {
        group: "sallyport:approver",
        sentence: "Says yes or no to requests of others, and sees what it says it about.",
    },
    Role {
        group: "sallyport:operator",
        sentence: "Looks after running sessions: watches them, speaks to their users, pauses and ends them.",
    },
    Role {
        group: "sallyport:support",
        sentence: "Sees inventory, sessions and why somebody may not, to help. Changes nothing.",
    },
    Role { group: "sallyport:user", sentence: "Uses the targets that policies give, and sees nothing else." },
];

/// A group, with how many are in it.
#[derive(Clone, Debug)]
pub struct GroupLine {
    /// Its name.
    pub name: String,
    /// What it is for, where it is shipped.
    pub sentence: Option<&'static str>,
    /// Enabled identities in it.
    pub members: usize,
}

/// A user in a listing.
#[derive(Clone, Debug)]
pub struct UserLine {
    /// Who.
    pub identity: Identity,
    /// By what they sign in with a browser.
    pub factors: Vec<FactorKind>,
    /// When they were last seen with one.
    pub seen: Option<Timestamp>,
}

/// A token of one's own.
#[derive(Clone, Debug)]
pub struct OwnToken {
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub label: String,
    /// When it stops working.
    pub expires: Timestamp,
}

impl Control {
    /// Users and workloads whose handle contains `search`, from behind `after` on, by handle.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub async fn users(&self, op: &Op, search: &str, after: &str, limit: usize) -> Result<Vec<UserLine>, Error> {
        self.require(op, Right::IdentityRead)?;
        let open = self.opened()?;
        let mut found: Vec<Identity> = all::<Identity>(&open.store, kinds::IDENTITY)
            .into_iter()
            .map(|(_, identity)| identity.value)
            .filter(|who| !who.retired && who.handle.as_str() > after && who.handle.as_str().contains(search))
            .collect();
        found.sort_by(|a, b| a.handle.cmp(&b.handle));
        found.truncate(limit);
        let mut lines = Vec::with_capacity(found.len());
        for identity in found {
            let mut factors: Vec<_> = factors_of(&open, identity.id).iter().map(|factor| factor.value.kind).collect();
            factors.sort_unstable();
            factors.dedup();
            let seen = self.last_seen(&open, identity.id).await?;
            lines.push(UserLine { identity, factors, seen });
        }
        Ok(lines)
    }

    /// Groups: the shipped roles first, then those that identities are in.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub fn groups(&self, op: &Op) -> Result<Vec<GroupLine>, Error> {
        self.require(op, Right::IdentityRead)?;
        let open = self.opened()?;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (_, identity) in all::<Identity>(&open.store, kinds::IDENTITY) {
            for group in identity.value.groups.iter().filter(|_| !identity.value.disabled) {
                let count = counts.entry(group.to_string()).or_default();
                *count = count.saturating_add(1);
            }
        }
        let shipped: Vec<_> = ROLES
            .iter()
            .map(|role| GroupLine {
                name: role.group.to_owned(),
                sentence: Some(role.sentence),
                members: counts.remove(role.group).unwrap_or(0),
            })
            .collect();
        let others = counts.into_iter().map(|(name, members)| GroupLine { name, sentence: None, members });
        Ok(shipped.into_iter().chain(others).collect())
    }

    /// Makes a user, and a link by which they set a password and a factor.
    ///
    /// # Errors
    /// When the actor lacks the right, the handle is taken, or a group is above them.
    pub async fn create_user(&self, op: &Op, handle: &Handle, groups: BTreeSet<Label>) -> Result<NewLink, Error> {
        self.require(op, Right::IdentityWrite)?;
        let open = self.opened()?;
        if identity_of(&open, handle).is_some() {
            return Err(Error::usage(format!("`{handle}` is taken, now or formerly: choose another handle")));
        }
        let user = Identity {
            id: IdentityId::new(&self.env),
            handle: handle.clone(),
            kind: IdentityKind::User,
            groups,
            ssh_keys: Vec::new(),
            disabled: false,
            retired: false,
            rest: Rest::new(),
        };
        self.may_change(op, &[&user])?;
        let draft = self.draft(&op.actor, "user.created", handle, &[("groups", &joined(&user.groups))]);
        let claim = open.directory.claim_handle(handle);
        let change = Change::entry(draft).claim(claim).put(put(user.id, 0, kinds::IDENTITY, &user)?);
        self.commit_people(op, &open, change).await?;
        self.make_link(&op.actor, &user, USER_LINK).await
    }

    /// Makes a link for a user. When it is used, every factor and device from before is gone.
    ///
    /// # Errors
    /// When the actor lacks the right, or the user may do nothing.
    pub async fn link_user(&self, op: &Op, handle: &Handle) -> Result<NewLink, Error> {
        self.require(op, Right::IdentityWrite)?;
        let open = self.opened()?;
        let user = user(&open, handle)?.value;
        self.may_change(op, &[&user])?;
        if user.disabled {
            return Err(Error::usage(format!("`{handle}` is disabled: enable it first")));
        }
        self.make_link(&op.actor, &user, USER_LINK).await
    }

    /// Makes a link on the host, for whoever has a shell there.
    ///
    /// # Errors
    /// When there is no such user, or they may do nothing.
    pub async fn link_on_host(&self, handle: &Handle) -> Result<NewLink, Error> {
        let user = user(&*self.opened()?, handle)?.value;
        if user.disabled {
            return Err(Error::usage(format!("`{handle}` is disabled: apply it without `disabled = true` first")));
        }
        self.make_link(&Actor::Host, &user, HOST_LINK).await
    }

    /// Disables a user, or enables them again. Devices end at once, tokens and keys work no more, and sessions that are
    /// no longer permitted end.
    ///
    /// # Errors
    /// When the actor lacks the right, or it is the actor.
    pub async fn set_disabled(&self, op: &Op, handle: &Handle, disabled: bool) -> Result<(), Error> {
        self.require(op, Right::IdentityWrite)?;
        let open = self.opened()?;
        let was = user(&open, handle)?;
        self.may_change(op, &[&was.value])?;
        if op.identity() == Some(was.value.id) {
            return Err(Error::usage("you cannot disable yourself: ask another administrator"));
        }
        if was.value.disabled == disabled {
            return Ok(());
        }
        let action = if disabled { "user.disabled" } else { "user.enabled" };
        let next = Identity { disabled, ..was.value.clone() };
        let mut change = Change::entry(self.draft(&op.actor, action, handle, &[]));
        change = change.put(put(next.id, was.version, kinds::IDENTITY, &next)?);
        if disabled {
            change = self.without_devices(&open, without_links(&open, change, &next), next.id, None);
        }
        self.commit_people(op, &open, change).await?;
        self.redecide(&open).await?;
        Ok(())
    }

    /// Puts a user into these groups and no others. Sessions that are no longer permitted end.
    ///
    /// # Errors
    /// When the actor lacks the right, or the user has or would get a role above them.
    pub async fn set_groups(&self, op: &Op, handle: &Handle, groups: BTreeSet<Label>) -> Result<(), Error> {
        self.require(op, Right::IdentityWrite)?;
        let open = self.opened()?;
        let was = user(&open, handle)?;
        let next = Identity { groups, ..was.value.clone() };
        self.may_change(op, &[&was.value, &next])?;
        if was.value.groups == next.groups {
            return Ok(());
        }
        let leaves_nobody = is_first(&was.value)
            && !is_first(&next)
            && all::<Identity>(&open.store, kinds::IDENTITY)
                .iter()
                .filter(|(_, other)| other.value.id != next.id && !other.value.disabled)
                .all(|(_, other)| !is_first(&other.value));
        if leaves_nobody {
            return Err(Error::usage(format!("`{handle}` is the last administrator: make another one first")));
        }
        let facts = [("groups", joined(&next.groups)), ("before", joined(&was.value.groups))];
        let facts = facts.each_ref().map(|(name, fact)| (*name, fact.as_str()));
        let change = Change::entry(self.draft(&op.actor, "user.regrouped", handle, &facts));
        self.commit_people(op, &open, change.put(put(next.id, was.version, kinds::IDENTITY, &next)?)).await?;
        self.redecide(&open).await?;
        Ok(())
    }

    /// Whether one person administers this installation, by a choice at its founding.
    #[must_use]
    pub fn is_solo(&self) -> bool {
        self.opened().is_ok_and(|open| open.store.working(|set| set.get(&DocId::new(SOLO)).is_some()))
    }

    /// Adds to changes of identities that the one who administered alone does so no more: for good, once there are two.
    pub(crate) fn end_solo(&self, op: &Op, open: &Open, changes: &mut Vec<Change>) {
        let was = open.store.working(|set| set.version(&DocId::new(SOLO)));
        if was == 0 {
            return;
        }
        let mut people: BTreeMap<DocId, Identity> =
            all::<Identity>(&open.store, kinds::IDENTITY).into_iter().map(|(id, found)| (id, found.value)).collect();
        for put in changes.iter().flat_map(|change| &change.put).filter(|put| put.kind == kinds::IDENTITY) {
            if let Ok(identity) = serde_json::from_slice(&put.body) {
                people.insert(put.id.clone(), identity);
            }
        }
        if people.values().filter(|who| !who.disabled && is_first(who)).count() > 1 {
            let draft = self.draft(&op.actor, "solo.ended", "solo", &[]);
            changes.push(Change::entry(draft).delete(DocId::new(SOLO), was));
        }
    }

    /// Commits a change of identities, with what follows from it.
    async fn commit_people(&self, op: &Op, open: &Open, change: Change) -> Result<(), Error> {
        let mut changes = vec![change];
        self.end_solo(op, open, &mut changes);
        open.store.commit_all(changes).await?;
        Ok(())
    }

    /// The rights of the product that the caller holds, everywhere or at some target or account.
    ///
    /// # Errors
    /// When the caller may do nothing.
    pub fn own_rights(&self, op: &Op) -> Result<Vec<&'static str>, Error> {
        let who = self.acting(op)?;
        let open = self.opened()?;
        let (policy, places) = (open.policy(), open.places());
        let inventory = &places.inventory;
        // Where nothing is managed yet, it is asked of the first target that could be.
        let first = nowhere(&self.env, &"ssh".parse().map_err(Error::failed)?, "localhost", 22)?;
        let target: &Target = inventory.get(0).map_or(&first, |(target, _)| target);
        // What is permitted once a factor is fresh is a right too: the portal asks for the factor then.
        let mut facts: Facts<'_> = self.facts(op, &who);
        facts.met.insert("step-up".into());
        let holds = |right: &&Right| {
            let act = Act::Right(**right);
            decide(&policy, &facts, act).permits()
                || !reach(&policy, &facts, act, inventory).is_empty()
                || decide(&policy, &facts.clone().at(Place::Target(target)), act).permits()
        };
        Ok(Right::ALL.iter().filter(holds).map(|right| right.action()).collect())
    }

    /// The caller's living tokens.
    ///
    /// # Errors
    /// When the caller may do nothing.
    pub fn own_tokens(&self, op: &Op) -> Result<Vec<OwnToken>, Error> {
        let who = self.acting(op)?;
        let open = self.opened()?;
        let now = self.env.now();
        let mut tokens: Vec<OwnToken> = all::<Token>(&open.store, kinds::TOKEN)
            .into_iter()
            .map(|(_, token)| token.value)
            .filter(|token| token.identity == who.id && token.expires > now)
            .map(|token| OwnToken { id: token.id, label: token.label, expires: token.expires })
            .collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.id));
        Ok(tokens)
    }

    /// Ends one of the caller's tokens, at once and on every node.
    ///
    /// # Errors
    /// When the caller has no such token.
    pub async fn end_token(&self, op: &Op, id: TokenId) -> Result<(), Error> {
        let who = self.acting(op)?;
        let open = self.opened()?;
        let found = load::<Token>(&open.store, &DocId::new(id), kinds::TOKEN)
            .filter(|token| token.value.identity == who.id)
            .ok_or_else(|| Error::NotFound("you have no such token".into()))?;
        let draft = self.draft(&op.actor, "token.ended", &who.handle, &[("token", &id.to_string())]);
        open.store.commit(Change::entry(draft).delete(DocId::new(id), found.version)).await?;
        Ok(())
    }

    /// The caller's SSH keys.
    ///
    /// # Errors
    /// When the caller may do nothing.
    pub fn own_ssh_keys(&self, op: &Op) -> Result<Vec<String>, Error> {
        Ok(self.acting(op)?.ssh_keys)
    }

    /// Adds an SSH key of the caller: a line of a `.pub` file.
    ///
    /// # Errors
    /// When it is no public key, is somebody's already, or no factor is fresh.
    pub async fn add_ssh_key(&self, op: &Op, line: &str) -> Result<String, Error> {
        self.acting(op)?;
        self.demand_fresh_factor(op)?;
        let key = crate::apply::public_key(line)
            .ok_or_else(|| Error::usage("this is no SSH public key: paste the line of a `.pub` file"))?;
        let open = self.opened()?;
        if open.directory.ssh_key(&key).is_some() {
            return Err(Error::usage("this key signs somebody in already: each key has one owner"));
        }
        let claim = open.directory.claim_ssh_key(&key);
        self.change_ssh_keys(op, &open, ("ssh_key.added", &key), Some(claim), |keys| keys.push(key.clone())).await?;
        Ok(key)
    }

    /// Removes the SSH key of the caller with this fingerprint.
    ///
    /// # Errors
    /// When the caller has no such key, or no factor is fresh.
    pub async fn remove_ssh_key(&self, op: &Op, print: &str) -> Result<(), Error> {
        let who = self.acting(op)?;
        self.demand_fresh_factor(op)?;
        let found = who.ssh_keys.iter().find(|known| fingerprint(known) == print);
        let key = found.ok_or_else(|| Error::NotFound("you have no such key".into()))?;
        let open = self.opened()?;
        self.change_ssh_keys(op, &open, ("ssh_key.removed", key), None, |keys| keys.retain(|known| known != key)).await
    }

    async fn change_ssh_keys(
        &self,
        op: &Op,
        open: &Open,
        (action, key): (&'static str, &str),
        claim: Option<Claim>,
        change: impl Fn(&mut Vec<String>),
    ) -> Result<(), Error> {
        // Not the acting identity as such: that one may hold rights which are merely lent to it.
        let mut was = user(open, &self.acting(op)?.handle)?;
        change(&mut was.value.ssh_keys);
        let draft = self.draft(&op.actor, action, &was.value.handle, &[("key", key)]);
        let mut change = Change::entry(draft).put(put(was.value.id, was.version, kinds::IDENTITY, &was.value)?);
        change.claims.extend(claim);
        open.store.commit(change).await?;
        Ok(())
    }

    /// Refuses to change identities that hold a role, to all but those of tier 0.
    pub(crate) fn may_change(&self, op: &Op, who: &[&Identity]) -> Result<(), Error> {
        let privileged: Vec<Handle> =
            who.iter().filter(|who| crate::apply::privileged(who)).map(|who| who.handle.clone()).collect();
        self.may_raise(op, &privileged)
    }
}

/// Whether somebody administers everything.
fn is_first(identity: &Identity) -> bool {
    FIRST.iter().all(|role| identity.groups.iter().any(|own| own.as_str() == *role))
}

fn joined(groups: &BTreeSet<Label>) -> String {
    groups.iter().map(Label::as_str).collect::<Vec<_>>().join(" ")
}

/// A user who was not removed.
pub(crate) fn user(open: &Open, handle: &Handle) -> Result<Versioned<Identity>, Error> {
    let unknown = || Error::NotFound(format!("there is no user `{handle}`"));
    let id = open.directory.identity(handle).ok_or_else(unknown)?;
    let found = load::<Identity>(&open.store, &DocId::new(id), kinds::IDENTITY).ok_or_else(unknown)?;
    if found.value.retired { Err(unknown()) } else { Ok(found) }
}
