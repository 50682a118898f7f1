//! Keys of the vault and authorities of SSH: what there is, and how they are rotated.

use crate::Fail;
use crate::client::Client;
use crate::command::{RotateCa, RotateEpoch};
use crate::output::{Output, harmless, table};
use sallyport_wire as wire;

pub(super) async fn show(client: &Client, out: Output) -> Result<(), Fail> {
    let keys: wire::Keys = client.get("/vault/keys", &[]).await?;
    out.show(&keys, text)
}

pub(super) async fn rotate_root(client: &Client, out: Output) -> Result<(), Fail> {
    let root: wire::Root = client.post("/vault/rotate-root", &serde_json::json!({})).await?;
    out.show(&root, |root| {
        format!("The root key is version {} now. Every slot opens it; copies of the database from before do not open with it.", root.root_version)
    })
}

pub(super) async fn rotate_epoch(args: RotateEpoch, client: &Client, out: Output) -> Result<(), Fail> {
    let keys: wire::Keys = if args.pause || args.resume {
        client.post("/vault/rotation", &wire::PauseRotation { paused: args.pause }).await?
    } else {
        client.post("/vault/rotate-epoch", &wire::RotateEpoch { domain: args.domain }).await?
    };
    out.show(&keys, text)
}

pub(super) async fn ssh_cas(client: &Client, out: Output) -> Result<(), Fail> {
    let cas: Vec<wire::SshCa> = client.get("/ssh-cas", &[]).await?;
    let known = known_hosts(client).await?;
    out.show(&cas, |cas| cas.iter().map(|ca| ssh_ca(ca, &known)).collect::<Vec<_>>().join("\n\n"))
}

/// What clients know the gateways by.
async fn known_hosts(client: &Client) -> Result<wire::KnownHosts, Fail> {
    client.get("/known-hosts", &[]).await
}

pub(super) async fn rotate_ssh_ca(args: RotateCa, client: &Client, out: Output) -> Result<(), Fail> {
    let ask = wire::RotateSshCa { step: args.step };
    let ca: wire::SshCa = client.post(&format!("/ssh-cas/{}", args.name), &ask).await?;
    let known = known_hosts(client).await?;
    out.show(&ca, |ca| ssh_ca(ca, &known))
}

/// The keys as a table, and as lines to be put where they are believed.
fn ssh_ca(ca: &wire::SshCa, known: &wire::KnownHosts) -> String {
    let row = |key: &wire::SshCaKey| {
        vec![key.version.to_string(), key.state.clone(), key.made.clone(), key.fingerprint.clone()]
    };
    let rows = ca.keys.iter().map(row).collect();
    let table = table(&["KEY", "STATE", "MADE", "FINGERPRINT"], rows, "No key yet: see the server's log.");
    let gateways = ca.name == "gateways";
    let line = |key: &wire::SshCaKey| format!("{} sallyport-{}-{}", key.public, ca.name, key.version);
    let lines: Vec<_> = match gateways {
        true => known.lines.iter().map(|line| harmless(line)).collect(),
        false => ca.keys.iter().map(line).collect(),
    };
    let what = match ca.name.as_str() {
        "targets" => "To the file that `TrustedUserCAKeys` names in the sshd_config of each target:",
        "gateways" => {
            "To known_hosts, the last line for clients that know no authorities (`sallyport config known-hosts` prints them alone, and\n\
             `sallyport login` keeps them for `sallyport ssh`):"
        }
        _ => "By these people are signed in:",
    };
    let host =
        if gateways { format!("\nThe host key itself: {}", harmless(&known.fingerprint)) } else { String::new() };
    format!("Authority `{}`\n\n{table}\n\n{what}\n{}{host}", ca.name, lines.join("\n"))
}

fn text(keys: &wire::Keys) -> String {
    let row = |epoch: &wire::KeyEpoch| {
        let left = epoch.left.map_or_else(String::new, |left| left.to_string());
        vec![epoch.domain.clone(), epoch.epoch.to_string(), epoch.state.replace('_', "-"), left]
    };
    let rows = keys.epochs.iter().map(row).collect();
    let paused = if keys.paused { "\n\nPaused: `sallyport vault rotate-epoch --resume` goes on." } else { "" };
    format!(
        "Root key version {}\n\n{}{paused}",
        keys.root_version,
        table(&["DOMAIN", "EPOCH", "STATE", "LEFT"], rows, "No keys.")
    )
}
