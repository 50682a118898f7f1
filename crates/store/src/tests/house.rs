//! A place to store in, on either database, and what is written there.

use crate::*;
use sallyport_ledger::Signer;
use sallyport_model::{ClusterId, EntryId, Env, Secret};
use sallyport_testkit::postgres::{PASSWORD, Postgres};
use sallyport_vault::{DocumentKey, KeyFile, NewSlot, Opener, Vault};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

pub(super) const ORIGIN: &str = "sallyport/test";

/// The server of all tests but those that crash it; each test has a database of its own.
pub(super) fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().unwrap())
}

pub(super) fn place(url: &str) -> Place {
    Place::server(url, Some(&Secret::new(PASSWORD.to_owned()))).unwrap()
}

pub(super) fn key(env: &Env) -> DocumentKey {
    let file = KeyFile::generate(env);
    let slot = NewSlot { label: "test", offline: false, opener: Opener::KeyFile(&file) };
    Vault::create(env, ClusterId::new(env), &[slot], true).unwrap().0.document_key()
}

pub(super) fn keys() -> NodeKeys {
    keys_of(1)
}

pub(super) fn keys_of(node: u8) -> NodeKeys {
    let signer = Signer::new(ORIGIN, &Secret::new(vec![node; 32])).unwrap();
    NodeKeys { signer, origin: ORIGIN.into(), node: format!("node-{node}"), joining: false }
}

pub(super) struct House {
    pub(super) env: Env,
    pub(super) place: Place,
    pub(super) key: DocumentKey,
    /// Keeps the file.
    _dir: Option<TempDir>,
}

impl House {
    pub(super) fn on_sqlite() -> Self {
        let env = Env::system();
        let dir = tempfile::tempdir().unwrap();
        let place = Place::file(&dir.path().join("sallyport.db"));
        Self { key: key(&env), env, place, _dir: Some(dir) }
    }

    pub(super) fn on_postgres() -> Self {
        Self::at(place(&server().database().unwrap()))
    }

    pub(super) fn at(place: Place) -> Self {
        let env = Env::system();
        Self { key: key(&env), env, place, _dir: None }
    }

    /// A house without anything in it, on the same sort of database.
    pub(super) fn another(&self) -> Self {
        match self.place {
            Place::File(_) => Self::on_sqlite(),
            Place::Server(_) => Self::on_postgres(),
        }
    }

    pub(super) async fn open(&self) -> Result<(Store, HeadReport), Error> {
        self.open_as(keys(), Arc::new(|_, _| {})).await
    }

    pub(super) async fn open_as(&self, keys: NodeKeys, follower: Follower) -> Result<(Store, HeadReport), Error> {
        Connected::open(&self.place, true).await?.start(self.env.clone(), self.key.clone(), keys, follower).await
    }

    /// What somebody with a shell on the database might do.
    pub(super) async fn sql(&self, statement: &'static str) {
        match &self.place {
            Place::File(path) => {
                let mut conn: SqliteConnection =
                    sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
                sqlx::query(statement).execute(&mut conn).await.unwrap();
                conn.close().await.unwrap();
            }
            Place::Server(_) => {
                let url = self.place.to_string();
                let database = url.rsplit('/').next().unwrap().to_owned();
                tokio::task::spawn_blocking(move || server().sql(&database, statement).unwrap()).await.unwrap();
            }
        }
    }

    pub(super) fn draft(&self, object: &str) -> Draft {
        Draft {
            id: EntryId::new(&self.env),
            actor: "ada".into(),
            action: "test.done",
            object: object.into(),
            session: None,
            facts: BTreeMap::new(),
        }
    }

    pub(super) fn put(&self, id: &str, was: u64, body: &str) -> Change {
        Change::entry(self.draft(id)).put(Put { id: DocId::new(id), was, kind: "thing", schema: 1, body: body.into() })
    }
}

/// Polls until something is true; panics after 30 seconds.
pub(super) async fn until(what: &str, mut probe: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        while !probe() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what} did not come");
}

/// Polls until something is there; panics after 30 seconds.
pub(super) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Lists the first node, as a founding does.
pub(super) async fn list_first(house: &House, store: &Store) {
    let nodes = Nodes::default().with("node-1", keys().signer.verifier()).unwrap();
    store.commit(Change::entry(house.draft("nodes")).put(nodes.put(0))).await.unwrap();
}

/// Makes a further node join.
pub(super) async fn join(house: &House, node: u8, follower: Follower) -> Store {
    let keys = NodeKeys { joining: true, ..keys_of(node) };
    let (store, _) = house.open_as(keys, follower).await.unwrap();
    let (nodes, was) = store.working(Nodes::of).unwrap();
    let nodes = nodes.with(&format!("node-{node}"), keys_of(node).signer.verifier()).unwrap();
    store.commit(Change::entry(house.draft("nodes")).put(nodes.put(was))).await.unwrap();
    store
}
