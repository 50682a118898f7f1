//! Measurements grow old: results of more than 30 days are named.

use super::Finding;
use super::tree::{Tree, text};

const OLD: i64 = 30;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.files.iter().filter(|f| f.path.starts_with("docs/measures/") && f.path.ends_with(".json"));
    files
        .filter_map(|file| {
            let value = serde_json::from_str(&file.text).unwrap_or_default();
            let date = text(&value, "date");
            match (day(date), day(&tree.today)) {
                (Some(then), Some(now)) if now - then > OLD => {
                    let message =
                        format!("measured on {date}, {} days ago: measure again with `cargo xtask bench`", now - then);
                    Some(Finding::warning(&file.path, 0, message))
                }
                (None, _) => Some(Finding::new(&file.path, 0, "a result names `date` (YYYY-MM-DD) and `commit`")),
                _ => None,
            }
        })
        .collect()
}

/// Days since the year 0 of the proleptic Gregorian calendar, counted from March.
fn day(date: &str) -> Option<i64> {
    let mut parts = date.split('-').map(str::parse::<i64>);
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    Some(365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day)
}
