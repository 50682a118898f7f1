//! Accounts one at a time: added to a target that is there, and changed.

use crate::apply::ways_lead;
use crate::control::{Open, put};
use crate::directory::{Versioned, kinds, load};
use crate::inventory::{TargetLine, accounts_of, known, line};
use crate::slots::borrowed;
use crate::{Control, Error, Op};
use sallyport_model::inventory::{Account, CertificateTerms, Class, Target, Through};
use sallyport_model::{AccountId, AccountName, Handle, TargetName};
use sallyport_policy::Right;
use sallyport_store::{Change, DocId};

/// What can be said of an account. Its credential is the vault's.
#[derive(Clone, Debug)]
pub struct AboutAccount {
    /// What it is for.
    pub class: Class,
    /// Who answers for it.
    pub owner: Option<Handle>,
    /// That certificates open it, and what they say.
    pub certificate: Option<CertificateTerms>,
    /// That it is become by way of another account of its target.
    pub through: Option<Through>,
}

impl AboutAccount {
    /// The facts of an entry.
    fn told(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("class", format!("{:?}", self.class).to_lowercase())];
        facts.extend(self.owner.as_ref().map(|owner| ("owner", owner.to_string())));
        if let Some(certificate) = &self.certificate {
            facts.push(("kind", "certificate".into()));
            facts.extend(certificate.principal.clone().map(|name| ("principal", name)));
            facts.extend(certificate.force_command.clone().map(|command| ("force_command", command)));
            let from: Vec<_> = certificate.source_addresses.iter().map(ToString::to_string).collect();
            facts.extend((!from.is_empty()).then(|| ("source_addresses", from.join(" "))));
        }
        let through = self.through.as_ref().map(|through| format!("{} by {}", through.account, through.by.word()));
        facts.extend(through.map(|through| ("through", through)));
        facts
    }

    /// The account, with what is known of it kept.
    fn of(self, id: AccountId, target: &Target, name: &AccountName, known: Option<&Account>) -> Account {
        Account {
            id,
            target: target.id,
            name: name.clone(),
            class: self.class,
            owner: self.owner,
            secret: known.and_then(|known| known.secret),
            certificate: self.certificate,
            through: self.through,
            rest: known.map(|known| known.rest.clone()).unwrap_or_default(),
        }
    }
}

impl Control {
    /// Adds an account to a target, or changes it. Sessions whose account is now reached in another way end.
    ///
    /// # Errors
    /// When the actor may not write at the target's tier, there is no such target, or the account could not be reached so.
    pub async fn put_account(
        &self,
        op: &Op,
        target: &TargetName,
        name: &AccountName,
        about: AboutAccount,
    ) -> Result<TargetLine, Error> {
        let open = self.opened()?;
        let Versioned { version: at, value: target } = self.unless_unseen(op, known(&open, target))?;
        self.unless_unseen(op, self.require_at(op, Right::InventoryWrite, &target))?;
        if target.protocol.as_str() != "ssh" && (about.certificate.is_some() || about.through.is_some()) {
            return Err(Error::usage("`certificate` and `through` are for accounts of targets that speak ssh"));
        }
        if let Some(wrong) = about.certificate.as_ref().and_then(CertificateTerms::wrong) {
            return Err(Error::usage(wrong).of_field("certificate"));
        }
        let before = of(&open, &target, name);
        let known = before.as_ref().map(|before| &before.value);
        let facts = about.told();
        let id = known.map_or_else(|| AccountId::new(&self.env), |known| known.id);
        let after = about.of(id, &target, name, known);
        if known == Some(&after) {
            return Ok(line(&open, target));
        }
        let others = accounts_of(&open, &target.name).into_iter().filter(|other| other.value.id != after.id);
        let others: Vec<_> = others.collect();
        let all: Vec<_> = others.iter().map(|other| other.value.clone()).chain([after.clone()]).collect();
        ways_lead(&all).map_err(|error| error.of_field("through"))?;
        self.stays_fit(&open, &target, &after).map_err(|error| error.of_field("through"))?;
        let (action, was) = match &before {
            Some(before) => ("account.changed", before.version),
            None => ("account.added", 0),
        };
        let draft = self.draft(&op.actor, action, format!("{name}@{}", target.name), &borrowed(&facts));
        let mut change = Change::entry(draft).put(put(after.id, was, kinds::ACCOUNT, &after)?);
        if before.is_none() {
            change = change.claim(open.directory.claim_account(target.id, name));
        }
        // The way leads over these documents, as they were read.
        change.expect.push((DocId::new(target.id), at));
        change.expect.extend(others.iter().map(|other| (DocId::new(other.value.id), other.version)));
        open.store.commit(change).await?;
        self.redecide(&open).await?;
        Ok(line(&open, target))
    }
}

/// An account of a target, where it is there.
fn of(open: &Open, target: &Target, name: &AccountName) -> Option<Versioned<Account>> {
    let id = open.directory.account(target.id, name)?;
    load::<Account>(&open.store, &DocId::new(id), kinds::ACCOUNT)
}
