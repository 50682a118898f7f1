//! A database that goes away: nothing acknowledged is lost, nothing is written twice, reads go on.

use super::body;
use super::house::{House, join, list_first, place, until};
use super::load::{Load, beside};
use crate::*;
use sallyport_testkit::postgres::Postgres;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_servers_lose_no_acknowledged_change_and_repeat_none() {
    let mut server = beside(|| Postgres::start().unwrap()).await;
    let house = Arc::new(House::at(place(&server.database().unwrap())));
    let (one, _) = house.open().await.unwrap();
    list_first(&house, &one).await;
    let two = join(&house, 2, Arc::new(|_, _| {})).await;
    let load = Load::begin(&house, [&one, &two]);
    for _ in 0..3 {
        let before = load.written();
        until("changes", || load.written() > before + 100).await;
        let refused = load.refused();
        server = beside(move || {
            server.crash().unwrap();
            server
        })
        .await;
        until("a refusal", || load.refused() > refused).await;
        assert!(body(&one, "doc-0-0").is_some(), "reads do not go on");
        server = beside(move || {
            server.run().unwrap();
            server
        })
        .await;
    }
    let before = load.written();
    until("changes after the last crash", || load.written() > before + 100).await;
    load.end([one, two]).await;
    drop(server);
}

/// Stands between a node and its server, and loses the answer to the next commit when told to.
async fn relay(to: u16, lose: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, to, lose.clone()));
        }
    });
    port
}

#[expect(clippy::disallowed_methods, reason = "the relay of a test dials its server")]
async fn carry(mut client: TcpStream, to: u16, lose: Arc<AtomicBool>) {
    let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            n = client.read(&mut up) => {
                let Ok(n @ 1..) = n else { return };
                server.write_all(&up[..n]).await.unwrap();
                let commits = up[..n].windows(6).any(|w| w == b"COMMIT");
                if commits && lose.swap(false, Ordering::Relaxed) {
                    // The server has committed when it answers; nobody hears it.
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            n = server.read(&mut down) => {
                let Ok(n @ 1..) = n else { return };
                if client.write_all(&down[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_by_its_entries() {
    let mut near = House::on_postgres();
    let url = near.place.to_string();
    let lose = Arc::new(AtomicBool::new(false));
    let port = relay(super::house::server().port(), lose.clone()).await;
    near.place = place(&url.replace(&super::house::server().port().to_string(), &port.to_string()));
    let (store, _) = near.open().await.unwrap();
    store.commit(near.put("a", 0, "{\"x\":1}")).await.unwrap();
    lose.store(true, Ordering::Relaxed);
    let (found, beside) =
        tokio::join!(store.commit(near.put("a", 1, "{\"x\":2}")), store.commit(near.put("b", 0, "{}")));
    let (found, beside) = (found.unwrap(), beside.unwrap());
    assert!(!lose.load(Ordering::Relaxed), "no answer was lost");
    assert_eq!((found.index, beside.index), (1, 2));
    assert_eq!(body(&store, "a").unwrap(), "{\"x\":2}");
    store.commit(near.put("a", 2, "{}")).await.unwrap();
    store.close().await;
    near.open().await.unwrap().0.close().await;
}

#[tokio::test]
async fn a_transaction_that_the_server_ends_is_not_written_and_the_node_goes_on() {
    let house = House::on_postgres();
    let (store, _) = house.open().await.unwrap();
    store.commit(house.put("a", 0, "{}")).await.unwrap();
    // The backend ends itself in the midst of a write, once.
    house
        .sql(
            "CREATE FUNCTION fall() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
             IF NEW.object = 'fall' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;
             CREATE TRIGGER fall BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION fall()",
        )
        .await;
    let error = store.commit(house.put("fall", 0, "{}")).await.err().unwrap();
    assert!(matches!(error, Error::Lost(_)), "{error}");
    assert!(error.to_string().contains("try again"));
    for _ in 0..500 {
        if store.commit(house.put("b", 0, "{}")).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(body(&store, "b").is_some() && body(&store, "fall").is_none());
    store.close().await;
    // What was put on the tables for this test would be found at the next start.
    house.sql("DROP FUNCTION fall() CASCADE").await;
    house.open().await.unwrap().0.close().await;
}
