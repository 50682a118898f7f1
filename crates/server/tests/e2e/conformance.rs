//! The conformance suite over control as it is shipped, on both databases: the reference desk decides nothing here.

use crate::on_server;
use sallyport_control::{Actor, ApplyFile, Control, Founding, NewSecret, Op, SessionsWanted, Wanted, found};
use sallyport_gateway::conformance::desk::{Credential, DENIED_ACCOUNT, Target};
use sallyport_gateway::conformance::house::{Done, Written};
use sallyport_gateway::conformance::toy::Toys;
use sallyport_gateway::conformance::{Case, Failure, House, check};
use sallyport_model::access::EndReason;
use sallyport_model::authority::Desk;
use sallyport_model::{Env, Secret, TargetName};
use sallyport_recording::{Event, container, event};
use sallyport_store::Place;
use sallyport_testkit::postgres::{PASSWORD, ROLE};
use sallyport_vault::Argon;
use sqlx::{Connection as _, SqliteConnection};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// Ada may use `ops` everywhere, and nobody may use the other account.
const POLICY: &str = r#"
@id("ada-uses-ops")
permit (principal, action in [Action::"see", Action::"connect", Action::"channel"], resource)
when { principal.handle == "ada" && resource.name == "ops" };
"#;

const PEOPLE: &str = r#"
[[identity]]
handle = "ada"

[[identity]]
handle = "carol"
groups = ["sallyport:auditor"]
"#;

/// Every target has one pinned, though the toy asks for none.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct Real {
    control: Arc<Control>,
    admin: Op,
    auditor: Op,
    token: String,
    url: String,
    /// Keeps the lock of a ledger in a file from control, once it has taken it.
    thief: Mutex<Option<SqliteConnection>>,
}

fn acting(control: &Control, token: &Secret<String>) -> Op {
    let who = control.sign_in(token).unwrap();
    let actor = Actor::Identity(who.identity.id, who.identity.handle);
    Op { actor, from: IpAddr::V4(Ipv4Addr::LOCALHOST), correlation: String::new(), device: None }
}

fn file(name: &str, text: String) -> ApplyFile {
    ApplyFile { name: name.into(), text }
}

impl Real {
    async fn founded(directory: &Path, server: Option<String>) -> Arc<Self> {
        let env = Env::system();
        let place = server.as_ref().map(|url| Place::server(url, Some(&Secret::new(PASSWORD.to_owned()))).unwrap());
        let founding = Founding {
            admin: "admin".parse().unwrap(),
            ssh_keys: Vec::new(),
            token_seconds: 3600,
            argon: Argon::cheapest(),
            solo: false,
            sign_in: sallyport_control::SignInRules::default(),
            place: place.clone(),
        };
        let founded = found(&env, directory, "node-1", &founding).await.unwrap();
        let control = Control::new(env, directory, "node-1");
        let control = Arc::new(match place {
            Some(place) => control.at(place),
            None => control,
        });
        control.unseal_with_key_file(&std::fs::read(&founded.key_file).unwrap()).await.unwrap();
        let admin = acting(&control, &founded.token);
        let people = file("people.toml", PEOPLE.into());
        control.apply(&admin, &[people, file("a.cedar", POLICY.into())], false).await.unwrap();
        let life = Duration::from_secs(3600);
        let [ada, carol] = ["ada", "carol"].map(|handle| handle.parse().unwrap());
        let token = control.create_token(&admin, Some(&ada), life, "suite").await.unwrap();
        let auditor = acting(&control, &control.create_token(&admin, Some(&carol), life, "suite").await.unwrap().text);
        let url = server.unwrap_or_else(|| directory.join("sallyport.db").display().to_string());
        let token = token.text.expose().clone();
        Arc::new(Self { control, admin, auditor, token, url, thief: Mutex::default() })
    }

    async fn of(&self, actions: &[&str]) -> Result<Vec<sallyport_store::EntryRow>, Failure> {
        let actions = actions.iter().map(|&action| action.into()).collect();
        Ok(self.control.ledger(&self.admin, &Wanted { actions, limit: 1000, ..Wanted::default() }).await?)
    }
}

impl House for Real {
    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self.control.clone()
    }

    fn token(&self) -> String {
        self.token.clone()
    }

    fn know<'a>(&'a self, name: &'a TargetName, target: Target) -> Done<'a, ()> {
        Box::pin(async move {
            let account = |name: &str| format!("[[target.account]]\nname = \"{name}\"\nclass = \"standard\"\n");
            let line = format!(
                "[[target]]\nname = \"{name}\"\nprotocol = \"toy\"\nhost = \"{}\"\nport = {}\ntier = 1\nhost_keys = [\"{KEY}\"]\n{}{}",
                target.host,
                target.port,
                account("ops"),
                account(DENIED_ACCOUNT)
            );
            let files = [file("targets.toml", line), file("a.cedar", POLICY.into())];
            self.control.apply(&self.admin, &files, false).await?;
            let Credential::Password(password) = target.credential else {
                return Err("the toy knows passwords".into());
            };
            let secret = || NewSecret::Password(Secret::new(password.clone().into_bytes()));
            for account in ["ops", DENIED_ACCOUNT] {
                self.control.put_secret(&self.admin, &format!("{account}@{name}").parse()?, secret()).await?;
            }
            Ok(())
        })
    }

    fn fail_ledger(&self) -> Done<'_, ()> {
        Box::pin(async move {
            if let Some(database) = self.url.strip_prefix("postgres://").and_then(|url| url.rsplit('/').next()) {
                on_server()
                    .sql(database, &format!("REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM {ROLE}"))?;
                return Ok(());
            }
            let mut thief = SqliteConnection::connect(&self.url).await?;
            sqlx::query("BEGIN IMMEDIATE").execute(&mut thief).await?;
            *self.thief.lock().unwrap() = Some(thief);
            Ok(())
        })
    }

    fn kill(&self) -> Done<'_, ()> {
        Box::pin(async move {
            let live = SessionsWanted { live: true, limit: 100, ..SessionsWanted::default() };
            for session in self.control.sessions(&self.admin, &live).await?.lines {
                self.control.kill(&self.admin, session.id, "killed by the suite").await?;
            }
            Ok(())
        })
    }

    fn leased(&self) -> usize {
        self.control.status().sessions
    }

    fn entries(&self) -> Done<'_, Vec<Written>> {
        Box::pin(async move {
            let told = self.of(&[]).await?.into_iter();
            Ok(told.map(|row| Written { text: format!("{:?}", row.entry), action: row.entry.action }).collect())
        })
    }

    fn closed(&self) -> Done<'_, Vec<(EndReason, bool)>> {
        Box::pin(async move {
            let reasons =
                [EndReason::Kill, EndReason::Panic, EndReason::ClientClose, EndReason::DialFail, EndReason::Block];
            let rows = self.of(&["session.closed"]).await?;
            let told = |row: &sallyport_store::EntryRow| {
                let word = row.entry.facts.get("reason").ok_or("no reason")?;
                let reason = reasons.into_iter().find(|reason| reason.word() == word);
                let complete = row.entry.facts.get("complete").is_some_and(|complete| complete == "true");
                Ok((reason.ok_or_else(|| format!("the suite knows no reason {word}"))?, complete))
            };
            rows.iter().map(told).collect()
        })
    }

    fn play<'a>(&'a self, file: &'a Path) -> Done<'a, Vec<Event>> {
        Box::pin(async move {
            let session = container::parse(&std::fs::read(file)?)?.header.facts.session;
            let played = self.control.play(&self.auditor, session).await?;
            event::events(&played.events).map(|event| Ok(event?.to_owned())).collect()
        })
    }
}

async fn run(case: Case, server: Option<String>) {
    let directory = TempDir::new().unwrap();
    let house = Real::founded(directory.path(), server).await;
    let control = house.control.clone();
    check(case, &Toys, directory, house).await.unwrap();
    control.close().await;
}

macro_rules! on_both_stores {
    ($($name:ident = $case:ident,)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::run(super::Case::$case, None).await;
            })*
        }
        mod postgresql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let url = tokio::task::spawn_blocking(|| super::on_server().database().unwrap()).await.unwrap();
                super::run(super::Case::$case, Some(url)).await;
            })*
        }
    };
}

on_both_stores! {
    denied = Denied,
    recorder = Recorder,
    ledger = Ledger,
    kill = Kill,
    lease = Lease,
    block = Block,
    credential = Credential,
    busy = Busy,
}
