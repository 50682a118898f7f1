//! The ledger: entries and the checkpoint.

use crate::Fail;
use crate::client::Client;
use crate::command::{Ledger, LedgerList};
use crate::output::{Output, harmless};
use sallyport_wire as wire;

pub(crate) async fn run(command: Ledger, client: &Client, out: Output) -> Result<(), Fail> {
    match command {
        Ledger::List(args) => list(args, client, out).await,
        Ledger::Head => {
            let head: wire::Head = client.get("/ledger/head", &[]).await?;
            out.show(&head, |head| format!("{}\nsigned by {}", head.note.trim_end(), head.key))
        }
    }
}

async fn list(args: LedgerList, client: &Client, out: Output) -> Result<(), Fail> {
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.actions.map(|a| ("actions", a)));
    query.extend(args.session.map(|s| ("session", s)));
    let page: wire::Page<wire::Entry> = client.get("/ledger/entries", &query).await?;
    out.show(&page, |page| {
        page.items
            .iter()
            .map(|e| format!("{:>8}  {}  {}", e.index, e.at, harmless(&e.sentence)))
            .collect::<Vec<_>>()
            .join("\n")
    })
}
