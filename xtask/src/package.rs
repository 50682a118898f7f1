//! `package`: the program in release, as a Debian package under target/package.

use crate::{portal, run};
use anyhow::{Context as _, Result, ensure};
use std::process::Command;

/// Builds and packs.
pub(crate) fn package() -> Result<()> {
    portal::build()?;
    let mut cargo = run::cargo();
    cargo.args(["build", "--release", "--locked", "--package", "sallyport-server", "--bin", "sallyport"]);
    ensure!(cargo.status()?.success(), "the program does not build");
    let (root, out) = (run::root(), run::root().join("target/package"));
    let mut script = Command::new(root.join("packaging/build-deb"));
    script.arg(root.join("target/release/sallyport")).arg(env!("CARGO_PKG_VERSION")).arg(&out);
    let made = script.status().context("cannot run packaging/build-deb")?;
    ensure!(made.success(), "the package was not made: `dpkg-deb` of Debian or Ubuntu makes it");
    println!("The package is in {}; docs/book/operating.md says how it is installed.", out.display());
    Ok(())
}
