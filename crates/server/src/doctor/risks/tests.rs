use super::super::Level;
use super::{swap, told};
use sallyport_model::Timestamp;
use std::fs;
use std::time::Duration;

#[test]
fn swap_is_a_risk_where_there_is_some() {
    let home = tempfile::tempdir().unwrap();
    let list = home.path().join("swaps");
    fs::write(&list, "Filename Type Size Used Priority\n").unwrap();
    assert_eq!(swap(&list).level, Level::Ok);
    fs::write(&list, "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n").unwrap();
    assert_eq!(swap(&list).level, Level::Risk);
}

#[test]
fn exceptions_are_counted_and_those_that_end_soon_too() {
    let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    let day = Duration::from_secs(24 * 3600);
    assert!(told(&[], now).is_none());
    let lines = [(now.minus(day), "a"), (now.plus(day * 29), "b"), (now.plus(day * 31), "c")];
    let lines = lines.map(|(until, name)| (until, name.parse().unwrap()));
    let told = told(&lines, now).unwrap();
    assert_eq!(told.level, Level::Risk);
    let wanted =
        ["with 3 targets (a ended 2026-12-31", "b until 2027-01-30", "2 of these exceptions end within 30 days"];
    assert!(wanted.iter().all(|wanted| told.what.contains(wanted)), "{}", told.what);
}
