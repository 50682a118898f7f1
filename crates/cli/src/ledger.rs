//! The ledger: entries, the checkpoint, and where it is anchored.

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
        Ledger::Anchors => {
            let anchors: Vec<wire::Anchor> = client.get("/ledger/anchors", &[]).await?;
            out.show(&anchors, |anchors| anchors.iter().map(anchor).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn anchor(anchor: &wire::Anchor) -> String {
    let state = match (anchor.late, anchor.freeze) {
        (true, true) => "LATE: new sessions are refused",
        (true, false) => "LATE",
        (false, _) => "ok",
    };
    let at = anchor.at.as_deref().unwrap_or("never");
    let line =
        format!("{:<16} {:<8} {:>10} entries at {at}  {state}", harmless(&anchor.name), anchor.kind, anchor.size);
    if anchor.problem.is_empty() { line } else { format!("{line}: {}", harmless(&anchor.problem)) }
}

async fn list(args: LedgerList, client: &Client, out: Output) -> Result<(), Fail> {
    let mut query = Vec::new();
    query.extend(args.actions.map(|a| ("actions", a)));
    query.extend(args.session.map(|s| ("session", s)));
    let page: wire::Page<wire::Entry> = client.newest("/ledger/entries", &query, args.limit).await?;
    out.show(&page, |page| {
        page.items
            .iter()
            .map(|e| format!("{:>8}  {}  {}", e.index, e.at, harmless(&e.sentence)))
            .collect::<Vec<_>>()
            .join("\n")
    })
}
