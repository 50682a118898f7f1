//! Who is with a session beside its user: let in, shown, let go; and the wait of a session that must be observed.

use super::live::Notice;
use super::open::Open;
use super::steer::{Marks, Why};
use crate::authority::{Authority, PATIENCE};
use crate::observe::live::Show;
use sallyport_model::access::Denial;
use sallyport_model::authority::{Call, Reply};
use sallyport_model::company::{Change, Company as Told, Guest, Part};
use sallyport_model::limits::Consent;
use sallyport_model::{IdentityId, Kind, SessionId, WatchId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// How long a user is asked whether somebody may join; after that it is no. Tests do not wait half a minute for it.
pub(super) const ASK: Duration = Duration::from_secs(if cfg!(any(test, feature = "conformance")) { 12 } else { 30 });
/// Guests that a session may have, and as many that wait to be asked about.
const MOST: usize = 16;

/// Somebody who wants to be with a session.
pub(super) struct Visit {
    pub(super) guest: Guest,
    /// Where they are shown what happens.
    pub(super) show: Show,
    /// Told once they are in, or why not; absent where nobody waits for it.
    pub(super) admit: Option<oneshot::Sender<Result<(), Denial>>>,
}

/// What comes to a session from the door.
pub(super) enum Knocking {
    Comes(Visit),
    Leaves(WatchId),
}

/// What the user is asked: whether somebody may join.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Asked {
    pub(super) id: WatchId,
    /// The question.
    pub(super) text: String,
    pub(super) since: Instant,
}

/// What the relay of a session's terminal has of its company.
#[derive(Clone)]
pub(super) struct Consulted {
    /// About whom the user is asked.
    pub(super) asked: watch::Receiver<Option<Asked>>,
    /// What they say.
    pub(super) answers: mpsc::UnboundedSender<(WatchId, bool)>,
}

/// One session's company.
pub(super) struct Company {
    session: SessionId,
    user: IdentityId,
    consent: Consent,
    /// Whether it must be observed by somebody else.
    needs: bool,
    guests: Vec<Guest>,
    /// Those about whom the user is yet to be asked; the first of them is being asked about, until then.
    asking: VecDeque<Visit>,
    until: Option<Instant>,
    asked: watch::Sender<Option<Asked>>,
    answers: mpsc::UnboundedReceiver<(WatchId, bool)>,
    waits: Option<Instant>,
    reports: mpsc::UnboundedSender<Report>,
    marks: Marks,
}

struct Report {
    told: Told,
    admit: Option<oneshot::Sender<Result<(), Denial>>>,
}

impl Company {
    /// A session's, with nobody there yet.
    pub(super) fn new(open: &mut Open, authority: Arc<dyn Authority>, marks: Marks) -> Self {
        let terms = open.clearance.permit().terms();
        let (reports, due) = mpsc::unbounded_channel();
        tokio::spawn(report(authority, due));
        let mut company = Self {
            session: open.session,
            user: open.identity,
            consent: terms.limits.join,
            needs: terms.limits.four_eyes,
            guests: Vec::new(),
            asking: VecDeque::new(),
            until: None,
            asked: open.asked.clone(),
            answers: std::mem::replace(&mut open.answers, mpsc::unbounded_channel().1),
            waits: None,
            reports,
            marks,
        };
        company.weigh(open);
        company
    }

    /// Since when the session waits for an observer.
    pub(super) const fn waits(&self) -> Option<Instant> {
        self.waits
    }

    /// Resolves when the user has said something of it, or has not for too long.
    pub(super) async fn due(&mut self) -> (WatchId, bool) {
        let asked = self.asking.front().map(|visit| visit.guest.id);
        let over = async {
            match (asked, self.until) {
                (Some(id), Some(until)) => {
                    tokio::time::sleep_until(until).await;
                    id
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(answer) = self.answers.recv() => answer,
            id = over => (id, false),
        }
    }

    /// Somebody wants to be there.
    pub(super) fn comes(&mut self, open: &Open, visit: Visit) {
        let peer = visit.guest.part == Part::Peer;
        if self.guests.len().saturating_add(self.asking.len()) >= MOST {
            let text = format!("{MOST} people are with this session already");
            return self.refuse(visit, Denial::new(Kind::Unavailable, text), None);
        }
        if peer && self.consent == Consent::Asked {
            self.asking.push_back(visit);
            if self.asking.len() == 1 {
                self.ask(open);
            }
        } else {
            self.admit(open, visit);
        }
    }

    /// The user said yes or no, or nothing in time.
    pub(super) fn answered(&mut self, open: &Open, (id, yes): (WatchId, bool)) {
        if self.asking.front().is_none_or(|visit| visit.guest.id != id) {
            return;
        }
        let Some(visit) = self.asking.pop_front() else { return };
        let late = self.until.take().is_some_and(|until| until <= Instant::now());
        if yes {
            self.admit(open, visit);
        } else {
            let why = if late { "the user did not answer in time" } else { "the user said no" };
            let _ = open.notices.send(Notice::Ends(format!("{} was not let in", visit.guest.handle)));
            self.refuse(visit, Denial::new(Kind::Denied, why), Some(why));
        }
        self.ask(open);
    }

    /// Somebody is gone, or is to go.
    pub(super) fn leaves(&mut self, open: &Open, id: WatchId, why: &str) {
        if let Some(live) = open.recording.onlooker() {
            live.unwatch(id);
        }
        if let Some(at) = self.asking.iter().position(|visit| visit.guest.id == id) {
            let first = at == 0;
            if let Some(visit) = self.asking.remove(at) {
                self.refuse(visit, Denial::new(Kind::Denied, "nobody waits any more"), Some("they did not wait"));
            }
            if first {
                self.until = None;
                let _ = open.notices.send(Notice::Ends("nobody asks to join any more".into()));
                self.ask(open);
            }
        }
        let Some(at) = self.guests.iter().position(|guest| guest.id == id) else { return };
        let guest = self.guests.remove(at);
        self.marks.add("left", format!("{} ({})", guest.handle, guest.part.word()));
        // Whoever looked on until they were let in is still here.
        if self.guests.iter().all(|other| other.identity != guest.identity) {
            let _ = open.notices.send(Notice::Line(format!("{} has left this session", guest.handle)));
        }
        open.guests.send_replace(self.guests.clone());
        self.report(Change::Left, Some(guest), why, None);
        self.weigh(open);
    }

    fn ask(&mut self, open: &Open) {
        let asked = self.asking.front().map(|visit| {
            let who = &visit.guest.handle;
            let text =
                format!("{who} (security staff) asks to join this session and to type in it: y to allow, n to refuse");
            Asked { id: visit.guest.id, text, since: Instant::now() }
        });
        self.asked.send_replace(asked.clone());
        if let Some(Asked { text, .. }) = asked {
            self.until = Some(Instant::now() + ASK);
            let _ = open.notices.send(Notice::Begins(text));
        }
    }

    fn admit(&mut self, open: &Open, visit: Visit) {
        let Visit { guest, show, admit } = visit;
        let Some(live) = open.recording.onlooker() else { return };
        let does = match guest.part {
            Part::Observer => "watches this session",
            Part::Peer => "is in this session and may type",
        };
        self.marks.add("joined", format!("{} ({})", guest.handle, guest.part.word()));
        let told = format!("{} (security staff) {does}", guest.handle);
        let asked = guest.part == Part::Peer && self.consent == Consent::Asked;
        let _ = open.notices.send(if asked { Notice::Ends(told) } else { Notice::Line(told) });
        let why = match (guest.part, self.consent) {
            (Part::Observer, _) => "",
            (Part::Peer, Consent::Asked) => "the user agreed",
            (Part::Peer, Consent::Notified) => "the user was told",
        };
        live.watch(show, guest.id);
        self.guests.push(guest.clone());
        open.guests.send_replace(self.guests.clone());
        self.report(Change::Came, Some(guest), why, admit);
        self.weigh(open);
    }

    fn refuse(&self, visit: Visit, denial: Denial, why: Option<&str>) {
        if let Some(admit) = visit.admit {
            let _ = admit.send(Err(denial));
        }
        if let Some(why) = why {
            self.report(Change::Refused, Some(visit.guest), why, None);
        }
    }

    /// Whether somebody else is there who must be: holds the session or lets it go on.
    fn weigh(&mut self, open: &Open) {
        let observed = self.guests.iter().any(|guest| guest.identity != self.user);
        let waits = self.needs && !observed;
        if waits == self.waits.is_some() {
            return;
        }
        self.waits = waits.then(Instant::now);
        open.pauses.set(Why::Observer, waits.then(|| WAITS.to_owned()), &open.notices);
        self.marks.add(if waits { "waits" } else { "goes on" }, "an observer".to_owned());
        let whom = self.guests.iter().find(|guest| guest.identity != self.user).cloned();
        self.report(if waits { Change::Waits } else { Change::GoesOn }, whom, "", None);
    }

    fn report(
        &self,
        change: Change,
        whom: Option<Guest>,
        why: &str,
        admit: Option<oneshot::Sender<Result<(), Denial>>>,
    ) {
        let (session, guests) = (self.session, self.guests.clone());
        let told = Told { session, change, whom, why: why.to_owned(), guests, waits: self.waits.is_some() };
        let _ = self.reports.send(Report { told, admit });
    }
}

/// What the user of a session reads that must be observed.
const WAITS: &str = "waiting for an observer: this session goes on as soon as somebody else looks on";

/// Brings to control what changed, in its order. Whoever types is in once the ledger says so.
async fn report(authority: Arc<dyn Authority>, mut due: mpsc::UnboundedReceiver<Report>) {
    while let Some(Report { told, admit }) = due.recv().await {
        let session = told.session;
        let answer = match authority.call(Call::Company(told), PATIENCE).await {
            Ok(Reply::Done(_)) => Ok(()),
            Ok(Reply::Denied(denial)) => Err(denial),
            Ok(_) | Err(_) => Err(Denial::unavailable("the ledger")),
        };
        if let Err(denial) = &answer {
            tracing::warn!(%denial, %session, "The company of a session is not in the ledger");
        }
        if let Some(admit) = admit {
            let _ = admit.send(answer);
        }
    }
}
