//! Small words of both legs: what a client may set, what kinds there are, and how lines are shown.

use bytes::Bytes;
use sallyport_model::access::Channel;
use sallyport_ssh_transport::wire::Put as _;

/// Environment that a client may set: how it writes and what git it speaks, and nothing that loads code. The book lists it.
pub(crate) fn env_allowed(name: &str) -> bool {
    matches!(name, "LANG" | "TERM" | "COLORTERM" | "TZ" | "GIT_PROTOCOL") || name.strip_prefix("LC_").is_some_and(plain)
}

fn plain(rest: &str) -> bool {
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

/// Which kind of channel a subsystem is.
pub(crate) fn subsystem(name: &str) -> Channel {
    if name == "sftp" { Channel::Sftp } else { Channel::Subsystem }
}

/// The line for a client's terminal.
pub(crate) fn line(text: &str) -> String {
    format!("\r\nsallyport: {}\r\n", text.replace(|c: char| c.is_control(), " "))
}

/// Bytes as text: what is judged and recorded is what is meant. Bytes that are no text become U+FFFD, and all others stay as they
/// are: an escaped newline, say, would be judged as another command than the one that runs.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes as the data of a request has them: `string` of RFC 4251 section 5.
pub(crate) fn string(bytes: &[u8]) -> Bytes {
    let mut data = Vec::with_capacity(bytes.len().saturating_add(4));
    data.string(bytes);
    data.into()
}
