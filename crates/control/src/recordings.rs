//! Recordings as a collection: listed by who, where and when, and searched by what was on the screen.

use crate::control::in_session;
use crate::{Control, Error, Op};
use sallyport_model::{Handle, SessionId, TargetName, Timestamp};
use sallyport_policy::Right;
use sallyport_recording::files::{self, Kept};
use sallyport_recording::find::{Finder, Hit};
use sallyport_recording::marks::{self, Mark};
use sallyport_recording::{Event, Facts, Replay, What};
use sallyport_store::{Change, EntryRow, Filter};
use std::time::Duration;

/// Entries that are looked at together.
const ROWS: u32 = 500;
/// Entries that one question looks at, at most; the next page goes on.
const MOST_ROWS: usize = 20_000;
/// Recordings that one search opens, and bytes of them, at most; the next page goes on.
const MOST_OPENED: usize = 200;
const MOST_BYTES: usize = 256 << 20;
/// Hits that are told of one recording.
const HITS: usize = 20;
/// Shortest text that is searched for: what is shorter is everywhere.
const SHORTEST: usize = 2;

/// Which recordings are wanted.
#[derive(Clone, Debug, Default)]
pub struct RecordingsWanted {
    /// Of whom.
    pub handle: Option<Handle>,
    /// Of which target.
    pub target: Option<TargetName>,
    /// That ended at this time or later.
    pub from: Option<Timestamp>,
    /// That ended before.
    pub to: Option<Timestamp>,
    /// In which this text stands: on the screen, as typed, or in a command.
    pub text: Option<String>,
    /// Only those whose last entry lies before this ledger index.
    pub before: Option<u64>,
    /// At most.
    pub limit: usize,
}

/// A recording in a listing.
#[derive(Clone, Debug)]
pub struct RecordingLine {
    /// Its session.
    pub session: SessionId,
    /// Whose.
    pub handle: String,
    /// `account@target`.
    pub address: String,
    /// What was spoken.
    pub protocol: String,
    /// The account that was logged in at and became that one, and how; empty where it is the same.
    pub through: String,
    /// The jump hosts that it went over, the outermost first.
    pub via: Vec<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Bytes that crossed, both ways.
    pub bytes: u64,
    /// Whether it ends in good order.
    pub complete: bool,
    /// Where the text stands.
    pub hits: Vec<Hit>,
}

/// A page of recordings.
#[derive(Clone, Debug, Default)]
pub struct Recordings {
    /// Newest first.
    pub lines: Vec<RecordingLine>,
    /// What the next page begins before; absent on the last one.
    pub next: Option<u64>,
}

/// A recording, opened.
pub struct OpenedRecording {
    /// What it is of.
    pub facts: Facts,
    /// What happened.
    pub events: Vec<Event>,
}

impl Control {
    /// Recordings, newest first. A search by text opens them, and is an entry first; where it would open too many, the page
    /// is short and the next one goes on.
    ///
    /// # Errors
    /// When the actor lacks the right, or the text is too short.
    pub async fn recordings(&self, op: &Op, wanted: &RecordingsWanted) -> Result<Recordings, Error> {
        self.require(op, Right::RecordingPlay)?;
        let text = wanted.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        if let Some(text) = text {
            if text.chars().count() < SHORTEST {
                return Err(Error::usage("search for at least two characters"));
            }
            self.note_search(op, wanted, text).await?;
        }
        let mut page = Recordings::default();
        let (mut before, mut looked, mut opened, mut bytes) = (wanted.before, 0, 0, 0);
        loop {
            let actions = vec!["session.closed".to_owned()];
            let actor = wanted.handle.as_ref().map(ToString::to_string);
            let filter = Filter { before, actions, actor, newest_first: true, limit: ROWS, ..Filter::default() };
            let rows = self.opened()?.store.entries(&filter).await?;
            let last = u32::try_from(rows.len()).is_ok_and(|rows| rows < ROWS);
            for row in rows {
                (looked, before) = (looked + 1, Some(row.index));
                let Some(mut line) = line(&row).filter(|line| fits(line, wanted)) else { continue };
                if let Some(text) = text {
                    let size = self.search(&mut line, text).await?;
                    (opened, bytes) = (opened + 1, bytes + size);
                }
                if text.is_none() || !line.hits.is_empty() {
                    self.tell_way(&mut line).await?;
                    page.lines.push(line);
                }
                if page.lines.len() >= wanted.limit || opened >= MOST_OPENED || bytes >= MOST_BYTES {
                    page.next = before;
                    return Ok(page);
                }
            }
            if last || looked >= MOST_ROWS {
                page.next = before.filter(|_| !last);
                return Ok(page);
            }
        }
    }

    /// How its session went there: that is said where it began.
    async fn tell_way(&self, line: &mut RecordingLine) -> Result<(), Error> {
        if let Some(row) = self.session_row(line.session).await? {
            line.protocol = row.entry.fact("protocol").to_owned();
            line.through = row.entry.fact("through").to_owned();
            line.via = row.entry.fact("via").split_whitespace().map(str::to_owned).collect();
        }
        Ok(())
    }

    /// What happened in a recording, without its output.
    ///
    /// # Errors
    /// As of opening it.
    pub async fn marks(&self, op: &Op, session: SessionId) -> Result<Vec<Mark>, Error> {
        Ok(marks::index(&self.open_played(op, session).await?.events))
    }

    /// A recording, opened for somebody who may play it. That is an entry first, one for all that is read of it at once.
    ///
    /// # Errors
    /// When the actor lacks the right, or the recording does not verify.
    pub async fn open_played(&self, op: &Op, session: SessionId) -> Result<OpenedRecording, Error> {
        // What is played has no need of the content of files, which may be large.
        self.replayed(op, session, |facts, replay| {
            let content = |event: &Result<Event, _>| matches!(event, Ok(Event { what: What::Content { .. }, .. }));
            let events = replay.filter(|event| !content(event)).collect::<Result<_, _>>().map_err(Error::failed)?;
            Ok(OpenedRecording { facts, events })
        })
        .await
    }

    /// Reads a recording through for somebody who may play it.
    async fn replayed<T: Send + 'static>(
        &self,
        op: &Op,
        session: SessionId,
        read: impl FnOnce(Facts, Replay<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.require(op, Right::RecordingPlay)?;
        let recording = self.recording_of(session).await?;
        let now = self.env.now();
        if !self.live.is_played(op, session, now) {
            let draft = self.draft(&op.actor, "recording.played", session, &[]);
            self.opened()?.store.commit(Change::entry(in_session(draft, session))).await?;
            self.live.played(op, session, now);
        }
        let (bytes, key) = self.open_recording(session, recording).await?;
        aside(move || {
            let facts = sallyport_recording::container::parse(&bytes).map_err(Error::failed)?.header.facts;
            read(facts, sallyport_recording::replay(&bytes, &key).map_err(Error::failed)?)
        })
        .await
    }

    /// The files whose content a recording keeps. It is played by that, as the ledger says.
    ///
    /// # Errors
    /// As of opening it.
    pub async fn files(&self, op: &Op, session: SessionId) -> Result<Vec<Kept>, Error> {
        self.replayed(op, session, |_, replay| files::kept(replay).map_err(Error::failed)).await
    }

    /// What a recording keeps of one file, by its channel and its number. It is an entry before it is given out.
    ///
    /// # Errors
    /// When the actor lacks the right, or there is no such file.
    pub async fn file(&self, op: &Op, session: SessionId, place: (u32, u32)) -> Result<(Kept, Vec<u8>), Error> {
        self.require(op, Right::RecordingExport)?;
        let recording = self.recording_of(session).await?;
        let (bytes, key) = self.open_recording(session, recording).await?;
        let found = aside(move || {
            let replay = sallyport_recording::replay(&bytes, &key).map_err(Error::failed)?;
            files::content(replay, place).map_err(Error::failed)
        });
        let (kept, content) = found.await?.ok_or_else(|| {
            let (channel, number) = place;
            Error::NotFound(format!("this recording keeps no file {channel}.{number}: list those that it keeps"))
        })?;
        let size = kept.file.kept.to_string();
        let facts = [("path", kept.file.path.as_str()), ("bytes", &size)];
        let draft = self.draft(&op.actor, "recording.file_taken", session, &facts);
        self.opened()?.store.commit(Change::entry(in_session(draft, session))).await?;
        Ok((kept, content))
    }

    /// The first page of a search says so; the others are the same search.
    async fn note_search(&self, op: &Op, wanted: &RecordingsWanted, text: &str) -> Result<(), Error> {
        if wanted.before.is_some() {
            return Ok(());
        }
        let mut facts = vec![("text", text.to_owned())];
        facts.extend(wanted.handle.as_ref().map(|handle| ("handle", handle.to_string())));
        facts.extend(wanted.target.as_ref().map(|target| ("target", target.to_string())));
        facts.extend(wanted.from.map(|from| ("from", from.to_string())));
        facts.extend(wanted.to.map(|to| ("to", to.to_string())));
        self.note(op.actor.clone(), "recordings.searched", "recordings", &crate::slots::borrowed(&facts)).await?;
        Ok(())
    }

    /// Looks for a text in one recording; gives its size in bytes. One that has expired holds nothing to find.
    async fn search(&self, line: &mut RecordingLine, text: &str) -> Result<usize, Error> {
        let session = line.session;
        let recording = self.recording_of(session).await?;
        let (bytes, key) = match self.open_recording(session, recording).await {
            Ok(found) => found,
            Err(Error::NotFound(_)) => return Ok(0),
            Err(other) => return Err(other),
        };
        let (size, mut finder) = (bytes.len(), Finder::new(text, HITS));
        line.hits = aside(move || {
            // One that is altered is told by whoever verifies it: a search goes on with the others.
            let unread = |error| tracing::warn!(%session, %error, "a recording could not be searched to its end");
            match sallyport_recording::replay(&bytes, &key) {
                Ok(replay) => {
                    let whole = replay.map(|event| event.map(|event| finder.look(&event.as_ref())));
                    whole
                        .take_while(|looked| matches!(looked, Ok(true) | Err(_)))
                        .filter_map(Result::err)
                        .for_each(unread);
                }
                Err(error) => unread(error),
            }
            Ok(finder.hits())
        })
        .await?;
        Ok(size)
    }
}

/// Work that keeps a core busy for a while, beside everything else.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::failed)?
}

fn line(row: &EntryRow) -> Option<RecordingLine> {
    let number = |name: &str| row.entry.fact(name).parse::<u64>().unwrap_or(0);
    let ended = row.entry.at;
    Some(RecordingLine {
        session: row.entry.session?,
        handle: row.entry.actor.clone(),
        address: row.entry.object.clone(),
        protocol: String::new(),
        through: String::new(),
        via: Vec::new(),
        started: ended.minus(Duration::from_secs(number("lasted_seconds"))),
        ended,
        bytes: number("bytes_in").saturating_add(number("bytes_out")),
        complete: row.entry.fact("complete") == "true",
        hits: Vec::new(),
    })
}

fn fits(line: &RecordingLine, wanted: &RecordingsWanted) -> bool {
    let target = line.address.rsplit_once('@').map_or("", |(_, target)| target);
    wanted.handle.as_ref().is_none_or(|handle| handle.as_str() == line.handle)
        && wanted.target.as_ref().is_none_or(|wanted| wanted.as_str() == target)
        && wanted.from.is_none_or(|from| line.ended >= from)
        && wanted.to.is_none_or(|to| line.ended < to)
}
