//! Targets one at a time: listed, added with their credential, changed, removed.

use crate::apply::{default_label, host_fits, public_keys};
use crate::control::{Open, POLICY, PolicyBody, put};
use crate::directory::{Versioned, kinds, load};
use crate::found::Found;
use crate::hops::named;
use crate::lease::{SecretBody, version_id};
use crate::places::{Places, Search};
use crate::route::{Rewayed, wrong};
use crate::slots::borrowed;
use crate::vault::material;
use crate::{Control, Error, NewSecret, Op};
use sallyport_model::access::Denial;
use sallyport_model::inventory::{Account, CertificateTerms, Class, HostKey, Platform, Rest, Target, Tier};
use sallyport_model::name::Label;
use sallyport_model::way::Way;
use sallyport_model::{AccountId, AccountName, Env, Kind, SecretId, TargetId, TargetName};
use sallyport_policy::{Right, SCHEMA};
use sallyport_store::{Change, DocId};
use sallyport_vault::Where;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which page of a listing is wanted.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Listing {
    /// Words, all of which must occur.
    pub search: String,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Rows, at least 1.
    pub limit: usize,
}

impl Listing {
    /// The cursor, where it names an account.
    pub(crate) fn place(&self) -> Result<Option<(TargetName, AccountName)>, Error> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let wrong = || Error::usage("this cursor is of no page: take `next` of the page before, as it is");
        let (account, target) = cursor.rsplit_once('@').ok_or_else(wrong)?;
        Ok(Some((target.parse().map_err(|_| wrong())?, account.parse().map_err(|_| wrong())?)))
    }
}

/// A page of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Its rows.
    pub lines: Vec<T>,
    /// What the next page begins after; absent on the last one.
    pub next: Option<String>,
    /// Rows on all pages.
    pub total: usize,
    limit: usize,
    last: Option<String>,
}

impl<T> Page<T> {
    pub(crate) fn new(wanted: &Listing) -> Self {
        Self { lines: Vec::new(), next: None, total: 0, limit: wanted.limit.max(1), last: None }
    }

    /// Counts a row, and takes it in where it belongs to this page. Rows come in the order of their names.
    pub(crate) fn take(&mut self, before: bool, row: impl FnOnce() -> (String, T)) {
        self.total = self.total.saturating_add(1);
        if before {
            return;
        }
        if self.lines.len() < self.limit {
            let (name, line) = row();
            self.lines.push(line);
            self.last = Some(name);
        } else if self.next.is_none() {
            self.next = self.last.take();
        }
    }
}

/// A target with its accounts.
#[derive(Clone, Debug)]
pub struct TargetLine {
    /// The target.
    pub target: Target,
    /// Its accounts, by name.
    pub accounts: Vec<Account>,
}

/// A target to be added, with its first account.
pub struct NewTarget {
    /// Its name.
    pub name: TargetName,
    /// What it is.
    pub about: About,
    /// Key domain of its secrets.
    pub environment: Label,
    /// What it speaks.
    pub protocol: Label,
    /// Its first account.
    pub account: AccountName,
    /// What that is for.
    pub class: Class,
    /// What opens it, where that is known.
    pub credential: Option<NewSecret>,
    /// That it is opened with certificates, and what they say.
    pub certificate: Option<CertificateTerms>,
}

/// What can be changed of a target.
#[derive(Clone, Debug)]
pub struct About {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How close to the keys of the kingdom.
    pub tier: Tier,
    /// What policies select by.
    pub tags: BTreeSet<Label>,
    /// Pinned host keys. Where a change has none they stay, unless the way changes: they were seen on another one.
    pub host_keys: Option<Vec<HostKey>>,
    /// What sort of system it is; as before, or POSIX, where absent.
    pub platform: Option<Platform>,
    /// How it is reached, and what its SSH server may show and speak.
    pub way: Way,
}

impl About {
    fn check(&self, protocol: &Label) -> Result<(), Error> {
        host(&self.host)?;
        let Some(text) = wrong(protocol.as_str(), &self.way) else { return Ok(()) };
        // Which of them it is: what is wrong with authorities alone, or beside them; else it is what the target speaks.
        let keys = Way { host_authorities: self.way.host_authorities.clone(), ..Way::default() };
        let error = Error::usage(text);
        Err(match [&keys, &self.way].map(|way| wrong("ssh", way).is_some()) {
            [true, _] => error.of_field("host_authorities"),
            [false, true] => error.of_field("host_aliases"),
            [false, false] => error,
        })
    }
}

pub(crate) fn host(text: &str) -> Result<(), Error> {
    if host_fits(text) { Ok(()) } else { Err(Error::usage("`host` is a host name or an IP address").of_field("host")) }
}

/// A page of targets.
fn page(places: &Places, wanted: &Listing) -> Page<TargetLine> {
    let search = Search::new(&wanted.search);
    let mut page = Page::new(wanted);
    for listed in places.targets.iter().filter(|listed| listed.matches(&search)) {
        let name = listed.target.name.as_str();
        page.take(wanted.cursor.as_deref().is_some_and(|cursor| name <= cursor), || {
            let accounts = listed.accounts.iter().map(|account| Account::clone(account)).collect();
            (name.to_owned(), TargetLine { target: Target::clone(&listed.target), accounts })
        });
    }
    page
}

impl Control {
    /// Targets by name, with their accounts: a page of them, as `write` puts it into bytes. It is made once, and kept until a
    /// target or an account changes: whoever has the right sees the same, so one caller's bytes are every caller's.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub fn targets(
        &self,
        op: &Op,
        wanted: &Listing,
        write: impl FnOnce(Page<TargetLine>) -> Vec<u8>,
    ) -> Result<Arc<[u8]>, Error> {
        self.require(op, Right::InventoryRead)?;
        let places = self.opened()?.places();
        Ok(places.written.of(wanted, || write(page(&places, wanted)).into()))
    }

    /// One target with its accounts.
    ///
    /// # Errors
    /// When the actor lacks the right, or there is none.
    pub fn target(&self, op: &Op, name: &TargetName) -> Result<TargetLine, Error> {
        self.require(op, Right::InventoryRead)?;
        let open = self.opened()?;
        Ok(line(&open, known(&open, name)?.value))
    }

    /// Adds a target with its first account and, where it is known, its credential: all of it or nothing.
    ///
    /// # Errors
    /// When the actor may not write at this tier, the name is taken, or the credential unusable.
    pub async fn add_target(&self, op: &Op, new: NewTarget) -> Result<TargetLine, Error> {
        new.about.check(&new.protocol)?;
        if new.certificate.is_some() && new.protocol.as_str() != "ssh" {
            return Err(Error::usage("certificates open accounts of targets that speak ssh"));
        }
        let open = self.opened()?;
        let found = made(&self.env, &new);
        self.require_at(op, Right::InventoryWrite, &found.target)?;
        self.check_way(op, &open, &found.target).map_err(|error| error.of_field("via"))?;
        if open.directory.target(&new.name).is_some() {
            let text = format!("there is a target `{}` already: choose another name", new.name);
            return Err(Error::from(Denial::new(Kind::Conflict, text)).of_field("name"));
        }
        let secret = match new.credential {
            None => None,
            Some(credential) => {
                self.require_at(op, Right::VaultWrite, &found.target)?;
                self.ensure_environment(&op.actor, &open, &found.target.environment).await?;
                Some((SecretId::new(&self.env), material(&self.env, &found, credential)?))
            }
        };
        let Found { target, account, .. } = found;
        let account = Account { secret: secret.as_ref().map(|(id, _)| *id), ..account };
        let place = format!("{} {}:{}", target.protocol, target.host, target.port);
        let mut facts = vec![
            ("place", place),
            ("tier", u8::from(target.tier).to_string()),
            ("account", account.name.to_string()),
            ("host_keys", target.host_keys.join(", ")),
        ];
        if account.certificate.is_some() {
            facts.push(("kind", "certificate".into()));
        }
        if target.way.via.is_some() {
            facts.push(("way", named(target.way.via.as_ref())));
        }
        if let Some(exceptions) = &target.way.exceptions {
            let names: Vec<_> = exceptions.algorithms.iter().map(String::as_str).collect();
            facts.extend([("exceptions", names.join(" ")), ("until", exceptions.until.to_string())]);
        }
        if let Some((id, (kind, _, _, how))) = &secret {
            facts.extend([("secret", id.to_string()), ("kind", kind.word().into()), ("how", (*how).into())]);
        }
        self.under_keys(&open, |vault| {
            let draft = self.draft(&op.actor, "target.added", &target.name, &borrowed(&facts));
            let mut change = Change::entry(draft)
                .claim(open.directory.claim_target(&target.name))
                .put(put(target.id, 0, kinds::TARGET, &target)?)
                .put(put(account.id, 0, kinds::ACCOUNT, &account)?);
            if let Some((id, (kind, value, public, _))) = &secret {
                let (id, kind) = (*id, *kind);
                let environment = target.environment.clone();
                let place = Where { environment: environment.clone(), secret: id, version: 1, kind };
                let sealed = vault.seal_secret(&self.env, &place, value)?;
                let (stored, public) = (self.env.now(), public.clone());
                let body = SecretBody {
                    id,
                    account: account.id,
                    environment,
                    kind,
                    version: 1,
                    stored,
                    public,
                    rest: Rest::new(),
                };
                change = change.put(put(id, 0, kinds::SECRET, &body)?).put(put(
                    version_id(id, 1),
                    0,
                    kinds::VERSION,
                    &sealed,
                )?);
            }
            Ok((change, ()))
        })
        .await?;
        Ok(TargetLine { target, accounts: vec![account] })
    }

    /// Changes a target.
    ///
    /// # Errors
    /// When the actor may not write at its tier or at the one it is to have, or there is none.
    pub async fn change_target(&self, op: &Op, name: &TargetName, about: About) -> Result<TargetLine, Error> {
        let open = self.opened()?;
        let Versioned { version, value: before } = self.unless_unseen(op, known(&open, name))?;
        about.check(&before.protocol)?;
        let About { host, port, tier, tags, host_keys, platform, way } = about;
        let rerouted = way.via != before.way.via;
        let host_keys = match host_keys {
            Some(keys) => public_keys(&keys),
            None if rerouted => Vec::new(),
            None => before.host_keys.clone(),
        };
        let platform = platform.unwrap_or(before.platform);
        let after = Target { host, port, tier, tags, host_keys, platform, way, ..before.clone() };
        // The tier rule looks at both ends of a move.
        for target in [&before, &after] {
            self.unless_unseen(op, self.require_at(op, Right::InventoryWrite, target))?;
        }
        if rerouted {
            self.check_way(op, &open, &after).map_err(|error| error.of_field("via"))?;
        }
        if before != after {
            let place = format!("{} {}:{}", after.protocol, after.host, after.port);
            let facts = [
                ("place", place),
                ("tier", u8::from(after.tier).to_string()),
                ("host_keys", after.host_keys.join(", ")),
                ("platform", after.platform.word().to_owned()),
            ];
            let draft = self.draft(&op.actor, "target.changed", name, &borrowed(&facts));
            let changed = Change::entry(draft).put(put(after.id, version, kinds::TARGET, &after)?);
            let told = Rewayed::of(Some(&before), &after).drafts(self, op);
            open.store.commit_all([changed].into_iter().chain(told.into_iter().map(Change::entry)).collect()).await?;
            self.redecide(&open).await?;
        }
        Ok(line(&open, after))
    }

    /// Removes a target and its accounts; running sessions on it end.
    ///
    /// # Errors
    /// When the actor may not write at its tier, or there is none.
    pub async fn remove_target(&self, op: &Op, name: &TargetName) -> Result<(), Error> {
        let open = self.opened()?;
        let Versioned { version, value: target } = self.unless_unseen(op, known(&open, name))?;
        self.unless_unseen(op, self.require_at(op, Right::InventoryWrite, &target))?;
        self.unneeded(&open, name)?;
        let accounts = accounts_of(&open, name);
        let facts = [("accounts", accounts.len().to_string())];
        let draft = self.draft(&op.actor, "target.removed", name, &borrowed(&facts));
        let mut change = Change::entry(draft).delete(DocId::new(target.id), version);
        for account in accounts {
            change = change.delete(DocId::new(account.value.id), account.version);
        }
        open.store.commit(change).await?;
        self.redecide(&open).await?;
        Ok(())
    }

    /// The enforced policies, with their hash, and the schema that they are written against.
    ///
    /// # Errors
    /// When the actor lacks the right.
    pub fn policies(&self, op: &Op) -> Result<Policies, Error> {
        self.require(op, Right::PolicyRead)?;
        let open = self.opened()?;
        let body = load::<PolicyBody>(&open.store, &DocId::new(POLICY), kinds::POLICY);
        let files = body.map(|body| body.value.files).unwrap_or_default();
        Ok(Policies { hash: open.policy().hash().to_owned(), files, schema: SCHEMA })
    }
}

/// The enforced policies.
pub struct Policies {
    /// SHA-256 over all of them.
    pub hash: String,
    /// Names and texts.
    pub files: Vec<(String, String)>,
    /// The schema, in Cedar's own words.
    pub schema: &'static str,
}

pub(crate) fn line(open: &Open, target: Target) -> TargetLine {
    let accounts = accounts_of(open, &target.name).into_iter().map(|found| found.value).collect();
    TargetLine { target, accounts }
}

pub(crate) fn known(open: &Open, name: &TargetName) -> Result<Versioned<Target>, Error> {
    let id = open.directory.target(name);
    id.and_then(|id| load::<Target>(&open.store, &DocId::new(id), kinds::TARGET))
        .ok_or_else(|| Error::NotFound(format!("there is no target `{name}`")))
}

pub(crate) fn accounts_of(open: &Open, name: &TargetName) -> Vec<Versioned<Account>> {
    let places = open.places();
    let found = places.targets.binary_search_by(|listed| listed.target.name.cmp(name));
    let listed = found.ok().and_then(|at| places.targets.get(at));
    let ids = listed.into_iter().flat_map(|listed| listed.accounts.iter().map(|account| account.id));
    ids.filter_map(|id| load::<Account>(&open.store, &DocId::new(id), kinds::ACCOUNT)).collect()
}

fn made(env: &Env, new: &NewTarget) -> Found {
    let target = Target {
        id: TargetId::new(env),
        name: new.name.clone(),
        protocol: new.protocol.clone(),
        host: new.about.host.clone(),
        port: new.about.port,
        zone: default_label(),
        environment: new.environment.clone(),
        tier: new.about.tier,
        tags: new.about.tags.clone(),
        host_keys: public_keys(new.about.host_keys.as_deref().unwrap_or_default()),
        platform: new.about.platform.unwrap_or_default(),
        way: new.about.way.clone(),
        rest: Rest::new(),
    };
    let account = Account {
        id: AccountId::new(env),
        target: target.id,
        name: new.account.clone(),
        class: new.class,
        owner: None,
        secret: None,
        certificate: new.certificate.clone(),
        through: None,
        rest: Rest::new(),
    };
    Found::new(target, account)
}
