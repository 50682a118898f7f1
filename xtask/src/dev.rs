//! `dev`: the product on the demo's sample data, rebuilt and restarted at the press of Enter.

use crate::demo::{self, Children, Place, Story};
use crate::{components, run};
use anyhow::Result;
use std::io::BufRead as _;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// `dev`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
}

/// Sets the demo up without its story and stays; Enter builds and starts it anew.
pub(crate) fn dev(args: &Args) -> Result<()> {
    components::ensure(args.yes)?;
    run::catch_signals()?;
    let enter = lines();
    while !run::stopped() {
        if let Err(error) = demo::build().and_then(|()| once(&enter)) {
            if run::stopped() {
                break;
            }
            eprintln!("{error:#}\nEnter tries again, Ctrl-C stops.");
            pause(&enter, || Ok(()))?;
        }
    }
    Ok(())
}

fn once(enter: &Receiver<()>) -> Result<()> {
    demo::clean()?;
    let place = Place::make("debug")?;
    let mut children = Children::new(demo::record());
    let story = Story::begin(&place, true, &mut children)?;
    eprintln!("\n{}\n\nEnter builds and starts anew, Ctrl-C stops.", story.invitation());
    let outcome = pause(enter, || children.alive());
    children.stop();
    outcome
}

/// Waits for Enter or Ctrl-C.
fn pause(enter: &Receiver<()>, mut alive: impl FnMut() -> Result<()>) -> Result<()> {
    while !run::stopped() {
        alive()?;
        if enter.recv_timeout(Duration::from_millis(200)).is_ok() {
            return Ok(());
        }
    }
    Ok(())
}

/// A message for each line that is typed.
fn lines() -> Receiver<()> {
    let (told, listen) = channel();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines() {
            if told.send(()).is_err() {
                break;
            }
        }
        // A closed input is no Enter: keep the sender, so that nothing is heard.
        std::mem::forget(told);
    });
    listen
}
