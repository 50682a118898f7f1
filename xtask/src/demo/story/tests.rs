use super::*;

#[test]
fn control_sequences_are_dropped() {
    assert_eq!(plain("\u{1b}]0;title\u{7}\u{1b}[01;32mops\u{1b}[00m$ whoami\r"), "ops$ whoami");
    assert_eq!(plain("\u{1b}[?2004h"), "");
}

#[test]
fn fields_are_found_at_any_depth() {
    assert_eq!(find(&json!([{ "a": { "gateways": 2 } }, null]), "gateways"), Some(&json!(2)));
    assert_eq!(find(&json!([1, 2]), "gateways"), None);
}
