//! The whole product, real target, stock clients: one module per promise.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests say what they expect by failing")]

/// Runs each of these tests with the store in a file and on a server.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::$name(&mut $crate::product());
            })*
        }
        mod postgresql {
            $(#[test]
            fn $name() {
                super::$name(&mut $crate::product_on_server());
            })*
        }
    };
}
mod acme;
mod agents;
mod anchors;
mod backup;
mod bad_input;
mod becoming;
mod book;
mod browser;
mod canary;
mod chooser;
mod command_line;
mod company;
mod conformance;
mod crash;
mod evidence;
mod flood;
mod freeze;
mod hops;
mod host_key;
mod hostile;
mod import;
mod inventory;
mod live;
mod matrix;
mod metrics;
mod nodes;
mod old_targets;
mod package;
mod parsers;
mod pending;
mod portal;
mod post_quantum;
mod postgres;
mod recover;
mod schema;
mod seals;
mod sign_in;
mod space;
mod ssh_audit;
mod ssh_certificates;
mod steering;
mod story;
mod terminal;
mod tls;
mod torture;
mod traces;
mod transfers;
mod upgrade;
mod witness;

use sallyport_testkit::postgres::Postgres;
use sallyport_testkit::product::Product;
use std::path::Path;
use std::sync::OnceLock;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sallyport"))
}

fn product() -> Product {
    Product::start(binary()).unwrap()
}

/// The server of all tests that do not crash it.
fn on_server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().unwrap())
}

/// The product on that server, with a database of its own.
fn product_on_server() -> Product {
    Product::start_on(binary(), on_server()).unwrap()
}
