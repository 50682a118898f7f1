use super::super::Level;
use super::swap;
use std::fs;

#[test]
fn swap_is_a_risk_where_there_is_some() {
    let home = tempfile::tempdir().unwrap();
    let list = home.path().join("swaps");
    fs::write(&list, "Filename Type Size Used Priority\n").unwrap();
    assert_eq!(swap(&list).level, Level::Ok);
    fs::write(&list, "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n").unwrap();
    assert_eq!(swap(&list).level, Level::Risk);
}
