//! A TCP relay on loopback whose weather changes while connections run: delay, jitter, drip, cut, reset, silence.
//!
//! A direction that is held is what a partition looks like to a peer: its bytes leave, and nothing ever comes back.

use crate::waiting::{nap, now, pause};
use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Chance;

/// How long a read waits before the weather is looked at again.
const LOOK: Duration = Duration::from_millis(50);
/// How long a connection to the far side may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From whoever connected.
    Up,
    /// Towards whoever connected.
    Down,
}

/// What happens to bytes on their way. The default is fair weather.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Each piece waits this long.
    pub delay: Duration,
    /// And by chance up to this much longer.
    pub jitter: Duration,
    /// At most so many bytes a piece, each with its own delay; all that came where absent.
    pub drip: Option<usize>,
    /// Nothing goes up: bytes stay in the sender's and the relay's buffers.
    pub hold_up: bool,
    /// Nothing goes down.
    pub hold_down: bool,
    /// A connection is reset after so many further bytes, counted over both directions.
    pub cut_after: Option<u64>,
    /// New connections are refused by a reset.
    pub refuse: bool,
}

impl Weather {
    /// Silence in both directions: a partition, which no peer is told of.
    #[must_use]
    pub fn partition() -> Self {
        Self { hold_up: true, hold_down: true, ..Self::default() }
    }
}

/// One connection: both sides of it, and whether it was reset.
struct Pair {
    near: TcpStream,
    far: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Pair {
    fn reset(&self) {
        self.reset.store(true, Ordering::SeqCst);
        abort(&self.near);
        abort(&self.far);
    }
}

struct Shared {
    weather: Mutex<Weather>,
    /// Bytes that were carried since the weather changed.
    carried: AtomicU64,
    over: AtomicBool,
    connections: Mutex<HashMap<u64, Pair>>,
    accepted: AtomicU64,
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Pair>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running relay; it ends with this value.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Relay {
    /// Starts one on a free port of the loopback.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(to: SocketAddr) -> Result<Self> {
        Self::on(TcpListener::bind("127.0.0.1:0").context("no port for a relay")?, to)
    }

    /// As `start`, where somebody listens already.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn on(listener: TcpListener, to: SocketAddr) -> Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            weather: Mutex::default(),
            carried: AtomicU64::new(0),
            over: AtomicBool::new(false),
            connections: Mutex::default(),
            accepted: AtomicU64::new(0),
        });
        let its = shared.clone();
        std::thread::Builder::new().name("relay".into()).spawn(move || accept(&listener, to, &its))?;
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather, for connections that run and for those to come.
    pub fn set(&self, weather: Weather) {
        self.shared.carried.store(0, Ordering::SeqCst);
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Resets every connection, as a firewall that forgets them does; how many there were.
    pub fn reset(&self) -> usize {
        let all = std::mem::take(&mut *self.shared.connections());
        all.values().for_each(Pair::reset);
        all.len()
    }

    /// Ends one direction of every connection in good order, and leaves the other open.
    pub fn close(&self, direction: Direction) {
        for pair in self.shared.connections().values() {
            let _ = match direction {
                Direction::Up => pair.far.shutdown(Shutdown::Write),
                Direction::Down => pair.near.shutdown(Shutdown::Write),
            };
        }
    }

    /// Connections that run.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections().len()
    }

    /// Connections that ever came.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.reset();
    }
}

/// Makes the close of the last handle a reset, which discards what waits (socket(7), `SO_LINGER`), and wakes readers.
fn abort(stream: &TcpStream) {
    let _ = setsockopt(stream, sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 });
    let _ = stream.shutdown(Shutdown::Read);
}

fn accept(listener: &TcpListener, to: SocketAddr, shared: &Arc<Shared>) {
    while !shared.over.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((near, _)) => {
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
                if shared.weather().refuse {
                    abort(&near);
                } else {
                    let shared = shared.clone();
                    let _ = std::thread::Builder::new()
                        .name("relayed".into())
                        .spawn(move || carry(number, near, to, &shared));
                }
            }
            Err(_) => pause(),
        }
    }
}

fn carry(number: u64, near: TcpStream, to: SocketAddr, shared: &Arc<Shared>) {
    let _ = near.set_nonblocking(false);
    let Ok(far) = TcpStream::connect_timeout(&to, CONNECT) else { return abort(&near) };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let again = || Ok::<_, std::io::Error>((near.try_clone()?, far.try_clone()?));
    let (Ok((a, b)), Ok((near_again, far_again))) = (again(), again()) else { return };
    let reset = Arc::new(AtomicBool::new(false));
    shared.connections().insert(number, Pair { near: a, far: b, reset: reset.clone() });
    let (its, flag) = (shared.clone(), reset.clone());
    let down = std::thread::Builder::new()
        .name("relayed".into())
        .spawn(move || pump(far_again, near_again, Direction::Down, &its, &flag));
    pump(near, far, Direction::Up, shared, &reset);
    if let Ok(down) = down {
        let _ = down.join();
    }
    shared.connections().remove(&number);
}

/// Carries one direction until its sender closes it, an error, or the end of the relay.
fn pump(mut from: TcpStream, mut to: TcpStream, direction: Direction, shared: &Shared, reset: &AtomicBool) {
    let _ = from.set_read_timeout(Some(LOOK));
    let mut chance = Chance::new(0x5a11_9047);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let held = |weather: Weather| match direction {
            Direction::Up => weather.hold_up,
            Direction::Down => weather.hold_down,
        };
        let mut weather = shared.weather();
        let over = || shared.over.load(Ordering::SeqCst) || reset.load(Ordering::SeqCst);
        while held(weather) {
            if over() {
                return;
            }
            pause();
            weather = shared.weather();
        }
        let length = match from.read(&mut buffer) {
            Ok(0) if over() => return,
            Ok(0) => return drop(to.shutdown(Shutdown::Write)),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if over() {
                    return;
                }
                continue;
            }
            Err(_) => {
                reset.store(true, Ordering::SeqCst);
                return abort(&to);
            }
        };
        // What was read under a weather that has changed meanwhile stands under the new one.
        for piece in buffer.get(..length).unwrap_or_default().chunks(weather.drip.unwrap_or(length).max(1)) {
            while held(shared.weather()) && !over() {
                pause();
            }
            wait(weather, &mut chance, shared);
            let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            let carried = shared.carried.fetch_add(bytes, Ordering::SeqCst).saturating_add(bytes);
            if shared.weather().cut_after.is_some_and(|most| carried > most) || to.write_all(piece).is_err() {
                reset.store(true, Ordering::SeqCst);
                abort(&to);
                return abort(&from);
            }
        }
    }
}

fn wait(weather: Weather, chance: &mut Chance, shared: &Shared) {
    let jitter = u64::try_from(weather.jitter.as_micros()).unwrap_or(0);
    let until = now() + weather.delay + Duration::from_micros(chance.between(0, jitter));
    while now() < until && !shared.over.load(Ordering::SeqCst) {
        if until.saturating_duration_since(now()) < Duration::from_millis(1) {
            std::thread::yield_now();
        } else {
            nap(Duration::from_millis(1));
        }
    }
}
