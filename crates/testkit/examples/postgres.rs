//! Runs a PostgreSQL server of its own, for a demo: `cargo run --example postgres DIRECTORY`. Writes `url` and `password` into the
//! directory, and stays until it is ended; the server ends with it, and leaves nothing.

use anyhow::{Context as _, Result};
use sallyport_testkit::postgres::{PASSWORD, Postgres};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

fn main() -> Result<()> {
    let directory = PathBuf::from(std::env::args().nth(1).context("name a directory")?);
    let server = Postgres::start()?;
    let password = directory.join("password");
    fs::write(&password, PASSWORD)?;
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
    // The URL last, and whole at once: who waits for it finds the rest.
    let url = directory.join("url");
    fs::write(url.with_extension("new"), server.database()?)?;
    fs::rename(url.with_extension("new"), url)?;
    loop {
        std::thread::park();
    }
}
