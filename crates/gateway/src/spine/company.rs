//! Who is with a session beside its user: let in, shown, let go; and the wait of a session that must be observed.

use super::live::Notice;
use super::open::Open;
use super::questions::{About, Answer, Question, Questions};
use super::steer::{Marks, Why};
use crate::authority::{Authority, PATIENCE};
use crate::observe::live::Show;
use sallyport_model::access::Denial;
use sallyport_model::authority::{Call, Reply};
use sallyport_model::company::{Change, Company as Told, Guest, Part};
use sallyport_model::limits::Consent;
use sallyport_model::{IdentityId, Kind, SessionId, WatchId};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

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

/// What comes to a session from the door, and from within.
pub(super) enum Knocking {
    Comes(Visit),
    Leaves(WatchId),
    /// A question of the session's own relay.
    Asks(Question),
}

/// One session's company.
pub(super) struct Company {
    session: SessionId,
    user: IdentityId,
    consent: Consent,
    /// Whether it must be observed by somebody else.
    needs: bool,
    guests: Vec<Guest>,
    /// Those about whom the user is yet to be asked.
    asking: Vec<Visit>,
    /// Everything that the user is asked.
    questions: Questions,
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
        let answers = std::mem::replace(&mut open.answers, mpsc::unbounded_channel().1);
        let mut company = Self {
            session: open.session,
            user: open.identity,
            consent: terms.limits.join,
            needs: terms.limits.four_eyes,
            guests: Vec::new(),
            asking: Vec::new(),
            questions: Questions::new(open.asked.clone(), answers, open.notices.clone()),
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

    /// Resolves when the user has said something, or has not for too long.
    pub(super) async fn due(&mut self) -> (About, Answer) {
        self.questions.due().await
    }

    /// Somebody wants to be there.
    pub(super) fn comes(&mut self, open: &Open, visit: Visit) {
        let peer = visit.guest.part == Part::Peer;
        if self.guests.len().saturating_add(self.asking.len()) >= MOST {
            let text = format!("{MOST} people are with this session already");
            return self.refuse(visit, Denial::new(Kind::Unavailable, text), None);
        }
        if peer && self.consent == Consent::Asked {
            let who = &visit.guest.handle;
            let text =
                format!("{who} (security staff) asks to join this session and to type in it: y to allow, n to refuse");
            let about = About::Guest(visit.guest.id);
            self.asking.push(visit);
            self.questions.put(Question { about, text, tell: None });
        } else {
            self.admit(open, visit);
        }
    }

    /// The session's own relay wants something to be asked.
    pub(super) fn asks(&mut self, question: Question) {
        self.questions.put(question);
    }

    /// The user said yes or no, or nothing in time.
    pub(super) fn answered(&mut self, open: &Open, (about, answer): (About, Answer)) {
        let Some(question) = self.questions.over(about) else { return };
        match about {
            About::Guest(id) => self.visited(open, id, answer),
            About::Signature(_) => {
                let told = match answer {
                    Answer::Yes => "your agent is asked to sign",
                    Answer::No => "not signed",
                    Answer::Late => "not signed: there was no answer in time",
                    Answer::Withdrawn => "the question is withdrawn: nothing is signed",
                };
                // What holds meanwhile, such as a pause, stands on.
                let notice = if open.tap.is_paused() { Notice::Line } else { Notice::Ends };
                let _ = open.notices.send(notice(told.into()));
                let _ = question.tell.map(|tell| tell.send(answer));
            }
        }
        self.questions.ask();
    }

    fn visited(&mut self, open: &Open, id: WatchId, answer: Answer) {
        let Some(at) = self.asking.iter().position(|visit| visit.guest.id == id) else { return };
        let visit = self.asking.remove(at);
        let why = match answer {
            Answer::Yes => return self.admit(open, visit),
            Answer::Late => "the user did not answer in time",
            Answer::No | Answer::Withdrawn => "the user said no",
        };
        let _ = open.notices.send(Notice::Ends(format!("{} was not let in", visit.guest.handle)));
        self.refuse(visit, Denial::new(Kind::Denied, why), Some(why));
    }

    /// Somebody is gone, or is to go.
    pub(super) fn leaves(&mut self, open: &Open, id: WatchId, why: &str) {
        if let Some(live) = open.recording.onlooker() {
            live.unwatch(id);
        }
        if let Some(at) = self.asking.iter().position(|visit| visit.guest.id == id) {
            let visit = self.asking.remove(at);
            self.refuse(visit, Denial::new(Kind::Denied, "nobody waits any more"), Some("they did not wait"));
            if self.questions.withdraw(About::Guest(id)) {
                let _ = open.notices.send(Notice::Ends("nobody asks to join any more".into()));
                self.questions.ask();
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
