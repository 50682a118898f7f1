//! Explanations: why somebody may or may not, and what somebody may reach.

use crate::control::{Open, identity, identity_of};
use crate::directory::{all, kinds};
use crate::found::Found;
use crate::inventory::{Listing, Page};
use crate::places::{Places, Search};
use crate::vault::place;
use crate::{Control, Error, Op};
use sallyport_model::access::{Channel, Denial};
use sallyport_model::inventory::{Account, Identity, Target};
use sallyport_model::{Address, Handle, Timestamp};
use sallyport_policy::{Act, Explanation, Facts, Right, Standing, Standings, decide, explain, standing, standings};
use std::net::IpAddr;
use std::sync::Arc;

/// What an explanation is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where.
    pub address: &'a Address,
    /// What.
    pub act: Act,
    /// Where a forward goes, as `host:port` or a path: of channels that forward alone.
    pub destination: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// An act at a place, of which no more is said.
    #[must_use]
    pub const fn of(address: &'a Address, act: Act) -> Self {
        Self { address, act, destination: None }
    }

    /// Whether what is said of a destination can be of this act.
    fn check(&self) -> Result<(), Error> {
        let Some(destination) = self.destination else { return Ok(()) };
        let Act::Channel(channel) = self.act else { return Err(no_forward()) };
        if !channel.forwards() {
            return Err(no_forward());
        }
        // Who has a server listen for them may leave it the address.
        let named = |host: &str| !host.is_empty() || channel == Channel::ForwardRemote;
        let port = destination.rsplit_once(':').is_some_and(|(host, port)| named(host) && port.parse::<u16>().is_ok());
        let wrong = || match channel {
            Channel::ForwardSocket => (!destination.starts_with('/')).then_some("a path, such as /run/app.sock"),
            _ => (!port).then_some("HOST:PORT, as the client is told it, such as 127.0.0.1:5432"),
        };
        wrong().map_or(Ok(()), |right| Err(Error::usage(format!("write the destination as {right}"))))
    }
}

fn no_forward() -> Error {
    Error::usage(
        "only forwards have a destination: ask about channel:forward_local, channel:forward_remote or channel:forward_socket",
    )
}

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
    pub target: Target,
    /// The account.
    pub account: Account,
    /// Usable now, or requestable.
    pub usable: bool,
    /// What stands in the way all the same.
    pub note: Option<String>,
    /// When the caller's last session there began, where it is listed for that.
    pub used: Option<Timestamp>,
}

impl ReachLine {
    pub(crate) fn of(open: &Open, (target, account): (&Target, &Account), usable: bool) -> Self {
        let found = Found::of(open, target.clone(), account.clone());
        let note = found.unready();
        Self { target: found.target, account: found.account, usable, note, used: None }
    }
}

/// Somebody who may do something.
#[derive(Clone, Debug)]
pub struct WhoLine {
    /// Who.
    pub handle: Handle,
    /// Now, or after somebody has granted it.
    pub usable: bool,
    /// The policies that permit it.
    pub policies: Vec<String>,
}

impl Control {
    /// Explains a decision about oneself, or about anybody by right.
    ///
    /// # Errors
    /// When the caller may not ask that, or names something unknown.
    pub fn why(&self, op: &Op, handle: Option<&Handle>, about: &Asked<'_>) -> Result<Why, Error> {
        let own = self.acting(op)?;
        about.check()?;
        let open = self.opened()?;
        let asked = match handle {
            Some(handle) if *handle != own.handle => {
                self.require(op, Right::Explain)?;
                identity_of(&open, handle).ok_or_else(|| Error::NotFound(format!("there is no identity `{handle}`")))?
            }
            _ => own,
        };
        let policy = open.policy();
        let found = place(&open, about.address);
        let everything = self.require(op, Right::Explain).is_ok();
        let unknown = || Error::NotFound(Denial::unknown().message);
        let found = found.map_err(|error| if everything { error } else { unknown() })?;
        let mut facts = found.facts(&asked, self.env.now(), op.from, "");
        facts.met = self.met_by(&open, asked.id);
        if !everything && standing(&policy, &facts) == Standing::Invisible {
            return Err(unknown());
        }
        facts.destination = about.destination;
        Ok(Why { explanation: explain(&policy, &facts, about.act), policy: policy.hash().to_owned() })
    }

    /// What the caller may use or ask for, by target and account: a page of it.
    ///
    /// # Errors
    /// When the caller may do nothing at all.
    pub fn reach(&self, op: &Op, wanted: &Listing) -> Result<Page<ReachLine>, Error> {
        let who = self.acting(op)?;
        self.reach_of(&who, op.from, wanted)
    }

    fn reach_of(&self, who: &Identity, from: IpAddr, wanted: &Listing) -> Result<Page<ReachLine>, Error> {
        let open = self.opened()?;
        let (places, Standings { usable, requestable }) = self.within(&open, who, from);
        let (search, after) = (Search::new(&wanted.search), wanted.place()?);
        let mut page = Page::new(wanted);
        for number in &usable | &requestable {
            let Some((target, account)) = places.inventory.get(number).filter(|_| places.matches(number, &search))
            else {
                continue;
            };
            let before = after.as_ref().is_some_and(|(t, a)| (&target.name, &account.name) <= (t, a));
            page.take(before, || {
                let line = ReachLine::of(&open, (target, account), usable.contains(number));
                (format!("{}@{}", account.name, target.name), line)
            });
        }
        Ok(page)
    }

    /// What somebody may use, and what they may ask for, by their numbers in the snapshot beside it.
    pub(crate) fn within(&self, open: &Open, who: &Identity, from: IpAddr) -> (Arc<Places>, Standings) {
        let places = open.places();
        let mut facts = Facts::new(who, self.env.now(), from);
        facts.met = self.met_by(open, who.id);
        let standings = standings(&open.policy(), &facts, &places.inventory);
        (places, standings)
    }

    /// Who may do something at a place, and by which policies: everybody whom the policy lets, or who may ask.
    ///
    /// # Errors
    /// When the caller lacks the right, or names something unknown.
    pub fn who_can(&self, op: &Op, asked: &Asked<'_>) -> Result<Vec<WhoLine>, Error> {
        self.require(op, Right::Explain)?;
        asked.check()?;
        let Asked { address, act, destination } = *asked;
        let open = self.opened()?;
        let (policy, found, now) = (open.policy(), place(&open, address)?, self.env.now());
        let mut lines = Vec::new();
        for (_, known) in all::<Identity>(&open.store, kinds::IDENTITY) {
            let Some(who) = identity(&open, known.value.id) else { continue };
            let mut facts = found.facts(&who, now, op.from, "");
            facts.met = self.met_by(&open, who.id);
            facts.destination = destination;
            let usable = decide(&policy, &facts, act).permits();
            if !usable && standing(&policy, &facts) != Standing::Requestable {
                continue;
            }
            let explained = explain(&policy, &facts, act);
            let policies = explained.permits.into_iter().map(|policy| policy.name).collect();
            lines.push(WhoLine { handle: who.handle, usable, policies });
        }
        lines.sort_by(|a, b| a.handle.cmp(&b.handle));
        Ok(lines)
    }
}
