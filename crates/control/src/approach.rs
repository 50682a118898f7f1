//! The way to an account: it is logged in at, or become by way of a logon account of the same target.

use crate::control::Open;
use crate::directory::{kinds, load};
use sallyport_model::AccountName;
use sallyport_model::inventory::{Account, By, Logon, Through};
use sallyport_store::DocId;

/// How an account is reached.
pub(crate) enum Approach {
    /// It is logged in at.
    Straight,
    /// This account is logged in at, and becomes it.
    Through(Box<Account>, By),
    /// Not at all: this stands in the way.
    Broken(&'static str),
}

impl Approach {
    /// The way to an account, as the inventory has it now.
    pub(crate) fn to(open: &Open, account: &Account) -> Self {
        let Some(through) = &account.through else { return Self::Straight };
        let id = open.directory.account(account.target, &through.account);
        let logon = id.and_then(|id| load::<Account>(&open.store, &DocId::new(id), kinds::ACCOUNT));
        match (wrong(account, logon.as_ref().map(|logon| &logon.value)), logon) {
            (None, Some(logon)) => Self::Through(Box::new(logon.value), through.by),
            (Some(why), _) => Self::Broken(why),
            (None, None) => Self::Broken(GONE),
        }
    }

    /// The logon account.
    pub(crate) fn account(&self) -> Option<&Account> {
        match self {
            Self::Through(logon, _) => Some(logon),
            Self::Straight | Self::Broken(_) => None,
        }
    }

    /// The same, as gateways and sessions know it.
    pub(crate) fn logon(&self) -> Option<Logon> {
        match self {
            Self::Through(logon, by) => Some(Logon { account: logon.name.clone(), by: *by }),
            Self::Straight | Self::Broken(_) => None,
        }
    }

    /// What stands in the way of any session with this account, which it leads to.
    pub(crate) fn unready(&self, account: &Account) -> Option<&'static str> {
        match self {
            Self::Straight if !account.opens() => {
                Some("no credential is stored for it: `sallyport vault put` stores one")
            }
            Self::Through(logon, _) if !logon.opens() => {
                Some("no credential is stored for its logon account: `sallyport vault put` stores one")
            }
            Self::Through(_, By::Su) if account.secret.is_none() => {
                Some("no password is stored for it, which `su` asks for: `sallyport vault put` stores one")
            }
            Self::Broken(why) => Some(why),
            Self::Straight | Self::Through(..) => None,
        }
    }
}

const GONE: &str = "its logon account is not on this target: name one that is";

/// What is wrong with the way that an account names, where this is the account that it names.
pub(crate) fn wrong(account: &Account, logon: Option<&Account>) -> Option<&'static str> {
    let Through { account: named, .. } = account.through.as_ref()?;
    if account.certificate.is_some() {
        return Some("`certificate` is for accounts that are logged in at: write it at the logon account");
    }
    if *named == account.name {
        return Some("an account is not its own logon account: name another one");
    }
    if !word(&account.name) || !word(named) {
        return Some("`su` and `sudo` take a name that begins with `-`, `+` or `#` for something else");
    }
    match logon {
        None => Some(GONE),
        Some(logon) if logon.through.is_some() => {
            Some("its logon account is itself reached through another one: name one that is logged in at")
        }
        Some(_) => None,
    }
}

/// Whether the programs take a name for nothing but a name.
fn word(name: &AccountName) -> bool {
    !name.as_str().starts_with(['-', '+', '#'])
}
