//! Configuration: what is read, and what is refused with a word on what to write instead.

use crate::config::parse_for_test as parse;
use crate::private::Private;

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
fn a_lost_browser_is_waited_for_within_bounds() {
    assert_eq!(parse("", &[]).unwrap().linger().unwrap().as_secs(), 60);
    for text in ["0s", "11m", "1h", "60", "soon"] {
        let error = parse(&format!("[terminal]\nlinger = \"{text}\""), &[]).unwrap_err();
        assert!(error.contains("[terminal] linger"), "{error}");
    }
}

#[test]
fn a_credential_is_a_name_and_stands_alone() {
    let config = parse("[seal]\ncredential = \"vault.key\"", &[]).unwrap();
    assert_eq!(config.seal.credential.as_deref(), Some("vault.key"));
    assert!(parse("[seal]\ncredential = \"../x\"", &[]).unwrap_err().contains("LoadCredentialEncrypted="));
    let both = parse("[seal]\ncredential = \"x\"\nkey_file = \"/x\"", &[]).unwrap_err();
    assert!(both.contains("both `key_file` and `credential`"), "{both}");
}

#[test]
fn a_token_needs_a_module_and_a_label() {
    let config = parse("[seal.pkcs11]\nmodule = \"/m.so\"\ntoken = \"house\"", &[]).unwrap();
    assert_eq!(config.seal.pkcs11.unwrap().key, "sallyport-seal");
    assert!(parse("[seal.pkcs11]\nmodule = \"/m.so\"", &[]).unwrap_err().contains("token"));
    assert!(parse("[seal.pkcs11]\npin = \"1234\"", &[]).unwrap_err().contains("pin"), "no PIN in the configuration");
}

#[test]
fn a_private_file_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "text").unwrap();
    for (mode, file, credential) in [
        (0o600, true, true),
        (0o400, true, true),
        (0o440, false, true),
        (0o640, false, true),
        (0o604, false, false),
        (0o644, false, false),
        (0o666, false, false),
    ] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Private::file(path.clone()).read("the key", "").is_ok(), file, "{mode:o}");
        assert_eq!(Private::credential(path.clone()).read("the key", "").is_ok(), credential, "{mode:o}");
    }
    let missing = Private::file(dir.path().join("none")).read("the key", "restore it").err().unwrap();
    assert!(missing.message.contains("restore it"), "{}", missing.message);
}

#[test]
fn a_node_has_a_plain_name() {
    assert!(parse("node = \"Node One\"", &[]).is_err());
}

#[test]
fn a_wrong_anchor_is_named_and_told_what_to_write() {
    let key = "witness.example/w1+00000000+AAAA";
    for (text, word) in [
        ("name = \"a\"", "give one of"),
        ("name = \"a\"\nfile = \"/x/y\"\nsyslog = \"unix:/dev/log\"", "give one of"),
        ("name = \"local\"\nfile = \"/x/y\"", "two anchors named `local`"),
        ("name = \"A B\"\nfile = \"/x/y\"", "`name` of 1 to 63"),
        ("name = \"a\"\nfile = \"/var/lib/sallyport/x\"", "in the data directory"),
        ("name = \"a\"\nsyslog = \"udp:host:514\"", "unix:/dev/log"),
        ("name = \"a\"\nsyslog = \"tcp:host\"", "tcp:HOST:PORT"),
        ("name = \"a\"\nwitness = \"https://w.example\"", "needs its `key`"),
        (&format!("name = \"a\"\nwitness = \"http://w.example\"\nkey = \"{key}\""), "no witness's public key"),
        ("name = \"a\"\nfile = \"/x/y\"\nlate = \"stop\"", "freeze"),
    ] {
        let error = parse(&format!("[[anchors]]\n{text}"), &[]).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    let good = "[[anchors]]\nname = \"a\"\nfile = \"/x/y\"\nmax_age_seconds = 5\nlate = \"freeze\"\n\
        [[anchors]]\nname = \"b\"\nsyslog = \"tcp:[::1]:601\"\n";
    assert_eq!(parse(good, &[]).unwrap().anchors.len(), 2);
    let open = "[witness]\nname = \"w\"\nlisten = \"0.0.0.0:1\"\nstate = \"/x\"\nlogs = []";
    assert!(parse(open, &[]).unwrap_err().contains("loopback"));
}

#[test]
fn spans_go_where_nobody_reads_along_and_what_is_wrong_is_told() {
    assert!(parse("", &[]).unwrap().traces.endpoint.is_none(), "off");
    for (text, word) in [
        ("endpoint = \"collector:4318\"", "`https://HOST/PATH`"),
        ("endpoint = \"http://collector.example/v1/traces\"", "plain http is for this host only"),
        ("endpoint = \"http://127.0.0.1:4318\"", "http://127.0.0.1:4318/v1/traces"),
        ("endpoint = \"https://a:geheim@collector.example/v1/traces\"", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
        ("sample = 10", "write 0.1 for a tenth"),
        ("sample = -0.1", "write 0.1 for a tenth"),
        ("sample = nan", "write 0.1 for a tenth"),
    ] {
        let error = parse(&format!("[traces]\n{text}"), &[]).unwrap_err();
        assert!(error.contains("[traces]") && error.contains(word) && !error.contains("geheim"), "{error}");
    }
    let (endpoint, sample) = ("http://127.0.0.1:4318/v1/traces", "1");
    let config = parse("", &[("TRACES__ENDPOINT", endpoint), ("TRACES__SAMPLE", sample)]).unwrap();
    assert_eq!(config.traces.endpoint.as_deref(), Some(endpoint));
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

/// The reviewed text of every command's help: what is added, renamed or lost shows as a difference.
#[test]
fn the_help_of_every_command_is_the_reviewed_one() {
    let mut program = <crate::Cli as clap::CommandFactory>::command().term_width(100);
    program.build();
    let mut text = String::new();
    help(&mut program, &mut text);
    expect_test::expect_file!["help.txt"].assert_eq(&text);
}

/// Every command stands in the table of the book, spelled out as it is typed.
#[test]
fn the_table_of_the_book_names_every_command() {
    let mut program = <crate::Cli as clap::CommandFactory>::command();
    program.build();
    let page = include_str!("../../../docs/book/cli.md");
    let mut lacking = Vec::new();
    commands(&program, &mut |name| {
        if ![format!("`{name}`"), format!("`{name} ")].iter().any(|spelled| page.contains(spelled.as_str())) {
            lacking.push(name.to_owned());
        }
    });
    assert!(lacking.is_empty(), "docs/book/cli.md lacks {lacking:?}");
}

/// Calls with the name of each command that stands alone, without the program's.
fn commands(command: &clap::Command, found: &mut dyn FnMut(&str)) {
    let name = command.get_bin_name().unwrap_or_default().trim_start_matches("sallyport").trim_start();
    if !name.is_empty() && !command.is_subcommand_required_set() {
        found(name);
    }
    command.get_subcommands().filter(|inner| inner.get_name() != "help").for_each(|inner| commands(inner, found));
}

fn help(command: &mut clap::Command, text: &mut String) {
    *command = command.clone().mut_args(|arg| arg.hide_env_values(true));
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    text.push_str(&format!("# {name}\n\n{}\n", command.render_help()));
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
        help(inner, text);
    }
}
