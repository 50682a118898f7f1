//! The door: sessions for people whom control has signed in, and who have no client of their own.

mod errand;
mod seat;
mod visitor;

pub use errand::{Errand, Left, Piece};
pub(in crate::spine) use seat::{Followed, Seat};
pub use seat::{Keys, Said, Screen, Terminal};

use super::company::Knocking;
use super::gateway::Gateway;
use super::live::Typed;
use super::proof::{Authenticated, Clearance};
use super::protocol::{Arrival, DialError, Protocol, Wish};
use super::{drive, open, traced};
use crate::dial::Dialer;
use crate::observe::live::{Onlooker, Picture};
use crate::transport::{self, Accept, Wire, frame};
use sallyport_model::access::{Ask, Denial};
use sallyport_model::authority::{Authenticated as Who, Boxed};
use sallyport_model::door::{Closed, Inward, Knock, Outward, Probe, Probed, Screened, Size, VERSION};
use sallyport_model::errand as wanted;
use sallyport_model::{GatewayId, IdentityId, Kind, SessionId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// How long a terminal's session lives on without a stream.
pub const LINGER: Duration = Duration::from_secs(60);
/// How often pictures of screens are sent.
const SCREENS: Duration = Duration::from_secs(1);
/// How long control may take to say what it wants.
const KNOCK: Duration = Duration::from_secs(10);
/// Connections at the door at once.
const CONNECTIONS: usize = 4096;

/// An open session, as others find it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) identity: IdentityId,
    pub(super) protocol: &'static str,
    pub(super) attach: mpsc::Sender<super::drive::Boxed>,
    /// Where it is held through the door.
    pub(super) seat: Option<Arc<Seat>>,
    /// The way to look at it.
    pub(super) onlooker: Option<Onlooker>,
    /// For who comes and goes beside its user.
    pub(super) knock: mpsc::UnboundedSender<Knocking>,
    /// For what they type.
    pub(super) typed: mpsc::Sender<Typed>,
}

/// The open sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<SessionId, Entry>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, session: SessionId, entry: Entry) {
        self.lock().insert(session, entry);
    }

    pub(super) fn remove(&self, session: SessionId) {
        self.lock().remove(&session);
    }

    pub(super) fn get(&self, session: SessionId) -> Option<Entry> {
        self.lock().get(&session).cloned()
    }

    /// Those that can be looked at.
    fn onlookers(&self) -> Vec<(SessionId, Onlooker)> {
        self.lock().iter().filter_map(|(id, entry)| Some((*id, entry.onlooker.clone()?))).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

/// A protocol whose sessions a terminal at the door can hold.
pub trait Seated: Protocol {
    /// The terminal as a client that has logged in and asked for a shell.
    fn seat(&self, terminal: Terminal) -> Self::Client;

    /// Looks what a place shows of itself, before anything is known of it. No credential of it is involved.
    fn probe(&self, from: Vantage<'_>, host: &str, port: u16)
    -> impl Future<Output = Result<Probed, DialError>> + Send;
}

/// From where a place is looked at.
#[derive(Clone, Copy)]
pub enum Vantage<'a> {
    /// From here.
    Here(&'a Dialer),
    /// From this session's target, which is to be the jump host.
    Behind(&'a Clearance),
}

/// What the door does with one protocol.
trait Service: Send + Sync {
    fn open(
        self: Arc<Self>,
        gateway: Arc<Gateway>,
        who: Who,
        ask: Ask,
        seat: (Arc<Seat>, Terminal),
    ) -> Boxed<'static, ()>;
    fn probe<'a>(&'a self, dialer: &'a Dialer, probe: &'a Probe) -> Boxed<'a, Result<Probed, DialError>>;
    fn look(self: Arc<Self>, gateway: Arc<Gateway>, who: Who, ask: Ask, probe: Probe) -> Looking;
    fn check(self: Arc<Self>, gateway: Arc<Gateway>, who: Who, ask: Ask) -> Boxed<'static, Result<(), Denial>>;
}

type Looking = Boxed<'static, Result<Probed, Denial>>;

struct Served<P>(Arc<P>);

impl<P: Seated> Service for Served<P> {
    fn open(
        self: Arc<Self>,
        gateway: Arc<Gateway>,
        who: Who,
        ask: Ask,
        (seat, terminal): (Arc<Seat>, Terminal),
    ) -> Boxed<'static, ()> {
        Box::pin(async move {
            let (client, who) = (self.0.seat(terminal), Authenticated::new(who));
            let arrival = Arrival { client, who, wish: Wish::Open(ask) };
            gateway.admit(self.0.clone(), arrival, Some(seat)).instrument(traced::session(P::NAME)).await;
        })
    }

    fn probe<'a>(&'a self, dialer: &'a Dialer, probe: &'a Probe) -> Boxed<'a, Result<Probed, DialError>> {
        Box::pin(self.0.probe(Vantage::Here(dialer), &probe.host, probe.port))
    }

    fn look(self: Arc<Self>, gateway: Arc<Gateway>, who: Who, ask: Ask, probe: Probe) -> Looking {
        Box::pin(async move {
            let open = Box::pin(open::open(&gateway, &Authenticated::new(who), &ask)).await?;
            let note = format!("looked what {}:{} shows there", probe.host, probe.port);
            let go = open.clearance.clone();
            let look = async move { self.0.probe(Vantage::Behind(&go), &probe.host, probe.port).await };
            drive::brief(&gateway, open, &note, look).await.map_err(Denial::from)
        })
    }

    fn check(self: Arc<Self>, gateway: Arc<Gateway>, who: Who, ask: Ask) -> Boxed<'static, Result<(), Denial>> {
        Box::pin(async move {
            let open = Box::pin(open::open(&gateway, &Authenticated::new(who), &ask)).await?;
            drive::check(&gateway, &*self.0, open).await.map_err(Denial::from)
        })
    }
}

/// The gateway's door, with the protocols that it opens sessions of.
pub struct Doors {
    gateway: Arc<Gateway>,
    id: GatewayId,
    services: HashMap<&'static str, Arc<dyn Service>>,
    linger: Duration,
}

impl Doors {
    /// The door of the gateway with this id; it opens nothing yet.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, id: GatewayId) -> Self {
        Self { gateway, id, services: HashMap::new(), linger: LINGER }
    }

    /// With one more protocol.
    #[must_use]
    pub fn with<P: Seated>(mut self, protocol: Arc<P>) -> Self {
        self.services.insert(P::NAME, Arc::new(Served(protocol)));
        self
    }

    /// With another time that sessions live on without a stream.
    #[must_use]
    pub fn lingering(self, linger: Duration) -> Self {
        Self { linger, ..self }
    }

    /// Answers whoever knocks, until the listener fails or the gateway stops.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self: Arc<Self>, listener: &dyn Accept) -> Result<(), transport::Error> {
        let stop = self.gateway.stopping();
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            if connections.len() >= CONNECTIONS {
                let _ = connections.join_next().await;
            }
            let wire = tokio::select! {
                wire = listener.accept() => wire?,
                () = stop.cancelled() => break,
            };
            let doors = self.clone();
            connections.spawn(async move {
                if let Err(error) = doors.answer(wire).await {
                    tracing::warn!(%error, "a knock at the door was not answered");
                }
            });
        }
        // Their sessions are being closed, and they are told how.
        while connections.join_next().await.is_some() {}
        Ok(())
    }

    async fn answer(&self, wire: Wire) -> Result<(), frame::Error> {
        let (mut from, mut to) = tokio::io::split(wire);
        frame::write(&mut to, &Outward::Greeting(VERSION, self.id)).await?;
        let first = tokio::time::timeout(KNOCK, frame::read::<Inward, _>(&mut from)).await;
        let knock = match first.map_err(|_| frame::Error::Unexpected("nobody said what they want"))?? {
            // Somebody looked whether anybody is at home.
            None => return Ok(()),
            Some(Inward::Knock(knock)) => *knock,
            Some(_) => return Err(frame::Error::Unexpected("control says first what it wants")),
        };
        match knock {
            Knock::Open(who, ask, size) => self.open(who, ask, size, (from, to)).await,
            Knock::Join(who, session, size) => self.join(&who, session, size, (from, to)).await,
            Knock::Errand(who, session, wanted) => self.errand(&who, session, wanted, (from, to)).await,
            Knock::Probe(probe, through) => {
                let probed = match (self.service(&probe.protocol), through) {
                    (Ok(service), None) => {
                        service.probe(&self.gateway.parts.dialer, &probe).await.map_err(Denial::from)
                    }
                    // In a task of its own, as a check.
                    (Ok(service), Some((who, ask))) => {
                        let looking = service.look(self.gateway.clone(), who, ask, probe);
                        let died = |_| Err(Denial::new(Kind::Failed, "the look came to no end; try again"));
                        self.gateway.running.spawn(looking).await.unwrap_or_else(died)
                    }
                    (Err(why), _) => Err(why),
                };
                answer(&mut to, probed.map(|probed| Outward::Probed(Box::new(probed)))).await
            }
            Knock::Accompany(guest, session) => {
                let entry = self.gateway.sessions.get(session).filter(|entry| entry.identity != guest.identity);
                match entry {
                    Some(entry) => visitor::attend(&entry, guest, (from, to)).await,
                    None => refuse(&mut to, &Denial::new(Kind::NotFound, "no such session of somebody else's")).await,
                }
            }
            Knock::Screens => self.screens(&mut from, &mut to).await,
            Knock::Check(who, ask) => {
                let checked = match self.service(&ask.protocol) {
                    // In a task of its own: what was begun ends in good order, whoever waits for it.
                    Ok(service) => self.gateway.running.spawn(service.check(self.gateway.clone(), who, ask)).await,
                    Err(why) => Ok(Err(why)),
                };
                let died = |_| Err(Denial::new(Kind::Failed, "the check came to no end; try again"));
                answer(&mut to, checked.unwrap_or_else(died).map(|()| Outward::Checked)).await
            }
        }
    }

    /// Shows the terminals of all sessions as text, those that have changed once a second, until nobody listens.
    async fn screens(&self, from: &mut ReadHalf<Wire>, to: &mut WriteHalf<Wire>) -> Result<(), frame::Error> {
        let mut known: HashMap<SessionId, u64> = HashMap::new();
        let mut due = tokio::time::interval(SCREENS);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = self.gateway.stopping();
        loop {
            tokio::select! {
                _ = due.tick() => {}
                _ = frame::read::<Inward, _>(from) => return Ok(()),
                () = stop.cancelled() => return Ok(()),
            }
            let live = self.gateway.sessions.onlookers();
            known.retain(|session, _| live.iter().any(|(id, _)| id == session));
            for (session, onlooker) in live {
                let written = onlooker.written();
                if known.insert(session, written) == Some(written) {
                    continue;
                }
                if let Some(Picture { size, lines }) = onlooker.picture().await {
                    frame::write(to, &Outward::Screen(Box::new(Screened { session, size, lines }))).await?;
                }
            }
        }
    }

    fn service(&self, protocol: &str) -> Result<Arc<dyn Service>, Denial> {
        self.services.get(protocol).cloned().ok_or_else(|| {
            let text = format!("this gateway does that for no `{protocol}` yet; use a client of your own");
            Denial::new(Kind::Usage, text)
        })
    }

    async fn open(
        &self,
        who: Who,
        ask: Ask,
        size: Size,
        (from, mut to): (ReadHalf<Wire>, WriteHalf<Wire>),
    ) -> Result<(), frame::Error> {
        let service = match self.service(&ask.protocol) {
            Ok(service) => service,
            Err(why) => return refuse(&mut to, &why).await,
        };
        let (seat, terminal) = Seat::new(size, self.linger);
        // In a task of its own: a session that is being opened is opened, whoever leaves meanwhile.
        let opening = service.open(self.gateway.clone(), who, ask, (seat.clone(), terminal));
        self.gateway.running.spawn(opening);
        seat.attend((from, to)).await;
        Ok(())
    }

    async fn join(
        &self,
        who: &Who,
        session: SessionId,
        size: Size,
        (from, mut to): (ReadHalf<Wire>, WriteHalf<Wire>),
    ) -> Result<(), frame::Error> {
        let Some(seat) = self.own_seat(who, session) else {
            let text = "no such session, or it is not yours to take up: open a new one";
            return refuse(&mut to, &Denial::new(Kind::NotFound, text)).await;
        };
        seat.resize(size).await;
        seat.attend((from, to)).await;
        Ok(())
    }

    fn own_seat(&self, who: &Who, session: SessionId) -> Option<Arc<Seat>> {
        self.gateway.sessions.get(session).filter(|entry| entry.identity == who.identity)?.seat
    }

    async fn errand(
        &self,
        who: &Who,
        session: SessionId,
        wanted: wanted::Errand,
        (from, mut to): (ReadHalf<Wire>, WriteHalf<Wire>),
    ) -> Result<(), frame::Error> {
        let Some(seat) = self.own_seat(who, session) else {
            let text = "no such session, or it is not yours, or it was not opened in a browser";
            return refuse(&mut to, &Denial::new(Kind::NotFound, text)).await;
        };
        let (errand, pieces) = errand::errand(wanted, to, seat.stay());
        match seat.send(errand) {
            None => errand::carry(from, pieces).await,
            Some((errand, why)) => {
                errand.refuse(&why).await;
                Ok(())
            }
        }
    }
}

async fn answer(to: &mut WriteHalf<Wire>, answer: Result<Outward, Denial>) -> Result<(), frame::Error> {
    match answer {
        Ok(answer) => frame::write(to, &answer).await,
        Err(why) => refuse(to, &why).await,
    }
}

async fn refuse(to: &mut WriteHalf<Wire>, why: &Denial) -> Result<(), frame::Error> {
    frame::write(to, &Outward::Closed(Closed::refused(why))).await
}
