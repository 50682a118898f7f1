//! Listings of what is managed: targets and accounts in the order of their names, with what a search looks at.
//!
//! A snapshot, made anew after either kind has changed: fifty thousand targets take a fraction of a second, and every listing
//! in between only reads.

use crate::control::Open;
use crate::directory::{all, kinds};
use crate::found::Found;
use crate::inventory::Listing;
use sallyport_model::TargetId;
use sallyport_model::inventory::{Account, Target};
use sallyport_policy::Inventory;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Pages that are kept as they were written.
const PAGES: usize = 32;

/// What is listed: one snapshot.
pub(crate) struct Places {
    /// Accounts by number, in the order of target and account.
    pub(crate) inventory: Inventory,
    /// What a search among accounts looks at, by number.
    hay: Vec<String>,
    /// Targets, by name.
    pub(crate) targets: Vec<Listed>,
    /// Pages of them.
    pub(crate) written: Written,
}

/// Pages as they were written before. They go with the snapshot that they are of.
#[derive(Default)]
pub(crate) struct Written(Mutex<HashMap<Listing, Arc<[u8]>>>);

impl Written {
    /// The page that was written, or that is now.
    pub(crate) fn of(&self, wanted: &Listing, write: impl FnOnce() -> Arc<[u8]>) -> Arc<[u8]> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(wanted) {
            return known.clone();
        }
        let made = write();
        let mut kept = lock();
        if kept.len() >= PAGES {
            kept.clear();
        }
        kept.insert(wanted.clone(), made.clone());
        made
    }
}

/// A target, as it is listed.
pub(crate) struct Listed {
    pub(crate) target: Arc<Target>,
    /// By name.
    pub(crate) accounts: Vec<Arc<Account>>,
    hay: String,
}

/// The newest snapshot, and of which generation it is.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Option<(u64, Arc<Places>)>>);

impl Open {
    /// The listings as of now.
    pub(crate) fn places(&self) -> Arc<Places> {
        let generation = self.directory.places();
        let mut kept = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_at, places)) = &*kept
            && *made_at == generation
        {
            return places.clone();
        }
        let targets = all::<Target>(&self.store, kinds::TARGET).into_iter().map(|(_, found)| found.value);
        let accounts = all::<Account>(&self.store, kinds::ACCOUNT).into_iter().map(|(_, found)| found.value);
        let targets = targets.map(|target| Found::way_of(self, target));
        let places = Arc::new(Places::new(targets, accounts));
        *kept = Some((generation, places.clone()));
        places
    }
}

impl Places {
    fn new(targets: impl Iterator<Item = Target>, accounts: impl Iterator<Item = Account>) -> Self {
        let mut by_target: HashMap<TargetId, Vec<Arc<Account>>> = HashMap::new();
        for account in accounts {
            by_target.entry(account.target).or_default().push(Arc::new(account));
        }
        let mut targets: Vec<Listed> = targets
            .map(|target| {
                let mut accounts = by_target.remove(&target.id).unwrap_or_default();
                accounts.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
                let hay = lower(&[&told(&target), &target.host, &names.join("\n")]);
                Listed { target: Arc::new(target), accounts, hay }
            })
            .collect();
        targets.sort_unstable_by(|a, b| a.target.name.cmp(&b.target.name));
        let places: Vec<(Arc<Target>, Arc<Account>)> = targets
            .iter()
            .flat_map(|listed| listed.accounts.iter().map(|account| (listed.target.clone(), account.clone())))
            .collect();
        // Not the host: whoever may use an account need not know where it is.
        let hay = places
            .iter()
            .map(|(target, account)| lower(&[&format!("{}@{}", account.name, target.name), &told(target)]))
            .collect();
        Self { inventory: Inventory::new(places), hay, targets, written: Written::default() }
    }

    /// Whether an account is what a search looks for.
    pub(crate) fn matches(&self, number: u32, search: &Search) -> bool {
        let hay = usize::try_from(number).ok().and_then(|number| self.hay.get(number));
        hay.is_some_and(|hay| search.finds(hay))
    }
}

impl Listed {
    /// Whether it is what a search looks for.
    pub(crate) fn matches(&self, search: &Search) -> bool {
        search.finds(&self.hay)
    }
}

/// What a target is called, and by what it is told from others.
fn told(target: &Target) -> String {
    let tags: Vec<&str> = target.tags.iter().map(|tag| tag.as_str()).collect();
    format!("{}\n{}\n{}\n{}", target.name, target.protocol, target.environment, tags.join("\n"))
}

fn lower(parts: &[&str]) -> String {
    parts.join("\n").to_lowercase()
}

/// Words, all of which must occur.
pub(crate) struct Search(Vec<String>);

impl Search {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_lowercase).collect())
    }

    fn finds(&self, hay: &str) -> bool {
        self.0.iter().all(|word| hay.contains(word.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_written_once_and_so_many_are_kept() {
        let written = Written::default();
        let wanted = |limit| Listing { limit, ..Listing::default() };
        let write = |text: &[u8]| -> Arc<[u8]> { text.into() };
        assert_eq!(&*written.of(&wanted(1), || write(b"one")), b"one");
        assert_eq!(&*written.of(&wanted(1), || write(b"another")), b"one");
        assert_eq!(&*written.of(&wanted(2), || write(b"two")), b"two");
        for limit in 3..100 {
            written.of(&wanted(limit), || write(b"more"));
            assert!(written.0.lock().unwrap().len() <= PAGES);
        }
    }
}
