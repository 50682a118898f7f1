//! Steering: what staff want of a live session, whole, so that hearing it again changes nothing.

use crate::{Handle, Timestamp, WatchId};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What staff want of one session. It is part of the session's document, so every node tells its gateway the same.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(default)]
pub struct Steering {
    /// Counts its changes: an older one than was heard changes nothing.
    #[n(0)]
    pub count: u64,
    /// Set while the session is paused.
    #[n(1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// Guests that are to leave, the last of them.
    #[n(3)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dismissed: Vec<WatchId>,
    /// What was said to its user last, oldest first; at most [`Self::KEPT`].
    #[n(2)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
}

/// That somebody holds a session: nothing crosses it in either direction.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Pause {
    /// Who paused it.
    #[n(0)]
    pub by: Handle,
    /// Why, in their words; empty where they gave no reason.
    #[n(1)]
    pub reason: String,
    /// Since when.
    #[n(2)]
    pub since: Timestamp,
}

impl Pause {
    /// The line for the session's user.
    #[must_use]
    pub fn told(&self) -> String {
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("paused by security staff ({}){why}; what you type waits until they let it go on", self.by)
    }
}

/// A line from staff to a session's user.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Message {
    /// [`Steering::count`] at which it was said: each is shown once.
    #[n(0)]
    pub count: u64,
    /// Who says it.
    #[n(1)]
    pub from: Handle,
    /// The line.
    #[n(2)]
    pub text: String,
}

impl Message {
    /// Longest text, in characters.
    pub const LONGEST: usize = 500;

    /// The line for the session's user.
    #[must_use]
    pub fn told(&self) -> String {
        format!("message from security staff ({}): {}", self.from, self.text)
    }
}

impl Steering {
    /// Messages that are kept: so many may be said before a gateway that is away is back.
    pub const KEPT: usize = 16;

    /// Says a line to the user.
    pub fn say(&mut self, from: Handle, text: String) {
        self.count = self.count.saturating_add(1);
        if self.messages.len() >= Self::KEPT {
            self.messages.remove(0);
        }
        self.messages.push(Message { count: self.count, from, text });
    }

    /// Has a guest leave.
    pub fn dismiss(&mut self, guest: WatchId) {
        self.count = self.count.saturating_add(1);
        if self.dismissed.len() >= Self::KEPT {
            self.dismissed.remove(0);
        }
        self.dismissed.push(guest);
    }

    /// Pauses the session, or lets it go on.
    pub fn pause(&mut self, pause: Option<Pause>) {
        self.count = self.count.saturating_add(1);
        self.paused = pause;
    }

    /// Whether nobody has wanted anything yet.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carol() -> Handle {
        "carol".parse().unwrap()
    }

    #[test]
    fn the_last_messages_are_kept_and_each_has_a_count_of_its_own() {
        let mut steering = Steering::default();
        for n in 0..40 {
            steering.say(carol(), format!("line {n}"));
        }
        assert_eq!(steering.messages.len(), Steering::KEPT);
        assert_eq!(steering.messages.last().unwrap().text, "line 39");
        assert!(steering.messages.windows(2).all(|pair| pair[0].count < pair[1].count));
    }

    #[test]
    fn both_encodings_give_back_what_they_were_given() {
        let mut steering = Steering::default();
        assert!(steering.is_new());
        steering.say(carol(), "save your work".into());
        let pause = Pause { by: carol(), reason: "drill".into(), since: Timestamp(7) };
        assert!(pause.told().contains("paused by security staff (carol): drill;"));
        steering.pause(Some(pause));
        let bytes = minicbor::to_vec(&steering).unwrap();
        assert_eq!(minicbor::decode::<Steering>(&bytes).unwrap(), steering);
        let json = serde_json::to_string(&steering).unwrap();
        assert_eq!(serde_json::from_str::<Steering>(&json).unwrap(), steering);
        assert_eq!(serde_json::from_str::<Steering>("{}").unwrap(), Steering::default());
    }
}
