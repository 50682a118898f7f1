//! Redirections: what they write to, and what they feed.

use super::Word;
use super::read::{Feed, Reader};
use super::tree::{Redirect, Stream};

/// What redirections do.
pub(super) struct Streams {
    pub(super) writes: Vec<Word>,
    pub(super) fed: Feed,
    /// That the output stays what it is.
    pub(super) quiet: bool,
}

impl Reader<'_> {
    /// Reads with what redirections feed.
    pub(super) fn fed<T>(&mut self, fed: Feed, read: impl FnOnce(&mut Self) -> T) -> T {
        let (before, sips) = (self.feeds.clone(), self.sips);
        if fed.is_some() {
            self.feeds = fed;
            self.sips = false;
        }
        let result = read(self);
        (self.feeds, self.sips) = (before, sips);
        result
    }

    /// What redirections write to, and what they feed.
    pub(super) fn redirects(&mut self, redirects: &[Redirect]) -> Streams {
        let mut streams = Streams { writes: Vec::new(), fed: None, quiet: true };
        for Redirect { number, what } in redirects {
            let text = match what {
                Stream::Write(path) => {
                    let path = self.one(path);
                    streams.writes.push(path);
                    None
                }
                Stream::Read(path) => {
                    self.one(path);
                    None
                }
                Stream::Text(text) => self.one(text).text().map(|text| text + "\n"),
                Stream::Document(text) => text.get().and_then(|text| self.one(text).text()),
                Stream::Twin => None,
            };
            streams.quiet &= *number != 1;
            if *number == 0 {
                streams.fed = Some(text);
            }
        }
        streams
    }
}
