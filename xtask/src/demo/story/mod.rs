//! The story: from an empty directory to a verified bundle, one line a step.

use super::children::Children;
use super::person::{self, Person};
use super::place::Place;
use super::target::{Target, greets, public};
use crate::run;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// What ada types.
const TYPED: &str = "whoami\nuname -sr\necho hello from a recorded session\ndate -u\nexit\n";
/// What ada runs on the second target.
const COMMAND: &str = "echo one command, also recorded";

/// The product with its sample data, running.
pub(crate) struct Story<'a> {
    place: &'a Place,
    /// Where ada works in a terminal, and what takes a command.
    targets: Vec<Target>,
    /// Token of the auditor.
    olga: String,
    /// Who may sign in with a browser.
    people: Vec<Person>,
}

impl<'a> Story<'a> {
    /// Starts targets and product, signs in, applies the sample checkout, stores the credentials, enrols people.
    pub(crate) fn begin(place: &'a Place, real: bool, children: &mut Children) -> Result<Self> {
        let what = if real {
            "two targets: OpenSSH with one account each"
        } else {
            "two targets: the built-in ones, for want of an OpenSSH server"
        };
        let targets = step(what, || Target::start_all(place, real, children))?;
        let founded = step("an installation: `sallyport init`", || place.ask(None, &["init", "--fast"], ""))?;
        let admin = text(&founded, "token")?;
        crate::demo::children::private(&place.home.join("recovery"), text(&founded, "recovery")?)?;
        step("the server: `sallyport serve`", || serve(place, children))?;
        step("signed in: `sallyport login`", || place.ask(None, &["login", "--token-stdin"], &format!("{admin}\n")))?;
        let checkout = place.checkout(&targets)?;
        step("people, targets, policies: `sallyport apply`", || {
            let (all, people) = (checkout.to_string_lossy(), checkout.join("people"));
            // People first: who may change targets is itself a group of the inventory.
            place.ask(None, &["apply", &people.to_string_lossy()], "")?;
            place.ask(None, &["apply", &all], "")
        })?;
        step("credentials that no person sees: `sallyport vault put`", || {
            targets.iter().try_for_each(|target| credential(place, target))
        })?;
        let olga = place.ask(None, &["token", "olga", "--ttl", "8h", "--label", "demo"], "")?;
        let people = step("people with password and factor: `sallyport admin link`, signed in and out again", || {
            person::enrol_all(place)
        })?;
        Ok(Self { place, targets, olga: text(&olga, "token")?.to_owned(), people })
    }

    /// A denied attempt, a recorded session, its replay and its proof.
    pub(crate) fn tell(&mut self) -> Result<Value> {
        step("bob is not permitted, and the targets hear nothing of it", || self.denied())?;
        let session = step("ada works on web-1 with stock ssh, recorded", || self.session())?;
        step("ada runs a command on db-1, recorded too", || self.command())?;
        let lines = step("olga, the auditor, plays it: `sallyport play`", || self.played(&session))?;
        for line in &lines {
            eprintln!("      | {line}");
        }
        let bundle = self.place.home.join("session.spb");
        let path = bundle.to_string_lossy().into_owned();
        step("the evidence in one file: `sallyport export`", || {
            self.place.ask(Some(&self.olga), &["export", &session, &path], "")
        })?;
        let trust = self.place.data().join("ledger.pub");
        let key = trust.to_string_lossy().into_owned();
        step("proved offline: `sallyport verify --trust`", || {
            self.place.ask(None, &["verify", &path, "--trust", &key], "")
        })?;
        Ok(json!({
            "session": session,
            "bundle": bundle,
            "trust": trust,
            "data": self.place.data(),
            "config": self.place.config(),
            "url": self.portal(),
            "logins": self.people.iter().map(Person::as_json).collect::<Vec<_>>(),
            "targets": self.targets.iter().map(Target::address).collect::<Vec<_>>(),
            "ssh": {
                "host": "127.0.0.1",
                "port": self.place.ports.ssh,
                "user": format!("ada+{}", self.targets.first().context("no target")?.address()),
                "key": self.place.key("ada"),
            },
            "verified": true,
        }))
    }

    /// How to go on by oneself.
    pub(crate) fn invitation(&self) -> String {
        let (ssh, api) = (self.place.ports.ssh, self.place.ports.api);
        let logins: Vec<_> = self.people.iter().map(Person::told).collect();
        let own: Vec<_> = self
            .targets
            .iter()
            .map(|target| {
                let at = target.address();
                format!("  ssh -p {ssh} -i .demo/keys/ada -o IdentitiesOnly=yes ada+{at}@127.0.0.1\n")
            })
            .collect();
        let why: Vec<_> = self
            .targets
            .iter()
            .map(|target| format!("  target/debug/sallyport why ada+{}\n", target.address()))
            .collect();
        format!(
            "Look at it in a browser, {}, as one of\n\n{}\n\
             An app computes codes from its secret; without one, a code of the last line does. All of it stands in\n\
             .demo/logins.txt, and is made anew with each demo.\n\n\
             Or connect with your own ssh:\n\n{}\n\
             And on the command line, as admin:\n\n  \
             export XDG_CONFIG_HOME=$PWD/.demo/settings SALLYPORT_URL=http://127.0.0.1:{api}\n  \
             target/debug/sallyport sessions\n{}",
            self.portal(),
            logins.join("\n"),
            own.concat(),
            why.concat().trim_end(),
        )
    }

    fn portal(&self) -> String {
        format!("http://127.0.0.1:{}", self.place.ports.api)
    }

    /// The target of the story's terminal.
    fn web(&self) -> Result<&Target> {
        self.targets.first().context("there is no target")
    }

    /// End points for measuring scripts: the target itself, the target through OpenSSH's own jump host,
    /// and the target through the gateway, whose parent process is `server`.
    pub(crate) fn ends(&self, server: i32) -> Result<Vec<String>> {
        let key = self.place.key("ada");
        // All sign in with keys, the gateway at the target too (a password takes the target 50 ms of CPU to compare), and
        // agree on the same algorithms, so that they pay for the same work.
        let web = self.web()?;
        web.authorize(&public(&key.with_extension("pub"))?)?;
        made_key(self.place, web)?;
        let (account, target, ports) = (&web.account, web.port, &self.place.ports);
        let end = |name: &str, port: u16, user: &str| {
            let same = "cipher=aes256-gcm@openssh.com,kex=curve25519-sha256";
            format!("{name},host=127.0.0.1,port={port},user={user},key={},{same}", key.display())
        };
        let direct = end("direct", target, account);
        let jump = end("jump", target, account);
        let ours = end("sallyport", ports.ssh, &format!("ada+{account}@web-1"));
        Ok(vec![
            direct,
            format!("{jump},jump={account}@127.0.0.1:{target},jumpkey={}", key.display()),
            format!("{ours},pids={server}"),
        ])
    }

    fn denied(&self) -> Result<()> {
        for target in &self.targets {
            let mut command = self.place.ssh("bob", target, &["-o", "BatchMode=yes", "-T"])?;
            let output = run::output(&mut command, "id\n", MINUTE)?;
            ensure!(!output.status.success(), "bob was let in: {}", String::from_utf8_lossy(&output.stdout));
        }
        let sessions = self.place.ask(None, &["sessions"], "")?;
        ensure!(items(&sessions).is_empty(), "a denied attempt opened a session");
        Ok(())
    }

    fn session(&self) -> Result<String> {
        let web = self.web()?;
        let terminal = if web.terminal { "-tt" } else { "-T" };
        let mut command = self.place.ssh("ada", web, &["-o", "BatchMode=yes", terminal])?;
        let output = run::output(&mut command, TYPED, MINUTE)?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "ada's session failed ({}): {}", output.status, run::last_lines(&said, 8));
        ensure!(
            said.contains("hello from a recorded session"),
            "the target did not answer: {}",
            run::last_lines(&said, 8)
        );
        run::wait_for("the session to be closed", MINUTE, || {
            let page = self.place.ask(None, &["sessions"], "")?;
            let closed = items(&page).iter().find(|s| s.get("reason").is_some_and(|r| !r.is_null()));
            closed.map(|session| text(session, "id").map(str::to_owned)).transpose()
        })
    }

    /// A command on the second target, in a session of its own.
    fn command(&self) -> Result<()> {
        let target = self.targets.get(1).context("there is no second target")?;
        let mut command = self.place.ssh("ada", target, &["-o", "BatchMode=yes", "-T"])?;
        let said = run::succeed(command.arg(COMMAND), "", MINUTE)?;
        ensure!(
            said.contains("one command, also recorded"),
            "the target did not answer: {}",
            run::last_lines(&said, 8)
        );
        run::wait_for("the command's session", MINUTE, || {
            let page = self.place.ask(None, &["sessions"], "")?;
            let on = |session: &&Value| session.get("target").and_then(Value::as_str) == Some(target.name);
            Ok(items(&page).iter().find(on).map(drop))
        })
    }

    /// A few lines of the replay.
    fn played(&self, session: &str) -> Result<Vec<String>> {
        let mut command = self.place.sallyport(&["play", session, "--speed", "100"]);
        let said = run::succeed(command.env("SALLYPORT_TOKEN", &self.olga), "", MINUTE)?;
        ensure!(said.contains("hello from a recorded session"), "the replay does not show what was said");
        // The terminal echoes what is typed ahead; what the shell made of it comes last.
        let lines: Vec<String> = said.lines().map(plain).filter(|line| !line.is_empty()).collect();
        let from = lines.iter().rposition(|line| line.contains("whoami")).unwrap_or(0);
        Ok(lines.into_iter().skip(from).take(6).collect())
    }
}

/// Starts the server and waits until a gateway has joined it.
fn serve(place: &Place, children: &mut Children) -> Result<()> {
    let mut command: Command = place.sallyport(&["serve"]);
    children.start("sallyport", &mut command, &place.log("serve"))?;
    run::wait_for("a gateway to join the server", MINUTE, || {
        children.alive()?;
        let output = run::output(&mut place.sallyport(&["status", "--output", "json"]), "", MINUTE)?;
        let gateways =
            serde_json::from_slice::<Value>(&output.stdout).ok().and_then(|status| find(&status, "gateways")?.as_u64());
        Ok((gateways.unwrap_or(0) >= 1 && greets(place.ports.ssh)).then_some(()))
    })
}

/// Hands the account's credential to the vault: its password, or a key that the vault makes itself.
fn credential(place: &Place, target: &Target) -> Result<()> {
    let address = target.address();
    match &target.password {
        Some(password) => {
            place.ask(None, &["vault", "put", &address, "--password-stdin"], &format!("{password}\n")).map(drop)
        }
        None => made_key(place, target),
    }
}

/// Has the vault make a key for the account, and the target accept it.
fn made_key(place: &Place, target: &Target) -> Result<()> {
    let line = place.ask(None, &["vault", "put", &target.address(), "--generate", "ssh_key"], "")?;
    target.authorize(text(&line, "public")?)
}

/// One line on standard error: what, and how long it took.
fn step<T>(what: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    run::go_on()?;
    let start = Instant::now();
    match act() {
        Ok(value) => {
            eprintln!("  \u{2713} {what} ({})", run::seconds(start));
            Ok(value)
        }
        Err(error) => {
            eprintln!("  \u{2717} {what} ({})", run::seconds(start));
            bail!("{what}: {error:#}")
        }
    }
}

/// A text of an answer.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("the answer names no `{key}`"))
}

fn items(page: &Value) -> &[Value] {
    page.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A field, at whatever depth it stands.
fn find<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|v| find(v, key))),
        Value::Array(items) => items.iter().find_map(|v| find(v, key)),
        _ => None,
    }
}

/// A line of a terminal without its control sequences (ECMA-48, section 5.4).
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            let ends: fn(char) -> bool = match chars.next() {
                Some('[') => |c| ('\u{40}'..='\u{7e}').contains(&c),
                Some(']') => |c| c == '\u{7}',
                _ => continue,
            };
            let _ = chars.by_ref().find(|c| ends(*c));
        } else if !c.is_control() {
            text.push(c);
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests;
