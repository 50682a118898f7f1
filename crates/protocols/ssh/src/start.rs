//! A channel until its program starts: terminal, environment, what it brings along, shell or command.

use crate::client::{Reader, Writer, window};
use crate::events::{env_allowed, subsystem, text};
use crate::files::StandIns;
use bytes::Bytes;
use sallyport_model::access::{Channel, Denial};
use sallyport_model::door::Size;
use sallyport_ssh_transport::link::{self, Said};
use sallyport_ssh_transport::wire::{Cursor, Malformed, Put as _};

/// Variables that are kept of a client's environment.
const VARIABLES: usize = 32;
/// Longest value of one.
const VALUE: usize = 1024;
/// Requests before a program that are kept for later: X11 and the agent, once each.
const EXTRAS: usize = 2;

/// A terminal, as the client asked for it (RFC 4254 section 6.2).
pub(crate) struct Terminal {
    pub(crate) term: String,
    /// Columns, rows, and the same in pixels.
    pub(crate) size: [u32; 4],
    pub(crate) modes: Bytes,
}

impl Terminal {
    /// One without modes of its own.
    pub(crate) fn new(term: &str, size: Size) -> Self {
        Self { term: term.into(), size: [size.cols.into(), size.rows.into(), 0, 0], modes: Bytes::new() }
    }

    fn read(data: &Bytes) -> Result<Self, Malformed> {
        let mut c = Cursor::new(data);
        let term = c.text()?.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
        let size = [c.uint32()?, c.uint32()?, c.uint32()?, c.uint32()?];
        Ok(Self { term, size, modes: data.slice_ref(c.string()?) })
    }

    /// The request for one like it.
    pub(crate) fn request(&self) -> Bytes {
        let mut out = Vec::with_capacity(64);
        out.string(self.term.as_bytes());
        for number in self.size {
            out.uint32(number);
        }
        out.string(&self.modes);
        out.into()
    }
}

/// What a channel runs.
pub(crate) enum Program {
    Shell,
    Command(Bytes),
    Subsystem(String),
}

/// A channel whose program was asked for.
pub(crate) struct Started {
    pub(crate) read: Reader,
    pub(crate) write: Writer,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) env: Vec<(String, String)>,
    /// X11 and agent, as they were asked for. Whether they may is decided when they would begin.
    pub(crate) extras: Vec<(Channel, Bytes)>,
    pub(crate) program: Program,
    /// Whether the client wants to know that its program was started.
    pub(crate) reply: bool,
    /// Files that stand in for others in it.
    pub(crate) stand_ins: StandIns,
}

/// Reads a channel's requests until one starts a program; `None` where the channel ends before.
///
/// INVARIANT: no name of a program has a NUL. Servers cut it off there, or refuse it; what is judged must be what runs.
pub(crate) async fn start((mut read, write): (link::Reader, link::Writer)) -> Option<Started> {
    let (mut terminal, mut env, mut extras) = (None, Vec::new(), Vec::new());
    let (program, reply) = loop {
        let (name, reply, data) = match read.next().await {
            Said::Request(name, reply, data) => (name, reply, data),
            Said::Close => return None,
            // Bytes before a program have nowhere to go.
            _ => continue,
        };
        let taken = match name.as_str() {
            "pty-req" => {
                terminal = Terminal::read(&data).ok();
                terminal.is_some()
            }
            "window-change" => match (terminal.as_mut(), window(&data)) {
                (Some(terminal), Some((cols, rows))) => {
                    terminal.size = [cols, rows, 0, 0];
                    true
                }
                _ => false,
            },
            "env" => variable(&data).is_some_and(|variable| {
                let room = env.len() < VARIABLES;
                if room {
                    env.push(variable);
                }
                room
            }),
            "x11-req" => keep(&mut extras, Channel::X11, data),
            "auth-agent-req@openssh.com" => keep(&mut extras, Channel::Agent, data),
            "shell" => break (Program::Shell, reply),
            "exec" => match Cursor::new(&data).string() {
                Ok(command) if !command.contains(&0) => break (Program::Command(data.slice_ref(command)), reply),
                _ => false,
            },
            "subsystem" => match Cursor::new(&data).text() {
                Ok(name) if !name.contains('\0') => break (Program::Subsystem(name.chars().take(64).collect()), reply),
                _ => false,
            },
            _ => false,
        };
        if reply {
            write.answer(taken).ok()?;
        }
    };
    let (read, write) = (Reader::Channel(read), Writer::Channel(write));
    Some(Started { read, write, terminal, env, extras, program, reply, stand_ins: StandIns::default() })
}

fn keep(extras: &mut Vec<(Channel, Bytes)>, kind: Channel, data: Bytes) -> bool {
    let room = extras.len() < EXTRAS && !extras.iter().any(|(kept, _)| *kept == kind);
    if room {
        extras.push((kind, data));
    }
    room
}

fn variable(data: &[u8]) -> Option<(String, String)> {
    let mut c = Cursor::new(data);
    let (name, value) = (c.text().ok()?, c.text().ok()?);
    (value.len() <= VALUE && env_allowed(name)).then(|| (name.into(), value.into()))
}

impl Started {
    /// Which channel kind it is for the policy.
    pub(crate) fn kind(&self) -> Channel {
        match (&self.program, &self.terminal) {
            (Program::Subsystem(name), _) => subsystem(name),
            (Program::Command(_), None) => Channel::Exec,
            _ => Channel::Shell,
        }
    }

    /// Whether a person waits at it.
    pub(crate) fn interactive(&self) -> bool {
        self.kind().interactive() && self.terminal.is_some()
    }

    /// The command, or the subsystem's name, as text; empty for a shell.
    pub(crate) fn command(&self) -> String {
        match &self.program {
            Program::Shell => String::new(),
            Program::Command(command) => text(command),
            Program::Subsystem(name) => name.clone(),
        }
    }

    /// Shows a line to the client.
    pub(crate) async fn say(&self, text: &str) {
        self.write.say(text).await;
    }

    /// Tells the client why not, and ends the channel with an exit code for it.
    pub(crate) async fn refuse(self, why: &Denial) {
        // Success, because OpenSSH drops what it was shown when the answer is a failure: the
        // channel then shows the line and ends with an exit code.
        if self.reply {
            self.write.answer(true);
        }
        self.write.refuse(why).await;
    }
}
