//! What a person chooses from: the places where they were lately, the newest first, then the others by name.

use crate::control::identity;
use crate::identity::{AUTH_LIFE, Spendable};
use crate::inventory::{Listing, Page};
use crate::places::Search;
use crate::why::ReachLine;
use crate::{Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::authority::{Choice, Places, Reply};
use sallyport_model::inventory::{Account, Identity, Target};
use sallyport_model::{AccountId, GatewayId, Kind, TargetId, Timestamp};
use sallyport_policy::Standings;
use sallyport_store::Filter;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Places that a chooser is shown at once.
const CHOICES: usize = 100;
/// Of them, those that stand in front because somebody was there lately.
const RECENT: usize = 5;
/// Sessions of theirs that are looked through for that.
const SESSIONS: u32 = 100;
/// How long a person waits for that at most: the database may be away, and what is chosen from is in memory.
const PATIENCE: Duration = Duration::from_secs(1);

/// A place, and when somebody's last session there began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    target: TargetId,
    account: AccountId,
    at: Timestamp,
}

impl Used {
    fn is(&self, target: &Target, account: &Account) -> bool {
        (self.target, self.account) == (target.id, account.id)
    }
}

impl Control {
    /// The places that somebody chooses from who has signed in at a gateway. The sign-in stays spendable while
    /// they choose.
    pub(crate) async fn choices(&self, gateway: GatewayId, asked: &Places) -> Result<Reply, Error> {
        let (open, now) = (self.opened()?, self.env.now());
        let spent = self.live.spendable(asked.who, gateway, now).filter(|spent| spent.checks.is_none());
        let Some(spent) = spent else {
            return Ok(Reply::Denied(Denial::new(Kind::Denied, "the sign-in is over its time: connect again")));
        };
        let Some(who) = identity(&open, spent.identity) else { return Ok(Reply::Denied(Denial::unknown())) };
        // Asked once: the list must not jump, nor the database be asked, with each letter of a search.
        let used = match &spent.used {
            Some(used) => used.clone(),
            None => tokio::time::timeout(PATIENCE, self.used(&who)).await.ok().and_then(Result::ok).unwrap_or_default(),
        };
        let search: String = asked.search.chars().take(100).collect();
        let lines = self.chosen_from(&who, spent.from.0, &Search::new(&search), &used)?.into_iter();
        let choices = lines.take(CHOICES).map(|line| Choice {
            account: line.account.name,
            target: line.target.name,
            usable: line.usable,
            note: line.note.unwrap_or_default(),
            ago: line.used.map(|at| now.since(at).as_secs()),
        });
        let expires = now.plus(AUTH_LIFE).min(spent.until);
        self.live.remember(asked.who, Spendable { expires, used: Some(used), ..spent }, now);
        Ok(Reply::Places(choices.collect()))
    }

    /// Of what the caller may use or ask for, the few places where they were lately, the newest first.
    ///
    /// # Errors
    /// When the caller may do nothing at all, or the database fails.
    pub async fn recent(&self, op: &Op, wanted: &Listing) -> Result<Page<ReachLine>, Error> {
        let who = self.acting(op)?;
        let used = self.used(&who).await?;
        let lines = self.chosen_from(&who, op.from, &Search::new(&wanted.search), &used)?;
        let mut page = Page::new(wanted);
        for line in lines.into_iter().filter(|line| line.used.is_some()) {
            page.take(false, || (String::new(), line));
        }
        // They are no list to turn the pages of.
        page.next = None;
        Ok(page)
    }

    /// Where somebody was lately, by the entries with which their sessions began, the newest first.
    async fn used(&self, who: &Identity) -> Result<Arc<[Used]>, Error> {
        let actor = who.handle.to_string();
        let filter = Filter {
            actions: vec!["session.opened".into()],
            actor: Some(actor.clone()),
            newest_first: true,
            limit: SESSIONS,
            ..Filter::default()
        };
        let mut used: Vec<Used> = Vec::new();
        for row in self.opened()?.store.entries(&filter).await? {
            let fact = |name: &str| row.entry.facts.get(name).map(String::as_str).unwrap_or_default();
            let (Ok(target), Ok(account)) = (fact("target").parse(), fact("account").parse()) else { continue };
            // The index has found it; the signed entry has the last word.
            if row.entry.actor == actor && !used.iter().any(|used| (used.target, used.account) == (target, account)) {
                used.push(Used { target, account, at: row.entry.at });
            }
        }
        Ok(used.into())
    }

    /// What somebody may use or ask for, as far as a search finds it: a few places where they were lately, then the first by
    /// name.
    fn chosen_from(
        &self,
        who: &Identity,
        from: IpAddr,
        search: &Search,
        used: &[Used],
    ) -> Result<Vec<ReachLine>, Error> {
        let open = self.opened()?;
        let (places, Standings { usable, requestable }) = self.within(&open, who, from);
        let (mut recent, mut rest) = (Vec::new(), Vec::new());
        for number in &usable | &requestable {
            let found = places.inventory.get(number).filter(|_| places.matches(number, search));
            let Some((target, account)) = found else { continue };
            match used.iter().position(|used| used.is(target, account)) {
                Some(rank) => recent.push((rank, number)),
                None if rest.len() < CHOICES => rest.push(number),
                None => {}
            }
        }
        recent.sort_unstable();
        rest.extend(recent.split_off(recent.len().min(RECENT)).into_iter().map(|(_, number)| number));
        // Their numbers are in the order of their names.
        rest.sort_unstable();
        let recent = recent.into_iter().map(|(rank, number)| (number, used.get(rank).map(|used| used.at)));
        let all = recent.chain(rest.into_iter().map(|number| (number, None)));
        Ok(all
            .filter_map(|(number, used)| {
                let line = ReachLine::of(&open, places.inventory.get(number)?, usable.contains(number));
                Some(ReachLine { used, ..line })
            })
            .collect())
    }
}
