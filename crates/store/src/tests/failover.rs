//! The primary dies under load and its standby takes over: nothing acknowledged is lost, nothing is there twice.

use super::body;
use super::house::{House, eventually, join, list_first, place, until};
use super::lost::{Told, beside, counted, write_on};
use crate::*;
use sallyport_testkit::postgres::Postgres;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_over_under_load_has_every_acknowledged_change_once() {
    let (mut primary, standby, url) = beside(|| {
        let primary = Postgres::start().unwrap();
        let url = primary.database().unwrap();
        let standby = primary.standby().unwrap();
        let url = primary.url_with(&standby, url.rsplit('/').next().unwrap());
        (primary, standby, url)
    })
    .await;
    let house = Arc::new(House::at(place(&url)));
    let (one, _) = house.open().await.unwrap();
    list_first(&house, &one).await;
    let two = join(&house, 2, Arc::new(|_, _| {})).await;
    let told = Arc::new(Mutex::new(Told::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for (node, store) in [&one, &two].into_iter().enumerate() {
        for writer in 0..4 {
            let id = format!("doc-{node}-{writer}");
            writers.push(tokio::spawn(write_on(house.clone(), store.clone(), id, told.clone(), stop.clone())));
        }
    }
    let written = |told: &Mutex<Told>| told.lock().unwrap().written.len();
    until("changes", || written(&told) > 200).await;
    let primary = beside(move || {
        primary.crash().unwrap();
        primary
    })
    .await;
    until("a refusal", || !told.lock().unwrap().not_written.is_empty()).await;
    assert!(body(&one, "doc-0-0").is_some(), "reads of the working set do not go on");
    let standby = beside(move || {
        standby.promote().unwrap();
        standby
    })
    .await;
    let before = written(&told);
    until("changes on the new primary", || written(&told) > before + 200).await;
    // Listings go to the new primary as well, and so does what each node hears of the other.
    eventually("a listing", async || one.entries(&Filter { limit: 1, ..Filter::default() }).await.ok()).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let newest = two.commit(house.put("after", 0, "{}")).await.unwrap().index;
    until("the other node's change", || one.working(WorkingSet::size) > newest).await;
    one.close().await;
    two.close().await;
    let (again, _) = house.open().await.unwrap();
    let found = counted(&again).await;
    again.close().await;
    told.lock().unwrap().check(&found);
    drop((primary, standby));
}
