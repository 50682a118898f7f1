//! Freezing: what cannot be evidenced waits, in the whole product.

use crate::backup::Small;
use crate::terminal::token;
use crate::{binary, product};
use sallyport_testkit::browser::Browser;
use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::{Product, json, outcome, wait_for};
use sallyport_testkit::sshd::ACCOUNT;
use sqlx::{ConnectOptions as _, Connection as _};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A session that gives back each line, and what it gave.
pub(crate) struct Echo {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Echo {
    pub(crate) fn begin(product: &Product) -> Self {
        let mut child = product.ssh("ada").arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (to, lines) = channel();
        std::thread::spawn(move || BufReader::new(output).lines().try_for_each(|line| to.send(line.unwrap())));
        Self { child, input, lines }
    }

    /// Says a line; what came back within two seconds.
    pub(crate) fn say(&mut self, line: &str) -> Option<String> {
        writeln!(self.input, "{line}").unwrap();
        self.lines.recv_timeout(Duration::from_secs(2)).ok()
    }

    /// The next line, which was held.
    pub(crate) fn late(&self) -> String {
        wait_for("what was held", 10, || self.lines.try_recv().ok()).unwrap()
    }

    pub(crate) fn end(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

/// Waits until control says so, and its gateway has heard it.
pub(crate) fn pulse(product: &Product, wanted: &str) {
    wait_for(wanted, 10, || product.status().ok().filter(|status| status["pulse"] == wanted)).unwrap();
    let heard = format!("control=\"{wanted}\"");
    wait_for("the gateway", 10, || product.log().contains(&heard).then_some(())).unwrap();
}

#[test]
fn a_ledger_whose_lock_somebody_holds_freezes_sessions_until_it_takes_entries_again() {
    let mut product = product();
    let mut echo = Echo::begin(&product);
    assert_eq!(echo.say("before").as_deref(), Some("before"));
    let mut browser = Browser::terminal(&product, &token(&product, "ada"), "web-1", ACCOUNT).unwrap();
    browser.until_shown("$ ").unwrap();
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
    assert_eq!(browser.until_told("frozen").unwrap(), true);
    browser.type_in("echo held-$((40+2))\r").unwrap();
    runtime.block_on(async {
        sqlx::query("ROLLBACK").execute(&mut thief).await.unwrap();
        thief.close().await.unwrap();
    });
    assert_eq!(echo.late(), "held");
    assert_eq!(browser.until_told("frozen").unwrap(), false);
    browser.until_shown("held-42").unwrap();
    browser.leave().unwrap();
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
fn a_journal_whose_disk_is_full_freezes_sessions_until_there_is_room() {
    let mut product = product();
    product.stop().unwrap();
    let journal = product.data().join("journal");
    let _small = Small::mount(&journal, "2m");
    product.serve().unwrap();
    let gateway = product.pid("gateway").unwrap();
    let mut echo = Echo::begin(&product);
    assert_eq!(echo.say("before").as_deref(), Some("before"));
    let live = json(&product.ok(&["sessions", "--live", "--output", "json"]).unwrap()).unwrap();
    let id = live["items"][0]["id"].as_str().unwrap().to_owned();
    let mut filler = fs::File::create(journal.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    // What is said until it shows goes through: it is in memory that the parent holds too.
    let mut lines = (0..).map(|n| n.to_string());
    let held = wait_for("a freeze", 20, || lines.next().filter(|line| echo.say(line).is_none())).unwrap();
    assert!(product.log().contains("the journal's disk is full"), "{}", product.log());
    let (code, _, err) = outcome(product.ssh("ada").arg("true").output().unwrap());
    assert!(code != 0 && err.contains("the recorder is not available"), "{code} {err}");
    assert!(echo.child.try_wait().unwrap().is_none(), "the session was ended");

    drop(filler);
    fs::remove_file(journal.join("filler")).unwrap();
    assert_eq!(echo.late(), held);
    assert_eq!(echo.say("after").as_deref(), Some("after"));
    assert_eq!(outcome(product.ssh("ada").arg("echo new").output().unwrap()).1, "new\n");
    assert_eq!(product.pid("gateway").unwrap(), gateway, "the gateway was replaced");
    echo.end();
    product.idle().unwrap();
    let shown = product.as_carol(&["ledger", "list", "--actions", "session.frozen"]).unwrap();
    assert!(shown.contains("held back") && shown.contains("recorder"), "{shown}");
    let played = product.as_carol(&["play", &id]).unwrap();
    assert!(played.contains("before") && played.contains(&held) && played.contains("after"), "{played}");
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
