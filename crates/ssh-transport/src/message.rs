//! Messages: their numbers, and those of the connection layer (RFC 4254) taken apart and put together.

use crate::wire::{Cursor, Malformed, Put as _};
use bytes::Bytes;

pub(crate) const DISCONNECT: u8 = 1;
pub(crate) const IGNORE: u8 = 2;
pub(crate) const UNIMPLEMENTED: u8 = 3;
pub(crate) const DEBUG: u8 = 4;
/// RFC 4253 section 10
pub const SERVICE_REQUEST: u8 = 5;
/// RFC 4253 section 10
pub const SERVICE_ACCEPT: u8 = 6;
pub(crate) const EXT_INFO: u8 = 7;
pub(crate) const KEXINIT: u8 = 20;
pub(crate) const NEWKEYS: u8 = 21;
pub(crate) const KEX_INIT: u8 = 30;
pub(crate) const KEX_REPLY: u8 = 31;
/// RFC 4419 section 5, where the server proposes a group: its number is that of [`KEX_REPLY`] elsewhere.
pub(crate) const GROUP: u8 = 31;
pub(crate) const GROUP_INIT: u8 = 32;
pub(crate) const GROUP_REPLY: u8 = 33;
pub(crate) const GROUP_REQUEST: u8 = 34;
/// The first number of authentication's messages, and the last.
pub(crate) const AUTHENTICATION: std::ops::RangeInclusive<u8> = 50..=79;
const GLOBAL_REQUEST: u8 = 80;
const REQUEST_SUCCESS: u8 = 81;
const REQUEST_FAILURE: u8 = 82;
const CHANNEL_OPEN: u8 = 90;
const OPEN_CONFIRMATION: u8 = 91;
const OPEN_FAILURE: u8 = 92;
const WINDOW_ADJUST: u8 = 93;
const DATA: u8 = 94;
const EXTENDED_DATA: u8 = 95;
const EOF: u8 = 96;
const CLOSE: u8 = 97;
const CHANNEL_REQUEST: u8 = 98;
const CHANNEL_SUCCESS: u8 = 99;
const CHANNEL_FAILURE: u8 = 100;

/// Writes a message of data, or of the extended data with this code, out of wherever its bytes lie.
pub(crate) fn write_data(out: &mut Vec<u8>, channel: u32, code: Option<u32>, data: &[u8]) {
    out.byte(if code.is_some() { EXTENDED_DATA } else { DATA });
    out.uint32(channel);
    if let Some(code) = code {
        out.uint32(code);
    }
    out.string(data);
}

/// A message of the connection layer. Numbers of channels are the receiver's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Message {
    Global { name: String, reply: bool, data: Bytes },
    GlobalSuccess(Bytes),
    GlobalFailure,
    Open { kind: String, sender: u32, window: u32, packet: u32, data: Bytes },
    Opened { channel: u32, sender: u32, window: u32, packet: u32 },
    OpenFailed { channel: u32, code: u32, text: String },
    Adjust { channel: u32, bytes: u32 },
    Data { channel: u32, data: Bytes },
    Extended { channel: u32, code: u32, data: Bytes },
    Eof { channel: u32 },
    Close { channel: u32 },
    Request { channel: u32, name: String, reply: bool, data: Bytes },
    Success { channel: u32 },
    Failure { channel: u32 },
}

/// Longest name of a request or of a kind of channel (RFC 4250 section 4.6.1 has 64).
const NAME: usize = 64;

fn name(cursor: &mut Cursor<'_>) -> Result<String, Malformed> {
    let name = cursor.text()?;
    if name.len() > NAME || name.contains(|c: char| !c.is_ascii_graphic()) { Err(Malformed) } else { Ok(name.into()) }
}

/// Takes a payload apart; nothing of it is copied but names. `None` for a number that is not known.
pub(crate) fn read(payload: &Bytes) -> Result<Option<Message>, Malformed> {
    let mut c = Cursor::new(payload);
    let part = |part: &[u8]| payload.slice_ref(part);
    let message = match c.byte()? {
        GLOBAL_REQUEST => {
            let (name, reply) = (name(&mut c)?, c.boolean()?);
            return Ok(Some(Message::Global { name, reply, data: part(c.rest()) }));
        }
        REQUEST_SUCCESS => return Ok(Some(Message::GlobalSuccess(part(c.rest())))),
        REQUEST_FAILURE => Message::GlobalFailure,
        CHANNEL_OPEN => {
            let kind = name(&mut c)?;
            let (sender, window, packet) = (c.uint32()?, c.uint32()?, c.uint32()?);
            return Ok(Some(Message::Open { kind, sender, window, packet, data: part(c.rest()) }));
        }
        OPEN_CONFIRMATION => {
            let (channel, sender, window, packet) = (c.uint32()?, c.uint32()?, c.uint32()?, c.uint32()?);
            return Ok(Some(Message::Opened { channel, sender, window, packet }));
        }
        OPEN_FAILURE => {
            let (channel, code) = (c.uint32()?, c.uint32()?);
            // Some servers leave the language out, and some the text: the refusal counts.
            let text = String::from_utf8_lossy(c.string().unwrap_or_default()).into_owned();
            return Ok(Some(Message::OpenFailed { channel, code, text }));
        }
        WINDOW_ADJUST => Message::Adjust { channel: c.uint32()?, bytes: c.uint32()? },
        DATA => Message::Data { channel: c.uint32()?, data: part(c.string()?) },
        EXTENDED_DATA => Message::Extended { channel: c.uint32()?, code: c.uint32()?, data: part(c.string()?) },
        EOF => Message::Eof { channel: c.uint32()? },
        CLOSE => Message::Close { channel: c.uint32()? },
        CHANNEL_REQUEST => {
            let (channel, name, reply) = (c.uint32()?, name(&mut c)?, c.boolean()?);
            return Ok(Some(Message::Request { channel, name, reply, data: part(c.rest()) }));
        }
        CHANNEL_SUCCESS => Message::Success { channel: c.uint32()? },
        CHANNEL_FAILURE => Message::Failure { channel: c.uint32()? },
        _ => return Ok(None),
    };
    c.end()?;
    Ok(Some(message))
}

impl Message {
    /// Puts it together.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Global { name, reply, data } => {
                out.byte(GLOBAL_REQUEST);
                out.string(name.as_bytes());
                out.boolean(*reply);
                out.bytes(data);
            }
            Self::GlobalSuccess(data) => {
                out.byte(REQUEST_SUCCESS);
                out.bytes(data);
            }
            Self::GlobalFailure => out.byte(REQUEST_FAILURE),
            Self::Open { kind, sender, window, packet, data } => {
                out.byte(CHANNEL_OPEN);
                out.string(kind.as_bytes());
                for number in [sender, window, packet] {
                    out.uint32(*number);
                }
                out.bytes(data);
            }
            Self::Opened { channel, sender, window, packet } => {
                out.byte(OPEN_CONFIRMATION);
                for number in [channel, sender, window, packet] {
                    out.uint32(*number);
                }
            }
            Self::OpenFailed { channel, code, text } => {
                out.byte(OPEN_FAILURE);
                out.uint32(*channel);
                out.uint32(*code);
                out.string(text.as_bytes());
                out.string(b"en");
            }
            Self::Adjust { channel, bytes } => {
                out.byte(WINDOW_ADJUST);
                out.uint32(*channel);
                out.uint32(*bytes);
            }
            Self::Data { channel, data } => write_data(out, *channel, None, data),
            Self::Extended { channel, code, data } => write_data(out, *channel, Some(*code), data),
            Self::Request { channel, name, reply, data } => {
                out.byte(CHANNEL_REQUEST);
                out.uint32(*channel);
                out.string(name.as_bytes());
                out.boolean(*reply);
                out.bytes(data);
            }
            Self::Eof { channel } => numbered(out, EOF, *channel),
            Self::Close { channel } => numbered(out, CLOSE, *channel),
            Self::Success { channel } => numbered(out, CHANNEL_SUCCESS, *channel),
            Self::Failure { channel } => numbered(out, CHANNEL_FAILURE, *channel),
        }
    }
}

fn numbered(out: &mut Vec<u8>, number: u8, channel: u32) {
    out.byte(number);
    out.uint32(channel);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn messages() -> impl Strategy<Value = Message> {
        let bytes = || any::<Vec<u8>>().prop_map(Bytes::from);
        let name = || "[a-z@.-]{1,30}";
        prop_oneof![
            (name(), any::<bool>(), bytes()).prop_map(|(name, reply, data)| Message::Global { name, reply, data }),
            bytes().prop_map(Message::GlobalSuccess),
            (name(), any::<[u32; 3]>(), bytes()).prop_map(|(kind, [sender, window, packet], data)| Message::Open {
                kind,
                sender,
                window,
                packet,
                data
            }),
            any::<[u32; 4]>().prop_map(|[channel, sender, window, packet]| Message::Opened {
                channel,
                sender,
                window,
                packet
            }),
            (any::<u32>(), any::<u32>(), ".*").prop_map(|(channel, code, text)| Message::OpenFailed {
                channel,
                code,
                text
            }),
            (any::<u32>(), bytes()).prop_map(|(channel, data)| Message::Data { channel, data }),
            (any::<u32>(), any::<u32>(), bytes()).prop_map(|(channel, code, data)| Message::Extended {
                channel,
                code,
                data
            }),
            (any::<u32>(), name(), any::<bool>(), bytes()).prop_map(|(channel, name, reply, data)| Message::Request {
                channel,
                name,
                reply,
                data
            }),
            any::<[u32; 2]>().prop_map(|[channel, bytes]| Message::Adjust { channel, bytes }),
            any::<u32>().prop_map(|channel| Message::Eof { channel }),
            any::<u32>().prop_map(|channel| Message::Close { channel }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in messages()) {
            let mut out = Vec::new();
            message.write(&mut out);
            prop_assert_eq!(read(&Bytes::from(out)).unwrap(), Some(message));
        }

        #[test]
        fn no_payload_is_too_strange(number in 80_u8..101, bytes: Vec<u8>) {
            let _ = read(&Bytes::from([&[number], bytes.as_slice()].concat()));
        }
    }
}
