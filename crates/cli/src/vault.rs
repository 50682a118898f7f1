//! The vault: status, put, seal, unseal.

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
    }
}

async fn status(client: &Client, out: Output) -> Result<(), Fail> {
    let vault: wire::Vault = client.get("/vault", &[]).await?;
    out.show(&vault, |vault| {
        let slots = vault
            .slots
            .iter()
            .map(|s| {
                vec![s.id.clone(), s.kind.clone(), if s.offline { "offline" } else { "" }.into(), harmless(&s.label)]
            })
            .collect();
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
            table(&["SLOT", "KIND", "", "LABEL"], slots, "No slots."),
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
    let passphrase = if args.passphrase_stdin { read_line("the passphrase")? } else { ask("Recovery passphrase")? };
    client.act("/vault/unseal", &wire::Unseal { passphrase }).await?;
    out.show(&"open", |_| "The vault is open.".into())
}
