//! The cases. Each starts its own gateway, so that none leans on another.

use super::bench::{Bench, FORBIDDEN, PANIC, Transport, until, with};
use super::desk::{DENIED_ACCOUNT, Reference};
use super::house::House;
use super::{Failure, Fixture, Oracle, PASSWORD, logs};
use crate::observe::tail::Tail;
use sallyport_model::access::EndReason;
use sallyport_recording::{Event, What};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);
/// The account that every fixture's target accepts.
pub(super) const ACCOUNT: &str = "ops";

/// One case of the suite.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Case {
    /// A denied actor sees no target byte.
    Denied,
    /// No recorder, no session.
    Recorder,
    /// Ledger down, no session.
    Ledger,
    /// A kill ends bytes within one second.
    Kill,
    /// The lease returns after panic, dial failure and vanished client.
    Lease,
    /// A blocked command never reaches the target.
    Block,
    /// The injected credential is in no recording, log, entry or error.
    Credential,
    /// Both directions busy never stall.
    Busy,
}

impl Case {
    /// Every case.
    pub const ALL: [Self; 8] = [
        Self::Denied,
        Self::Recorder,
        Self::Ledger,
        Self::Kill,
        Self::Lease,
        Self::Block,
        Self::Credential,
        Self::Busy,
    ];

    /// Runs it for a protocol over a transport.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn run<F: Fixture>(self, fixture: &F, transport: Transport) -> Result<(), Failure> {
        let (bench, oracle, target) = with(fixture, transport).await?;
        self.play(Stage { fixture, bench, oracle, target }).await
    }

    async fn play<F: Fixture, H: House>(self, at: Stage<'_, F, H>) -> Result<(), Failure> {
        match self {
            Self::Denied => at.denied().await,
            Self::Recorder => at.recorder().await,
            Self::Ledger => at.ledger().await,
            Self::Kill => at.kill().await,
            Self::Lease => at.lease().await,
            Self::Block => at.block().await,
            Self::Credential => at.credential().await,
            Self::Busy => at.busy().await,
        }
    }
}

/// Runs a case over control of another make, in the directory where it is.
///
/// # Errors
/// What went wrong, in words.
pub async fn check<F: Fixture, H: House>(
    case: Case,
    fixture: &F,
    directory: tempfile::TempDir,
    house: Arc<H>,
) -> Result<(), Failure> {
    let bench = Bench::over(fixture.protocol(), Transport::Unix, directory, house, Tail::create(64)?).await?;
    let (oracle, target) = fixture.target().await?;
    let target = bench.know(target).await?;
    case.play(Stage { fixture, bench, oracle, target }).await
}

struct Stage<'a, F: Fixture, H = Reference> {
    fixture: &'a F,
    bench: Bench<H>,
    oracle: F::Target,
    target: sallyport_model::TargetName,
}

impl<F: Fixture, H: House> Stage<'_, F, H> {
    async fn talk(&self, account: &str, command: &str) -> Result<String, Failure> {
        let entrance = self.bench.entrance();
        let talk = self.fixture.talk(&entrance, account, &self.target, command);
        tokio::time::timeout(SOON, talk).await.map_err(|_| "the client hangs")?
    }

    fn nothing_reached(&self, shown: &str) -> Result<(), Failure> {
        ensure(self.oracle.connections() == 0, || "the target was reached".into())?;
        ensure(!shown.is_empty(), || "the client was told nothing".into())
    }

    async fn denied(self) -> Result<(), Failure> {
        let shown = self.talk(DENIED_ACCOUNT, "hello-1").await?;
        self.nothing_reached(&shown)?;
        let opened = self.bench.desk.entries().await?.iter().any(|entry| entry.action == "session.opened");
        ensure(!opened, || "a session was opened".into())?;
        self.bench.stop().await
    }

    async fn recorder(self) -> Result<(), Failure> {
        self.bench.gateway.recorder().break_down();
        let shown = self.talk(ACCOUNT, "hello-2").await?;
        self.nothing_reached(&shown)
    }

    async fn ledger(self) -> Result<(), Failure> {
        self.bench.desk.fail_ledger().await?;
        let shown = self.talk(ACCOUNT, "hello-3").await?;
        self.nothing_reached(&shown)
    }

    async fn kill(self) -> Result<(), Failure> {
        let flood = self.fixture.flood(&self.bench.entrance(), &self.target).await?;
        until(SOON, || flood.bytes() > 100_000).await?;
        self.bench.desk.kill().await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let then = flood.bytes();
        tokio::time::sleep(Duration::from_millis(300)).await;
        ensure(flood.bytes() == then, || "bytes flow a second after the kill".into())?;
        self.bench.returned(SOON).await?;
        let closed = self.bench.desk.closed().await?;
        ensure(closed == [(EndReason::Kill, true)], || format!("closed otherwise: {closed:?}"))?;
        flood.vanish();
        self.bench.stop().await
    }

    async fn lease(self) -> Result<(), Failure> {
        drop(self.talk(ACCOUNT, PANIC).await?);
        self.closed(EndReason::Panic).await?;
        let flood = self.fixture.flood(&self.bench.entrance(), &self.target).await?;
        until(SOON, || flood.bytes() > 1000).await?;
        flood.vanish();
        self.closed(EndReason::ClientClose).await?;
        let closed_port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (_, mut elsewhere) = self.fixture.target().await?;
        elsewhere.port = closed_port;
        let gone = self.bench.know(elsewhere).await?;
        let shown = self.fixture.talk(&self.bench.entrance(), ACCOUNT, &gone, "hello-4").await?;
        ensure(!shown.is_empty(), || "the client was not told that the target is gone".into())?;
        self.closed(EndReason::DialFail).await?;
        self.bench.stop().await
    }

    async fn closed(&self, reason: EndReason) -> Result<(), Failure> {
        let seen = async {
            while !self.bench.desk.closed().await?.iter().any(|(by, _)| *by == reason) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, Failure>(())
        };
        if let Ok(seen) = tokio::time::timeout(SOON, seen).await {
            seen?;
            return self.bench.returned(SOON).await;
        }
        Err(Failure(format!("no session was closed by {reason}: {:?}", self.bench.desk.entries().await?)))
    }

    async fn block(self) -> Result<(), Failure> {
        let shown = self.talk(ACCOUNT, "hello-5").await?;
        ensure(shown.contains("hello-5"), || format!("an allowed command was not answered: {shown}"))?;
        ensure(self.oracle.heard("hello-5"), || "the oracle hears nothing".into())?;
        let shown = self.talk(ACCOUNT, FORBIDDEN).await?;
        ensure(!self.oracle.heard(FORBIDDEN), || "the target heard a blocked command".into())?;
        ensure(shown.contains("not allowed"), || format!("the client was not told: {shown}"))?;
        self.closed(EndReason::Block).await?;
        self.bench.stop().await
    }

    async fn credential(self) -> Result<(), Failure> {
        logs::keep();
        let mut shown = self.talk(ACCOUNT, "hello-6").await?;
        ensure(shown.contains("hello-6"), || format!("the session did not work: {shown}"))?;
        shown.push_str(&self.talk(DENIED_ACCOUNT, "hello-7").await?);
        self.bench.returned(SOON).await?;
        ensure(!shown.contains(PASSWORD), || "the client was shown the credential".into())?;
        for entry in self.bench.desk.entries().await? {
            ensure(!entry.text.contains(PASSWORD), || format!("the credential is in {}", entry.action))?;
        }
        let events = self.bench.events().await?;
        ensure(!events.is_empty(), || "nothing was recorded".into())?;
        let text = recorded(&events);
        ensure(text.contains("hello-6"), || "the session was not recorded".into())?;
        ensure(!text.contains(PASSWORD), || "the credential is in the recording".into())?;
        ensure(!logs::hold(PASSWORD), || "the credential is in the log".into())?;
        let found = until_still(|| holding(self.bench.directory.path(), PASSWORD.as_bytes()))?;
        ensure(found.is_none(), || format!("the credential is in {found:?}"))?;
        self.bench.stop().await
    }

    async fn busy(self) -> Result<(), Failure> {
        let entrance = self.bench.entrance();
        let busy = self.fixture.busy(&entrance, &self.target, 4 << 20);
        tokio::time::timeout(Duration::from_secs(30), busy).await.map_err(|_| "both directions stall")??;
        self.bench.returned(SOON).await?;
        ensure(!self.bench.events().await?.is_empty(), || "nothing was recorded".into())?;
        self.bench.stop().await
    }
}

/// Everything in a recording, as one text.
fn recorded(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        match &event.what {
            What::Output(bytes) | What::Stderr(bytes) | What::Input(bytes) | What::Content { bytes, .. } => {
                text.push_str(&String::from_utf8_lossy(bytes));
            }
            What::Open { detail, .. } => text.push_str(detail),
            What::Mark { text: mark, .. } => text.push_str(mark),
            What::Kept(file) => text.push_str(&file.path),
            What::Hidden(_) | What::Resize { .. } | What::Close { .. } | What::Signal(_) => {}
        }
    }
    text
}

/// The first file below that holds these bytes.
fn holding(directory: &Path, bytes: &[u8]) -> io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(directory)? {
        let (kind, path) = entry.and_then(|entry| Ok((entry.file_type()?, entry.path())))?;
        let found = match kind {
            kind if kind.is_dir() => holding(&path, bytes)?,
            kind if kind.is_file() => {
                std::fs::read(&path)?.windows(bytes.len()).any(|part| part == bytes).then_some(path)
            }
            _ => None,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Looks again where a file went while it was looked for, as those of a running gateway do.
fn until_still<T>(mut look: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..100 {
        match look() {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            seen => return seen,
        }
    }
    look()
}

fn ensure(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(Failure(otherwise())) }
}
