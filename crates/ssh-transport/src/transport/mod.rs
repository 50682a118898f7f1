//! The transport layer (RFC 4253): identifications, packets, key exchange and re-exchange. Bytes in, payloads out.

#[cfg(any(test, fuzzing))]
mod behind;
mod exchange;
mod settings;

use crate::message::{
    AUTHENTICATION, DEBUG, DISCONNECT, EXT_INFO, GROUP_REQUEST, IGNORE, KEX_INIT, KEXINIT, NEWKEYS, SERVICE_ACCEPT,
    SERVICE_REQUEST, UNIMPLEMENTED,
};
use crate::negotiate::Agreed;
use crate::packet::{Opener, Sealer};
use crate::wire::{Cursor, Put as _};
use crate::{Error, Role};
use aws_lc_rs::digest::Digest;
use bytes::{Bytes, BytesMut};
use exchange::Exchange;
pub use settings::{Random, Settings};
use std::sync::Arc;

/// How we name ourselves.
const IDENTIFICATION: &[u8] = b"SSH-2.0-Sallyport";
/// RFC 4253 section 4.2, with its line end.
const IDENTIFICATION_LONGEST: usize = 255;
/// Lines that a server may say before (RFC 4253 section 4.2), all together.
const BEFORE: usize = 8 << 10;
/// Longest packet before and after authentication. RFC 4253 section 6.1 wants 35000 at least; what
/// channels carry is bounded by what we announce for them.
const LONGEST_EARLY: usize = 35_000;
const LONGEST: usize = 128 << 10;
/// Packets that a peer may send before it is authenticated, with what is passed over.
const EARLY_PACKETS: u32 = 512;
/// Payloads that wait for new keys, in bytes, above which the peer keeps us waiting on purpose.
const HELD: usize = 8 << 20;

/// One side of a connection.
pub struct Transport {
    settings: Arc<Settings>,
    output: Vec<u8>,
    opener: Opener,
    sealer: Sealer,
    /// Theirs, without line end, once it is known.
    identification: Option<Vec<u8>>,
    before: usize,
    exchange: Option<Exchange>,
    /// The first exchange's hash.
    session: Option<Digest>,
    /// What the server showed at the first exchange.
    shown: Option<Vec<u8>>,
    strict: bool,
    held: Vec<Vec<u8>>,
    held_bytes: usize,
    early: Option<u32>,
    algorithms: Option<Agreed>,
    their_signatures: Option<String>,
    broken: bool,
}

impl Transport {
    /// At the beginning: our identification and offer are ready to be sent.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn new(settings: Arc<Settings>) -> Result<Self, Error> {
        let mut transport = Self {
            settings,
            output: Vec::with_capacity(1024),
            opener: Opener::new(),
            sealer: Sealer::new(),
            identification: None,
            before: 0,
            exchange: None,
            session: None,
            shown: None,
            strict: false,
            held: Vec::new(),
            held_bytes: 0,
            early: Some(0),
            algorithms: None,
            their_signatures: None,
            broken: false,
        };
        transport.output.bytes(IDENTIFICATION);
        transport.output.bytes(b"\r\n");
        transport.exchange()?;
        Ok(transport)
    }

    /// What is to be written to the socket; whoever has written it takes it out.
    pub const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Bytes that wait to be sent, for the socket or for new keys.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.output.len().saturating_add(self.held_bytes)
    }

    /// The session's identifier, which proofs of possession sign; known after the first exchange.
    #[must_use]
    pub fn session(&self) -> Option<&[u8]> {
        self.session.as_ref().map(AsRef::as_ref)
    }

    /// What was agreed on last.
    #[must_use]
    pub const fn algorithms(&self) -> Option<&Agreed> {
        self.algorithms.as_ref()
    }

    /// What is agreed on for an exchange that is under way.
    #[must_use]
    pub fn agreeing(&self) -> Option<&Agreed> {
        self.exchange.as_ref().and_then(|exchange| exchange.agreed.as_ref())
    }

    /// How the peer names itself, without line end, once it has.
    #[must_use]
    pub fn identification(&self) -> Option<&[u8]> {
        self.identification.as_deref()
    }

    /// The algorithms of signatures that the server takes, where it said so (RFC 8308 section 3.1).
    #[must_use]
    pub fn their_signatures(&self) -> Option<&str> {
        self.their_signatures.as_deref()
    }

    /// From now on the peer is authenticated: longer packets, and no more messages of authentication.
    pub const fn authenticated(&mut self) {
        self.early = None;
    }

    /// The next payload that is not the transport's own, out of `input`, to which the socket's bytes
    /// are appended.
    ///
    /// # Errors
    /// When the connection cannot go on. A goodbye that says why is ready to be sent then.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        let next = self.advance(input);
        if let Err(error) = &next {
            self.goodbye(error);
        }
        next
    }

    fn advance(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        if self.broken {
            return Err(Error::Closed);
        }
        if self.identification.is_none() && !self.identify(input)? {
            return Ok(None);
        }
        let longest = if self.early.is_some() { LONGEST_EARLY } else { LONGEST };
        while let Some(payload) = self.opener.open(input, longest)? {
            if let Some(early) = &mut self.early {
                *early = early.saturating_add(1);
                if *early > EARLY_PACKETS {
                    return Err(Error::Overrun("too many packets before it is authenticated"));
                }
            }
            if let Some(payload) = self.take(payload)? {
                return Ok(Some(payload));
            }
        }
        self.renew()?;
        Ok(None)
    }

    /// Sends a payload, or keeps it until keys are new.
    ///
    /// # Errors
    /// When the cryptographic library fails, or new keys are long in coming.
    pub fn send(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        if self.broken {
            return Err(Error::Closed);
        }
        if self.exchange.is_some() {
            let mut payload = Vec::new();
            fill(&mut payload);
            self.held_bytes = self.held_bytes.saturating_add(payload.len()).saturating_add(32);
            if self.held_bytes > HELD {
                return Err(Error::Overrun("it keeps a key exchange open"));
            }
            self.held.push(payload);
            return Ok(());
        }
        self.seal(fill)?;
        self.renew()
    }

    /// Says goodbye (RFC 4253 section 11.1). Nothing is sent or taken after it.
    pub fn disconnect(&mut self, code: u32, text: &str) {
        if self.broken {
            return;
        }
        let said = self.seal(|out| {
            out.byte(DISCONNECT);
            out.uint32(code);
            out.string(text.as_bytes());
            out.string(b"en");
        });
        // Where not even that can be sealed there is nothing to say it with.
        let _ = said;
        self.broken = true;
    }

    fn goodbye(&mut self, error: &Error) {
        // RFC 4253 section 11.1: 2 protocol error, 3 key exchange failed, 5 MAC error, 9 host key not verifiable.
        let code = match error {
            Error::HungUp | Error::Closed | Error::Disconnected(_) | Error::Io(_) => {
                self.broken = true;
                return;
            }
            Error::NoCommon(_) | Error::NotStrict | Error::Exchange | Error::Crypto => 3,
            Error::Mac => 5,
            Error::HostKey(_) | Error::HostCertificate(_) | Error::Signature => 9,
            _ => 2,
        };
        self.disconnect(code, &error.to_string());
    }

    fn seal(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        self.sealer.seal(&mut self.output, fill)
    }

    /// Their identification, once its line is there.
    fn identify(&mut self, input: &mut BytesMut) -> Result<bool, Error> {
        loop {
            let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
                let long = input.len() > IDENTIFICATION_LONGEST;
                return if long { Err(Error::Identification) } else { Ok(false) };
            };
            let line = input.split_to(end.saturating_add(1));
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.starts_with(b"SSH-") {
                let ours = line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-");
                if !ours || line.len() > IDENTIFICATION_LONGEST || line.contains(&0) {
                    return Err(Error::Identification);
                }
                self.identification = Some(line.to_vec());
                return Ok(true);
            }
            self.before = self.before.saturating_add(line.len()).saturating_add(2);
            if self.settings.role == Role::Server || self.before > BEFORE {
                return Err(Error::Identification);
            }
        }
    }

    /// Takes what is the transport's own, and gives back what is not.
    fn take(&mut self, payload: Bytes) -> Result<Option<Bytes>, Error> {
        let number = *payload.first().ok_or(Error::Length)?;
        // INVARIANT: what comes in the clear is of the exchange alone, and so until the peer's keys are new, not only until they are
        // known: whoever is on the way could slip in a login of their own behind the halves (CVE-2023-46446).
        let first = self.opener.is_clear();
        let exchanging = self.exchange.as_ref().is_some_and(|exchange| exchange.theirs.is_some());
        // Strict key exchange: the first thing is an offer, and nothing is passed over before keys are new.
        if first && (self.strict || !exchanging) && matches!(number, IGNORE | DEBUG | UNIMPLEMENTED | EXT_INFO) {
            let passed_over = !self.strict && !exchanging;
            return if passed_over { Ok(None) } else { Err(Error::OutOfTurn(number)) };
        }
        match number {
            DISCONNECT => {
                let mut cursor = Cursor::new(&payload);
                let _ = (cursor.byte(), cursor.uint32());
                let text = String::from_utf8_lossy(cursor.string().unwrap_or_default());
                let text = text.chars().filter(|c| !c.is_control()).take(256).collect();
                Err(Error::Disconnected(text))
            }
            IGNORE | DEBUG | UNIMPLEMENTED => Ok(None),
            EXT_INFO if !first => self.extensions(&payload).map(|()| None),
            KEXINIT => self.offered(&payload).map(|()| None),
            KEX_INIT..=GROUP_REQUEST => self.exchanged(number, &payload).map(|()| None),
            NEWKEYS => self.renewed(&payload).map(|()| None),
            // Nothing but the exchange, until there are keys. In a later one some peers (asyncssh) still
            // send what they had begun, under keys that hold: RFC 4253 section 7.1 forbids it, and nothing is lost.
            _ if first => Err(Error::OutOfTurn(number)),
            SERVICE_REQUEST | SERVICE_ACCEPT => Ok(Some(payload)),
            number if AUTHENTICATION.contains(&number) == self.early.is_some() && number >= 50 => Ok(Some(payload)),
            // RFC 4252 section 5.1: what comes after success is passed over.
            50 if self.settings.role == Role::Server => Ok(None),
            // A banner may come late.
            53 if self.settings.role == Role::Client => Ok(None),
            number if number >= 50 => Err(Error::OutOfTurn(number)),
            _ => {
                let last = self.opener.last();
                self.send(|out| {
                    out.byte(UNIMPLEMENTED);
                    out.uint32(last);
                })?;
                Ok(None)
            }
        }
    }

    fn extensions(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut cursor = Cursor::new(payload);
        cursor.byte()?;
        for _ in 0..cursor.uint32()?.min(64) {
            let (name, value) = (cursor.string()?, cursor.string()?);
            if name == b"server-sig-algs" && self.settings.role == Role::Client {
                self.their_signatures = Some(String::from_utf8_lossy(value).into_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
