//! The nodes of the installation: list, remove.

use crate::Fail;
use crate::client::Client;
use crate::command::Node;
use crate::output::{Output, table};
use sallyport_wire as wire;

pub(crate) async fn run(command: Node, client: &Client, out: Output) -> Result<(), Fail> {
    match command {
        Node::List => {
            let nodes: Vec<wire::Node> = client.get("/nodes", &[]).await?;
            out.show(&nodes, |nodes| {
                let row = |node: &wire::Node| {
                    let here = if node.here { "*" } else { "" };
                    vec![node.name.clone(), here.into(), node.sessions.to_string(), node.key.clone()]
                };
                table(
                    &["NODE", "HERE", "SESSIONS", "LEDGER KEY"],
                    nodes.iter().map(row).collect(),
                    "No nodes are listed.",
                )
            })
        }
        Node::Remove { name } => {
            // A name may hold a slash, which would be a step of the path.
            let removed: wire::NodeRemoved = client.delete(&format!("/nodes/{}", name.replace('/', "%2F"))).await?;
            out.show(&removed, |removed| {
                format!("The key of {name} signs nothing more. Sessions closed as orphans: {}.", removed.sessions)
            })
        }
    }
}
