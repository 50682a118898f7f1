//! Freezing: what cannot be evidenced waits, in the whole product.

use crate::{binary, product};
use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::{Product, json, wait_for};
use sqlx::{ConnectOptions as _, Connection as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A session that gives back each line, and what it gave.
struct Echo {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Echo {
    fn begin(product: &Product) -> Self {
        let mut child = product.ssh("ada").arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (to, lines) = channel();
        std::thread::spawn(move || BufReader::new(output).lines().try_for_each(|line| to.send(line.unwrap())));
        Self { child, input, lines }
    }

    fn say(&mut self, line: &str) -> Option<String> {
        writeln!(self.input, "{line}").unwrap();
        self.lines.recv_timeout(Duration::from_secs(2)).ok()
    }

    fn end(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

/// Waits until control says so, and its gateway has heard it.
fn pulse(product: &Product, wanted: &str) {
    wait_for(wanted, 10, || product.status().ok().filter(|status| status["pulse"] == wanted)).unwrap();
    let heard = format!("control=\"{wanted}\"");
    wait_for("the gateway", 10, || product.log().contains(&heard).then_some(())).unwrap();
}

#[test]
fn a_ledger_whose_lock_somebody_holds_freezes_sessions_until_it_takes_entries_again() {
    let mut product = product();
    let mut echo = Echo::begin(&product);
    assert_eq!(echo.say("before").as_deref(), Some("before"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(product.data().join("sallyport.db"));
    let mut thief = runtime.block_on(async {
        let mut thief = file.connect().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut thief).await.unwrap();
        thief
    });
    // Somebody wants to write: from now on it shows that nothing can be written.
    let mut writer = product.command(&["token"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    pulse(&product, "mute");
    assert!(product.local(&["doctor"]).err().unwrap().to_string().contains("takes no entries"));
    assert_eq!(echo.say("held"), None, "a session went on that the ledger cannot hear of");
    assert!(echo.child.try_wait().unwrap().is_none());
    runtime.block_on(async {
        sqlx::query("ROLLBACK").execute(&mut thief).await.unwrap();
        thief.close().await.unwrap();
    });
    let late = wait_for("what was held", 10, || echo.lines.try_recv().ok()).unwrap();
    assert_eq!(late, "held");
    assert_eq!(echo.say("after").as_deref(), Some("after"));
    writer.wait().unwrap();
    echo.end();
    product.idle().unwrap();
    let shown = product.as_carol(&["ledger", "list", "--actions", "session.frozen"]).unwrap();
    assert!(shown.contains("held back") && shown.contains("ledger"), "{shown}");
    let id = product.newest_session().unwrap()["id"].as_str().unwrap().to_owned();
    assert!(product.as_carol(&["play", &id]).unwrap().contains("held"));
    product.stop().unwrap();
    let trust = product.data().join("ledger.pub").display().to_string();
    product.ok(&["verify", &product.data().display().to_string(), "--trust", &trust]).unwrap();
}

#[test]
fn a_database_that_goes_away_lets_sessions_go_on_and_hears_of_them_first() {
    let mut server = Postgres::start().unwrap();
    let product = Product::start_on(binary(), &server).unwrap();
    let mut echo = Echo::begin(&product);
    assert_eq!(echo.say("before").as_deref(), Some("before"));
    server.crash().unwrap();
    pulse(&product, "deaf");
    assert_eq!(echo.say("during").as_deref(), Some("during"), "within grace sessions of this tier go on");
    server.run().unwrap();
    // A new session is possible again, and the ledger has what the first one did before it.
    wait_for("a new session", 20, || product.ssh("ada").arg("true").status().ok().filter(|s| s.success())).unwrap();
    assert_eq!(echo.say("after").as_deref(), Some("after"));
    let page = json(&product.as_carol(&["ledger", "list", "--output", "json"]).unwrap()).unwrap();
    let actions: Vec<_> = page["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    let newest = actions.iter().position(|action| *action == "session.opened").unwrap();
    let anchor = actions.iter().position(|action| *action == "recording.anchor").expect("no anchor");
    assert!(newest < anchor, "newest first: {actions:?}");
    echo.end();
}
