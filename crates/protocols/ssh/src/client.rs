//! The client's end of a channel: a channel of its SSH connection, or a terminal that came through the door.

use crate::events::{Arrival, line};
use crate::meter::{Cut, Meter, Share};
use crate::start::{Program, Started, Terminal};
use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Error, Sig};
use sallyport_gateway::spine;
use sallyport_model::access::Denial;
use sallyport_model::door::TERM;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a line for the client may wait for its window.
const SAY: Duration = Duration::from_millis(200);

/// A client that has logged in.
pub struct Client {
    /// Its connection; absent where it came through the door.
    pub(crate) handle: Option<Handle>,
    /// Ends with the client.
    pub(crate) arrivals: mpsc::UnboundedReceiver<Arrival>,
    pub(crate) meter: Arc<Meter>,
    /// The first channel, where `hold` had to look at it, or where there is no other.
    pub(crate) started: Option<Started>,
    /// Whether it knows what it waits for.
    pub(crate) told: bool,
    /// Closes the socket when nobody holds the client any more.
    pub(crate) _cut: Cut,
}

impl Client {
    /// A terminal that came through the door: one channel, which has asked for a shell.
    pub(crate) fn seated(terminal: spine::Terminal) -> Self {
        let spine::Terminal { keys, screen, size } = terminal;
        let (here, arrivals) = mpsc::unbounded_channel();
        let meter = Meter::new();
        let terminal =
            Terminal { term: TERM.into(), size: (size.cols.into(), size.rows.into(), 0, 0), modes: Vec::new() };
        let started = Started {
            read: Reader::Door(keys),
            write: Writer::Door { screen, _here: here },
            terminal: Some(terminal),
            env: Vec::new(),
            program: Program::Shell,
        };
        Self { handle: None, arrivals, meter: meter.clone(), started: Some(started), told: false, _cut: Cut(meter) }
    }

    /// Whether nobody waits any more.
    pub(crate) fn gone(&self) -> bool {
        let left = |started: &Started| matches!(&started.write, Writer::Door { screen, .. } if !screen.attended());
        self.arrivals.is_closed() || self.started.as_ref().is_some_and(left)
    }
}

/// What a client says in a channel whose program runs.
pub(crate) enum Said {
    Bytes(Bytes),
    Eof,
    /// Columns, rows, and the same in pixels.
    Resize(u32, u32, u32, u32),
    Signal(Sig),
    Close,
}

/// Where a client's words come from.
pub(crate) enum Reader {
    Channel {
        read: ChannelReadHalf,
        share: Arc<Share>,
        /// What the last message counted.
        counted: Option<usize>,
    },
    Door(spine::Keys),
}

impl Reader {
    pub(crate) fn channel(read: ChannelReadHalf, share: Arc<Share>) -> Self {
        Self::Channel { read, share, counted: None }
    }

    /// The next word. What the one before it counted is taken off: whoever asks for more is done with it.
    pub(crate) async fn next(&mut self) -> Said {
        match self {
            Self::Channel { read, share, counted } => loop {
                if let Some(counted) = counted.take() {
                    share.sub(counted);
                }
                let Some(message) = read.wait().await else { return Said::Close };
                *counted = Some(size(&message));
                match message {
                    ChannelMsg::Data { data } => return Said::Bytes(data),
                    ChannelMsg::Eof => return Said::Eof,
                    ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height } => {
                        return Said::Resize(col_width, row_height, pix_width, pix_height);
                    }
                    ChannelMsg::Signal { signal } => return Said::Signal(signal),
                    ChannelMsg::Close => return Said::Close,
                    _ => {}
                }
            },
            Self::Door(keys) => match keys.next().await {
                spine::Said::Bytes(bytes) => Said::Bytes(bytes.into()),
                spine::Said::Resize(size) => Said::Resize(size.cols.into(), size.rows.into(), 0, 0),
                spine::Said::Leave => Said::Close,
            },
        }
    }
}

/// What was counted is given back with the channel.
impl Drop for Reader {
    fn drop(&mut self) {
        if let Self::Channel { share, .. } = self {
            share.close();
        }
    }
}

/// Where words for a client go.
pub(crate) enum Writer {
    Channel(ChannelWriteHalf<Msg>, Handle),
    Door {
        screen: spine::Screen,
        /// Says, as long as it lives, that the client is there.
        _here: mpsc::UnboundedSender<Arrival>,
    },
}

impl Writer {
    /// The target's bytes; waits for the client to take them.
    pub(crate) async fn output(&self, data: Bytes) -> Result<(), Error> {
        match self {
            Self::Channel(write, _) => write.data_bytes(data).await,
            Self::Door { screen, .. } => {
                screen.show(&data).await;
                Ok(())
            }
        }
    }

    /// The target's error bytes; a terminal shows them where it shows the others.
    pub(crate) async fn error(&self, data: Bytes) -> Result<(), Error> {
        match self {
            Self::Channel(write, _) => write.extended_data_bytes(1, data).await,
            Self::Door { .. } => self.output(data).await,
        }
    }

    /// The target's program writes nothing more.
    pub(crate) async fn eof(&self) {
        if let Self::Channel(write, _) = self {
            let _ = write.eof().await;
        }
    }

    /// The target's program has ended.
    pub(crate) async fn exited(&self, status: u32) -> Result<(), Error> {
        match self {
            Self::Channel(write, _) => write.exit_status(status).await,
            Self::Door { screen, .. } => {
                screen.exited(status);
                Ok(())
            }
        }
    }

    /// A signal has ended the target's program.
    pub(crate) async fn killed(&self, signal: Sig, core: bool, text: String, language: String) -> Result<(), Error> {
        match self {
            Self::Channel(write, handle) => {
                let sent = handle.exit_signal_request(write.id(), signal, core, text, language);
                sent.await.map_err(|()| Error::SendError)
            }
            Self::Door { screen, .. } => {
                screen.tell(&format!("a signal has ended the program: {}", name(&signal))).await;
                Ok(())
            }
        }
    }

    /// Shows a line, if the client takes it soon.
    pub(crate) async fn say(&self, text: &str) {
        match self {
            Self::Channel(write, _) => say(write, text).await,
            Self::Door { screen, .. } => screen.tell(text).await,
        }
    }

    /// Tells why not, and ends the channel with an exit code for it.
    pub(crate) async fn refuse(&self, why: &Denial) {
        let code = u32::from(why.kind.exit_code());
        match self {
            Self::Channel(write, _) => {
                say(write, &why.message).await;
                end(write, Some(code)).await;
            }
            Self::Door { screen, .. } => screen.refuse(why),
        }
    }

    /// Ends the channel.
    pub(crate) async fn end(&self) {
        // A seat ends with its session.
        if let Self::Channel(write, _) = self {
            end(write, None).await;
        }
    }
}

/// What the client's leg counted for a message, beside its fixed part.
pub(crate) fn size(message: &ChannelMsg) -> usize {
    match message {
        ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => data.len(),
        ChannelMsg::RequestPty { term, terminal_modes, .. } => {
            term.len().saturating_add(terminal_modes.len().saturating_mul(8))
        }
        ChannelMsg::SetEnv { variable_name, variable_value, .. } => {
            variable_name.len().saturating_add(variable_value.len())
        }
        ChannelMsg::Exec { command, .. } => command.len(),
        ChannelMsg::RequestSubsystem { name, .. } => name.len(),
        _ => 0,
    }
}

/// Shows a line on a channel's error stream, if the client takes it soon.
pub(crate) async fn say(write: &ChannelWriteHalf<Msg>, text: &str) {
    let _ = tokio::time::timeout(SAY, write.extended_data_bytes(1, line(text).into_bytes())).await;
}

/// Ends a channel.
pub(crate) async fn end(write: &ChannelWriteHalf<Msg>, exit: Option<u32>) {
    let ending = async {
        if let Some(exit) = exit {
            let _ = write.exit_status(exit).await;
        }
        let _ = write.eof().await;
        let _ = write.close().await;
    };
    let _ = tokio::time::timeout(SAY, ending).await;
}

/// A signal's name without `SIG` (RFC 4254 section 6.10).
pub(crate) fn name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.chars().take(32).collect(),
        known => format!("{known:?}"),
    }
}
