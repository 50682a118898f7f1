//! The vault: status, put, seal, unseal.

mod keys;
mod slots;

use crate::Fail;
use crate::account::{ask, read_line};
use crate::client::Client;
use crate::command::{Put, Unseal, Vault};
use crate::output::{Output, harmless, table};
use sallyport_wire as wire;

pub(crate) async fn run(command: Vault, client: &Client, out: Output) -> Result<(), Fail> {
    match command {
        Vault::Status => status(client, out).await,
        Vault::Put(args) => put(args, client, out).await,
        Vault::Seal => {
            client.act("/vault/seal", &serde_json::json!({})).await?;
            out.show(&"sealed", |_| "The vault is sealed. Running sessions go on within their grace.".into())
        }
        Vault::Unseal(args) => unseal(args, client, out).await,
        Vault::Slot(command) => slots::run(command, client, out).await,
        Vault::Keys => keys::show(client, out).await,
        Vault::RotateRoot => keys::rotate_root(client, out).await,
        Vault::RotateEpoch(args) => keys::rotate_epoch(args, client, out).await,
        Vault::Ca => keys::ssh_cas(client, out).await,
        Vault::RotateCa(args) => keys::rotate_ssh_ca(args, client, out).await,
    }
}

async fn status(client: &Client, out: Output) -> Result<(), Fail> {
    let vault: wire::Vault = client.get("/vault", &[]).await?;
    out.show(&vault, |vault| {
        let slots = slots::table_of(&vault.slots);
        let secrets = vault
            .secrets
            .iter()
            .map(|s| {
                vec![
                    harmless(&s.account),
                    s.kind.clone(),
                    s.environment.clone(),
                    s.version.to_string(),
                    s.stored.clone(),
                ]
            })
            .collect();
        format!(
            "{}\n\n{}",
            slots,
            table(
                &["ACCOUNT", "KIND", "ENVIRONMENT", "VERSION", "STORED"],
                secrets,
                "No credentials yet: `sallyport vault put` stores one."
            ),
        )
    })
}

async fn put(args: Put, client: &Client, out: Output) -> Result<(), Fail> {
    let ssh_key = args
        .ssh_key
        .map(|path| {
            std::fs::read_to_string(&path).map_err(|e| Fail::usage(format!("cannot read `{}`: {e}", path.display())))
        })
        .transpose()?;
    let password = args.password_stdin.then(|| read_line("the password")).transpose()?;
    let body = wire::PutSecret { account: args.address, password, ssh_key, generate: args.generate };
    let line: wire::SecretLine = client.post("/vault/secrets", &body).await?;
    out.show(&line, |line| {
        let mut text = format!("Stored version {} of the {} of {}.", line.version, line.kind, harmless(&line.account));
        if let Some(public) = &line.public {
            text.push_str(&format!("\n{public}"));
        }
        text
    })
}

async fn unseal(args: Unseal, client: &Client, out: Output) -> Result<(), Fail> {
    if args.cancel {
        let share = slots::share(args.share_stdin)?;
        client.act("/vault/unseal/cancel", &wire::Share { share }).await?;
        return out.show(&"cancelled", |_| "The shares that were presented are forgotten.".into());
    }
    let mut ask_for = wire::Unseal::default();
    if args.share || args.share_stdin {
        ask_for.share = Some(slots::share(args.share_stdin)?);
    } else if let Some(path) = &args.key_file {
        let text = std::fs::read_to_string(path);
        ask_for.key_file = Some(text.map_err(|e| Fail::usage(format!("cannot read `{}`: {e}", path.display())))?);
    } else if args.pkcs11 {
        ask_for.pkcs11 = true;
        ask_for.pin = Some(if args.pin_stdin { read_line("the PIN")? } else { ask("PIN")? });
    } else if args.passphrase_stdin {
        ask_for.passphrase = Some(read_line("the passphrase")?);
    } else {
        ask_for.passphrase = Some(ask("Recovery passphrase")?);
    }
    let unsealed: wire::Unsealed = client.post("/vault/unseal", &ask_for).await?;
    out.show(&unsealed, |unsealed| match &unsealed.quorum {
        Some(quorum) => format!(
            "{} of {} shares. The next custodian runs `sallyport vault unseal --share` within a quarter of an hour.",
            quorum.have, quorum.need
        ),
        None => "The vault is open.".into(),
    })
}
