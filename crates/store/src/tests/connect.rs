//! Reaching a database: what is refused, and how its sessions are made.

use super::house::{House, place, server};
use crate::sql::session::Facts;
use crate::*;
use sallyport_model::{Kind, Secret};
use sallyport_testkit::postgres::{PASSWORD, Postgres, ROLE};
use std::path::Path;

async fn refusal(place: &Place) -> String {
    let error = Connected::open(place, true).await.err().unwrap();
    assert!(!error.to_string().contains(PASSWORD));
    error.to_string()
}

#[tokio::test]
async fn a_missing_directory_is_a_clear_error() {
    assert!(matches!(Connected::open(&Place::file(Path::new("/nonexistent/x.db")), true).await, Err(Error::Sql(_))));
}

#[test]
fn a_bad_url_is_refused_and_says_what_to_write() {
    for (url, wanted) in [
        ("mysql://a@b/c", "postgres://"),
        ("postgres://db.example.org/x", "names no role"),
        ("postgres://@db.example.org/x", "names no role"),
        ("postgres://a@db.example.org", "names no database"),
        ("postgres://a@db.example.org/?sslmode=require", "names no database"),
        ("postgres://a:geheim@db.example.org/x", "holds a password"),
        ("postgres://a@db.example.org/x?password=geheim", "holds a password"),
        ("postgres://a@db.example.org:port/x", "wrong"),
        ("postgres://a@one.example.org,,two.example.org/x", "empty host"),
        ("postgres://a@one.example.org,two.example.org:port/x", "wrong"),
        ("postgres://a@db.example.org/x?sslmode=maybe", "wrong"),
    ] {
        let error = Place::server(url, None).err().unwrap();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains(wanted) && !error.to_string().contains("geheim"), "{url}: {error}");
    }
}

#[tokio::test]
async fn what_does_not_let_us_in_says_why_and_what_to_do() {
    let url = server().database().unwrap();
    let wrong = Place::server(&url, Some(&Secret::new("wrong".into()))).unwrap();
    let said = refusal(&wrong).await;
    assert!(said.contains("refuses the role") && said.contains(ROLE), "{said}");
    let said = refusal(&place(&server().url("nowhere"))).await;
    assert!(said.contains("createdb --owner=sallyport --encoding=UTF8 nowhere"), "{said}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = refusal(&place(&format!("postgres://{ROLE}@127.0.0.1:{free}/x"))).await;
    assert!(said.contains("is the server running"), "{said}");
    let said = refusal(&place(&format!("{url}?sslmode=require"))).await;
    assert!(said.contains("TLS"), "{said}");
    let latin = server().database_with("latin", &["--encoding=SQL_ASCII", "--locale=C"]).unwrap();
    let said = refusal(&place(&latin)).await;
    assert!(said.contains("encoding=UTF8"), "{said}");
    let foreign = server().database_with("foreign", &["--owner=postgres"]).unwrap();
    let said = refusal(&place(&foreign)).await;
    assert!(said.contains("the owner of the database"), "{said}");
    assert!(!format!("{}", place(&url)).contains(PASSWORD));
}

#[test]
fn a_server_that_is_too_old_or_does_not_keep_settings_is_refused() {
    let good = || Facts { version: 150_018, standby: false, encoding: "UTF8".into(), strayed: None };
    good().check().unwrap();
    let old = Facts { version: 140_011, ..good() }.check().err().unwrap().to_string();
    assert!(old.contains("PostgreSQL 14") && old.contains("15 or newer"), "{old}");
    let strayed = Facts { strayed: Some("synchronous_commit".into()), ..good() }.check().err().unwrap();
    assert!(strayed.to_string().contains("synchronous_commit"));
}

#[tokio::test]
async fn a_server_must_prove_itself_and_a_standby_is_refused_by_name() {
    let beside = tokio::task::spawn_blocking(|| {
        let server = Postgres::start().unwrap();
        let (url, right) = (server.database().unwrap(), server.secure().unwrap());
        (server, url, right)
    });
    let (mut server, url, right) = beside.await.unwrap();
    let wrong = tempfile::tempdir().unwrap();
    let stranger = wrong.path().join("authority.pem");
    let named = |authority: &Path| place(&format!("{url}?sslmode=verify-full&sslrootcert={}", authority.display()));
    std::fs::copy(&right, &stranger).unwrap();
    drop(super::house::eventually("TLS", async || Connected::open(&named(&right), true).await.ok()).await);
    // Another authority of the same name: the server's certificate is not of it any more.
    let server = tokio::task::spawn_blocking(move || {
        server.secure().unwrap();
        server.stop().unwrap();
        server.mark_standby().unwrap();
        server.run().unwrap();
        server
    })
    .await
    .unwrap();
    let said = refusal(&named(&stranger)).await;
    assert!(said.contains("does not prove itself by TLS") && said.contains("sslrootcert"), "{said}");
    let said = refusal(&named(&right)).await;
    assert!(said.contains("standby") && said.contains("[store] url"), "{said}");
    drop(server);
}

#[tokio::test]
async fn the_settings_of_a_role_or_database_weaken_nothing() {
    let house = House::on_postgres();
    let database = house.place.to_string().rsplit('/').next().unwrap().to_owned();
    let weak = [
        ("synchronous_commit", "off"),
        ("search_path", "evil, public"),
        ("default_transaction_isolation", "'repeatable read'"),
        ("default_transaction_read_only", "on"),
        ("row_security", "on"),
        ("statement_timeout", "0"),
    ];
    server().sql(&database, &format!("CREATE SCHEMA evil AUTHORIZATION {ROLE}")).unwrap();
    for (name, value) in weak {
        server().sql("postgres", &format!("ALTER DATABASE {database} SET {name} = {value}")).unwrap();
        let role = format!("ALTER ROLE {ROLE} IN DATABASE {database} SET {name} = {value}");
        server().sql("postgres", &role).unwrap();
    }
    let (store, _) = house.open().await.unwrap();
    store.commit(house.put("a", 0, "{}")).await.unwrap();
    let mut session = house.place.connect(false).await.unwrap();
    let crate::place::Session::Postgres(conn) = &mut session else { panic!("not PostgreSQL") };
    for (name, wanted) in [
        ("synchronous_commit", "on"),
        ("search_path", "public, pg_temp"),
        ("default_transaction_isolation", "read committed"),
        ("default_transaction_read_only", "off"),
        ("row_security", "off"),
        ("statement_timeout", "30s"),
        ("client_encoding", "UTF8"),
    ] {
        let found: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&mut *conn).await.unwrap();
        assert_eq!(found, wanted, "{name}");
    }
    let elsewhere = server().sql(&database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'evil'").unwrap();
    assert_eq!(elsewhere, "0", "nothing was made in a schema that a setting put first");
    store.close().await;
}

#[tokio::test]
async fn rows_that_a_policy_hides_stop_a_node_instead_of_shortening_an_answer() {
    let house = House::on_postgres();
    let (store, _) = house.open().await.unwrap();
    store.commit(house.put("a", 0, "{}")).await.unwrap();
    store.close().await;
    house.sql("ALTER TABLE documents ENABLE ROW LEVEL SECURITY").await;
    house.sql("ALTER TABLE documents FORCE ROW LEVEL SECURITY").await;
    let error = house.open().await.err().unwrap();
    assert!(error.to_string().contains("row-level security"), "{error}");
}

#[tokio::test]
async fn nodes_that_start_together_make_the_schema_once() {
    let house = House::on_postgres();
    let opened = (0..6).map(|_| {
        let place = house.place.clone();
        tokio::spawn(async move { Connected::open(&place, true).await.map(drop) })
    });
    for one in opened.collect::<Vec<_>>() {
        one.await.unwrap().unwrap();
    }
}
