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
