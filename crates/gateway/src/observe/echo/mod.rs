//! What of the keys of a terminal its target has shown: only that is kept of them.
//!
//! A terminal whose target shows nothing of what is typed is being told a secret. So text waits, beside the relay and never at
//! its cost, for its own echo: the first new character that the target draws after it was sent. It is kept once its whole
//! line, or four keys of it in a row, were shown so. Of all else it is kept that something was typed, and not even how much.
//! When in doubt, nothing is kept: the screen has what the target did show.

mod keys;
mod row;

use keys::{Keys, Press};
use row::{Drawn, Row};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// So many keys in a row that were shown are no accident, whatever became of the rest of their line.
const RUN: usize = 4;
/// How far behind a key its echo may be: a target that shows a later key has passed over those before it.
const AHEAD: usize = 16;
/// How late an echo may be.
const LATE: Duration = Duration::from_secs(10);
/// Most keys that wait in one terminal: at most half a mebibyte.
const MOST: usize = 8192;
/// So much other text, in characters, and nobody waits for an echo any more.
const NOISE: usize = 64 << 10;
/// How much output is remembered, in bytes, to know the row in which somebody begins to type.
const RECENT: usize = 512;

/// What is kept of what was typed, in its order.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Kept {
    /// These bytes.
    Shown(Vec<u8>),
    /// That something was typed.
    Hidden,
}

/// The keys of one terminal.
#[derive(Default)]
pub(crate) struct Echo {
    keys: Keys,
    waiting: Waiting,
    /// Followed only while keys wait.
    row: Option<Row>,
    recent: Vec<u8>,
}

impl Echo {
    /// The client sent this.
    pub(super) fn typed(&mut self, bytes: &[u8], now: Instant) -> Vec<Kept> {
        self.waiting.expire(now);
        for press in self.keys.read(bytes) {
            self.waiting.press(press, now);
        }
        self.settled()
    }

    /// The target wrote this.
    pub(super) fn output(&mut self, bytes: &[u8], now: Instant) -> Vec<Kept> {
        let Self { waiting, row, .. } = self;
        if let Some(row) = row {
            waiting.expire(now);
            row.feed(bytes, |drawn| waiting.drawn(drawn));
        }
        let tail = bytes.get(bytes.len().saturating_sub(RECENT)..).unwrap_or(bytes);
        let over = self.recent.len().saturating_add(tail.len()).saturating_sub(RECENT);
        self.recent.drain(..over.min(self.recent.len()));
        self.recent.extend_from_slice(tail);
        if self.row.is_some() { self.settled() } else { Vec::new() }
    }

    /// The terminal is gone.
    pub(super) fn end(&mut self) -> Vec<Kept> {
        if self.waiting.waits().is_none() {
            self.waiting.settle(self.waiting.whole);
        }
        self.waiting.give_up();
        self.settled()
    }

    fn settled(&mut self) -> Vec<Kept> {
        let kept = self.waiting.take();
        if self.waiting.waits().is_none() {
            self.row = None;
        } else if self.row.is_none() {
            self.row = Some(Row::after(&self.recent));
        }
        kept
    }
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// Nothing yet.
    Waits,
    /// The target showed it; whether it is kept depends on those around it.
    Shown,
    /// It is kept.
    Kept,
    /// It is not kept; its character is gone already.
    Hidden,
}

struct Key {
    press: Press,
    fate: Fate,
    sent: Instant,
    /// Its number.
    number: u64,
}

/// Keys that wait for their echo, in their order.
///
/// INVARIANT: those whose fate is known come before those that wait, and every one that is shown and not yet kept
/// belongs to the newest line among them.
struct Waiting {
    keys: VecDeque<Key>,
    /// How many of them do not wait.
    known: usize,
    /// How many of those that wait end a line.
    ends: usize,
    /// Keys that were shown in a row, up to the newest known one, in this line.
    run: usize,
    /// Whether that run is no accident.
    sure: bool,
    /// Whether every key of this line was shown so far.
    whole: bool,
    /// Number of the next key.
    next: u64,
    /// Other text came while keys before this number waited: whatever shows them now may be an accident.
    doubted: u64,
    /// How much other text came while keys waited.
    noise: usize,
    /// A blank came that is no echo, unless it only brings the cursor over the end of a row: the next number then.
    blank: Option<u64>,
}

impl Default for Waiting {
    fn default() -> Self {
        let keys = VecDeque::new();
        Self { keys, known: 0, ends: 0, run: 0, sure: false, whole: true, next: 1, doubted: 0, noise: 0, blank: None }
    }
}

impl Waiting {
    fn press(&mut self, press: Press, now: Instant) {
        if self.keys.len() >= MOST {
            self.give_up();
        }
        self.ends = self.ends.saturating_add(usize::from(ends(&press)));
        self.keys.push_back(Key { press, fate: Fate::Waits, sent: now, number: self.next });
        self.next = self.next.saturating_add(1);
        // Whoever ends a line of which everything is known ends it here; otherwise its echo has to say so.
        if self.known.saturating_add(1) == self.keys.len() && self.ends == 1 {
            self.close(self.whole);
        }
        self.go_on();
    }

    fn drawn(&mut self, drawn: Drawn) {
        if let Some(before) = self.blank.take().filter(|_| drawn != Drawn::Return) {
            self.doubt(before);
        }
        match drawn {
            Drawn::New(c) => match self.find(c, AHEAD) {
                Some(ahead) => self.show(ahead),
                // Where a line goes on in the next row, its editor writes a blank there and returns.
                None if c == ' ' => self.blank = Some(self.next),
                None => self.doubt(self.next),
            },
            // The only place for what is drawn again is right here.
            Drawn::Again(c) if self.find(c, 1).is_some() => self.show(0),
            Drawn::Again(_) | Drawn::Return => {}
            Drawn::Line => self.line(),
        }
        self.go_on();
    }

    /// How many keys wait before the first one with this text.
    fn find(&self, c: char, most: usize) -> Option<usize> {
        self.keys.iter().skip(self.known).take(most).position(|key| key.press == Press::Text(c))
    }

    /// The target has shown a key, and passed over those that wait before it.
    fn show(&mut self, ahead: usize) {
        (0..ahead).for_each(|_| self.pass_over());
        let open = self.ends == 0;
        let Some(key) = self.keys.get_mut(self.known) else { return };
        let clear = key.number >= self.doubted;
        key.fate = Fate::Shown;
        self.known = self.known.saturating_add(1);
        if !clear {
            return self.hide();
        }
        self.run = self.run.saturating_add(1);
        if self.sure || (open && self.run >= RUN) {
            self.sure = true;
            self.settle(true);
        }
    }

    /// Something else was drawn: what waits, before this number, is in doubt, and the line that only waited for its end did not have it.
    fn doubt(&mut self, before: u64) {
        if self.waits().is_none_or(|key| key.number >= before) {
            return;
        }
        if self.waits().is_some_and(|key| ends(&key.press)) {
            self.close(false);
        }
        self.doubted = before;
        self.noise = self.noise.saturating_add(1);
        if self.noise >= NOISE {
            self.give_up();
        }
    }

    /// A new line: what waited before the end of the old one was not shown.
    fn line(&mut self) {
        if self.ends == 0 {
            return;
        }
        while self.waits().is_some_and(|key| !ends(&key.press)) {
            self.pass_over();
        }
        self.close(self.whole);
    }

    /// The first key that waits.
    fn waits(&self) -> Option<&Key> {
        self.keys.get(self.known)
    }

    /// The first key that waits is not shown.
    fn pass_over(&mut self) {
        let Some(key) = self.keys.get(self.known) else { return };
        match key.press {
            Press::Text(_) | Press::Unread => {
                self.known = self.known.saturating_add(1);
                self.hide();
            }
            Press::Enter(_) | Press::End(_) => self.close(false),
            Press::Steer(_) => self.known = self.known.saturating_add(1),
        }
    }

    /// The newest known key is not kept, nor is what was not sure before it.
    fn hide(&mut self) {
        self.settle(false);
        (self.run, self.sure, self.whole) = (0, false, false);
        if let Some(key) = self.known.checked_sub(1).and_then(|newest| self.keys.get_mut(newest)) {
            (key.fate, key.press) = (Fate::Hidden, Press::Unread);
        }
    }

    /// The first key that waits ends its line; the rest of it is kept or not.
    fn close(&mut self, kept: bool) {
        self.settle(kept);
        self.known = self.known.saturating_add(1);
        self.ends = self.ends.saturating_sub(1);
        (self.run, self.sure, self.whole) = (0, false, true);
    }

    /// What was shown is kept or not.
    fn settle(&mut self, kept: bool) {
        for key in self.keys.iter_mut().take(self.known).rev() {
            match (key.fate, kept) {
                (Fate::Waits, _) => {}
                (Fate::Shown, true) => key.fate = Fate::Kept,
                (Fate::Shown, false) => (key.fate, key.press) = (Fate::Hidden, Press::Unread),
                // Before these, all is settled.
                (Fate::Kept | Fate::Hidden, _) => return,
            }
        }
    }

    /// Goes over what needs no echo.
    fn go_on(&mut self) {
        while let Some(key) = self.waits() {
            match key.press {
                Press::Steer(_) => self.known = self.known.saturating_add(1),
                Press::Unread => self.pass_over(),
                // No echo tells these from what comes after them.
                Press::End(_) => self.close(false),
                Press::Enter(_) if !self.whole => self.close(false),
                Press::Enter(_) | Press::Text(_) => return,
            }
        }
        self.noise = 0;
    }

    /// What waits for too long was not shown.
    fn expire(&mut self, now: Instant) {
        while self.waits().is_some_and(|key| key.sent + LATE < now) {
            self.pass_over();
        }
    }

    /// Nothing of what waits was shown.
    fn give_up(&mut self) {
        while self.known < self.keys.len() {
            self.pass_over();
        }
        self.settle(false);
        (self.run, self.sure, self.whole) = (0, false, false);
    }

    /// What is settled, in its order.
    fn take(&mut self) -> Vec<Kept> {
        let mut kept = Vec::new();
        while let Some(key) = self.keys.front().filter(|key| self.known > 0 && key.fate != Fate::Shown) {
            let mut text = [0; 4];
            let bytes: Option<&[u8]> = match &key.press {
                Press::Text(c) => Some(c.encode_utf8(&mut text).as_bytes()),
                Press::Steer(bytes) => Some(bytes),
                Press::Enter(byte) | Press::End(byte) => Some(std::slice::from_ref(byte)),
                Press::Unread => None,
            };
            match (bytes, kept.last_mut()) {
                (Some(bytes), Some(Kept::Shown(shown))) => shown.extend_from_slice(bytes),
                (Some(bytes), _) => kept.push(Kept::Shown(bytes.to_vec())),
                (None, Some(Kept::Hidden)) => {}
                (None, _) => kept.push(Kept::Hidden),
            }
            self.keys.pop_front();
            self.known = self.known.saturating_sub(1);
        }
        kept
    }
}

const fn ends(press: &Press) -> bool {
    matches!(press, Press::Enter(_) | Press::End(_))
}

#[cfg(test)]
mod tests;
