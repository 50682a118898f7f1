//! `bench`: measures in release and writes the figures with commit and date under docs/measures.

use crate::demo::{self, Children, Place, Story};
use crate::{components, portal, run};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Package, example.
const EXAMPLES: [(&str, &str); 11] = [
    ("sallyport-control", "serving"),
    ("sallyport-ledger", "verify_speed"),
    ("sallyport-policy", "speed"),
    ("sallyport-recording", "seal_speed"),
    ("sallyport-server", "api"),
    ("sallyport-server", "portal"),
    ("sallyport-server", "revocation"),
    ("sallyport-store", "append_speed"),
    ("sallyport-store", "failover"),
    ("sallyport-vault", "constant_time"),
    ("sallyport-vault", "rates"),
];
/// Scripts that measure a gateway, and their arguments besides the end points. Each takes `--ep` for
/// an end point, the first being the baseline, and `--json` for a file of results.
const SCRIPTS: [(&str, &[&str]); 3] =
    [("ssh_setup.py", &[]), ("ssh_bulk.py", &["--modes", "down,up,duplex", "--mib", "256"]), ("ssh_echo.py", &[])];

/// `bench`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the examples with this in their name, such as `api`
    only: Option<String>,
    /// Directory with the scripts that measure SSH sessions against the direct connection
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// Leave the examples out: only what `--scripts` measures
    #[arg(long, requires = "scripts")]
    sessions_only: bool,
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
}

/// Runs the examples, and the scripts where they are given.
pub(crate) fn bench(args: &Args) -> Result<()> {
    let wanted = |example: &&(&str, &str)| args.only.as_ref().is_none_or(|only| example.1.contains(only.as_str()));
    let examples: Vec<_> = EXAMPLES.iter().filter(wanted).filter(|_| !args.sessions_only).collect();
    if !examples.is_empty() {
        components::ensure_for_bench(args.yes)?;
        build()?;
    }
    for (package, example) in examples {
        let name = format!("{}-{example}", package.trim_start_matches("sallyport-"));
        eprintln!("Measuring {name}");
        let mut command = run::cargo();
        command
            .args(["run", "--release", "--quiet", "--package", package, "--example", example])
            .stderr(Stdio::inherit());
        let output = command.output()?;
        if !output.status.success() {
            bail!("{name} failed");
        }
        write(&name, &figures(&String::from_utf8(output.stdout)?)?)?;
    }
    args.scripts.as_deref().map_or(Ok(()), |scripts| against_direct(scripts, args.yes))
}

/// Builds the program, which some examples run.
fn build() -> Result<()> {
    portal::build()?;
    let built = run::attached(run::cargo().args(["build", "--release", "--quiet", "--package", "sallyport-server"]))?;
    anyhow::ensure!(built.success(), "sallyport does not build");
    Ok(())
}

/// Sessions through the gateway, as ratios to the direct connection.
fn against_direct(scripts: &Path, yes: bool) -> Result<()> {
    let scripts = scripts.canonicalize().with_context(|| format!("cannot find {}", scripts.display()))?;
    components::ensure(yes)?;
    run::catch_signals()?;
    demo::clean()?;
    build()?;
    let place = Place::make("release")?;
    let mut children = Children::new(demo::record());
    let story = Story::begin(&place, true, &mut children)?;
    let ends = story.ends(children.pid("sallyport")?)?;
    for (script, more) in SCRIPTS {
        run::go_on()?;
        eprintln!("Measuring {script}");
        let results = place.home.join(format!("{script}.json"));
        let mut command = Command::new("python3");
        command.arg(scripts.join(script)).args(more).arg("--json").arg(&results).current_dir(&place.home);
        for end in &ends {
            command.args(["--ep", end]);
        }
        anyhow::ensure!(run::attached(&mut command)?.success(), "{script} failed");
        write(script.trim_end_matches(".py"), &figures(&std::fs::read_to_string(&results)?)?)?;
    }
    children.stop();
    Ok(())
}

/// One JSON value, or one a line.
fn figures(text: &str) -> Result<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let values: Result<Vec<Value>, _> = lines.map(serde_json::from_str).collect();
    Ok(Value::Array(values.context("the measurement printed no JSON")?))
}

/// Writes figures with commit and date under docs/measures.
pub(crate) fn write(name: &str, figures: &Value) -> Result<()> {
    let said = |program: &str, words: &[&str]| -> Result<String> {
        let output = Command::new(program).args(words).current_dir(run::root()).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changed = !said("git", &["status", "--porcelain", "--", "crates"])?.is_empty();
    let result = json!({
        "name": name,
        "commit": if changed { format!("{commit}+changes") } else { commit },
        "date": said("date", &["-u", "+%F"])?,
        "cores": std::thread::available_parallelism()?.get(),
        "figures": figures,
    });
    let directory = run::root().join("docs/measures");
    std::fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{name}.json"));
    std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&result)?))?;
    eprintln!("  docs/measures/{name}.json");
    Ok(())
}
