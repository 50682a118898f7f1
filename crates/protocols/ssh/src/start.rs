//! A channel until its program starts: terminal, environment, shell or command.

use crate::events::{Arrival, env_allowed, line, not_yet, subsystem};
use crate::meter::Share;
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty};
use sallyport_model::access::{Channel, Denial};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Variables that are kept of a client's environment.
const VARIABLES: usize = 32;
/// Longest value of one.
const VALUE: usize = 1024;
/// How long a line for the client may wait for its window.
const SAY: Duration = Duration::from_millis(200);

/// A terminal, as the client asked for it.
pub(crate) struct Terminal {
    pub(crate) term: String,
    pub(crate) size: (u32, u32, u32, u32),
    pub(crate) modes: Vec<(Pty, u32)>,
}

/// What a channel runs.
pub(crate) enum Program {
    Shell,
    Command(Vec<u8>),
}

/// A channel whose program was asked for.
pub(crate) struct Started {
    pub(crate) read: ChannelReadHalf,
    pub(crate) write: ChannelWriteHalf<Msg>,
    pub(crate) share: Arc<Share>,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) program: Program,
}

/// Waits for the first channel that starts something.
pub(crate) async fn first(arrivals: &mut mpsc::UnboundedReceiver<Arrival>) -> Option<Started> {
    loop {
        match arrivals.recv().await? {
            Arrival::Channel(channel, share) => {
                if let Some(started) = start(channel, share).await {
                    return Some(started);
                }
            }
            Arrival::Refused(_, detail, share) => share.sub(detail.len()),
        }
    }
}

/// Reads a channel's requests until one starts a program; `None` where the channel ends before.
pub(crate) async fn start(channel: russh::Channel<Msg>, share: Arc<Share>) -> Option<Started> {
    let (mut read, write) = channel.split();
    let (mut terminal, mut env) = (None, Vec::new());
    let program = loop {
        let message = read.wait().await;
        share.sub(message.as_ref().map_or(0, size));
        match message {
            Some(ChannelMsg::RequestPty {
                term, col_width, row_height, pix_width, pix_height, terminal_modes, ..
            }) => {
                let size = (col_width, row_height, pix_width, pix_height);
                terminal = Some(Terminal { term, size, modes: terminal_modes });
            }
            Some(ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height }) => {
                if let Some(terminal) = terminal.as_mut() {
                    terminal.size = (col_width, row_height, pix_width, pix_height);
                }
            }
            Some(ChannelMsg::SetEnv { variable_name, variable_value, .. }) => {
                if env.len() < VARIABLES && variable_value.len() <= VALUE && env_allowed(&variable_name) {
                    env.push((variable_name, variable_value));
                }
            }
            Some(ChannelMsg::RequestShell { .. }) => break Some(Program::Shell),
            Some(ChannelMsg::Exec { command, .. }) => break Some(Program::Command(command)),
            Some(ChannelMsg::RequestSubsystem { name, .. }) => {
                say(&write, &not_yet(subsystem(&name))).await;
                end(&write, Some(1)).await;
                break None;
            }
            // Bytes before a program have nowhere to go.
            Some(ChannelMsg::Close) | None => break None,
            Some(_) => {}
        }
    };
    match program {
        Some(program) => Some(Started { read, write, share, terminal, env, program }),
        None => {
            share.close();
            None
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

impl Started {
    /// Which channel kind it is for the policy.
    pub(crate) fn kind(&self) -> Channel {
        match (&self.program, &self.terminal) {
            (Program::Command(_), None) => Channel::Exec,
            _ => Channel::Shell,
        }
    }

    /// Whether a person waits at it.
    pub(crate) fn interactive(&self) -> bool {
        self.kind().interactive() && self.terminal.is_some()
    }

    /// The command, as text; empty for a shell. Bytes that are no text are escaped, so that what is
    /// judged and recorded is what is run.
    pub(crate) fn command(&self) -> String {
        match &self.program {
            Program::Shell => String::new(),
            Program::Command(command) => match std::str::from_utf8(command) {
                Ok(text) => text.to_owned(),
                Err(_) => command.escape_ascii().to_string(),
            },
        }
    }

    /// Shows a line on the client's error stream.
    pub(crate) async fn say(&self, text: &str) {
        say(&self.write, text).await;
    }

    /// Tells the client why not, and ends the channel with an exit code for it.
    pub(crate) async fn refuse(self, why: &Denial) {
        say(&self.write, &why.message).await;
        end(&self.write, Some(u32::from(why.kind.exit_code()))).await;
        self.share.close();
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
