//! A seat: the client's end of a session that somebody holds through the door. Streams come and go, it stays.

use super::errand::Errand;
use crate::observe::live::{Onlooker, Repaint};
use crate::spine::questions::Asked;
use crate::transport::Wire;
use crate::transport::frame;
use sallyport_model::Kind;
use sallyport_model::access::{Denial, EndReason, Freeze};
use sallyport_model::company::Guest;
use sallyport_model::door::{Closed, Inward, Opened, Outward, PIECE, Size};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Messages that wait for a slow stream, each of at most [`PIECE`] bytes; then the session waits.
const OUT: usize = 16;
/// What was typed and waits for a slow target, or while the session is frozen.
const TYPED: usize = 64;
/// Lines that are kept for whoever comes back.
const UNHEARD: usize = 16;
/// How long a line may wait for a slow stream.
const SAY: Duration = Duration::from_millis(200);
/// How long what was said last of a broken stream may take to be heard.
const LAST: Duration = Duration::from_secs(1);
/// Errands that wait for a session that has not begun; then more are refused.
const ERRANDS: usize = 8;

/// What whoever sits there says.
#[derive(Debug, Eq, PartialEq)]
pub enum Said {
    /// They typed.
    Bytes(Vec<u8>),
    /// Their screen has another size.
    Resize(Size),
    /// They are done.
    Leave,
}

/// A terminal that came through the door, as a protocol has it.
pub struct Terminal {
    /// What is typed.
    pub keys: Keys,
    /// What is shown.
    pub screen: Screen,
    /// How large it is at first.
    pub size: Size,
    /// What its user wants done with the target's files meanwhile.
    pub errands: mpsc::Receiver<Errand>,
}

/// What is typed at a seat.
pub struct Keys {
    seat: Arc<Seat>,
    said: mpsc::Receiver<Said>,
}

impl Keys {
    /// The next thing said; the last one is that they are done, also where nobody has sat there for too long.
    pub async fn next(&mut self) -> Said {
        tokio::select! {
            biased;
            said = self.said.recv() => said.unwrap_or(Said::Leave),
            () = self.seat.deserted() => Said::Leave,
        }
    }
}

/// What a seat shows.
pub struct Screen {
    seat: Arc<Seat>,
}

impl Screen {
    /// Shows bytes; waits while the stream is slow. Where nobody sits there they are gone.
    pub async fn show(&self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            let (from, out) = self.seat.advance(piece.len());
            if let Some((_, out)) = out {
                let _ = out.send((from, Outward::Bytes(piece.to_vec()))).await;
            }
        }
    }

    /// Tells a line, beside the screen, if it is taken soon.
    pub async fn tell(&self, line: &str) {
        self.seat.tell(line).await;
    }

    /// Notes how the program ended.
    pub fn exited(&self, code: u32) {
        self.seat.lock().code = Some(code);
    }

    /// Tells no, with the end of the session. Where none was opened this is the end.
    pub fn refuse(&self, why: &Denial) {
        let mut state = self.seat.lock();
        if state.opened.is_some() {
            (state.code, state.why) = (Some(why.kind.exit_code().into()), why.message.clone());
        } else {
            state.close(Closed::refused(why));
        }
    }

    /// Whether somebody sits there now.
    #[must_use]
    pub fn attended(&self) -> bool {
        self.seat.lock().out.is_some()
    }
}

/// What is followed for whoever sits there.
pub(in crate::spine) struct Followed {
    pub(in crate::spine) frozen: watch::Receiver<Option<Freeze>>,
    pub(in crate::spine) paused: watch::Receiver<Option<String>>,
    pub(in crate::spine) guests: watch::Receiver<Vec<Guest>>,
    pub(in crate::spine) asked: watch::Receiver<Option<Asked>>,
}

impl Followed {
    /// Whether there may be more.
    async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        tokio::select! {
            changed = self.frozen.changed() => changed,
            changed = self.paused.changed() => changed,
            changed = self.guests.changed() => changed,
            changed = self.asked.changed() => changed,
        }
    }

    fn standing(&mut self) -> Standing {
        Standing {
            frozen: self.frozen.borrow_and_update().is_some(),
            paused: self.paused.borrow_and_update().clone(),
            guests: self.guests.borrow_and_update().clone(),
            asked: self.asked.borrow_and_update().as_ref().map(|asked| asked.text.clone()),
        }
    }
}

/// How a session stands, as whoever sits there is told.
#[derive(Clone, Debug, Default, PartialEq)]
struct Standing {
    frozen: bool,
    paused: Option<String>,
    guests: Vec<Guest>,
    asked: Option<String>,
}

impl Standing {
    /// What there is to tell whoever knows how it stood before.
    fn since(&self, before: &Self) -> Vec<Outward> {
        let mut news = Vec::new();
        if self.frozen != before.frozen {
            news.push(Outward::Frozen(self.frozen));
        }
        if self.paused != before.paused {
            news.push(Outward::Paused(self.paused.clone()));
        }
        if self.guests != before.guests {
            news.push(Outward::Company(self.guests.clone()));
        }
        if self.asked != before.asked {
            news.push(Outward::Asked(self.asked.clone()));
        }
        news
    }
}

/// A message for a stream, and how many bytes of the session's output lie before it.
type Shown = (u64, Outward);

/// What outlives the streams.
pub(in crate::spine) struct Seat {
    said: mpsc::Sender<Said>,
    errands: mpsc::Sender<Errand>,
    state: Mutex<State>,
    /// Since when nobody sits there.
    empty: watch::Sender<Option<Instant>>,
    linger: Duration,
}

#[derive(Default)]
struct State {
    /// Counts the streams: one that ends late must not take its follower away.
    streams: u64,
    out: Option<(u64, mpsc::Sender<Shown>)>,
    /// Errands that are under way.
    stays: u32,
    /// Bytes that were shown to whoever sat there.
    shown: u64,
    /// The session's terminal, once it is open.
    onlooker: Option<Onlooker>,
    opened: Option<Opened>,
    standing: Standing,
    /// Lines that were told while nobody sat there, oldest first.
    unheard: VecDeque<String>,
    code: Option<u32>,
    /// What there is to tell at the end.
    why: String,
    closed: Option<Closed>,
}

impl State {
    fn close(&mut self, closed: Closed) {
        self.closed.get_or_insert(closed);
        self.out = None;
    }
}

impl Seat {
    /// A seat for a terminal of this size, which lives on for so long without a stream.
    pub(in crate::spine) fn new(size: Size, linger: Duration) -> (Arc<Self>, Terminal) {
        let (said, typed) = mpsc::channel(TYPED);
        let (sends, errands) = mpsc::channel(ERRANDS);
        let empty = watch::Sender::new(Some(Instant::now()));
        let seat = Arc::new(Self { said, errands: sends, state: Mutex::default(), empty, linger });
        let keys = Keys { seat: seat.clone(), said: typed };
        (seat.clone(), Terminal { keys, screen: Screen { seat }, size, errands })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a stream until it ends, the session does, or another one takes its place.
    pub(in crate::spine) async fn attend(self: &Arc<Self>, (mut from, mut to): (ReadHalf<Wire>, WriteHalf<Wire>)) {
        let (attending, mut shown, begins) = Attending::new(self);
        let showing = async {
            let upto = begin(&mut to, begins).await?;
            while let Some((from, message)) = shown.recv().await {
                if let Some(message) = beyond(upto, from, message) {
                    frame::write(&mut to, &message).await?;
                }
            }
            let last = self.last(attending.stream);
            frame::write(&mut to, &Outward::Closed(last)).await
        };
        let typing = async {
            loop {
                let said = match frame::read::<Inward, _>(&mut from).await? {
                    None => return Ok(()),
                    Some(Inward::Bytes(bytes)) if bytes.len() <= PIECE => Said::Bytes(bytes),
                    Some(Inward::Leave) => Said::Leave,
                    Some(Inward::Resize(size)) if Size::new(size.cols, size.rows).is_some() => Said::Resize(size),
                    Some(_) => return Err(frame::Error::Unexpected("what is said at a seat is bytes and sizes")),
                };
                if self.said.send(said).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::pin!(typing);
        let ended: Result<(), frame::Error> = tokio::select! {
            shown = showing => match shown {
                Ok(()) => Ok(()),
                // Whoever closed it may have said before that they are done.
                Err(broken) => tokio::time::timeout(LAST, &mut typing).await.unwrap_or(Err(broken)),
            },
            typed = &mut typing => typed,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a stream at the door broke");
        }
    }

    /// Sends the session on an errand; one that it does not take comes back, with why.
    pub(super) fn send(&self, errand: Errand) -> Option<(Errand, Denial)> {
        match self.errands.try_send(errand) {
            Ok(()) => None,
            Err(TrySendError::Full(errand)) => {
                let text = "this session has as much under way as it takes: try again shortly";
                Some((errand, Denial::new(Kind::Unavailable, text)))
            }
            Err(TrySendError::Closed(errand)) => Some((errand, Denial::new(Kind::NotFound, "the session has ended"))),
        }
    }

    /// Keeps the session from ending for want of a stream, for as long as this lives.
    pub(super) fn stay(self: &Arc<Self>) -> Stay {
        let mut state = self.lock();
        state.stays = state.stays.saturating_add(1);
        self.empty.send_replace(None);
        Stay(self.clone())
    }

    /// The screen of whoever comes next has this size. Where the target takes nothing, it stays as it was.
    pub(in crate::spine) async fn resize(&self, size: Size) {
        let _ = tokio::time::timeout(SAY, self.said.send(Said::Resize(size))).await;
    }

    /// Counts bytes that are about to be shown; how many there were before, and where they go.
    fn advance(&self, bytes: usize) -> (u64, Option<(u64, mpsc::Sender<Shown>)>) {
        let mut state = self.lock();
        let from = state.shown;
        state.shown = from.saturating_add(u64::try_from(bytes).unwrap_or(0));
        (from, state.out.clone())
    }

    /// Says that the session is open, and can be looked at here.
    pub(in crate::spine) fn opened(&self, opened: Opened, onlooker: Option<Onlooker>) {
        let mut state = self.lock();
        (state.opened, state.onlooker) = (Some(opened.clone()), onlooker);
        if let Some((_, out)) = &state.out {
            // There is room: nothing but lines was said before.
            let _ = out.try_send((0, Outward::Opened(Box::new(opened))));
        }
    }

    /// Follows what whoever sits there is to know of the session, until it ends.
    pub(in crate::spine) async fn follow(&self, mut followed: Followed) {
        followed.paused.mark_changed();
        loop {
            let changed = followed.changed().await;
            let standing = followed.standing();
            let (news, out) = {
                let mut state = self.lock();
                let news = standing.since(&state.standing);
                state.standing = standing;
                (news, state.out.clone())
            };
            if let Some((_, out)) = out {
                for news in news {
                    let _ = out.send((0, news)).await;
                }
            }
            if changed.is_err() {
                return;
            }
        }
    }

    /// Tells a line to whoever sits there, or will.
    async fn tell(&self, line: &str) {
        let out = {
            let mut state = self.lock();
            if state.out.is_none() {
                while state.unheard.len() >= UNHEARD {
                    state.unheard.pop_front();
                }
                state.unheard.push_back(line.to_owned());
            }
            state.out.clone()
        };
        if let Some((_, out)) = out {
            let _ = tokio::time::timeout(SAY, out.send((0, Outward::Notice(line.to_owned())))).await;
        }
    }

    /// Says how the session ended; the stream then ends by itself.
    pub(in crate::spine) fn ended(&self, reason: EndReason, text: &str) {
        let mut state = self.lock();
        let text = if text.is_empty() { state.why.clone() } else { text.to_owned() };
        let closed = Closed { reason: reason.word().into(), text, code: state.code };
        state.close(closed);
    }

    /// Somebody has left: where nobody is there any more, it is noted since when.
    fn left(&self, state: &State) {
        if state.out.is_none() && state.stays == 0 {
            self.empty.send_replace(Some(Instant::now()));
        }
    }

    /// What a stream is told last: how the session ended, or that another one has taken its place.
    fn last(&self, stream: u64) -> Closed {
        let state = self.lock();
        match &state.closed {
            Some(closed) if state.streams == stream => closed.clone(),
            _ => Closed { reason: "moved".into(), text: "this terminal goes on elsewhere".into(), code: None },
        }
    }

    /// Resolves when nobody has sat there for too long.
    async fn deserted(&self) {
        let mut empty = self.empty.subscribe();
        loop {
            let since = *empty.borrow_and_update();
            let over = async {
                match since {
                    Some(since) => tokio::time::sleep_until(since + self.linger).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                changed = empty.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// What a stream begins with, where the session is open already.
struct Begins {
    opened: Opened,
    standing: Standing,
    unheard: VecDeque<String>,
    onlooker: Option<Onlooker>,
}

/// Tells a stream what it comes to, and paints the screen; how many bytes of output are in that.
async fn begin(to: &mut WriteHalf<Wire>, begins: Option<Begins>) -> Result<u64, frame::Error> {
    let Some(Begins { opened, standing, unheard, onlooker }) = begins else { return Ok(0) };
    frame::write(to, &Outward::Opened(Box::new(opened))).await?;
    for news in standing.since(&Standing::default()) {
        frame::write(to, &news).await?;
    }
    for line in unheard {
        frame::write(to, &Outward::Notice(line)).await?;
    }
    let painted = match onlooker {
        Some(onlooker) => onlooker.repaint(None).await,
        None => None,
    };
    let Some(Repaint { size, bytes, upto, .. }) = painted else { return Ok(0) };
    frame::write(to, &Outward::Size(size)).await?;
    for piece in bytes.chunks(PIECE) {
        frame::write(to, &Outward::Bytes(piece.to_vec())).await?;
    }
    Ok(upto)
}

/// What of a message is not painted yet.
fn beyond(upto: u64, from: u64, message: Outward) -> Option<Outward> {
    let Outward::Bytes(mut bytes) = message else { return Some(message) };
    let painted = usize::try_from(upto.saturating_sub(from)).unwrap_or(usize::MAX);
    bytes.drain(..painted.min(bytes.len()));
    (!bytes.is_empty()).then_some(Outward::Bytes(bytes))
}

/// A stream's time at a seat.
struct Attending {
    seat: Arc<Seat>,
    stream: u64,
}

impl Attending {
    /// Takes the seat from whoever has it.
    fn new(seat: &Arc<Seat>) -> (Self, mpsc::Receiver<Shown>, Option<Begins>) {
        let (out, shown) = mpsc::channel(OUT);
        let mut state = seat.lock();
        state.streams = state.streams.saturating_add(1);
        let stream = state.streams;
        let begins = state.opened.clone().map(|opened| Begins {
            opened,
            standing: state.standing.clone(),
            unheard: std::mem::take(&mut state.unheard),
            onlooker: state.onlooker.clone(),
        });
        // A session that has ended meanwhile has nothing more to show.
        state.out = state.closed.is_none().then_some((stream, out));
        seat.empty.send_replace(None);
        drop(state);
        (Self { seat: seat.clone(), stream }, shown, begins)
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        let mut state = self.seat.lock();
        if state.out.as_ref().is_some_and(|(stream, _)| *stream == self.stream) {
            state.out = None;
            self.seat.left(&state);
        }
    }
}

/// An errand's time at a seat.
pub(super) struct Stay(Arc<Seat>);

impl Drop for Stay {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stays = state.stays.saturating_sub(1);
        self.0.left(&state);
    }
}
