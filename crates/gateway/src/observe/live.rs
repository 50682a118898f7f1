//! Live watchers of one session: what happened lately, then what happens, and never at its cost.

use crate::authority::Authority;
use sallyport_model::WatchId;
use sallyport_model::authority::View;
use std::collections::VecDeque;

/// Bytes of recent events that a late watcher is given.
pub const RECENT: usize = 256 << 10;

/// Recent events and those who look. All of it is memory: nothing here waits.
#[derive(Default)]
pub struct Live {
    recent: VecDeque<Vec<u8>>,
    size: usize,
    watchers: Vec<WatchId>,
}

impl Live {
    /// Notes encoded events and offers them to every watcher. One that is too slow is dropped.
    pub fn push(&mut self, authority: &dyn Authority, events: &[u8]) {
        self.watchers.retain(|watch| authority.view(View { watch: *watch, events: events.to_vec(), last: false }));
        self.size = self.size.saturating_add(events.len());
        match self.recent.back_mut() {
            Some(last) if last.len().saturating_add(events.len()) <= 4096 => last.extend_from_slice(events),
            _ => self.recent.push_back(events.to_vec()),
        }
        while self.size > RECENT {
            let Some(oldest) = self.recent.pop_front() else { return };
            self.size = self.size.saturating_sub(oldest.len());
        }
    }

    /// Begins to serve a watcher, with what happened lately.
    pub fn watch(&mut self, authority: &dyn Authority, watch: WatchId) {
        let events = self.recent.iter().flatten().copied().collect();
        if authority.view(View { watch, events, last: false }) && !self.watchers.contains(&watch) {
            self.watchers.push(watch);
        }
    }

    /// Stops serving a watcher.
    pub fn unwatch(&mut self, watch: WatchId) {
        self.watchers.retain(|other| *other != watch);
    }

    /// Tells every watcher that nothing follows.
    pub fn end(&mut self, authority: &dyn Authority) {
        for watch in self.watchers.drain(..) {
            let _ = authority.view(View { watch, events: Vec::new(), last: true });
        }
    }
}
