//! The primary dies under load and its standby takes over: nothing acknowledged is lost, nothing is there twice.

use super::body;
use super::house::{House, eventually, join, list_first, place, until};
use super::load::{Load, beside};
use crate::*;
use sallyport_testkit::postgres::Postgres;
use std::sync::Arc;

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
    let load = Load::begin(&house, [&one, &two]);
    until("changes", || load.written() > 200).await;
    let primary = beside(move || {
        primary.crash().unwrap();
        primary
    })
    .await;
    until("a refusal", || load.refused() > 0).await;
    assert!(body(&one, "doc-0-0").is_some(), "reads of the working set do not go on");
    let standby = beside(move || {
        standby.promote().unwrap();
        standby
    })
    .await;
    let before = load.written();
    until("changes on the new primary", || load.written() > before + 200).await;
    // Listings go to the new primary as well, and so does what each node hears of the other.
    eventually("a listing", async || one.entries(&Filter { limit: 1, ..Filter::default() }).await.ok()).await;
    load.stop().await;
    let newest = two.commit(house.put("after", 0, "{}")).await.unwrap().index;
    until("the other node's change", || one.working(WorkingSet::size) > newest).await;
    load.end([one, two]).await;
    drop((primary, standby));
}
