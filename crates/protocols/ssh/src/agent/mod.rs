//! The agent that a client lends its target: read along, so that nothing goes on to it but what may.
//!
//! The protocol (draft-miller-ssh-agent) is messages of a length, a type and the rest, in strict order: one answer to each
//! request. From target to client go the question which keys there are, signatures that were allowed, and the
//! `session-bind` of OpenSSH's PROTOCOL.agent, by which an agent learns which server a connection is to. What would change
//! the agent, and whatever else there is, is answered here.

mod request;
mod signed;
#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
pub(crate) mod walked;

use bytes::{Bytes, BytesMut};
use request::{Bound, Request};
use sallyport_gateway::spine::Sought;
use sallyport_ssh_transport::wire::Cursor;

/// The longest message, as OpenSSH has it.
pub(crate) const LONGEST: usize = 256 << 10;
/// Servers that one connection to an agent may be bound to, as OpenSSH has it.
const BOUND: usize = 16;

/// Numbers of messages.
mod kind {
    pub(super) const FAILURE: u8 = 5;
    pub(super) const SUCCESS: u8 = 6;
    pub(super) const REQUEST_IDENTITIES: u8 = 11;
    pub(super) const IDENTITIES_ANSWER: u8 = 12;
    pub(super) const SIGN_REQUEST: u8 = 13;
    pub(super) const SIGN_RESPONSE: u8 = 14;
    pub(super) const EXTENSION: u8 = 27;
    pub(super) const EXTENSION_FAILURE: u8 = 28;
    /// Failures of agents that are older than the draft.
    pub(super) const OLD_FAILURES: [u8; 2] = [30, 102];
}

/// `SSH_AGENT_FAILURE`, whole.
pub(crate) const FAILURE: [u8; 5] = [0, 0, 0, 1, kind::FAILURE];

/// Why the talk cannot go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Broken {
    /// Nothing, or more than any message.
    #[error("a message has a length that none may have")]
    Length,
    /// An answer to nothing.
    #[error("the agent answered what nobody had asked")]
    Unasked,
    /// An answer to something else.
    #[error("the agent answered something else than it was asked")]
    Misfit,
}

/// What is to be done with what the target said.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Nothing: its message is not whole yet, or the answer to the one before is not.
    Wait,
    /// It goes on to the agent.
    Pass(Bytes),
    /// So it may, if this is allowed: the talk waits for [`Talk::allowed`] or [`Talk::refused`].
    Ask(Sought, Bytes),
    /// It does not, and is answered with [`FAILURE`].
    Refuse(Sought),
}

/// An answer of the agent's, for the target.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) whole: Bytes,
    /// Whether the agent has signed; absent where that was not asked.
    pub(crate) signed: Option<bool>,
}

/// What a request is about that has no answer yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flight {
    Identities,
    /// Not yet at the agent.
    Asked,
    Signature,
    Binding,
}

/// One target's talk with an agent.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    target: BytesMut,
    agent: BytesMut,
    flight: Option<Flight>,
    /// Servers that the target has shown it is connected to, by the identifiers of their exchanges.
    bound: Vec<Bound>,
}

impl Talk {
    /// Whether more of the target may be taken in.
    pub(crate) fn has_room(&self) -> bool {
        self.target.len() < LONGEST.saturating_add(4)
    }

    /// Takes in what the target says.
    pub(crate) fn said(&mut self, bytes: &[u8]) {
        self.target.extend_from_slice(bytes);
    }

    /// What is to be done next.
    ///
    /// # Errors
    /// When what the target says is no message.
    pub(crate) fn next(&mut self) -> Result<Step, Broken> {
        if self.flight.is_some() {
            return Ok(Step::Wait);
        }
        let Some(whole) = take(&mut self.target)? else { return Ok(Step::Wait) };
        Ok(match Request::read(whole.get(4..).unwrap_or_default(), &self.bound) {
            Request::Identities => {
                self.flight = Some(Flight::Identities);
                Step::Pass(whole)
            }
            Request::Bind(bound) => {
                if let Some(bound) = bound.filter(|_| self.bound.len() < BOUND) {
                    self.bound.push(bound);
                }
                self.flight = Some(Flight::Binding);
                Step::Pass(whole)
            }
            Request::Sign(sought) => {
                self.flight = Some(Flight::Asked);
                Step::Ask(sought, whole)
            }
            Request::Other(what) => Step::Refuse(Sought { what: what.to_owned(), key: String::new() }),
        })
    }

    /// What was asked about goes on to the agent.
    pub(crate) fn allowed(&mut self) {
        if self.flight == Some(Flight::Asked) {
            self.flight = Some(Flight::Signature);
        }
    }

    /// What was asked about does not.
    pub(crate) fn refused(&mut self) {
        if self.flight == Some(Flight::Asked) {
            self.flight = None;
        }
    }

    /// Takes in what the agent says: the answer, once it is whole.
    ///
    /// # Errors
    /// When it is no answer to what was asked.
    pub(crate) fn answered(&mut self, bytes: &[u8]) -> Result<Option<Answer>, Broken> {
        let flight = match self.flight {
            None | Some(Flight::Asked) => return if bytes.is_empty() { Ok(None) } else { Err(Broken::Unasked) },
            Some(flight) => flight,
        };
        self.agent.extend_from_slice(bytes);
        let Some(whole) = take(&mut self.agent)? else { return Ok(None) };
        if !self.agent.is_empty() {
            return Err(Broken::Unasked);
        }
        let kind = whole.get(4).copied().unwrap_or_default();
        let failed = kind == kind::FAILURE || kind::OLD_FAILURES.contains(&kind);
        let fits = match flight {
            Flight::Identities => failed || kind == kind::IDENTITIES_ANSWER,
            Flight::Asked | Flight::Signature => failed || kind == kind::SIGN_RESPONSE,
            Flight::Binding => failed || matches!(kind, kind::SUCCESS | kind::EXTENSION_FAILURE),
        };
        if !fits {
            return Err(Broken::Misfit);
        }
        self.flight = None;
        let signed = (flight == Flight::Signature).then_some(!failed);
        Ok(Some(Answer { whole, signed }))
    }
}

/// Takes the first message off what has come, with its length, once it is whole. Nothing is held ready for what a length claims.
fn take(held: &mut BytesMut) -> Result<Option<Bytes>, Broken> {
    let mut cursor = Cursor::new(held);
    let Ok(length) = cursor.uint32() else { return Ok(None) };
    let length = usize::try_from(length).ok().filter(|length| (1..=LONGEST).contains(length)).ok_or(Broken::Length)?;
    if cursor.rest().len() < length {
        return Ok(None);
    }
    let whole = held.split_to(length.saturating_add(4).min(held.len())).freeze();
    Ok(Some(whole))
}
