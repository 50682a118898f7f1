//! Replaying recordings, and saving them.

mod decoder;
mod files;
mod keys;
mod marks;
mod screen;
mod tape;

pub(crate) use decoder::Decoder;
pub(crate) use files::files;
pub(crate) use screen::Screen;
pub(crate) use tape::session_id;

use crate::Fail;
use crate::client::Client;
use crate::command::{Export, Play};
use crate::output::{self, Output, harmless, remark};
use keys::{Key, Viewer};
use reqwest::Method;
use sallyport_recording::{cast, transcript, way};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;
use tape::Tape;

/// How much faster or slower a key makes it.
const STEP: f64 = 1.5;
/// Slowest and fastest.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=1000.0;

/// Plays a session from the server, or offline from a bundle where the argument is a file.
pub(crate) async fn play(args: Play, client: impl Fn() -> Result<Client, Fail>, out: Output) -> Result<(), Fail> {
    let pace = Pace::new(&args)?;
    let path = Path::new(&args.session);
    if args.session.ends_with(".spb") && !path.is_file() {
        return Err(Fail::usage(format!("there is no file `{}`", args.session)));
    }
    let tape = if path.is_file() { Tape::open(path)? } else { Tape::fetch(&client()?, &args.session).await? };
    if args.index {
        tape.remark_ending();
        return out.show(&marks::index(&tape.events), |marks| marks::text(marks));
    }
    let mut screen = Screen::default();
    let played = if output::is_terminal() { show(&tape, pace, &mut screen).await } else { dump(&tape, &mut screen) };
    output::write(&screen.restore())?;
    played?;
    tape.remark_ending();
    Ok(())
}

/// All of the output, without waiting.
fn dump(tape: &Tape, screen: &mut Screen) -> Result<(), Fail> {
    tape.events.iter().try_for_each(|event| output::write(&screen.show(&event.as_ref())))
}

/// The output in its own time, with the keyboard at hand.
async fn show(tape: &Tape, mut pace: Pace, screen: &mut Screen) -> Result<(), Fail> {
    let facts = &tape.facts;
    let place = harmless(&way::place(facts, &tape.events));
    remark(&format!("{} on {place}, {}.", facts.handle, facts.started));
    let mut viewer = Viewer::open()?;
    if viewer.has_keys() {
        remark("Space pauses, + and - change the speed, . goes to the next mark, q quits.");
    }
    for event in &tape.events {
        if let Some(pause) = pace.pause(event.at, marks::is_mark(&event.what))
            && wait(pause, &mut pace, &mut viewer).await.is_break()
        {
            return Ok(());
        }
        output::write(&screen.show(&event.as_ref()))?;
    }
    Ok(())
}

/// Waits, in recorded time, while keys change the pace. Quitting breaks.
async fn wait(mut left: Duration, pace: &mut Pace, viewer: &mut Viewer) -> ControlFlow<()> {
    loop {
        let real = if pace.paused { Duration::MAX } else { scaled(left, 1.0 / pace.speed) };
        let begun = tokio::time::Instant::now();
        let key = tokio::select! {
            biased;
            key = viewer.next() => key,
            () = tokio::time::sleep(real) => return ControlFlow::Continue(()),
        };
        if !pace.paused {
            left = left.saturating_sub(scaled(begun.elapsed(), pace.speed));
        }
        match key {
            Key::Quit => return ControlFlow::Break(()),
            Key::Step => {
                pace.skipping = true;
                return ControlFlow::Continue(());
            }
            Key::Pause => pace.paused = !pace.paused,
            Key::Faster => pace.speed = (pace.speed * STEP).min(*SPEEDS.end()),
            Key::Slower => pace.speed = (pace.speed / STEP).max(*SPEEDS.start()),
        }
    }
}

fn scaled(time: Duration, by: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * by).unwrap_or(Duration::MAX)
}

/// How fast a recording is played.
#[derive(Debug, PartialEq)]
struct Pace {
    speed: f64,
    /// Longest pause.
    idle: Duration,
    /// What is before is shown at once, so that the screen is right.
    from: Duration,
    paused: bool,
    /// On the way to the next mark.
    skipping: bool,
    /// Where the recording has come to.
    at: Duration,
}

impl Pace {
    fn new(args: &Play) -> Result<Self, Fail> {
        if !SPEEDS.contains(&args.speed) {
            return Err(Fail::usage(format!("give a --speed between {} and {}", SPEEDS.start(), SPEEDS.end())));
        }
        let seconds = |name: &str, value: f64| {
            Duration::try_from_secs_f64(value).map_err(|_| Fail::usage(format!("give {name} as seconds, 0 or more")))
        };
        let (idle, from) = (seconds("--idle", args.idle)?, seconds("--from", args.from)?);
        Ok(Self { speed: args.speed, idle, from, paused: false, skipping: false, at: Duration::ZERO })
    }

    /// How long to wait for an event at this time (microseconds), in recorded time; none on the way to somewhere.
    fn pause(&mut self, at: u64, mark: bool) -> Option<Duration> {
        let (before, at) = (self.at, Duration::from_micros(at));
        self.at = before.max(at);
        if std::mem::take(&mut self.skipping) {
            self.skipping = !mark;
            return None;
        }
        let pause = at.saturating_sub(before.max(self.from)).min(self.idle);
        (at >= self.from).then_some(pause)
    }
}

/// Saves a bundle, an asciicast or text. All are ledgered as releases, so the place is looked at first.
pub(crate) async fn export(args: Export, client: &Client, out: Output) -> Result<(), Fail> {
    let session = session_id(&args.session)?;
    let path = &args.file;
    if path.symlink_metadata().is_ok() {
        return Err(Fail::usage(format!("`{}` is there already: name another file", path.display())));
    }
    let told = match path.extension().and_then(|e| e.to_str()) {
        Some("spb") => {
            let route = format!("/sessions/{session}/bundle");
            let response = client.send(Method::GET, &route, &[], None::<&()>).await?;
            save(path, &response.bytes().await.map_err(Fail::failed)?)?;
            format!("Saved {0}. Anybody can check it: `sallyport verify {0} --trust KEY`.", path.display())
        }
        Some("cast") => {
            let tape = Tape::fetch(client, &args.session).await?;
            tape.remark_ending();
            let text = cast::export(&tape.facts, tape.events.into_iter().map(Ok), None).map_err(Fail::failed)?;
            save(path, text.as_bytes())?;
            format!("Saved {}. It holds the raw output of the target, and it proves nothing.", path.display())
        }
        Some("txt") => {
            let tape = Tape::fetch(client, &args.session).await?;
            tape.remark_ending();
            save(path, transcript::export(&tape.facts, &tape.events).as_bytes())?;
            format!("Saved {}: what was shown, typed and done, line by line. It proves nothing.", path.display())
        }
        _ => {
            let text = "name the file *.spb for an evidence bundle, *.cast for an asciicast, or *.txt for plain text";
            return Err(Fail::usage(text));
        }
    };
    out.show(&path.display().to_string(), |_| told)
}

/// Writes a file that only its owner reads, and none over another.
fn save(path: &Path, bytes: &[u8]) -> Result<(), Fail> {
    let cannot = |e: std::io::Error| Fail::failed(format!("cannot write `{}`: {e}", path.display()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| {
        // A part of an export is none.
        let _ = std::fs::remove_file(path);
        cannot(e)
    })
}

#[cfg(test)]
mod tests;
