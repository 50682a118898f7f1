//! What is open and asked in one SFTP channel, and what becomes of it.

use super::super::place::Start;
use super::super::sum::Summing;
use super::super::{Deed, Event, Fault, Gate, Outcome, Way, text, unsound};
use super::wire::{
    Ask, EOF, FAILURE, OK, PERMISSION_DENIED, Reply, Request, Says, UNSUPPORTED, flag, malformed, size, status,
};
use std::borrow::Cow;
use std::collections::HashMap;

/// Requests that wait for a reply, at most.
const ASKED: usize = 4096;
/// Handles that are open, at most.
const OPEN: usize = 1024;

/// Flags of an open that may change the file.
const CHANGES: u32 = flag::WRITE | flag::APPEND | flag::CREATE | flag::TRUNCATE;

/// What becomes of a request.
pub(super) enum Verdict {
    /// It goes on; the handle whose content follows it.
    Pass(Option<Vec<u8>>),
    /// The gateway answers it.
    Answer(Vec<u8>, Option<Event>),
}

/// A request that waits for its reply.
enum Asked {
    Open {
        path: String,
        flags: u32,
    },
    OpenDir {
        path: String,
    },
    Close {
        handle: Vec<u8>,
    },
    Read {
        handle: Vec<u8>,
        offset: u64,
        length: u32,
    },
    Write {
        handle: Vec<u8>,
    },
    /// A deed without content.
    Plain(Deed, String, Option<String>),
    Look,
}

/// An open file.
struct File {
    path: String,
    down: Option<Summing>,
    up: Option<Summing>,
    /// The target's words about what failed first.
    failed: Option<String>,
    /// What the gateway refused of it first.
    refused: Option<String>,
    /// What is written goes to its end, wherever the client says that it belongs.
    adds: bool,
    /// What was said of each direction when it was first used: an open says what is wanted, a handle may be used for more.
    judged: [Option<Result<(), String>>; 2],
    /// Where the furthest content of each direction lies.
    reach: [u64; 2],
    /// Its number in either direction, where content is kept.
    numbers: Option<[u32; 2]>,
}

impl File {
    fn new(path: String, flags: u32, numbers: Option<[u32; 2]>) -> Self {
        let adds = flags & flag::APPEND != 0;
        let (judged, reach) = ([None, None], [0, 0]);
        Self { path, down: None, up: None, failed: None, refused: None, adds, judged, reach, numbers }
    }

    /// Whether anything of it may go this way.
    fn may(&mut self, gate: &Gate, way: Way) -> Result<(), String> {
        let [down, up] = &mut self.judged;
        let judged = if way == Way::Up { up } else { down };
        judged.get_or_insert_with(|| gate.open(way, &self.path)).clone()
    }

    fn reaches(&mut self, upward: bool, end: u64) {
        let [down, up] = &mut self.reach;
        let reach = if upward { up } else { down };
        *reach = end.max(*reach);
    }

    /// What was refused of it is told when it is closed.
    fn refuse(&mut self, upward: bool, why: &str) {
        self.sums(upward);
        self.refused.get_or_insert_with(|| why.to_owned());
    }

    fn sums(&mut self, upward: bool) -> &mut Summing {
        let number = self.numbers.map(|[down, up]| if upward { up } else { down });
        if upward { &mut self.up } else { &mut self.down }.get_or_insert_with(|| Summing::new(number))
    }

    fn events(self, ended: &Outcome) -> impl Iterator<Item = Event> {
        let Self { path, down, up, failed, refused, reach, .. } = self;
        let [furthest_down, furthest_up] = reach;
        let outcome = match (refused, failed) {
            (Some(why), _) => Outcome::Refused(why),
            (None, Some(why)) => Outcome::Failed(why),
            (None, None) => ended.clone(),
        };
        let ways = [(Deed::Get, down, furthest_down), (Deed::Put, up, furthest_up)];
        ways.into_iter().filter_map(move |(deed, sums, reach)| {
            let sums = sums?;
            let keep = sums.keep();
            let (size, sum) = sums.sum();
            Some(Event { deed, path: path.clone(), other: None, size, reach, sum, keep, outcome: outcome.clone() })
        })
    }
}

/// What is behind a handle.
enum Opened {
    File(Box<File>),
    Dir,
}

/// The book of one channel.
pub(super) struct Book {
    gate: Gate,
    asked: HashMap<u32, Asked>,
    opened: HashMap<Vec<u8>, Opened>,
    /// Files so far, each direction for itself.
    files: u32,
}

impl Book {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate, asked: HashMap::new(), opened: HashMap::new(), files: 0 }
    }

    /// Judges a request and notes it.
    pub(super) fn request(&mut self, request: Request<'_>, content: usize) -> Result<Verdict, Fault> {
        let Request { id, ask } = request;
        if self.asked.len() >= ASKED {
            return Err(Fault::TooMany { most: ASKED, what: "requests in flight" });
        }
        if self.asked.contains_key(&id) {
            return Err(malformed("two requests of one number"));
        }
        let (asked, handle) = match self.judge(&ask, content) {
            Ok(noted) => noted,
            Err(No::Policy(why, event)) => {
                let answer = status(id, PERMISSION_DENIED, &why);
                return Ok(Verdict::Answer(answer, event.map(|event| *event)));
            }
            Err(No::Handle) => return Ok(Verdict::Answer(status(id, FAILURE, "no such handle"), None)),
            Err(No::Unsound(why)) => return Ok(Verdict::Answer(status(id, FAILURE, why), None)),
            Err(No::Unknown) => return Ok(Verdict::Answer(status(id, UNSUPPORTED, "not known to the gateway"), None)),
        };
        self.asked.insert(id, asked);
        Ok(Verdict::Pass(handle))
    }

    fn judge(&mut self, ask: &Ask<'_>, content: usize) -> Result<(Asked, Option<Vec<u8>>), No> {
        if let Some(why) = ask.paths().find_map(unsound) {
            return Err(No::Unsound(why));
        }
        let asked = match *ask {
            Ask::Open { path, flags } => self.open(self.gate.meant(text(path)), flags)?,
            Ask::OpenDir(path) => Asked::OpenDir { path: text(path) },
            Ask::Close(handle) => {
                self.known(handle)?;
                Asked::Close { handle: handle.to_vec() }
            }
            Ask::Read { handle, offset, length } => {
                // How much of it comes is judged when it does: whoever reads asks for more than there is.
                self.allow(handle, Way::Down, offset, 0)?;
                Asked::Read { handle: handle.to_vec(), offset, length }
            }
            Ask::Write { handle, offset } => {
                self.allow(handle, Way::Up, offset, u64::try_from(content).unwrap_or(u64::MAX))?;
                if let Some(Opened::File(file)) = self.opened.get_mut(handle) {
                    file.sums(true).at(offset);
                }
                return Ok((Asked::Write { handle: handle.to_vec() }, Some(handle.to_vec())));
            }
            Ask::Remove(path) => self.change(Deed::Remove, path, None)?,
            Ask::MakeDir(path) => self.change(Deed::MakeDir, path, None)?,
            Ask::RemoveDir(path) => self.change(Deed::RemoveDir, path, None)?,
            Ask::Rename(from, to) => self.change(Deed::Rename, from, Some(to))?,
            Ask::SetStat(path) => self.change(Deed::SetAttributes, path, None)?,
            Ask::SetHandle(handle) => {
                let path = self.path(handle)?;
                self.change(Deed::SetAttributes, path.as_bytes(), None)?
            }
            Ask::Link(name, leads) => self.change(Deed::Link, name, Some(leads))?,
            Ask::Copy { from, to } => {
                let (from, to) = (self.path(from)?, self.path(to)?);
                self.change(Deed::Copy, from.as_bytes(), Some(to.as_bytes()))?
            }
            Ask::Look(_) => Asked::Look,
            Ask::LookAt(handle) => self.known(handle).map(|_| Asked::Look)?,
            Ask::Names(handle) => match self.known(handle)? {
                Opened::Dir => Asked::Look,
                Opened::File(_) => return Err(No::Handle),
            },
            Ask::Unknown => return Err(No::Unknown),
        };
        Ok((asked, None))
    }

    fn open(&self, path: String, flags: u32) -> Result<Asked, No> {
        // A server takes an open that says neither for one that reads.
        let reads = flags & flag::READ != 0 || flags & flag::WRITE == 0;
        let ways = [(Way::Down, reads, Deed::Get), (Way::Up, flags & CHANGES != 0, Deed::Put)];
        for (way, wanted, deed) in ways {
            if wanted && let Err(why) = self.gate.open(way, &path) {
                return Err(refused(deed, path, None, why));
            }
        }
        Ok(Asked::Open { path, flags })
    }

    /// Both paths of a change must be allowed, and what has a rule must not lose it by another name.
    fn change(&self, deed: Deed, path: &[u8], other: Option<&[u8]>) -> Result<Asked, No> {
        let (path, other) = (text(path), other.map(text));
        let meant = |path: &String| self.gate.meant(path.clone());
        let paths = [Some(&path), other.as_ref()].into_iter().flatten();
        let mut wrong = paths.map(|path| self.gate.change(&meant(path))).find_map(Result::err);
        if let (None, Some(other)) = (&wrong, &other) {
            let (from, to) = if deed == Deed::Link { (other, &path) } else { (&path, other) };
            wrong = self.gate.another(deed, &meant(from), &meant(to)).err();
        }
        if let Some(why) = wrong {
            return Err(refused(deed, path, other, why));
        }
        Ok(Asked::Plain(deed, path, other))
    }

    fn known(&self, handle: &[u8]) -> Result<&Opened, No> {
        self.opened.get(handle).ok_or(No::Handle)
    }

    fn path(&self, handle: &[u8]) -> Result<String, No> {
        match self.known(handle)? {
            Opened::File(file) => Ok(file.path.clone()),
            Opened::Dir => Err(No::Handle),
        }
    }

    /// Whether so much content that belongs at an offset of a file may go this way.
    fn allow(&mut self, handle: &[u8], way: Way, offset: u64, more: u64) -> Result<(), No> {
        let Some(Opened::File(file)) = self.opened.get_mut(handle) else { return Err(No::Handle) };
        let upward = way == Way::Up;
        let counted = upward && self.gate.has_sizes();
        let adds = counted && file.adds;
        let end = if adds { offset.max(self.gate.length(&file.path)) } else { offset }.saturating_add(more);
        let judged = file.may(&self.gate, way).and_then(|()| self.gate.size(way, &file.path, end));
        let noted = judged.and_then(|()| if counted { self.gate.lengthens(&file.path, end, adds) } else { Ok(()) });
        match noted {
            Ok(()) => {
                if upward {
                    file.reaches(upward, end);
                }
                Ok(())
            }
            Err(why) => {
                file.refuse(upward, &why);
                Err(No::Policy(why, None))
            }
        }
    }

    /// Content of a handle passes; gives what of it is kept.
    pub(super) fn content<'a>(&mut self, handle: &[u8], upward: bool, bytes: &'a [u8]) -> Option<(u32, Cow<'a, [u8]>)> {
        let Some(Opened::File(file)) = self.opened.get_mut(handle) else { return None };
        let (file, kept) = file.sums(upward).feed(bytes, self.gate.kept())?;
        Some((file, Cow::Borrowed(kept)))
    }

    /// A file that was opened to be written is a transfer even where nothing is.
    fn begun(&mut self, path: String, flags: u32) -> File {
        let first = self.files.saturating_add(1);
        let second = first.saturating_add(1);
        self.files = second;
        let mut file = File::new(path, flags, (self.gate.kept() > 0).then_some([first, second]));
        if flags & CHANGES != 0 {
            file.sums(true);
        }
        file
    }

    /// Takes in a reply of which so much content follows.
    pub(super) fn reply(&mut self, reply: &Reply<'_>, content: usize) -> Result<Heard, Fault> {
        let asked = self.asked.remove(&reply.id).ok_or(malformed("a reply to what was not asked"))?;
        let failed = match reply.says {
            Says::Status(OK | EOF, _) => None,
            Says::Status(code, words) => Some(words_of(code, words)),
            _ => None,
        };
        let mut events = Vec::new();
        match (asked, &reply.says) {
            (Asked::Open { path, flags }, Says::Handle(handle)) => {
                let file = self.begun(path, flags);
                events.extend(self.opens(handle, Opened::File(Box::new(file)))?);
            }
            (Asked::OpenDir { path }, Says::Handle(handle)) => {
                events.extend(self.opens(handle, Opened::Dir)?);
                events.push(Event::plain(Deed::List, path, None, Outcome::Done));
            }
            (Asked::Open { path, flags }, _) => {
                let deed = if flags & CHANGES != 0 { Deed::Put } else { Deed::Get };
                events.push(Event::plain(deed, path, None, Outcome::Failed(failed.unwrap_or_default())));
            }
            (Asked::OpenDir { path }, _) => {
                events.push(Event::plain(Deed::List, path, None, Outcome::Failed(failed.unwrap_or_default())));
            }
            (Asked::Close { handle }, _) => {
                if let Some(Opened::File(file)) = self.opened.remove(&handle) {
                    events.extend(file.events(&failed.map_or(Outcome::Done, Outcome::Failed)));
                }
            }
            (Asked::Read { handle, offset, length }, Says::Data(_)) => {
                if content > size(length) {
                    return Err(malformed("more content than was asked for"));
                }
                return Ok(self.came(handle, reply.id, offset, content));
            }
            (Asked::Read { handle, .. } | Asked::Write { handle }, _) => {
                if let (Some(why), Some(Opened::File(file))) = (failed, self.opened.get_mut(&handle)) {
                    file.failed.get_or_insert(why);
                }
            }
            (Asked::Plain(deed, path, other), _) => {
                events.push(Event::plain(deed, path, other, failed.map_or(Outcome::Done, Outcome::Failed)));
            }
            (Asked::Look, _) => {}
        }
        if matches!(reply.says, Says::Data(_)) && content > 0 {
            return Err(malformed("content that was not asked for"));
        }
        Ok(Heard { events, ..Heard::default() })
    }

    /// Content of a file has come from the target; what is beyond the size that may is not passed on.
    fn came(&mut self, handle: Vec<u8>, id: u32, offset: u64, content: usize) -> Heard {
        // Whose handle was closed before: it is no file's, and told as what it is.
        let Some(Opened::File(file)) = self.opened.get_mut(&handle) else { return Heard::default() };
        let end = offset.saturating_add(u64::try_from(content).unwrap_or(u64::MAX));
        if let Err(why) = self.gate.size(Way::Down, &file.path, end) {
            file.refuse(false, &why);
            return Heard { instead: Some(status(id, PERMISSION_DENIED, &why)), ..Heard::default() };
        }
        file.sums(false).at(offset);
        file.reaches(false, end);
        Heard { content: Some(handle), ..Heard::default() }
    }

    /// A number that no request has that is under way.
    pub(super) fn free(&self) -> Option<u32> {
        (0..=u32::MAX).rev().find(|id| !self.asked.contains_key(id))
    }

    /// From where the target understands paths.
    pub(super) fn starts(&self, start: Start) {
        self.gate.starts(start);
    }

    /// Whether rules need to know that.
    pub(super) fn asks_where(&self) -> bool {
        self.gate.asks_where()
    }

    /// A handle is open. A server that works ahead may use one again before it has said that it is closed.
    fn opens(&mut self, handle: &[u8], opened: Opened) -> Result<Vec<Event>, Fault> {
        let closing = |asked: &Asked| matches!(asked, Asked::Close { handle: closed } if closed == handle);
        let mut events = Vec::new();
        if let Some(before) = self.opened.remove(handle) {
            let Some(id) = self.asked.iter().find_map(|(id, asked)| closing(asked).then_some(*id)) else {
                return Err(malformed("a handle that is open already"));
            };
            self.asked.insert(id, Asked::Look);
            if let Opened::File(file) = before {
                events.extend(file.events(&Outcome::Done));
            }
        }
        if self.opened.len() >= OPEN {
            return Err(Fault::TooMany { most: OPEN, what: "open files" });
        }
        self.opened.insert(handle.to_vec(), opened);
        Ok(events)
    }

    /// What was open at the end.
    pub(super) fn end(self) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        for opened in self.opened.into_values() {
            if let Opened::File(file) = opened {
                events.extend(file.events(&Outcome::Cut));
            }
        }
        events.sort_by(|a, b| a.path.cmp(&b.path));
        events
    }
}

/// What a reply comes to.
#[derive(Default)]
pub(super) struct Heard {
    /// The handle whose content follows it.
    pub(super) content: Option<Vec<u8>>,
    /// What happened.
    pub(super) events: Vec<Event>,
    /// What the client is told in its place.
    pub(super) instead: Option<Vec<u8>>,
}

/// Why a request does not go on.
enum No {
    Policy(String, Option<Box<Event>>),
    /// No path that can be judged.
    Unsound(&'static str),
    Handle,
    Unknown,
}

fn refused(deed: Deed, path: String, other: Option<String>, why: String) -> No {
    let event = Event::plain(deed, path, other, Outcome::Refused(why.clone()));
    No::Policy(why, Some(Box::new(event)))
}

fn words_of(code: u32, words: &[u8]) -> String {
    let words = text(words);
    if words.is_empty() { format!("status {code}") } else { words }
}
