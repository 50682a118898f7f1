//! Tools in Python that tests and measurements run: at fixed versions, in an environment of their own under `target`.

use crate::run;
use anyhow::{Context as _, Result};
use std::process::Command;
use std::time::Duration;

const REQUIREMENTS: &str = include_str!("requirements.txt");
/// How long fetching and unpacking may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Installs the tools where they are missing, or other versions are there.
pub(crate) fn ensure() -> Result<()> {
    let home = run::root().join("target/python");
    let said = home.join("installed.txt");
    if std::fs::read_to_string(&said).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(());
    }
    eprintln!("Installing schemathesis, sslyze, ssh-audit and asyncssh into target/python");
    run::succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home), "", LIMIT)?;
    let list = home.join("requirements.txt");
    std::fs::write(&list, REQUIREMENTS)?;
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--no-deps", "--disable-pip-version-check"]);
    pip.arg("--requirement").arg(&list);
    run::succeed(&mut pip, "", LIMIT)?;
    std::fs::write(&said, REQUIREMENTS).with_context(|| format!("cannot write {}", said.display()))
}
