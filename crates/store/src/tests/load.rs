//! Writers on two nodes that go on whatever happens to the database, and what they were told.

use super::house::House;
use crate::*;
use sallyport_model::EntryId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Writers on each of two nodes.
const WRITERS: usize = 4;

/// What writers were told of their entries.
#[derive(Default)]
struct Told {
    written: Vec<EntryId>,
    not_written: Vec<EntryId>,
    unknown: Vec<EntryId>,
}

/// The writers, until they are stopped.
pub(super) struct Load {
    house: Arc<House>,
    told: Arc<Mutex<Told>>,
    stop: Arc<AtomicBool>,
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl Load {
    pub(super) fn begin(house: &Arc<House>, stores: [&Store; 2]) -> Self {
        let (told, stop) = (Arc::new(Mutex::new(Told::default())), Arc::new(AtomicBool::new(false)));
        let mut writers = Vec::new();
        for (node, store) in stores.into_iter().enumerate() {
            for writer in 0..WRITERS {
                let id = format!("doc-{node}-{writer}");
                writers.push(tokio::spawn(write_on(house.clone(), store.clone(), id, told.clone(), stop.clone())));
            }
        }
        Self { house: house.clone(), told, stop, writers: Mutex::new(writers) }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// How many changes were acknowledged so far.
    pub(super) fn written(&self) -> usize {
        self.told().written.len()
    }

    /// How many were refused.
    pub(super) fn refused(&self) -> usize {
        self.told().not_written.len()
    }

    /// Waits for every writer's last answer.
    pub(super) async fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let writers = std::mem::take(&mut *self.writers.lock().unwrap());
        for writer in writers {
            writer.await.unwrap();
        }
    }

    /// Stops, opens the store again, and compares: every acknowledged change is there once, every refused one is not,
    /// and nobody was left in doubt.
    pub(super) async fn end(self, stores: [Store; 2]) {
        self.stop().await;
        for store in stores {
            store.close().await;
        }
        let (again, _) = self.house.open().await.unwrap();
        let mut found: HashMap<EntryId, u32> = HashMap::new();
        for row in again.entries(&Filter { limit: 1_000_000, ..Filter::default() }).await.unwrap() {
            *found.entry(row.entry.id).or_default() += 1;
        }
        again.close().await;
        let told = self.told();
        assert!(told.written.iter().all(|id| found.get(id) == Some(&1)), "an acknowledged change is lost or doubled");
        assert!(told.not_written.iter().all(|id| !found.contains_key(id)), "a change was refused and yet written");
        assert!(told.unknown.is_empty(), "the server was back in time, and yet an outcome stayed unknown");
    }
}

async fn write_on(house: Arc<House>, store: Store, id: String, told: Arc<Mutex<Told>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let was = store.working(|set| set.version(&DocId::new(&id)));
        let change = house.put(&id, was, "{}");
        let entry = change.entry.id;
        let outcome = store.commit(change).await;
        let pause = outcome.is_err();
        {
            let mut told = told.lock().unwrap();
            match outcome {
                Ok(_) => told.written.push(entry),
                Err(Error::Unknown(_)) => told.unknown.push(entry),
                Err(Error::Lost(_) | Error::Sql(_) | Error::Conflict(_)) => told.not_written.push(entry),
                Err(other) => panic!("{other}"),
            }
        }
        if pause {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Runs something that blocks beside the writers.
pub(super) async fn beside<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}
