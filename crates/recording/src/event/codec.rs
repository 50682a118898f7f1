//! The bytes of an event, out and in.

use super::{Channel, Error, EventRef, FileRef, WhatRef};

const OUTPUT: u8 = 1;
const STDERR: u8 = 2;
const INPUT: u8 = 3;
const RESIZE: u8 = 4;
const OPEN: u8 = 5;
const CLOSE: u8 = 6;
const SIGNAL: u8 = 7;
const MARK: u8 = 8;
const HIDDEN: u8 = 9;
const CONTENT: u8 = 10;
const KEPT: u8 = 11;

const HAS_EXIT: u8 = 1;
const HAS_SIGNAL: u8 = 2;

const UPWARD: u8 = 1;
const HAS_SUM: u8 = 2;

pub(super) fn encode(at: u64, channel: u32, what: WhatRef<'_>, out: &mut Vec<u8>) {
    let tag = match what {
        WhatRef::Output(_) => OUTPUT,
        WhatRef::Stderr(_) => STDERR,
        WhatRef::Input(_) => INPUT,
        WhatRef::Resize { .. } => RESIZE,
        WhatRef::Open { .. } => OPEN,
        WhatRef::Close { .. } => CLOSE,
        WhatRef::Signal(_) => SIGNAL,
        WhatRef::Mark { .. } => MARK,
        WhatRef::Hidden(_) => HIDDEN,
        WhatRef::Content { .. } => CONTENT,
        WhatRef::Kept(_) => KEPT,
    };
    out.push(tag);
    put_number(at, out);
    put_number(channel.into(), out);
    match what {
        WhatRef::Output(bytes) | WhatRef::Stderr(bytes) | WhatRef::Input(bytes) => put_bytes(bytes, out),
        WhatRef::Hidden(bytes) => put_number(bytes, out),
        WhatRef::Content { file, bytes } => {
            put_number(file.into(), out);
            put_bytes(bytes, out);
        }
        WhatRef::Kept(FileRef { number, up, size, kept, sum, path }) => {
            out.push(if up { UPWARD } else { 0 } | sum.map_or(0, |_| HAS_SUM));
            put_number(number.into(), out);
            put_number(size, out);
            put_number(kept, out);
            out.extend_from_slice(sum.map_or(&[], |sum| sum.as_slice()));
            put_bytes(path.as_bytes(), out);
        }
        WhatRef::Resize { cols, rows } => {
            put_number(cols.into(), out);
            put_number(rows.into(), out);
        }
        WhatRef::Open { kind, detail } => {
            out.push(channel_code(kind));
            put_bytes(detail.as_bytes(), out);
        }
        WhatRef::Close { exit, signal } => {
            let flags = exit.map_or(0, |_| HAS_EXIT) | signal.map_or(0, |_| HAS_SIGNAL);
            out.push(flags);
            if let Some(exit) = exit {
                put_number(exit.into(), out);
            }
            if let Some(signal) = signal {
                put_bytes(signal.as_bytes(), out);
            }
        }
        WhatRef::Signal(name) => put_bytes(name.as_bytes(), out),
        WhatRef::Mark { kind, text } => {
            put_bytes(kind.as_bytes(), out);
            put_bytes(text.as_bytes(), out);
        }
    }
}

/// Takes one event off `bytes`; `at` is where it begins, for the error.
pub(super) fn decode<'a>(bytes: &mut &'a [u8], at: usize) -> Result<EventRef<'a>, Error> {
    let mut cursor = Cursor { bytes, at };
    let tag = cursor.byte()?;
    let time = cursor.number()?;
    let channel = cursor.narrow()?;
    let what = match tag {
        OUTPUT => WhatRef::Output(cursor.bytes()?),
        STDERR => WhatRef::Stderr(cursor.bytes()?),
        INPUT => WhatRef::Input(cursor.bytes()?),
        HIDDEN => WhatRef::Hidden(cursor.number()?),
        CONTENT => WhatRef::Content { file: cursor.narrow()?, bytes: cursor.bytes()? },
        KEPT => WhatRef::Kept(cursor.file()?),
        RESIZE => WhatRef::Resize { cols: cursor.narrow()?, rows: cursor.narrow()? },
        OPEN => WhatRef::Open { kind: cursor.channel()?, detail: cursor.text()? },
        CLOSE => {
            let flags = cursor.byte()?;
            if flags & !(HAS_EXIT | HAS_SIGNAL) != 0 {
                return Err(Error::Unknown(at));
            }
            let exit = if flags & HAS_EXIT == 0 { None } else { Some(cursor.narrow()?) };
            let signal = if flags & HAS_SIGNAL == 0 { None } else { Some(cursor.text()?) };
            WhatRef::Close { exit, signal }
        }
        SIGNAL => WhatRef::Signal(cursor.text()?),
        MARK => WhatRef::Mark { kind: cursor.text()?, text: cursor.text()? },
        _ => return Err(Error::Unknown(at)),
    };
    Ok(EventRef { at: time, channel, what })
}

/// The code of a channel's kind: stored for ever, so a new kind gets a new number.
const fn channel_code(kind: Channel) -> u8 {
    match kind {
        Channel::Exec => 0,
        Channel::Shell => 1,
        Channel::Sftp => 2,
        Channel::Subsystem => 3,
        Channel::ForwardLocal => 4,
        Channel::ForwardRemote => 5,
        Channel::ForwardSocket => 6,
        Channel::X11 => 7,
        Channel::Agent => 8,
        Channel::Stream => 9,
    }
}

fn put_number(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // A slice is never longer than 2^63 bytes.
    put_number(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(bytes);
}

struct Cursor<'c, 'a> {
    bytes: &'c mut &'a [u8],
    at: usize,
}

impl<'a> Cursor<'_, 'a> {
    fn byte(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.bytes.split_first().ok_or(Error::Short(self.at))?;
        *self.bytes = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if shift == 63 && byte > 1 {
                break;
            }
            number |= low << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return if shortest { Ok(number) } else { Err(Error::Number(self.at)) };
            }
        }
        Err(Error::Number(self.at))
    }

    fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        self.number()?.try_into().map_err(|_| Error::Number(self.at))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = self.narrow()?;
        let (bytes, rest) = self.bytes.split_at_checked(length).ok_or(Error::Short(self.at))?;
        *self.bytes = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Error::Text(self.at))
    }

    fn file(&mut self) -> Result<FileRef<'a>, Error> {
        let flags = self.byte()?;
        if flags & !(UPWARD | HAS_SUM) != 0 {
            return Err(Error::Unknown(self.at));
        }
        let (number, size, kept) = (self.narrow()?, self.number()?, self.number()?);
        let sum = if flags & HAS_SUM == 0 {
            None
        } else {
            let (sum, rest) = self.bytes.split_first_chunk::<32>().ok_or(Error::Short(self.at))?;
            *self.bytes = rest;
            Some(sum)
        };
        Ok(FileRef { number, up: flags & UPWARD != 0, size, kept, sum, path: self.text()? })
    }

    fn channel(&mut self) -> Result<Channel, Error> {
        let code = self.byte()?;
        Channel::ALL.into_iter().find(|kind| channel_code(*kind) == code).ok_or(Error::Unknown(self.at))
    }
}
