//! Control, as the suite arranges it and reads it: the reference desk, or the control plane over a real store.

use super::Failure;
use super::desk::{Reference, Target};
use sallyport_model::TargetName;
use sallyport_model::access::EndReason;
use sallyport_model::authority::{Boxed, Desk};
use sallyport_recording::{Event, Header, container, replay};
use std::path::Path;
use std::sync::Arc;

/// What an arrangement or a reading comes to.
pub type Done<'a, T> = Boxed<'a, Result<T, Failure>>;

/// An entry of the ledger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Written {
    /// What happened, such as `session.opened`.
    pub action: String,
    /// Everything else that it says.
    pub text: String,
}

/// Control under the suite.
pub trait House: Send + Sync + 'static {
    /// What the gateway speaks to.
    fn desk(self: Arc<Self>) -> Arc<dyn Desk>;

    /// The token of the suite's person, `ada`.
    fn token(&self) -> String;

    /// Makes a target known, whose accounts `ada` may use, except [`super::desk::DENIED_ACCOUNT`].
    fn know<'a>(&'a self, name: &'a TargetName, target: Target) -> Done<'a, ()>;

    /// Makes the ledger take no entry from now on.
    fn fail_ledger(&self) -> Done<'_, ()>;

    /// Orders every open session killed.
    fn kill(&self) -> Done<'_, ()>;

    /// How many sessions have their lease out.
    fn leased(&self) -> usize;

    /// Every entry so far.
    fn entries(&self) -> Done<'_, Vec<Written>>;

    /// How each closed session ended, and whether its recording is complete.
    fn closed(&self) -> Done<'_, Vec<(EndReason, bool)>>;

    /// What one finished recording holds; of one without an end, what was before the cut.
    fn play<'a>(&'a self, file: &'a Path) -> Done<'a, Vec<Event>>;
}

fn ready<'a, T: Send + 'a>(done: Result<T, Failure>) -> Done<'a, T> {
    Box::pin(std::future::ready(done))
}

impl House for Reference {
    fn desk(self: Arc<Self>) -> Arc<dyn Desk> {
        self
    }

    fn token(&self) -> String {
        super::bench::TOKEN.into()
    }

    fn know<'a>(&'a self, name: &'a TargetName, target: Target) -> Done<'a, ()> {
        self.target(name, target);
        ready(Ok(()))
    }

    fn fail_ledger(&self) -> Done<'_, ()> {
        self.ledger_down(true);
        ready(Ok(()))
    }

    fn kill(&self) -> Done<'_, ()> {
        self.kill_all();
        ready(Ok(()))
    }

    fn leased(&self) -> usize {
        Self::leased(self).len()
    }

    fn entries(&self) -> Done<'_, Vec<Written>> {
        let all = Self::entries(self).into_iter();
        ready(Ok(all.map(|entry| Written { action: entry.action.into(), text: entry.text }).collect()))
    }

    fn closed(&self) -> Done<'_, Vec<(EndReason, bool)>> {
        ready(Ok(self.closes().into_iter().map(|close| (close.reason, close.complete)).collect()))
    }

    fn play<'a>(&'a self, file: &'a Path) -> Done<'a, Vec<Event>> {
        ready(std::fs::read(file).map_err(Failure::from).and_then(|bytes| open(&bytes, self)))
    }
}

/// The events of one recording's file.
///
/// # Errors
/// When it does not read. One without an end gives the events before the cut.
pub fn open(bytes: &[u8], desk: &Reference) -> Result<Vec<Event>, Failure> {
    let header: Header = container::parse(bytes)?.header;
    let key = header.open(desk.recording_key())?;
    Ok(replay(bytes, &key)?.map_while(Result::ok).collect())
}
