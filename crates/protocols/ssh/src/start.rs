//! A channel until its program starts: terminal, environment, shell or command.

use crate::client::{Reader, Writer, end, say, size};
use crate::events::{Arrival, env_allowed, not_yet, subsystem};
use crate::meter::Share;
use russh::server::{Handle, Msg};
use russh::{ChannelMsg, Pty};
use sallyport_model::access::{Channel, Denial};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Variables that are kept of a client's environment.
const VARIABLES: usize = 32;
/// Longest value of one.
const VALUE: usize = 1024;

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
    pub(crate) read: Reader,
    pub(crate) write: Writer,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) program: Program,
}

/// Waits for the first channel that starts something.
pub(crate) async fn first(arrivals: &mut mpsc::UnboundedReceiver<Arrival>, handle: &Handle) -> Option<Started> {
    loop {
        match arrivals.recv().await? {
            Arrival::Channel(channel, share) => {
                if let Some(started) = start(channel, share, handle.clone()).await {
                    return Some(started);
                }
            }
            Arrival::Refused(_, detail, share) => share.sub(detail.len()),
        }
    }
}

/// Reads a channel's requests until one starts a program; `None` where the channel ends before.
pub(crate) async fn start(channel: russh::Channel<Msg>, share: Arc<Share>, handle: Handle) -> Option<Started> {
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
        Some(program) => {
            let (read, write) = (Reader::channel(read, share), Writer::Channel(write, handle));
            Some(Started { read, write, terminal, env, program })
        }
        None => {
            share.close();
            None
        }
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

    /// Shows a line to the client.
    pub(crate) async fn say(&self, text: &str) {
        self.write.say(text).await;
    }

    /// Tells the client why not, and ends the channel with an exit code for it.
    pub(crate) async fn refuse(self, why: &Denial) {
        self.write.refuse(why).await;
    }
}
