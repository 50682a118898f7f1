use crate::account::seconds;
use crate::client::Client;
use crate::command::{Command, Common, Files, Kill, Play, Watch};
use crate::output::{Format, harmless, table};
use crate::testing::serve;
use crate::{Fail, Surroundings};
use sallyport_model::Kind;
use std::time::Duration;

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
fn time_left_is_told_in_its_two_greatest_units() {
    let told = |seconds| crate::account::left(Duration::from_secs(seconds));
    let cases = [
        (0, "no time"),
        (59, "59 s"),
        (60, "1 min"),
        (3_601, "1 h"),
        (25_920, "7 h 12 min"),
        (86_400, "1 d"),
        (180_000, "2 d 2 h"),
    ];
    for (seconds, wanted) in cases {
        assert_eq!(told(seconds), wanted, "{seconds}");
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
    (dir, Surroundings { settings, agent: false, ledger: None })
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

async fn run(url: &str, command: Command) -> Result<(), Fail> {
    let (_dir, surroundings) = surroundings("");
    crate::run(command, &common(Some(url), Some("the-token")), &surroundings).await
}

fn kill(session: &str) -> Command {
    Command::Kill(Kill { session: session.into(), reason: "enough".into() })
}

const SESSION: &str = "ses_00000000000000000000000000000001";
const KILL: &str = "POST /api/v1/sessions/ses_00000000000000000000000000000001/kill";

#[tokio::test]
async fn a_request_carries_token_and_body_to_its_route() {
    let server = serve(vec![(KILL, 204, "", Vec::new())]).await;
    run(&server.url, kill(SESSION)).await.unwrap();
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked, [(KILL.into(), "Bearer the-token".into(), "{\"reason\":\"enough\"}".into())]);
}

#[tokio::test]
async fn what_is_no_session_id_is_never_sent() {
    let server = serve(Vec::new()).await;
    for bad in ["../../vault/seal?", "web-1", ""] {
        assert_eq!(run(&server.url, kill(bad)).await.unwrap_err().code(), 2, "{bad}");
        let watch = Command::Watch(Watch { session: bad.into(), join: false });
        assert_eq!(run(&server.url, watch).await.unwrap_err().code(), 2, "{bad}");
    }
    let play = Play { session: "missing.spb".into(), speed: 1.0, idle: 2.0, from: 0.0, index: false };
    assert_eq!(run(&server.url, Command::Play(play)).await.unwrap_err().code(), 2);
    assert!(server.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn problems_become_exit_codes_and_their_text_is_harmless() {
    let codes = [
        ("conflict", 1),
        ("denied", 3),
        ("needs_approval", 4),
        ("not_found", 6),
        ("sealed", 5),
        ("unavailable", 1),
        ("usage", 2),
        ("failed", 1),
        ("unheard_of", 1),
    ];
    for (kind, code) in codes {
        let problem = serde_json::json!({
            "type": kind, "status": 400, "detail": "no\u{1b}]0;x\u{7}", "correlation": "c",
        });
        let server = serve(vec![(KILL, 400, "", problem.to_string().into_bytes())]).await;
        let fail = run(&server.url, kill(SESSION)).await.unwrap_err();
        assert_eq!((fail.code(), fail.message.as_str()), (code, "no\\u{1b}]0;x\\u{7}"), "{kind}");
    }
    let server = serve(vec![(KILL, 502, "", b"<html>".to_vec())]).await;
    let fail = run(&server.url, kill(SESSION)).await.unwrap_err();
    assert!(fail.code() == 1 && fail.message.contains("502"), "{fail}");
}

#[tokio::test]
async fn a_redirect_takes_the_token_nowhere() {
    let thief = serve(Vec::new()).await;
    let header: &'static str = format!("location: {}/x\r\n", thief.url).leak();
    let server = serve(vec![(KILL, 307, header, Vec::new())]).await;
    assert_eq!(run(&server.url, kill(SESSION)).await.unwrap_err().code(), 1);
    assert!(thief.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_there_is_told_with_what_to_do() {
    let fail = run("http://127.0.0.1:1", kill(SESSION)).await.unwrap_err();
    assert!(fail.code() == 1 && fail.message.contains("sallyport serve"), "{fail}");
}

#[tokio::test]
async fn a_plan_that_would_change_something_fails_the_check() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    for name in ["b.toml", "sub/a.cedar", ".hidden.toml", "notes.txt"] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    std::os::unix::fs::symlink(dir.path(), dir.path().join("around")).unwrap();
    let plan = |lines: serde_json::Value| {
        serde_json::json!({ "lines": lines, "policy": "abc", "applied": false, "revoked": 0, "warnings": [] })
            .to_string()
            .into_bytes()
    };
    let files = |check| Command::Plan(Files { directory: dir.path().into(), prune: false, check });
    let line = serde_json::json!([{ "sign": "+", "kind": "target", "name": "web-1", "detail": "" }]);
    let server = serve(vec![("POST /api/v1/plan", 200, "", plan(line))]).await;
    run(&server.url, files(false)).await.unwrap();
    assert_eq!(run(&server.url, files(true)).await.unwrap_err().code(), 1);
    let (_, _, body) = server.asked.lock().unwrap()[0].clone();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let names: Vec<_> = body["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["b.toml", "sub/a.cedar"]);
    let server = serve(vec![("POST /api/v1/plan", 200, "", plan(serde_json::json!([])))]).await;
    run(&server.url, files(true)).await.unwrap();
}
