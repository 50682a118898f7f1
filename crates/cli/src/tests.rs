use crate::account::seconds;
use crate::client::Client;
use crate::command::Common;
use crate::output::{Format, harmless, table};
use crate::{Fail, Surroundings};
use sallyport_model::Kind;

#[test]
fn durations_have_a_unit_and_fit() {
    for (text, wanted) in [("90s", 90), ("15m", 900), ("8h", 28_800), ("30d", 2_592_000), ("4294967295s", u32::MAX)] {
        assert_eq!(seconds(text).unwrap(), wanted, "{text}");
    }
    for text in ["", "s", "8", "0s", "-1h", "+", "1.5h", "8 h", "8H", "49711d", "99999999999s", "8hh", "ü", "８h"] {
        assert_eq!(seconds(text).unwrap_err().kind, Kind::Usage, "{text}");
    }
}

#[test]
fn text_of_others_steers_nothing() {
    assert_eq!(harmless("plain text, größer, 日本"), "plain text, größer, 日本");
    assert_eq!(harmless("two\nlines"), "two\nlines");
    let cases = [
        "\x1b[2J",
        "\r",
        "\x07",
        "\x7f",
        "\u{9b}2J",
        "\u{202e}txt.exe",
        "\u{2066}",
        "\u{200f}",
        "\u{61c}",
        "\u{e0041}",
    ];
    for text in cases {
        let safe = harmless(text);
        assert!(safe.starts_with("\\u{"), "{safe}");
        assert!(!safe.chars().any(char::is_control), "{safe}");
        assert_eq!(harmless(&safe), safe);
    }
}

#[test]
fn a_table_is_aligned_and_its_cells_stay_cells() {
    let rows = vec![vec!["web-1".into(), "root".into()], vec!["a-longer-name".into(), "x\n\x1b[31my".into()]];
    let text = table(&["TARGET", "ACCOUNT"], rows, "nothing");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, ["TARGET         ACCOUNT", "web-1          root", "a-longer-name  x \\u{1b}[31my"]);
    assert_eq!(table(&["TARGET"], Vec::new(), "No targets yet."), "No targets yet.");
}

fn surroundings(remembered: &str) -> (tempfile::TempDir, Surroundings) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cli.toml"), remembered).unwrap();
    let settings = dir.path().to_owned();
    (dir, Surroundings { settings, ledger: None })
}

fn common(url: Option<&str>, token: Option<&str>) -> Common {
    Common { url: url.map(Into::into), token: token.map(Into::into), output: Format::Text }
}

#[test]
fn a_remembered_token_goes_to_its_own_server_alone() {
    let (_dir, surroundings) = surroundings("url = \"https://pam.example\"\ntoken = \"secret\"\n");
    let token = |url, token| Client::open(&common(url, token), &surroundings).unwrap().token().map(str::to_owned);
    assert_eq!(token(None, None).as_deref(), Some("secret"));
    assert_eq!(token(Some("https://pam.example/"), None).as_deref(), Some("secret"));
    assert_eq!(token(Some("https://elsewhere.example"), None), None);
    assert_eq!(token(Some("https://elsewhere.example"), Some("other")).as_deref(), Some("other"));
}

#[test]
fn plain_http_is_for_this_machine_only() {
    for url in ["https://pam.example", "http://127.0.0.1:8022", "http://localhost:8022/", "http://[::1]:8022"] {
        assert!(Client::at(url.into(), None).is_ok(), "{url}");
    }
    let bad = [
        "http://pam.example",
        "http://localhost:x@pam.example",
        "http://localhost.pam.example",
        "ftp://localhost",
        "pam",
        "",
    ];
    for url in bad {
        assert_eq!(Client::at(url.into(), None).err().map(|f: Fail| f.kind), Some(Kind::Usage), "{url}");
    }
}

#[test]
fn settings_are_private_and_unreadable_ones_are_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, surroundings) = surroundings("");
    Client::at("https://pam.example".into(), Some("secret".into())).unwrap().remember(&surroundings).unwrap();
    let path = dir.path().join("cli.toml");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, "colour = \"red\"").unwrap();
    assert_eq!(Client::open(&common(None, None), &surroundings).err().map(|f| f.kind), Some(Kind::Usage));
}
