//! The old scp protocol (`scp -O`), read along: records, content and answers between a source and a sink.
//!
//! A record is `C0644 size name`, `D0755 0 name`, `E`, `T ...`; content is followed by a zero byte. Each record and each
//! content is answered by one byte: zero, or one or two with a line of words. The source waits for that, so a record
//! may be held until it is whole and judged, and nothing is slower for it.

use super::place::Start;
use super::sum::Summing;
use super::{Deed, Event, Fault, Flow, Gate, Outcome, Way, text, unsound};
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
    /// It is all of the command: it begins in the account's home, and not where something before it went to.
    pub alone: bool,
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
    Some(Asked { way, path: paths.join(" "), alone: true })
}

/// What goes on to one side, in its order.
type Pieces<'a> = Vec<Cow<'a, [u8]>>;

/// What becomes of what one side said.
#[derive(Default)]
struct Passed<'a> {
    /// On to the other side.
    forward: Pieces<'a>,
    /// The gateway's answer to whoever said it.
    back: Pieces<'a>,
    events: Vec<Event>,
    content: Vec<(u32, Cow<'a, [u8]>)>,
    /// What goes on and is neither content nor told by an event.
    untold: Pieces<'a>,
}

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
        if !asked.alone {
            gate.starts(Start::Anywhere);
        }
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
        let mut passed = Passed::default();
        if source {
            self.source(bytes, &mut passed)?;
        } else {
            self.sink(bytes, &mut passed)?;
            passed.forward.push(Cow::Borrowed(bytes));
        }
        let Passed { forward, back, events, content, untold } = passed;
        let upward = (self.way == Way::Up) == source;
        Ok(if upward {
            Flow { to_target: forward, to_client: back, events, content, input: untold, output: Vec::new() }
        } else {
            Flow { to_target: back, to_client: forward, events, content, input: Vec::new(), output: untold }
        })
    }

    fn source<'a>(&mut self, mut rest: &'a [u8], passed: &mut Passed<'a>) -> Result<(), Fault> {
        while !rest.is_empty() {
            match &mut self.at {
                At::Content { left } => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (now, later) = rest.split_at_checked(most).unwrap_or((rest, &[]));
                    rest = later;
                    *left = left.saturating_sub(u64::try_from(now.len()).unwrap_or(u64::MAX));
                    if *left == 0 {
                        self.at = At::End;
                    }
                    match &mut self.now {
                        Some(file) => {
                            let kept = file.sums.feed(now, self.gate.kept());
                            passed.content.extend(kept.map(|(file, bytes)| (file, Cow::Borrowed(bytes))));
                        }
                        // The sink had enough of the file, and the source goes on.
                        None => passed.untold.push(Cow::Borrowed(now)),
                    }
                    passed.forward.push(Cow::Borrowed(now));
                }
                // Zero, or words about what went wrong while it was read.
                At::End => {
                    let (end, later) = rest.split_at_checked(1).unwrap_or((rest, &[]));
                    if end == [0] {
                        passed.forward.push(Cow::Borrowed(end));
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
                        passed.events.extend(self.done(Outcome::Failed(said(&record))));
                        self.awaits = Some(Awaits::Content);
                        self.pass(record, passed);
                        continue;
                    }
                    match self.record(&record)? {
                        Ok(()) => self.pass(record, passed),
                        Err((why, event)) => {
                            let words = format!("\u{1}scp: {}: {why}\n", event.path).into_bytes();
                            passed.events.push(event);
                            // Downward the person's own scp is told too; it takes the words in a record's place.
                            if self.way == Way::Down {
                                passed.forward.push(Cow::Owned(words.clone()));
                            }
                            passed.back.push(Cow::Owned(words));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A line of the source's goes on. Downward all of them are told as what a command wrote; upward those that have words
    /// of their own.
    fn pass(&self, line: Vec<u8>, passed: &mut Passed<'_>) {
        if self.way == Way::Down || matches!(line.first(), Some(1 | 2)) {
            passed.untold.push(Cow::Owned(line.clone()));
        }
        passed.forward.push(Cow::Owned(line));
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
                let judged = self.judge(&path, &name, size);
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
            b'E' if line.is_empty() => {
                self.folders.pop();
                self.awaits = Some(Awaits::Other);
            }
            b'T' if is_times(line) => self.awaits = Some(Awaits::Other),
            // The source's own words; nobody answers them.
            1 | 2 => {}
            _ => return Err(malformed("an unknown record")),
        }
        Ok(Ok(()))
    }

    /// A single file that goes up may become what was asked for or lie below it: nobody here knows which. One that comes
    /// down may lie deeper, where its shell made the path.
    fn judge(&self, path: &str, name: &str, size: u64) -> Result<(), String> {
        let (base, last) =
            self.root.split_at_checked(self.root.rfind('/').map_or(0, |at| at.saturating_add(1))).unwrap_or_default();
        let deeper = (self.way == Way::Down && last.contains('*')).then(|| format!("{base}*/{name}"));
        let own = (self.way == Way::Up && self.folders.is_empty()).then(|| self.root.clone());
        for path in [Some(path.to_owned()), own, deeper].into_iter().flatten() {
            if let Some(why) = unsound(path.as_bytes()) {
                return Err(why.to_owned());
            }
            self.gate.of_command(self.way, &path, size)?;
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
    fn sink<'a>(&mut self, bytes: &'a [u8], passed: &mut Passed<'a>) -> Result<(), Fault> {
        for byte in bytes {
            if let Some(words) = &mut self.words {
                words.push(*byte);
                if words.len() > LINE {
                    return Err(malformed("an answer of more than 8 KiB"));
                }
                self.untold(std::slice::from_ref(byte), passed);
                if *byte == b'\n' {
                    let words = self.words.take().unwrap_or_default();
                    self.awaits = None;
                    passed.events.extend(self.done(Outcome::Failed(said(&words))));
                }
                continue;
            }
            match byte {
                0 => passed.events.extend(self.answered()?),
                1 | 2 => {
                    self.words = Some(vec![*byte]);
                    self.untold(std::slice::from_ref(byte), passed);
                }
                _ => return Err(malformed("an unknown answer")),
            }
        }
        Ok(())
    }

    /// Words of the sink's, byte by byte as they come: all of what a client is told is in the recording.
    fn untold(&self, bytes: &[u8], passed: &mut Passed<'_>) {
        if self.way == Way::Down {
            return;
        }
        match passed.untold.last_mut() {
            Some(Cow::Owned(words)) => words.extend_from_slice(bytes),
            _ => passed.untold.push(Cow::Owned(bytes.to_vec())),
        }
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
        let reach = size;
        let deed = if self.way == Way::Up { Deed::Put } else { Deed::Get };
        Some(Event { deed, path, other: None, size, reach, sum, keep, outcome })
    }
}

/// `seconds 0 seconds 0`, of the last change and the last look.
fn is_times(line: &[u8]) -> bool {
    let number = |part: &[u8]| (1..=20).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    line.split(|byte| *byte == b' ').map(number).collect::<Vec<_>>() == [true; 4]
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
