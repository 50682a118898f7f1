//! Configuration: what is read, and what is refused with a word on what to write instead.

use crate::config::parse_for_test as parse;

#[test]
fn an_empty_file_is_the_default_and_the_environment_wins() {
    let config = parse("", &[]).unwrap();
    assert_eq!(config.api.listen.port(), 8022);
    let config =
        parse("[ssh]\nlisten = \"127.0.0.1:22\"", &[("SSH__LISTEN", "127.0.0.1:2022"), ("SEAL__MANUAL", "true")])
            .unwrap();
    assert_eq!(config.ssh.listen.port(), 2022);
    assert!(config.seal.manual);
}

#[test]
fn unknown_keys_are_refused_by_name() {
    for (text, word) in
        [("shs = 1", "shs"), ("[api]\nlisten_on = \"127.0.0.1:1\"", "listen_on"), ("[log]\nformat = \"xml\"", "xml")]
    {
        let error = parse(text, &[]).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    assert!(parse("", &[("SHS__LISTEN", "x")]).unwrap_err().contains("shs"));
}

#[test]
fn the_api_does_not_leave_the_machine_in_plain_text() {
    assert!(parse("[api]\nlisten = \"0.0.0.0:8022\"", &[]).unwrap_err().contains("loopback"));
}

#[test]
fn a_node_has_a_plain_name() {
    assert!(parse("node = \"Node One\"", &[]).is_err());
}

#[test]
fn the_password_of_the_database_is_in_no_file_that_others_read_and_shown_nowhere() {
    let error = parse("[store]\nurl = \"postgres://a@b/c\"\npassword = \"geheim\"", &[]).unwrap_err();
    assert!(error.contains("password_file") && !error.contains("geheim"), "{error}");
    assert!(parse("[store]\npassword_file = \"x\"", &[]).unwrap_err().contains("url"));
    let config = parse("[store]\nurl = \"postgres://a@b/c\"", &[("STORE__PASSWORD", "12345")]).unwrap();
    assert!(config.place().is_ok(), "a password of digits is text");
    assert!(!format!("{config:?}").contains("12345"));
    let config = parse("[store]\nurl = \"postgres://a:geheim@b/c\"", &[]).unwrap();
    let error = config.place().err().unwrap().to_string();
    assert!(error.contains("holds a password") && !error.contains("geheim"), "{error}");
}

#[test]
fn a_password_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pw");
    let text = format!("[store]\nurl = \"postgres://a@b/c\"\npassword_file = \"{}\"", path.display());
    let config = parse(&text, &[]).unwrap();
    assert!(config.place().err().unwrap().to_string().contains("password_file"));
    std::fs::write(&path, "geheim\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(config.place().err().unwrap().to_string().contains("chmod 600"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(config.place().is_ok());
}
