//! The space for recordings: used, room, forecast, and what goes next.

use crate::Fail;
use crate::client::Client;
use crate::output::{Output, table};
use sallyport_wire as wire;

pub(crate) async fn space(client: &Client, out: Output) -> Result<(), Fail> {
    let space: wire::Space = client.get("/space", &[]).await?;
    out.show(&space, |space| {
        let row = |leaving: &wire::Leaving| {
            vec![leaving.due.clone(), leaving.recording.clone(), leaving.session.clone(), size(leaving.bytes)]
        };
        format!(
            "Recordings  {}, {} of {} ({} %)\nGrowth      {} a day\nForecast    {}\nLevel       {}\n\n{}",
            space.recordings,
            size(space.used),
            size(space.room),
            space.used.saturating_mul(100).checked_div(space.room).unwrap_or(100),
            size(space.per_day),
            match (space.days_to_refuse, space.days_to_freeze) {
                (Some(refuse), Some(freeze)) => {
                    format!("new sessions are refused in {refuse} days, running ones freeze in {freeze}")
                }
                _ => "nothing grows".into(),
            },
            match space.level.as_str() {
                "fine" => "fine",
                "refuse" => "NEW SESSIONS ARE REFUSED: make room, raise `[space] quota`, or shorten `[space.keep]`",
                _ => "RUNNING SESSIONS FREEZE: make room now",
            },
            table(
                &["GOES AT", "RECORDING", "SESSION", "SIZE"],
                space.next.iter().map(row).collect(),
                "Nothing goes by a rule."
            ),
        )
    })
}

/// Bytes for people: `17 B`, `3.2 KiB`, `12.0 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = "B";
    let (mut whole, mut tenths) = (bytes, 0);
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if whole < 1024 {
            break;
        }
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit = next;
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenths} {unit}") }
}

#[cfg(test)]
mod tests;
