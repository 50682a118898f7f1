//! Keys of the vault: their epochs, and how they are rotated.

use crate::Fail;
use crate::client::Client;
use crate::command::RotateEpoch;
use crate::output::{Output, table};
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
