//! A place that was looked up: a target and an account on it, with the jump hosts on the way.

use crate::approach::Approach;
use crate::control::Open;
use crate::directory::{kinds, load};
use crate::lease::lease_kind;
use crate::sessions::SessionBody;
use crate::{Error, hops};
use sallyport_model::access::{Ask, Denial};
use sallyport_model::inventory::{Account, Identity, Place as DialPlace, Target};
use sallyport_model::way::{Hop, Jump, Stop};
use sallyport_model::{AccountId, AccountName, Kind, TargetId, TargetName, Timestamp};
use sallyport_policy::{Facts, Place};
use sallyport_store::DocId;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A place that exists.
pub(crate) struct Found {
    pub(crate) target: Target,
    pub(crate) account: Account,
    /// How the account is reached on the target.
    pub(crate) way: Approach,
    /// The jump hosts on the way, the outermost first, each without a way of its own.
    pub(crate) hops: Vec<Found>,
    /// Why the way does not lead there, where it does not.
    broken: Option<hops::Broken>,
}

/// Looks a place up by name.
pub(crate) fn find(open: &Open, ask: &Ask) -> Option<Found> {
    let (target, account) = named(open, &ask.target, &ask.account)?;
    Some(Found::of(open, target, account))
}

fn named(open: &Open, target: &TargetName, account: &AccountName) -> Option<(Target, Account)> {
    let target = open.directory.target(target)?;
    pair(open, target, open.directory.account(target, account)?)
}

fn pair(open: &Open, target: TargetId, account: AccountId) -> Option<(Target, Account)> {
    let target = load(&open.store, &DocId::new(target), kinds::TARGET)?.value;
    Some((target, load(&open.store, &DocId::new(account), kinds::ACCOUNT)?.value))
}

/// Why a session ends whose account is reached in another way than it was.
pub(crate) const OTHER_WAY: &str = "the account is now reached in another way";

/// The place of a session, which is reached as it was when the session began.
pub(crate) fn place_of(open: &Open, session: &SessionBody) -> Result<Found, Error> {
    let gone = || Error::failed("the account is gone, or a jump host on the way");
    let found = session.found(open).ok_or_else(gone)?;
    if found.way.logon() == session.logon { Ok(found) } else { Err(Denial::new(Kind::Denied, OTHER_WAY).into()) }
}

/// The account that a jump host is used with.
pub(crate) fn jump_host(open: &Open, jump: &Jump) -> Option<(Target, Account)> {
    named(open, &jump.target, &jump.account)
}

impl SessionBody {
    /// The place of a session, over the jump hosts that it was opened over.
    pub(crate) fn found(&self, open: &Open) -> Option<Found> {
        let (mut target, account) = pair(open, self.target, self.account)?;
        let hops = self.hops.iter().map(|(target, account)| pair(open, *target, *account));
        let hops = hops.map(|hop| hop.map(|hop| Found::alone(open, hop))).collect::<Option<Vec<_>>>()?;
        target.way.jumps = hops.iter().map(Found::jump).collect();
        Some(Found { way: Approach::to(open, &account), target, account, hops, broken: None })
    }
}

impl Found {
    /// A place with its way as it is now.
    pub(crate) fn of(open: &Open, mut target: Target, account: Account) -> Self {
        let way = hops::walk(&target, |jump| jump_host(open, jump));
        target.way.jumps = way.jumps;
        let hops = way.found.into_iter().map(|hop| Self::alone(open, hop)).collect();
        Self { way: Approach::to(open, &account), target, account, hops, broken: way.broken }
    }

    /// A target with its way as it is now.
    pub(crate) fn way_of(open: &Open, mut target: Target) -> Target {
        target.way.jumps = hops::walk(&target, |jump| jump_host(open, jump)).jumps;
        target
    }

    /// A place whose way does not matter.
    fn alone(open: &Open, (target, account): (Target, Account)) -> Self {
        Self { way: Approach::to(open, &account), target, account, hops: Vec::new(), broken: None }
    }

    /// A place that is to be made, whose account is logged in at.
    pub(crate) fn new(target: Target, account: Account) -> Self {
        Self { target, account, way: Approach::Straight, hops: Vec::new(), broken: None }
    }

    /// The account that is logged in at, whose credential opens the connection.
    pub(crate) fn logs_in(&self) -> &Account {
        self.way.account().unwrap_or(&self.account)
    }

    /// `account@target`, as a jump host is named.
    pub(crate) fn jump(&self) -> Jump {
        Jump { account: self.account.name.clone(), target: self.target.name.clone() }
    }

    /// The place whose credential is meant: this one, or a jump host on the way.
    pub(crate) fn at(&self, stop: Stop) -> Result<&Self, Error> {
        match stop {
            Stop::Target => Ok(self),
            Stop::Hop(number) => {
                self.hops.get(usize::from(number)).ok_or_else(|| Error::failed("this session has no such jump host"))
            }
        }
    }

    /// What is known when somebody asks for this place.
    pub(crate) fn facts<'a>(&'a self, who: &'a Identity, now: Timestamp, from: IpAddr, reason: &'a str) -> Facts<'a> {
        Facts { reason, ..Facts::new(who, now, from) }.at(Place::Account(&self.target, &self.account))
    }

    /// What a gateway must know to go there. Of everything on the way the strictest counts.
    pub(crate) fn dial(&self, open: &Open, now: Timestamp) -> Result<DialPlace, Error> {
        let tiers = || self.hops.iter().chain([self]).map(|found| found.target.tier);
        let hop = |hop: &Self| {
            Ok::<_, Error>(Hop {
                target: hop.target.name.clone(),
                host: hop.target.host.clone(),
                port: hop.target.port,
                account: hop.account.name.clone(),
                host_keys: hop.target.host_keys.clone(),
                lease: lease_kind(open, hop)?,
                accepts: hop.target.way.accepts(&hop.target.host, now),
            })
        };
        Ok(DialPlace {
            target: self.target.name.clone(),
            host: self.target.host.clone(),
            port: self.target.port,
            account: self.account.name.clone(),
            host_keys: self.target.host_keys.clone(),
            grace: tiers().map(|tier| tier.grace_seconds()).min().unwrap_or_default(),
            anchor: tiers().map(|tier| tier.anchor_seconds()).min().unwrap_or_default(),
            freezes: tiers().any(|tier| tier.freezes()),
            logon: self.way.logon(),
            platform: self.target.platform,
            hops: self.hops.iter().map(hop).collect::<Result<_, _>>()?,
            accepts: self.target.way.accepts(&self.target.host, now),
        })
    }

    /// Old algorithms that may be spoken at this time, of everything on the way.
    pub(crate) fn exceptions(&self, now: Timestamp) -> String {
        let of = |found: &Self| found.target.way.accepts("", now).exceptions;
        let all: BTreeSet<String> = self.hops.iter().chain([self]).flat_map(of).collect();
        all.into_iter().collect::<Vec<_>>().join(" ")
    }

    /// What stands in the way of any session, whoever asks.
    pub(crate) fn unready(&self) -> Option<String> {
        if let Some(why) = self.missing() {
            return Some(why.to_owned());
        }
        if let Some(broken) = &self.broken {
            return Some(broken.to_string());
        }
        let unready = |hop: &Self| {
            let why = hop.missing()?;
            Some(format!("its jump host `{}` is not ready: {why}", hop.jump()))
        };
        self.hops.iter().find_map(unready)
    }

    fn missing(&self) -> Option<&'static str> {
        if let Some(why) = self.way.unready(&self.account) {
            Some(why)
        } else if self.target.host_keys.is_empty() && self.target.way.host_authorities.is_empty() {
            Some("no host key is pinned for it: write `host_keys` in its inventory file and apply")
        } else {
            None
        }
    }
}
