//! `sallyport import`: targets out of `ssh_config`, `known_hosts` and CSV, as an inventory file to be reviewed. Offline.

mod inventory;
mod known_hosts;
mod rows;
mod ssh_config;

use crate::Fail;
use crate::command::Import;
use crate::output::{Output, harmless, table};
use sallyport_model::inventory::{Class, Tier};
use sallyport_model::name::Label;
use sallyport_model::way::Jump;
use sallyport_model::{AccountName, Handle, TargetName};
use sallyport_wire as wire;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Most targets that one import takes.
const MOST: usize = 100_000;

/// What a source says of one target. Where it says nothing, the command line does.
struct Found {
    name: TargetName,
    host: String,
    port: u16,
    accounts: BTreeMap<AccountName, Account>,
    tier: Tier,
    environment: Label,
    zone: Label,
    tags: BTreeSet<Label>,
    host_keys: Vec<String>,
    /// Authorities that have certified its host key.
    authorities: Vec<String>,
    /// How the source gets there, where not directly: a jump host by its name, with or without a user; until it is one of these
    /// targets.
    jump: Option<String>,
    via: Option<Jump>,
    /// The source, for people.
    from: String,
    notes: Vec<String>,
}

/// An account on a target.
#[derive(Clone)]
struct Account {
    class: Class,
    owner: Option<Handle>,
}

/// What was found, and what was left out and why.
#[derive(Default)]
struct Findings {
    targets: BTreeMap<TargetName, Found>,
    left_out: Vec<wire::LeftOut>,
}

impl Findings {
    fn leave_out(&mut self, what: impl Into<String>, why: impl std::fmt::Display) {
        self.left_out.push(wire::LeftOut { what: what.into(), why: why.to_string() });
    }

    /// Takes a target in. One that is there already, at the same place, gains accounts and tags.
    fn add(&mut self, found: Found) {
        let Some(there) = self.targets.get_mut(&found.name) else {
            if self.targets.len() < MOST {
                self.targets.insert(found.name.clone(), found);
            } else {
                self.leave_out(found.name.as_str(), format!("an import takes {MOST} targets"));
            }
            return;
        };
        if (&there.host, there.port) != (&found.host, found.port) {
            let why = format!("{} has another target of that name at {}:{}", there.from, there.host, there.port);
            return self.leave_out(format!("{} ({})", found.name, found.from), why);
        }
        there.accounts.extend(found.accounts);
        there.tags.extend(found.tags);
    }
}

/// Makes the jump hosts that sources name into those of the import, where they are among its targets and one account is
/// clear.
fn jumps(findings: &mut Findings) {
    let clear = |way: &str| {
        let (user, name) = way.rsplit_once('@').map_or((None, way), |(user, name)| (Some(user), name));
        let target: TargetName = name.to_lowercase().parse().ok()?;
        let accounts = &findings.targets.get(&target)?.accounts;
        let account = match user {
            Some(user) => user.parse().ok().filter(|account| accounts.contains_key(account))?,
            None => accounts.keys().next().filter(|_| accounts.len() == 1)?.clone(),
        };
        Some(Jump { account, target })
    };
    let found: Vec<_> = findings
        .targets
        .values()
        .filter_map(|found| Some((found.name.clone(), found.jump.clone()?)))
        .map(|(name, way)| (name, clear(&way), way))
        .collect();
    for (name, via, way) in found {
        let Some(target) = findings.targets.get_mut(&name) else { continue };
        if via.is_none() {
            target.notes.push(format!(
                "was reached by `{way}`: import that too and write `via`, or let a gateway reach it itself"
            ));
        }
        target.via = via;
    }
}

/// The class of an account of which no source says one: what is all-powerful by name is administrative.
fn class_of(account: &AccountName) -> Class {
    match account.as_str() {
        "root" | "administrator" | "Administrator" | "admin" | "sa" | "postgres" => Class::Administrative,
        _ => Class::Standard,
    }
}

pub(crate) async fn import(args: Import, out: Output) -> Result<(), Fail> {
    // It reads files and runs OpenSSH's own programs.
    let imported = tokio::task::spawn_blocking(move || collect(&args)).await.map_err(Fail::failed)??;
    out.show(&imported, describe)
}

fn collect(args: &Import) -> Result<wire::Imported, Fail> {
    if args.ssh_config.is_none() && args.csv.is_empty() {
        return Err(Fail::usage("name a source: `--ssh-config ~/.ssh/config`, or `--csv hosts.csv`"));
    }
    if let Some(path) = args.into.as_ref().filter(|path| path.exists()) {
        let text =
            format!("`{}` is there already: name a new file, and nothing of yours is overwritten", path.display());
        return Err(Fail::usage(text));
    }
    let mut findings = Findings::default();
    if let Some(path) = &args.ssh_config {
        ssh_config::read(path, args, &mut findings)?;
    }
    for path in &args.csv {
        rows::read(path, args, &mut findings)?;
    }
    known_hosts::pin(&args.known_hosts, &mut findings)?;
    jumps(&mut findings);
    let Findings { targets, left_out } = findings;
    let file = inventory::text(targets.values());
    if let Some(path) = &args.into
        && !targets.is_empty()
    {
        write(path, &file)?;
    }
    let written = args.into.as_ref().filter(|_| !targets.is_empty()).map(|path| path.display().to_string());
    Ok(wire::Imported { targets: targets.into_values().map(line).collect(), left_out, written, file })
}

fn write(path: &Path, text: &str) -> Result<(), Fail> {
    let written = OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|e| Fail::usage(format!("cannot write `{}`: {e}", path.display())))
}

fn line(found: Found) -> wire::ImportedTarget {
    wire::ImportedTarget {
        name: found.name.to_string(),
        host: found.host,
        port: found.port,
        accounts: found.accounts.keys().map(ToString::to_string).collect(),
        host_keys: found.host_keys.len().saturating_add(found.authorities.len()),
        from: found.from,
        notes: found.notes,
    }
}

fn describe(imported: &wire::Imported) -> String {
    let rows = imported.targets.iter().map(|target| {
        let keys = if target.host_keys == 0 { "none known".to_owned() } else { target.host_keys.to_string() };
        let place = format!("{}:{}", target.host, target.port);
        vec![target.name.clone(), place, target.accounts.join(" "), keys, target.notes.join("; ")]
    });
    let head = ["TARGET", "ADDRESS", "ACCOUNTS", "HOST KEYS", "NOTES"];
    let mut text = table(&head, rows.collect(), "Nothing was found that could be a target.");
    text.push('\n');
    for left in &imported.left_out {
        text.push_str(&format!("left out: {}: {}\n", harmless(&left.what), harmless(&left.why)));
    }
    let unpinned = imported.targets.iter().filter(|target| target.host_keys == 0).count();
    if unpinned > 0 {
        text.push_str(&format!(
            "{unpinned} without a host key: no session is possible to them until one is pinned; \
             `--known-hosts` takes those that you have verified\n"
        ));
    }
    text.push_str(&match (&imported.written, imported.targets.len()) {
        (_, 0) => String::new(),
        (None, n) => format!("{n} targets. Nothing is written: `--into FILE` makes an inventory file of them."),
        (Some(path), n) => {
            format!("{n} targets are in {}. Look at tiers and classes, then run `sallyport plan`.", harmless(path))
        }
    });
    text
}

#[cfg(test)]
mod tests;
