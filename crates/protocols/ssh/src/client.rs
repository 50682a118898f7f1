//! The client's end of a channel: a channel of its SSH connection, a terminal that came through the door, or the gateway's own.

use crate::events::line;
use crate::files::StandIns;
use crate::start::{Program, Started, Terminal};
use bytes::Bytes;
use sallyport_gateway::spine::{self, Errand};
use sallyport_model::access::Denial;
use sallyport_model::door::{self, TERM};
use sallyport_ssh_transport::link::{self, Arrival, Arrivals, Gone, Link};
use sallyport_ssh_transport::wire::{Cursor, Put as _};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// How long a line for the client may wait for its window.
const SAY: Duration = Duration::from_millis(200);

/// A client that has logged in.
pub struct Client {
    /// Its connection; absent where it came through the door.
    pub(crate) connected: Option<Connected>,
    begins: Begins,
    /// What it began while it waited, to be answered when it goes on.
    pub(crate) kept: VecDeque<Arrival>,
    /// The first channel, where `hold` had to look at it, or where there is no other.
    pub(crate) started: Option<Started>,
    /// What it was told last that it waits for.
    pub(crate) told: Option<String>,
    /// That it was looked for a first channel and has begun none.
    pub(crate) begins_nothing: bool,
    /// What somebody who came through the door wants done with files.
    pub(crate) errands: Option<mpsc::Receiver<Errand>>,
}

/// A client's connection.
pub(crate) struct Connected {
    pub(crate) link: Link,
    /// What its exchange of keys agreed on.
    pub(crate) agreed: String,
    /// Ends once it has closed the socket, which it does when nobody holds the client any more, too.
    pub(crate) driver: AbortOnDropHandle<sallyport_ssh_transport::Error>,
}

/// What a client begins.
enum Begins {
    Link(Arrivals),
    /// Nothing; the receiver ends with the client.
    Door(mpsc::Receiver<()>),
}

impl Client {
    /// A client with a connection of its own.
    pub(crate) fn connected(connected: Connected, arrivals: Arrivals) -> Self {
        let (connected, begins) = (Some(connected), Begins::Link(arrivals));
        let kept = VecDeque::new();
        Self { connected, begins, kept, started: None, told: None, begins_nothing: false, errands: None }
    }

    /// A terminal that came through the door: one channel, which has asked for a shell.
    pub(crate) fn seated(terminal: spine::Terminal) -> Self {
        let spine::Terminal { keys, screen, size, errands } = terminal;
        let (here, gone) = mpsc::channel(1);
        let started = Started {
            read: Reader::Door(keys),
            write: Writer::Door { screen: Arc::new(screen), _here: here },
            terminal: Some(Terminal::new(TERM, size)),
            env: Vec::new(),
            extras: Vec::new(),
            program: Program::Shell,
            reply: false,
            stand_ins: StandIns::default(),
        };
        let begins = Begins::Door(gone);
        let (started, errands) = (Some(started), Some(errands));
        let kept = VecDeque::new();
        Self { connected: None, begins, kept, started, told: None, begins_nothing: false, errands }
    }

    /// What the client begins next, or has begun while it waited; `None` once it is gone.
    pub(crate) async fn next(&mut self) -> Option<Arrival> {
        match self.kept.pop_front() {
            Some(arrival) => Some(arrival),
            None => self.arrives().await,
        }
    }

    /// What it begins from now on.
    pub(crate) async fn arrives(&mut self) -> Option<Arrival> {
        match &mut self.begins {
            Begins::Link(arrivals) => arrivals.next().await,
            Begins::Door(gone) => {
                gone.recv().await;
                None
            }
        }
    }

    /// Whether nobody waits any more.
    pub(crate) fn gone(&self) -> bool {
        let left = |started: &Started| matches!(&started.write, Writer::Door { screen, .. } if !screen.attended());
        let gone = match &self.begins {
            Begins::Link(arrivals) => arrivals.gone(),
            Begins::Door(gone) => gone.is_closed(),
        };
        gone || self.started.as_ref().is_some_and(left)
    }
}

/// What a client says in a channel whose program runs.
pub(crate) enum Said {
    Bytes(Bytes),
    Eof,
    /// A request, and whether it wants an answer.
    Request(String, bool, Bytes),
    Close,
}

/// `window-change` (RFC 4254 section 6.7) of a size without pixels.
fn window_change(size: door::Size) -> Said {
    let mut data = Vec::with_capacity(16);
    for number in [size.cols.into(), size.rows.into(), 0, 0] {
        data.uint32(number);
    }
    Said::Request("window-change".into(), false, data.into())
}

/// Columns and rows of a `window-change`.
pub(crate) fn window(data: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(data);
    Some((cursor.uint32().ok()?, cursor.uint32().ok()?))
}

/// Where a client's words come from.
pub(crate) enum Reader {
    Channel(link::Reader),
    Door(spine::Keys),
    Own(mpsc::Receiver<Bytes>),
}

impl Reader {
    /// The next word. Whoever asks for more is done with the one before.
    pub(crate) async fn next(&mut self) -> Said {
        match self {
            Self::Channel(read) => loop {
                match read.next().await {
                    link::Said::Data(data) => return Said::Bytes(data),
                    link::Said::Eof => return Said::Eof,
                    link::Said::Request(name, reply, data) => return Said::Request(name, reply, data),
                    link::Said::Close => return Said::Close,
                    // A client has no second stream, and we ask it nothing in a session.
                    link::Said::Extended(..) | link::Said::Answer(_) => {}
                }
            },
            Self::Door(keys) => match keys.next().await {
                spine::Said::Bytes(bytes) => Said::Bytes(bytes.into()),
                spine::Said::Resize(size) => window_change(size),
                spine::Said::Leave => Said::Close,
            },
            Self::Own(said) => said.recv().await.map_or(Said::Close, Said::Bytes),
        }
    }
}

/// Where words for a client go.
#[derive(Clone)]
pub(crate) enum Writer {
    Channel(link::Writer),
    Door {
        screen: Arc<spine::Screen>,
        /// Says, as long as it lives, that the client is there.
        _here: mpsc::Sender<()>,
    },
    Own(mpsc::Sender<Heard>),
}

/// What the gateway hears in a channel of its own.
pub(crate) enum Heard {
    Bytes(Bytes),
    /// Why the channel ends.
    Refused(Denial),
}

/// Said in a channel of the gateway's own and not yet taken: more than is ever in flight, so that saying never waits for
/// what is heard.
const SAID: usize = 256;
/// Heard there and not yet taken; then the target waits.
const HEARD: usize = 8;

/// A channel in which the gateway itself is the client: its ends as the relay has them, and as whoever speaks has them.
pub(crate) fn own() -> ((Reader, Writer), (mpsc::Sender<Bytes>, mpsc::Receiver<Heard>)) {
    let ((say, said), (tell, heard)) = (mpsc::channel(SAID), mpsc::channel(HEARD));
    ((Reader::Own(said), Writer::Own(tell)), (say, heard))
}

impl Writer {
    /// The target's bytes; waits for the client to take them.
    pub(crate) async fn output(&self, data: Bytes) -> Result<(), Gone> {
        match self {
            Self::Channel(write) => write.data(data).await,
            Self::Door { screen, .. } => {
                screen.show(&data).await;
                Ok(())
            }
            Self::Own(tell) => tell.send(Heard::Bytes(data)).await.map_err(|_| Gone),
        }
    }

    /// The target's error bytes; a terminal shows them where it shows the others.
    pub(crate) async fn error(&self, code: u32, data: Bytes) -> Result<(), Gone> {
        match self {
            Self::Channel(write) => write.extended(code, data).await,
            Self::Door { .. } => self.output(data).await,
            Self::Own(_) => Ok(()),
        }
    }

    /// The target's program writes nothing more.
    pub(crate) fn eof(&self) {
        if let Self::Channel(write) = self {
            let _ = write.eof();
        }
    }

    /// Answers a request of the client's.
    pub(crate) fn answer(&self, yes: bool) {
        if let Self::Channel(write) = self {
            let _ = write.answer(yes);
        }
    }

    /// Passes on what the target says of its program, such as how it ended.
    pub(crate) async fn tell(&self, name: &str, data: Bytes) {
        match self {
            Self::Channel(write) => {
                let _ = write.request(name, false, data);
            }
            Self::Door { screen, .. } => match Exit::read(name, &data) {
                Some(Exit::Status(status)) => screen.exited(status),
                Some(Exit::Signal(signal)) => {
                    screen.tell(&format!("a signal has ended the program: {signal}")).await;
                }
                None => {}
            },
            Self::Own(_) => {}
        }
    }

    /// Shows a line, if the client takes it soon.
    pub(crate) async fn say(&self, text: &str) {
        match self {
            Self::Channel(write) => {
                let _ = tokio::time::timeout(SAY, write.extended(1, line(text).into())).await;
            }
            Self::Door { screen, .. } => screen.tell(text).await,
            Self::Own(_) => {}
        }
    }

    /// Shows a line with a bell, where it comes from neither side; waits for the client to take it.
    pub(crate) async fn ring(&self, text: &str) {
        match self {
            Self::Channel(write) => drop(write.extended(1, format!("\x07{}", line(text)).into()).await),
            Self::Door { screen, .. } => screen.tell(text).await,
            Self::Own(_) => {}
        }
    }

    /// Tells why not, and ends the channel with an exit code for it.
    pub(crate) async fn refuse(&self, why: &Denial) {
        match self {
            Self::Channel(write) => {
                self.say(&why.message).await;
                let code = u32::from(why.kind.exit_code());
                let _ = write.request("exit-status", false, Bytes::copy_from_slice(&code.to_be_bytes()));
                self.end();
            }
            Self::Door { screen, .. } => screen.refuse(why),
            Self::Own(tell) => {
                let _ = tokio::time::timeout(SAY, tell.send(Heard::Refused(why.clone()))).await;
            }
        }
    }

    /// Ends the channel. A seat ends with its session.
    pub(crate) fn end(&self) {
        if let Self::Channel(write) = self {
            let _ = write.eof();
            write.close();
        }
    }
}

/// How a program on the target ended (RFC 4254 section 6.10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    Status(u32),
    /// The signal's name, without `SIG`.
    Signal(String),
}

impl Exit {
    /// What a request says of it, if it does.
    pub(crate) fn read(name: &str, data: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(data);
        match name {
            "exit-status" => Some(Self::Status(cursor.uint32().ok()?)),
            "exit-signal" => Some(Self::Signal(signal(cursor.string().ok()?))),
            _ => None,
        }
    }
}

/// A signal's name, as far as it is one.
pub(crate) fn signal(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).take(32).collect()
}
