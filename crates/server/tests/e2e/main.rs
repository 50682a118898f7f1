//! The whole product, real target, stock clients: one module per promise.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests say what they expect by failing")]

mod anchors;
mod bad_input;
mod crash;
mod evidence;
mod freeze;
mod hostile;
mod parsers;
mod postgres;
mod seals;
mod story;
mod witness;

use sallyport_testkit::product::Product;
use std::path::Path;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sallyport"))
}

fn product() -> Product {
    Product::start(binary()).unwrap()
}
