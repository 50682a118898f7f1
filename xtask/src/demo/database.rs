//! The demo's PostgreSQL server: that of the tests, as a process of its own.

use super::children::{Children, private};
use super::place::Place;
use crate::run;
use anyhow::{Context as _, Result, bail};
use std::time::{Duration, Instant};

/// How long building and starting it may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Starts the server, and names its database in the configuration.
pub(super) fn start(place: &Place, children: &mut Children) -> Result<()> {
    anyhow::ensure!(
        run::is_root(),
        "the demo's PostgreSQL server runs under an account of its own: be root for `--postgres`"
    );
    eprintln!("Building and starting a PostgreSQL server");
    let directory = place.home.join("postgres");
    std::fs::create_dir_all(&directory)?;
    let mut command = run::cargo();
    command.args(["run", "--quiet", "--package", "sallyport-testkit", "--example", "postgres", "--"]).arg(&directory);
    command.current_dir(run::root());
    children.start("postgres", &mut command, &place.log("postgres"))?;
    let begun = Instant::now();
    let url = loop {
        if let Ok(url) = std::fs::read_to_string(directory.join("url")) {
            break url;
        }
        run::go_on()?;
        children.alive()?;
        if begun.elapsed() > PATIENCE {
            bail!("PostgreSQL did not start within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let config = std::fs::read_to_string(place.config()).context("the configuration")?;
    let store = format!("\n[store]\nurl = {url:?}\npassword_file = {:?}\n", directory.join("password"));
    private(&place.config(), &(config + &store))
}
