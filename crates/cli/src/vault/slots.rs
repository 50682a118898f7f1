//! Seal slots, and the ceremony of shares: each shown once, alone, and a quorum tried before the set counts.

use crate::Fail;
use crate::account::{ask, read_line};
use crate::client::Client;
use crate::command::{Share, Slot, SlotAdd};
use crate::output::{Output, clear_screen, harmless, is_terminal, line, remark, table};
use sallyport_wire as wire;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

pub(super) async fn run(command: Slot, client: &Client, out: Output) -> Result<(), Fail> {
    match command {
        Slot::List => {
            let vault: wire::Vault = client.get("/vault", &[]).await?;
            out.show(&vault.slots, |slots| table_of(slots))
        }
        Slot::Add(args) => add(args, client, out).await,
        Slot::Confirm(args) => confirm(args, client, out).await,
        Slot::Remove { slot } => remove(&slot, client, out).await,
    }
}

/// Slots in columns.
pub(super) fn table_of(slots: &[wire::Slot]) -> String {
    let row = |slot: &wire::Slot| {
        let kind = slot.shares.as_ref().map_or_else(|| slot.kind.clone(), |rule| format!("{} {rule}", slot.kind));
        let state = match (slot.confirmed, slot.offline) {
            (false, _) => "unconfirmed",
            (true, true) => "offline",
            (true, false) => "",
        };
        vec![slot.id.clone(), kind, state.into(), slot.created.clone(), harmless(&slot.label)]
    };
    table(&["SLOT", "KIND", "", "MADE", "LABEL"], slots.iter().map(row).collect(), "No slots.")
}

/// A share, from a person or from standard input.
pub(super) fn share(stdin: bool) -> Result<String, Fail> {
    if stdin { read_line("the share") } else { ask("Share") }
}

async fn add(args: SlotAdd, client: &Client, out: Output) -> Result<(), Fail> {
    let shamir = args.shamir.as_deref().map(rule).transpose()?;
    if shamir.is_some() && !out.is_json() && !(is_terminal() && std::io::stdin().is_terminal()) {
        return Err(Fail::usage(
            "shares are shown one at a time at a terminal; a script takes them with `--output json`",
        ));
    }
    let mut key_file = match &args.key_file {
        // Before the slot is made: a key that cannot be written would be lost.
        Some(path) => {
            let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            Some(file.map_err(|e| Fail::usage(format!("cannot make `{}`: {e}", path.display())))?)
        }
        None => None,
    };
    let passphrase = match (args.passphrase, args.passphrase_stdin) {
        (_, true) => Some(read_line("the passphrase")?),
        (true, _) => Some(twice()?),
        _ => None,
    };
    let new = wire::NewSlot {
        label: args.label,
        offline: args.offline,
        key_file: key_file.is_some(),
        passphrase,
        shamir,
        pkcs11: args.pkcs11,
        pin: args.pin_stdin.then(|| read_line("the PIN")).transpose()?,
    };
    let outcome: Result<wire::AddedSlot, Fail> = client.post("/vault/slots", &new).await;
    if let (Err(_), Some(path)) = (&outcome, &args.key_file) {
        let _ = std::fs::remove_file(path);
    }
    let mut added = outcome?;
    if let (Some(file), Some(text)) = (&mut key_file, added.key_file.take()) {
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(Fail::failed)?;
    }
    if out.is_json() || shamir.is_none() {
        return out
            .show(&added, |added| format!("Added the slot {} ({}).", added.slot.id, harmless(&added.slot.label)));
    }
    ceremony(&added)?;
    confirm_all(client, out).await
}

/// Shows each share alone, once.
fn ceremony(added: &wire::AddedSlot) -> Result<(), Fail> {
    let count = added.shares.len();
    for (at, share) in added.shares.iter().enumerate() {
        clear_screen()?;
        line(&format!(
            "Share {} of {count}, for one custodian alone. It is shown once: write all of it down.\n",
            at + 1
        ))?;
        for four in share.split('-').collect::<Vec<_>>().chunks(4) {
            line(&format!("    {}", four.join("-")))?;
        }
        line("\nPress Enter when it is written down and nobody else looks.")?;
        std::io::stdin().read_line(&mut String::new()).map_err(Fail::failed)?;
    }
    clear_screen()?;
    line("No share is shown again. Now a quorum is tried: the set opens the vault once it was presented.\n")
}

/// Takes shares until the set counts. A wrong one is said and asked for again.
async fn confirm_all(client: &Client, out: Output) -> Result<(), Fail> {
    loop {
        let share = share(false)?;
        let quorum: Result<wire::Quorum, Fail> = client.post("/vault/slots/confirm", &wire::Share { share }).await;
        match quorum {
            Ok(quorum) if quorum.have >= quorum.need => return said(&quorum, out),
            Ok(quorum) => remark(&format!("{} of {} shares.", quorum.have, quorum.need)),
            Err(fail) => remark(&format!("{fail}")),
        }
    }
}

async fn confirm(args: Share, client: &Client, out: Output) -> Result<(), Fail> {
    let share = share(args.share_stdin)?;
    let quorum: wire::Quorum = client.post("/vault/slots/confirm", &wire::Share { share }).await?;
    said(&quorum, out)
}

fn said(quorum: &wire::Quorum, out: Output) -> Result<(), Fail> {
    out.show(quorum, |quorum| {
        if quorum.have >= quorum.need {
            format!("The set counts: {} of its shares open the vault.", quorum.need)
        } else {
            format!("{} of {} shares. The set counts once a quorum was presented.", quorum.have, quorum.need)
        }
    })
}

async fn remove(slot: &str, client: &Client, out: Output) -> Result<(), Fail> {
    if slot.is_empty() || !slot.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        return Err(Fail::usage(format!("`{}` is no slot id: `sallyport vault slot list` shows them", harmless(slot))));
    }
    let root: wire::Root = client.delete(&format!("/vault/slots/{slot}")).await?;
    out.show(&root, |root| {
        format!(
            "Removed. The root key is version {} now: what opened the slot opens nothing any more.\n\
             Whoever had it and a copy of the database could read secrets of then: `sallyport vault rotate-epoch` gives\n\
             what is stored from now on new keys, and credentials that they may have read must be changed.",
            root.root_version
        )
    })
}

/// Asks for a new passphrase, twice.
fn twice() -> Result<String, Fail> {
    let first = ask("New passphrase")?;
    if ask("The same again")? == first { Ok(first) } else { Err(Fail::usage("the two passphrases differ: try again")) }
}

/// `3-of-5`.
pub(super) fn rule(text: &str) -> Result<wire::Shamir, Fail> {
    let wrong = || Fail::usage(format!("`{}` is no rule for shares: write it as 3-of-5", harmless(text)));
    let (needed, shares) = text.split_once("-of-").ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<u8>().ok().filter(|n| n.to_string() == text).ok_or_else(wrong);
    Ok(wire::Shamir { needed: number(needed)?, shares: number(shares)? })
}
