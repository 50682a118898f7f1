//! The old scp protocol (`scp -O`), read along: records, content and answers between a source and a sink.
//!
//! A record is `C0644 size name`, `D0755 0 name`, `E`, `T ...`; content is followed by a zero byte. Each record and each
//! content is answered by one byte: zero, or one or two with a line of words. The source waits for that, so a record
//! may be held until it is whole and judged, and nothing is slower for it.

use super::sum::Summing;
use super::{Deed, Event, Fault, Flow, Gate, Outcome, Way, text};
use std::borrow::Cow;

/// Longest record or line of words.
const LINE: usize = 8192;
/// Directories one in another, at most.
const DEPTH: usize = 256;

/// What an exec of scp asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// Which way files go.
    pub way: Way,
    /// Where to or from, as the client wrote it.
    pub path: String,
}

/// Reads the words of a command: `scp -t path` is a sink, `scp -f path` a source.
#[must_use]
pub fn asked(words: &[String]) -> Option<Asked> {
    let (program, arguments) = words.split_first()?;
    if program.rsplit('/').next() != Some("scp") {
        return None;
    }
    let flags = arguments.iter().take_while(|word| word.starts_with('-') && *word != "--");
    let has = |flag: char| flags.clone().any(|word| word.chars().skip(1).any(|c| c == flag));
    let way = match (has('t'), has('f')) {
        (true, false) => Way::Up,
        (false, true) => Way::Down,
        _ => return None,
    };
    let paths = arguments.iter().filter(|word| !word.starts_with('-')).cloned().collect::<Vec<_>>();
    Some(Asked { way, path: paths.join(" ") })
}

/// What goes on to one side, in its order.
type Pieces<'a> = Vec<Cow<'a, [u8]>>;

/// Where the source's stream is.
enum At {
    Record(Vec<u8>),
    Content {
        left: u64,
    },
    /// The byte after the content.
    End,
}

/// A file whose content crosses or has crossed, and whose answer is awaited.
struct Crossing {
    path: String,
    size: u64,
    sums: Summing,
}

/// What an answer of the sink is about.
enum Awaits {
    /// A file's record: the content follows where the answer is good.
    File,
    /// A file's content.
    Content,
    /// Anything else.
    Other,
}

/// Reads one scp channel along.
pub struct Scp {
    gate: Gate,
    way: Way,
    at: At,
    folders: Vec<String>,
    root: String,
    now: Option<Crossing>,
    awaits: Option<Awaits>,
    /// A line of words that the sink is saying.
    words: Option<Vec<u8>>,
    /// Files so far.
    files: u32,
    /// The first byte of the sink, which asks the source to begin, has come.
    begun: bool,
}

impl Scp {
    /// For a channel that runs this command, under a gate.
    #[must_use]
    pub fn new(asked: &Asked, gate: Gate) -> Self {
        Self {
            gate,
            way: asked.way,
            at: At::Record(Vec::new()),
            folders: Vec::new(),
            root: asked.path.clone(),
            now: None,
            awaits: None,
            words: None,
            files: 0,
            begun: false,
        }
    }

    /// Takes in what the client sent.
    ///
    /// # Errors
    /// When it cannot be followed: the channel must end.
    pub fn client<'a>(&mut self, bytes: &'a [u8]) -> Result<Flow<'a>, Fault> {
        self.take(bytes, self.way == Way::Up)
    }

    /// Takes in what the target sent.
    ///
    /// # Errors
    /// When it cannot be followed: the channel must end.
    pub fn target<'a>(&mut self, bytes: &'a [u8]) -> Result<Flow<'a>, Fault> {
        self.take(bytes, self.way == Way::Down)
    }

    /// The channel has ended: what was under way is told as cut off.
    #[must_use]
    pub fn end(mut self) -> Option<Event> {
        self.done(Outcome::Cut)
    }

    fn take<'a>(&mut self, bytes: &'a [u8], source: bool) -> Result<Flow<'a>, Fault> {
        // Forward: what came, on to the other side. Back: the gateway's answer to whoever sent it.
        let (mut forward, mut back, mut events, mut content) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        if source {
            self.source(bytes, (&mut forward, &mut back), &mut events, &mut content)?;
        } else {
            self.sink(bytes, &mut events)?;
            forward.push(Cow::Borrowed(bytes));
        }
        let upward = (self.way == Way::Up) == source;
        let (to_target, to_client) = if upward { (forward, back) } else { (back, forward) };
        Ok(Flow { to_target, to_client, events, content })
    }

    fn source<'a>(
        &mut self,
        mut rest: &'a [u8],
        (forward, back): (&mut Pieces<'a>, &mut Pieces<'a>),
        events: &mut Vec<Event>,
        content: &mut Vec<(u32, Cow<'a, [u8]>)>,
    ) -> Result<(), Fault> {
        while !rest.is_empty() {
            match &mut self.at {
                At::Content { left } => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (now, later) = rest.split_at_checked(most).unwrap_or((rest, &[]));
                    rest = later;
                    *left = left.saturating_sub(u64::try_from(now.len()).unwrap_or(u64::MAX));
                    if let Some(file) = &mut self.now {
                        let kept = file.sums.feed(now, self.gate.kept());
                        content.extend(kept.map(|(file, bytes)| (file, Cow::Borrowed(bytes))));
                    }
                    forward.push(Cow::Borrowed(now));
                    if *left == 0 {
                        self.at = At::End;
                    }
                }
                // Zero, or words about what went wrong while it was read.
                At::End => {
                    let (end, later) = rest.split_at_checked(1).unwrap_or((rest, &[]));
                    if end == [0] {
                        forward.push(Cow::Borrowed(end));
                        rest = later;
                        self.at = At::Record(Vec::new());
                        self.awaits = Some(Awaits::Content);
                    } else {
                        self.at = At::Record(Vec::new());
                    }
                }
                At::Record(_) => {
                    let Some(record) = self.line(&mut rest)? else { break };
                    if self.now.is_some() && matches!(record.first(), Some(1 | 2)) {
                        events.extend(self.done(Outcome::Failed(said(&record))));
                        self.awaits = Some(Awaits::Content);
                        forward.push(Cow::Owned(record));
                        continue;
                    }
                    match self.record(&record)? {
                        Ok(()) => forward.push(Cow::Owned(record)),
                        Err((why, event)) => {
                            let words = format!("\u{1}scp: {}: {why}\n", event.path).into_bytes();
                            events.push(event);
                            // Downward the person's own scp is told too; it takes the words in a record's place.
                            if self.way == Way::Down {
                                forward.push(Cow::Owned(words.clone()));
                            }
                            back.push(Cow::Owned(words));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The next whole line, with its end; what is not whole is held.
    fn line(&mut self, rest: &mut &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let At::Record(held) = &mut self.at else { return Ok(None) };
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at.saturating_add(1));
        let (now, later) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        held.extend_from_slice(now);
        *rest = later;
        if held.len() > LINE {
            return Err(malformed("a record of more than 8 KiB"));
        }
        Ok((held.last() == Some(&b'\n')).then(|| std::mem::take(held)))
    }

    /// Reads a record; the inner error is the gate's.
    fn record(&mut self, record: &[u8]) -> Result<Result<(), (String, Event)>, Fault> {
        if self.now.is_some() || self.awaits.is_some() {
            return Err(malformed("a record before the last one was answered"));
        }
        let (sort, line) = record.split_first().ok_or(malformed("an empty record"))?;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        match sort {
            b'C' | b'D' => {
                let (size, name) = header(line)?;
                let path = self.path(&name);
                let deed = match (sort, self.way) {
                    (b'D', _) => Deed::MakeDir,
                    (_, Way::Up) => Deed::Put,
                    (_, Way::Down) => Deed::Get,
                };
                let judged = self.judge(&path, size);
                if let Err(why) = judged {
                    let outcome = Outcome::Refused(why.clone());
                    return Ok(Err((why, Event::plain(deed, path, None, outcome))));
                }
                if *sort == b'C' {
                    self.files = self.files.saturating_add(1);
                    let kept = (self.gate.kept() > 0).then_some(self.files);
                    self.now = Some(Crossing { path, size, sums: Summing::new(kept) });
                    self.awaits = Some(Awaits::File);
                } else {
                    if self.folders.len() >= DEPTH {
                        return Err(Fault::TooMany { most: DEPTH, what: "directories one in another" });
                    }
                    self.folders.push(name);
                    self.awaits = Some(Awaits::Other);
                }
            }
            b'E' => {
                self.folders.pop();
                self.awaits = Some(Awaits::Other);
            }
            b'T' => self.awaits = Some(Awaits::Other),
            // The source's own words; nobody answers them.
            1 | 2 => {}
            _ => return Err(malformed("an unknown record")),
        }
        Ok(Ok(()))
    }

    /// A single file that goes up may become what was asked for or lie below it: nobody here knows which.
    fn judge(&self, path: &str, size: u64) -> Result<(), String> {
        let own = (self.way == Way::Up && self.folders.is_empty()).then_some(self.root.as_str());
        for path in [Some(path), own].into_iter().flatten() {
            self.gate.open(self.way, path)?;
            self.gate.size(self.way, path, size)?;
        }
        Ok(())
    }

    /// A file's place: upward below what was asked for, downward beside it, since the source says its name again; and
    /// below the directories that were begun.
    fn path(&self, name: &str) -> String {
        let base = match self.way {
            Way::Up => self.root.as_str(),
            Way::Down => self.root.rfind('/').and_then(|at| self.root.get(..=at)).unwrap_or_default(),
        };
        let mut path = base.to_owned();
        if self.way == Way::Up && self.folders.is_empty() && base.rsplit('/').next() == Some(name) {
            return path;
        }
        for part in self.folders.iter().map(String::as_str).chain([name]) {
            if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(part);
        }
        path
    }

    /// Reads the sink's answers.
    fn sink(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        for byte in bytes {
            if let Some(words) = &mut self.words {
                words.push(*byte);
                if words.len() > LINE {
                    return Err(malformed("an answer of more than 8 KiB"));
                }
                if *byte == b'\n' {
                    let words = self.words.take().unwrap_or_default();
                    self.awaits = None;
                    events.extend(self.done(Outcome::Failed(said(&words))));
                }
                continue;
            }
            match byte {
                0 => events.extend(self.answered()?),
                1 | 2 => self.words = Some(vec![*byte]),
                _ => return Err(malformed("an unknown answer")),
            }
        }
        Ok(())
    }

    fn answered(&mut self) -> Result<Option<Event>, Fault> {
        match self.awaits.take() {
            Some(Awaits::File) => {
                let left = self.now.as_ref().map_or(0, |file| file.size);
                self.at = if left == 0 { At::End } else { At::Content { left } };
                Ok(None)
            }
            Some(Awaits::Content) => Ok(self.done(Outcome::Done)),
            Some(Awaits::Other) => Ok(None),
            None if !self.begun => {
                self.begun = true;
                Ok(None)
            }
            None => Err(malformed("an answer to nothing")),
        }
    }

    fn done(&mut self, outcome: Outcome) -> Option<Event> {
        let Crossing { path, sums, .. } = self.now.take()?;
        let keep = sums.keep();
        let (size, sum) = sums.sum();
        let deed = if self.way == Way::Up { Deed::Put } else { Deed::Get };
        Some(Event { deed, path, other: None, size, sum, keep, outcome })
    }
}

/// `0644 size name`.
fn header(line: &[u8]) -> Result<(u64, String), Fault> {
    let wrong = || malformed("a record without mode, size and name");
    let line = std::str::from_utf8(line).map_or_else(|_| text(line), str::to_owned);
    let (mode, rest) = line.split_once(' ').ok_or_else(wrong)?;
    let (size, name) = rest.split_once(' ').ok_or_else(wrong)?;
    let octal = mode.len() == 4 && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let digits = size.bytes().all(|byte| byte.is_ascii_digit());
    let sound = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
    match size.parse() {
        Ok(size) if octal && digits && sound => Ok((size, name.to_owned())),
        _ => Err(wrong()),
    }
}

fn said(words: &[u8]) -> String {
    text(words.get(1..).unwrap_or_default()).trim_end().to_owned()
}

fn malformed(what: &'static str) -> Fault {
    Fault::Malformed { protocol: "scp", what }
}
