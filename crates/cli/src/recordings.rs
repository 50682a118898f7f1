//! Recordings: list, find text in them.

use crate::Fail;
use crate::client::Client;
use crate::command::Recordings;
use crate::output::{Output, table};
use crate::space::size;
use sallyport_wire as wire;

pub(crate) async fn list(args: Recordings, client: &Client, out: Output) -> Result<(), Fail> {
    let (from, to) = (args.from.map(time), args.to.map(time));
    let asked = [("handle", args.user), ("target", args.target), ("from", from), ("to", to), ("text", args.text)];
    let query: Vec<_> = asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let page: wire::Page<wire::Recording> = client.newest("/recordings", &query, args.limit).await?;
    let empty = match query.is_empty() {
        true => "No recordings yet: every session makes one, which is here once it is over.",
        false => "No recording matches: look for fewer words, or over a longer time.",
    };
    out.show(&page, |page| {
        let mut text = table(
            &["SESSION", "WHO", "WHERE", "PROTOCOL", "STARTED", "SECONDS", "SIZE", "STATE"],
            page.items.iter().map(row).collect(),
            empty,
        );
        let hits = |of: &wire::Recording| {
            let session = of.session.clone();
            of.hits
                .clone()
                .into_iter()
                .map(move |hit| vec![session.clone(), format!("{:.1}", hit.at_seconds), hit.line])
        };
        let hits: Vec<_> = page.items.iter().flat_map(hits).collect();
        if !hits.is_empty() {
            let hits = table(&["SESSION", "AT", "LINE"], hits, "");
            text.push_str(&format!("\n\n{hits}\n\n`sallyport play SESSION --from AT` shows the moment."));
        }
        if page.next.is_some() {
            let (shown, wanted) = (page.items.len(), args.limit.saturating_mul(10));
            text.push_str(&format!("\n\nThere are more than these {shown}: `--limit {wanted}` shows older ones."));
        }
        text
    })
}

/// A day is meant from its beginning on, in UTC.
fn time(text: String) -> String {
    if text.len() == "2027-01-31".len() { format!("{text}T00:00:00Z") } else { text }
}

fn row(of: &wire::Recording) -> Vec<String> {
    let mut place = format!("{}@{}", of.account, of.target);
    if let Some(through) = &of.through {
        place.push_str(&format!(" ({through})"));
    }
    if !of.via.is_empty() {
        place.push_str(&format!(" via {}", of.via.join(", ")));
    }
    vec![
        of.session.clone(),
        of.handle.clone(),
        place,
        of.protocol.clone(),
        of.started.clone(),
        of.seconds.to_string(),
        size(of.bytes),
        if of.complete { "complete".into() } else { "cut short".into() },
    ]
}
