//! `demo`: the product's story, played with the real program, a real sshd and the stock ssh client.

mod children;
mod database;
mod person;
mod place;
mod story;
mod target;

pub(crate) use children::Children;
pub(crate) use place::Place;
pub(crate) use story::Story;

use crate::{components, portal, run};
use anyhow::{Context as _, Result};
use std::time::Duration;

/// `demo`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Play the story and stop
    #[arg(long)]
    once: bool,
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
    /// Use the built-in demo target also where there is an OpenSSH server
    #[arg(long)]
    built_in_target: bool,
    /// Keep the installation's store on a PostgreSQL server, which the demo runs too
    #[arg(long)]
    postgres: bool,
    /// Stop and remove what an earlier demo made
    #[arg(long)]
    clean: bool,
    /// Form of the output: `json` prints one object on standard output
    #[arg(long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

/// Form of the output.
#[derive(Clone, Copy, Eq, PartialEq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Plays the story.
pub(crate) fn demo(args: &Args) -> Result<()> {
    if args.clean {
        clean()?;
        return target::remove_account().inspect(|()| eprintln!("The demo is gone."));
    }
    if args.postgres {
        components::ensure_for_tests(args.yes)?;
    }
    let real = !args.built_in_target && components::ensure_for_demo(args.yes)?;
    run::catch_signals()?;
    clean()?;
    build()?;
    let place = Place::make("debug")?;
    let mut children = Children::new(record());
    let outcome = play(args, &place, real, &mut children);
    if outcome.is_err() && !run::stopped() {
        children::show_logs(&place.home);
    }
    children.stop();
    outcome
}

fn play(args: &Args, place: &Place, real: bool, children: &mut Children) -> Result<()> {
    if args.postgres {
        database::start(place, children)?;
    }
    let mut story = Story::begin(place, real, children)?;
    let shown = story.tell()?;
    if args.output == Form::Json {
        println!("{}", serde_json::to_string_pretty(&shown)?);
    }
    if args.once {
        eprintln!("\nThe evidence stays in .demo; `cargo xtask demo --clean` removes it.");
        return Ok(());
    }
    stay(place, &story.invitation(), children)
}

/// Stays up until Ctrl-C.
pub(crate) fn stay(place: &Place, invitation: &str, children: &mut Children) -> Result<()> {
    eprintln!("\n{invitation}\n\nCtrl-C stops everything.");
    while !run::stopped() {
        children.alive().inspect_err(|_| children::show_logs(&place.home))?;
        std::thread::sleep(Duration::from_millis(200));
    }
    eprintln!("\nStopping.");
    Ok(())
}

/// Where running processes are recorded: beside `.demo`'s content, which `clean` removes.
pub(crate) fn record() -> std::path::PathBuf {
    place::home().join("processes")
}

/// Stops and removes what an earlier run left.
pub(crate) fn clean() -> Result<()> {
    let home = place::home();
    children::clean(&record())?;
    match std::fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(format!("cannot remove {}", home.display()))
        }
        _ => Ok(()),
    }
}

/// Builds the portal and the program.
pub(crate) fn build() -> Result<()> {
    // A demo without a portal is better than none: the program says what is missing.
    if let Err(error) = portal::build() {
        eprintln!("The portal cannot be built, the demo goes on without it: {error:#}");
    }
    eprintln!("Building sallyport (the first time takes some minutes)");
    let status = run::attached(run::cargo().args(["build", "--quiet", "--package", "sallyport-server"]))?;
    anyhow::ensure!(status.success(), "sallyport does not build");
    Ok(())
}
