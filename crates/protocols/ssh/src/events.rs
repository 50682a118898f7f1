//! What a client's leg reports to its relay, and the words for what is not carried yet.

use crate::meter::Share;
use russh::server::Msg;
use sallyport_model::access::Channel;
use std::sync::Arc;

/// Something that arrived on the client's leg.
pub(crate) enum Arrival {
    /// A session channel, accepted.
    Channel(russh::Channel<Msg>, Arc<Share>),
    /// Something that was refused, and the share that counts it until somebody has read it.
    Refused(Channel, String, Arc<Share>),
}

/// Environment that a client may set: how it writes, and nothing that loads code.
pub(crate) fn env_allowed(name: &str) -> bool {
    matches!(name, "LANG" | "TERM" | "COLORTERM" | "TZ") || name.strip_prefix("LC_").is_some_and(plain)
}

fn plain(rest: &str) -> bool {
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

/// Which kind of channel a subsystem is.
pub(crate) fn subsystem(name: &str) -> Channel {
    if name == "sftp" { Channel::Sftp } else { Channel::Subsystem }
}

/// What a refused client reads.
pub(crate) fn not_yet(kind: Channel) -> String {
    let what = match kind {
        Channel::Sftp => "sftp and scp are",
        Channel::Subsystem => "subsystems are",
        Channel::ForwardLocal | Channel::ForwardRemote => "port forwarding is",
        Channel::ForwardSocket => "socket forwarding is",
        Channel::X11 => "X11 forwarding is",
        Channel::Agent => "agent forwarding is",
        Channel::Exec | Channel::Shell | Channel::Stream => "this kind of channel is",
    };
    format!("{what} not carried by this gateway yet; a later version brings it")
}

/// The line for a client's terminal.
pub(crate) fn line(text: &str) -> String {
    format!("\r\nsallyport: {}\r\n", text.replace(|c: char| c.is_control(), " "))
}
