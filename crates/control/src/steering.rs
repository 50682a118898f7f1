//! Steering live sessions: a line to their user, a pause, and that they go on.

use crate::sessions::SessionBody;
use crate::{Control, Error, Op};
use sallyport_model::access::Denial;
use sallyport_model::steering::{Message, Pause};
use sallyport_model::{Kind, SessionId};
use sallyport_policy::Right;

/// Longest reason, in characters.
const REASON: usize = 200;

impl Control {
    /// Says a line to the user of a live session. When this returns it is written; the user sees it as soon as the
    /// session's gateway is connected.
    ///
    /// # Errors
    /// When the actor lacks the right, the text is no line, or the session is not live.
    pub async fn message(&self, op: &Op, session: SessionId, text: &str) -> Result<(), Error> {
        self.require(op, Right::SessionMessage)?;
        let from = self.acting(op)?.handle;
        let text = line("message", text, Message::LONGEST)?;
        if text.is_empty() {
            return Err(Error::usage("a message says something: give its text"));
        }
        self.amend(&*self.opened()?, session, |body| {
            unless_ending(body)?;
            body.steering.say(from.clone(), text.clone());
            Ok(self.draft(&op.actor, "session.messaged", session, &[("text", &text), ("to", body.handle.as_str())]))
        })
        .await
        .map(drop)
    }

    /// Pauses a live session: nothing crosses it in either direction until somebody lets it go on. It keeps its deadline.
    ///
    /// # Errors
    /// When the actor lacks the right, or the session is not live or is paused already.
    pub async fn pause(&self, op: &Op, session: SessionId, reason: &str) -> Result<(), Error> {
        self.require(op, Right::SessionPause)?;
        let by = self.acting(op)?.handle;
        let reason = line("reason", reason, REASON)?;
        self.amend(&*self.opened()?, session, |body| {
            unless_ending(body)?;
            if let Some(pause) = &body.steering.paused {
                return Err(conflict(format!("this session is paused already, by {}", pause.by)));
            }
            body.steering.pause(Some(Pause { by: by.clone(), reason: reason.clone(), since: self.env.now() }));
            Ok(self.draft(&op.actor, "session.paused", session, &[("reason", &reason)]))
        })
        .await
        .map(drop)
    }

    /// Lets a paused session go on where it was.
    ///
    /// # Errors
    /// When the actor lacks the right, or the session is not live or not paused.
    pub async fn resume(&self, op: &Op, session: SessionId) -> Result<(), Error> {
        self.require(op, Right::SessionPause)?;
        self.acting(op)?;
        self.amend(&*self.opened()?, session, |body| {
            let Some(pause) = body.steering.paused.clone() else {
                return Err(conflict("this session is not paused".to_owned()));
            };
            body.steering.pause(None);
            let millis = self.env.now().since(pause.since).as_millis().to_string();
            Ok(self.draft(
                &op.actor,
                "session.resumed",
                session,
                &[("paused_by", pause.by.as_str()), ("millis", &millis)],
            ))
        })
        .await
        .map(drop)
    }
}

fn unless_ending(body: &SessionBody) -> Result<(), Error> {
    if body.ending.is_some() { Err(conflict("this session is being ended".to_owned())) } else { Ok(()) }
}

fn conflict(text: String) -> Error {
    Denial::new(Kind::Conflict, text).into()
}

/// One line: without control characters, which would steer the terminal that shows it.
fn line(what: &str, text: &str, longest: usize) -> Result<String, Error> {
    let text = text.trim();
    if text.chars().count() > longest {
        return Err(Error::usage(format!("a {what} is at most {longest} characters long: write less")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::usage(format!(
            "a {what} is one line of text: leave out line breaks and control characters"
        )));
    }
    Ok(text.to_owned())
}
