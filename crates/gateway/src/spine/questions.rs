//! Questions to the user of a session: one at a time, in their order, each for a while.

use super::live::Notice;
use sallyport_model::WatchId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

/// How long a user is asked; after that it is no. Tests do not wait half a minute for it.
pub(super) const ASK: Duration = Duration::from_secs(if cfg!(any(test, feature = "conformance")) { 12 } else { 30 });

/// What a question is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum About {
    /// Whether somebody may join.
    Guest(WatchId),
    /// Whether the user's agent may sign, by a number of the session's own. It is the target that wants that: while the question
    /// stands, nothing of the target's is shown.
    Signature(u64),
}

/// What the user is asked now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Asked {
    pub(super) about: About,
    /// The question.
    pub(super) text: String,
    pub(super) since: Instant,
}

impl Asked {
    /// Whether the target shows nothing while it stands.
    pub(super) const fn holds(&self) -> bool {
        matches!(self.about, About::Signature(_))
    }
}

/// How a question ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    Yes,
    No,
    /// Nobody answered in time.
    Late,
    /// Nobody waits for the answer any more.
    Withdrawn,
}

/// A question to the user.
pub(super) struct Question {
    pub(super) about: About,
    pub(super) text: String,
    /// Told the answer, where somebody waits for it: once they do not, it is withdrawn.
    pub(super) tell: Option<oneshot::Sender<Answer>>,
}

impl Question {
    fn withdrawn(&self) -> bool {
        self.tell.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// What the relay of a session's terminal has of them.
#[derive(Clone)]
pub(super) struct Consulted {
    /// What the user is asked.
    pub(super) asked: watch::Receiver<Option<Asked>>,
    /// What they say.
    pub(super) answers: mpsc::UnboundedSender<(About, bool)>,
    /// When the question was shown that holds the target back.
    pub(super) shown: Arc<Mutex<Option<(About, Instant)>>>,
}

impl Consulted {
    /// Since when a key may be the answer to what is asked; `None` where it was not shown yet.
    pub(super) fn since(&self, asked: &Asked) -> Option<Instant> {
        if !asked.holds() {
            return Some(asked.since);
        }
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.filter(|(about, _)| *about == asked.about).map(|(_, since)| since)
    }

    /// Notes that the question of this number is shown; another one may be asked by now.
    pub(super) fn shown(&self, number: u64) {
        let about = About::Signature(number);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.is_none_or(|(before, _)| before != about) {
            *shown = Some((about, Instant::now()));
        }
    }
}

/// The questions of one session.
pub(super) struct Questions {
    /// The first of them is being asked.
    queue: VecDeque<Question>,
    until: Option<Instant>,
    asked: watch::Sender<Option<Asked>>,
    answers: mpsc::UnboundedReceiver<(About, bool)>,
    notices: broadcast::Sender<Notice>,
}

impl Questions {
    pub(super) const fn new(
        asked: watch::Sender<Option<Asked>>,
        answers: mpsc::UnboundedReceiver<(About, bool)>,
        notices: broadcast::Sender<Notice>,
    ) -> Self {
        Self { queue: VecDeque::new(), until: None, asked, answers, notices }
    }

    /// Asks it, behind those that wait.
    pub(super) fn put(&mut self, question: Question) {
        self.queue.push_back(question);
        if self.queue.len() == 1 {
            self.ask();
        }
    }

    /// Asks the first of those that wait, now that the one before is over.
    pub(super) fn ask(&mut self) {
        while self.queue.front().is_some_and(Question::withdrawn) {
            self.queue.pop_front();
        }
        let asked = self.queue.front().map(|question| Asked {
            about: question.about,
            text: question.text.clone(),
            since: Instant::now(),
        });
        self.until = asked.as_ref().map(|asked| asked.since + ASK);
        self.asked.send_replace(asked.clone());
        if let Some(asked) = asked {
            let _ = self.notices.send(match asked.about {
                About::Guest(_) => Notice::Begins(asked.text),
                About::Signature(number) => Notice::Asks(asked.text, number),
            });
        }
    }

    /// Resolves when the first is over, and how. May be dropped at any time.
    pub(super) async fn due(&mut self) -> (About, Answer) {
        let (queue, until) = (&mut self.queue, self.until);
        let over = async {
            let (Some(question), Some(until)) = (queue.front_mut(), until) else { return std::future::pending().await };
            let gone = async {
                match &mut question.tell {
                    Some(tell) => tell.closed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = gone => (question.about, Answer::Withdrawn),
                () = tokio::time::sleep_until(until) => (question.about, Answer::Late),
            }
        };
        tokio::select! {
            Some((about, yes)) = self.answers.recv() => (about, if yes { Answer::Yes } else { Answer::No }),
            over = over => over,
        }
    }

    /// Takes off the first, where it is about this; the next one is asked by [`Self::ask`].
    pub(super) fn over(&mut self, about: About) -> Option<Question> {
        self.queue.pop_front_if(|question| question.about == about)
    }

    /// Takes one back that may not have been asked yet; whether it was being asked.
    pub(super) fn withdraw(&mut self, about: About) -> bool {
        let first = self.queue.front().is_some_and(|question| question.about == about);
        self.queue.retain(|question| question.about != about);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(number: u64) -> (Question, oneshot::Receiver<Answer>) {
        let (tell, told) = oneshot::channel();
        (Question { about: About::Signature(number), text: format!("question {number}"), tell: Some(tell) }, told)
    }

    #[tokio::test]
    async fn they_are_asked_one_after_the_other_and_answered_once_they_are_shown() {
        let (asked, (answer, answers)) = (watch::Sender::new(None), mpsc::unbounded_channel());
        let consulted = Consulted { asked: asked.subscribe(), answers: answer, shown: Arc::default() };
        let (notices, mut heard) = broadcast::channel(8);
        let mut questions = Questions::new(asked, answers, notices);
        let since = || consulted.asked.borrow().as_ref().map(|asked| (asked.about, consulted.since(asked).is_some()));
        let (first, told) = question(1);
        questions.put(first);
        let (second, _told) = question(2);
        questions.put(second);
        let (third, told_3) = question(3);
        questions.put(third);
        assert_eq!(heard.recv().await.unwrap(), Notice::Asks("question 1".into(), 1));
        consulted.shown(2);
        assert_eq!(since(), Some((About::Signature(1), false)), "another one was shown");
        consulted.shown(1);
        assert_eq!(since(), Some((About::Signature(1), true)));
        // Nobody waits for the first any more, nor for the third; an answer to what is not asked is none.
        drop((told, told_3));
        assert_eq!(questions.due().await, (About::Signature(1), Answer::Withdrawn));
        assert!(questions.over(About::Signature(2)).is_none());
        assert!(questions.over(About::Signature(1)).is_some());
        questions.ask();
        assert_eq!(heard.recv().await.unwrap(), Notice::Asks("question 2".into(), 2));
        assert_eq!(since(), Some((About::Signature(2), false)));
        consulted.answers.send((About::Signature(2), true)).unwrap();
        assert_eq!(questions.due().await, (About::Signature(2), Answer::Yes));
        assert!(questions.over(About::Signature(2)).is_some());
        questions.ask();
        assert_eq!((since(), heard.try_recv().is_err()), (None, true), "what nobody waits for is not asked");
    }
}
