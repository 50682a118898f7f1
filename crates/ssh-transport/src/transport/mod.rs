//! The transport layer (RFC 4253): identifications, packets, key exchange and re-exchange. Bytes in, payloads out.

mod settings;

use crate::key;
use crate::message::{
    AUTHENTICATION, DEBUG, DISCONNECT, EXT_INFO, GROUP, GROUP_INIT, GROUP_REPLY, GROUP_REQUEST, IGNORE, KEX_INIT,
    KEX_REPLY, KEXINIT, NEWKEYS, SERVICE_ACCEPT, SERVICE_REQUEST, UNIMPLEMENTED,
};
use crate::negotiate::{self, Agreed, Method};
use crate::packet::{Opener, Sealer, Secrets, Suite};
use crate::wire::{Cursor, Put as _};
use crate::{Error, Role, certificate, kex};
use aws_lc_rs::digest::Digest;
use bytes::{Bytes, BytesMut};
pub use settings::{Random, Settings};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Packets under one set of keys: RFC 4344 section 3.1.
const REKEY_PACKETS: u64 = 1 << 31;

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

/// A key exchange under way.
#[derive(Default)]
struct Exchange {
    ours: Option<Vec<u8>>,
    theirs: Option<Vec<u8>>,
    agreed: Option<Agreed>,
    asked: Option<kex::Asked>,
    /// The sizes that were asked for and the group that the server proposed, as the exchange hash takes them.
    group: Vec<u8>,
    /// A wrong guess of theirs is to be passed over.
    skip: bool,
    /// The keys for what comes in, once theirs are new too.
    incoming: Option<Fresh>,
}

/// New keys of one direction.
struct Fresh {
    suite: Suite,
    key: Zeroizing<Vec<u8>>,
    iv: Zeroizing<Vec<u8>>,
    mac: Zeroizing<Vec<u8>>,
}

impl Fresh {
    fn secrets(&self) -> Secrets<'_> {
        Secrets { key: &self.key, iv: &self.iv, mac: &self.mac }
    }
}

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
        let first = self.session.is_none();
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

    /// New keys when these have carried enough.
    fn renew(&mut self) -> Result<(), Error> {
        let worn = [self.opener.carried, self.sealer.carried]
            .iter()
            .any(|carried| carried.bytes > self.settings.rekey || carried.packets > REKEY_PACKETS);
        if worn && self.session.is_some() && self.exchange.is_none() { self.exchange() } else { Ok(()) }
    }

    /// Sends our offer.
    fn exchange(&mut self) -> Result<(), Error> {
        let mut cookie = [0; 16];
        (self.settings.random)(&mut cookie);
        let first = self.session.is_none();
        let ours = negotiate::ours(self.settings.role, &self.settings.spoken, cookie, first);
        self.seal(|out| out.bytes(&ours))?;
        self.exchange.get_or_insert_default().ours = Some(ours);
        Ok(())
    }

    fn offered(&mut self, payload: &[u8]) -> Result<(), Error> {
        if self.exchange.is_none() {
            self.exchange()?;
        }
        let first = self.session.is_none();
        let known = (!first).then_some(self.strict);
        let agreed = negotiate::agree(self.settings.role, &self.settings.spoken, payload, known)?;
        if first {
            self.strict = agreed.strict;
            // The first packet of all must be the offer, where exchange is strict.
            if self.strict && self.opener.carried.packets != 1 {
                return Err(Error::OutOfTurn(KEXINIT));
            }
        }
        let (mut asked, mut group) = (None, Vec::new());
        match (self.settings.role, agreed.method) {
            (Role::Server, _) => {}
            (Role::Client, Method::FieldProposed) => {
                kex::sizes().into_iter().for_each(|bits| group.uint32(bits));
                self.sealer.seal(&mut self.output, |out| {
                    out.byte(GROUP_REQUEST);
                    out.bytes(&group);
                })?;
            }
            (Role::Client, method) => asked = Some(self.begin(KEX_INIT, kex::ask(method, &self.settings.random)?)?),
        }
        let exchange = self.exchange.get_or_insert_default();
        if exchange.theirs.is_some() {
            return Err(Error::OutOfTurn(KEXINIT));
        }
        exchange.theirs = Some(payload.to_vec());
        exchange.skip = agreed.skip;
        exchange.agreed = Some(agreed);
        exchange.asked = asked;
        exchange.group = group;
        Ok(())
    }

    /// Sends our half of the exchange.
    fn begin(&mut self, number: u8, asked: kex::Asked) -> Result<kex::Asked, Error> {
        self.seal(|out| {
            out.byte(number);
            out.string(&asked.share);
        })?;
        Ok(asked)
    }

    /// The server proposes a group: the rest of its message.
    fn proposed(&mut self, proposed: &[u8]) -> Result<(), Error> {
        let asked = kex::ask_in(proposed, &self.settings.random)?;
        let asked = self.begin(GROUP_INIT, asked)?;
        let exchange = self.exchange.get_or_insert_default();
        exchange.group.bytes(proposed);
        exchange.asked = Some(asked);
        Ok(())
    }

    fn exchanged(&mut self, number: u8, payload: &[u8]) -> Result<(), Error> {
        let exchange = self.exchange.as_mut().ok_or(Error::OutOfTurn(number))?;
        if std::mem::take(&mut exchange.skip) {
            return Ok(());
        }
        if exchange.incoming.is_some() {
            return Err(Error::OutOfTurn(number));
        }
        let agreed = exchange.agreed.ok_or(Error::OutOfTurn(number))?;
        let mut cursor = Cursor::new(payload);
        cursor.byte()?;
        match (self.settings.role, number) {
            (Role::Server, KEX_INIT) => {
                let theirs = cursor.string()?;
                cursor.end()?;
                self.reply(&agreed, theirs)
            }
            (Role::Client, GROUP) if agreed.method == Method::FieldProposed => {
                if exchange.asked.is_some() {
                    return Err(Error::OutOfTurn(number));
                }
                self.proposed(cursor.rest())
            }
            (Role::Client, KEX_REPLY | GROUP_REPLY)
                if (number == GROUP_REPLY) == (agreed.method == Method::FieldProposed) =>
            {
                let (host_key, theirs, signature) = (cursor.string()?, cursor.string()?, cursor.string()?);
                cursor.end()?;
                self.replied(&agreed, host_key, theirs, signature)
            }
            _ => Err(Error::OutOfTurn(number)),
        }
    }

    fn reply(&mut self, agreed: &Agreed, theirs: &[u8]) -> Result<(), Error> {
        let (share, shared) = kex::answer(agreed.method, theirs)?;
        let settings = self.settings.clone();
        let host_key = settings.host_key.as_ref().ok_or(Error::Key)?;
        let shown = settings.shown(agreed.signature).ok_or(Error::Key)?;
        let hash = self.hash(agreed.method, &shared, shown, (theirs, &share))?;
        let signature = host_key.sign(hash.as_ref());
        self.seal(|out| {
            out.byte(KEX_REPLY);
            out.string(shown);
            out.string(&share);
            out.string(&signature);
        })?;
        self.change(agreed, &shared, &hash)
    }

    fn replied(&mut self, agreed: &Agreed, host_key: &[u8], theirs: &[u8], signature: &[u8]) -> Result<(), Error> {
        let (key, algorithm) = self.believed(agreed, host_key)?;
        let asked = self.exchange.as_mut().and_then(|exchange| exchange.asked.take());
        let asked = asked.ok_or(Error::OutOfTurn(KEX_REPLY))?;
        let shared = kex::finish(&asked, theirs)?;
        let hash = self.hash(agreed.method, &shared, host_key, (&asked.share, theirs))?;
        key::verify_old(&key, algorithm, signature, hash.as_ref())?;
        self.shown.get_or_insert_with(|| host_key.to_vec());
        self.change(agreed, &shared, &hash)
    }

    /// The key by which a server must sign that shows this, and how; where it is accepted, or certified. That is asked at every
    /// exchange: a server may not change its key while we talk to it. One that stays may outlive its certificate.
    fn believed(&self, agreed: &Agreed, shown: &[u8]) -> Result<(Vec<u8>, &'static str), Error> {
        let Some(plain) = certificate::plain(agreed.signature) else {
            let accepted = self.settings.accepted.iter().any(|accepted| accepted == shown);
            return if accepted { Ok((shown.to_vec(), agreed.signature)) } else { Err(Error::HostKey(shown.to_vec())) };
        };
        if self.shown.as_deref() == Some(shown) {
            return Ok((certificate::read(shown)?.contents.key, plain));
        }
        let authorities = self.settings.authorities.as_ref().ok_or(Error::Key)?;
        Ok((authorities.judge(shown).map_err(Error::HostCertificate)?, plain))
    }

    fn hash(
        &self,
        method: Method,
        shared: &kex::Shared,
        host_key: &[u8],
        (client_share, server_share): (&[u8], &[u8]),
    ) -> Result<Digest, Error> {
        let exchange = self.exchange.as_ref().ok_or(Error::OutOfTurn(KEX_REPLY))?;
        let theirs = self.identification.as_deref().ok_or(Error::Identification)?;
        let inits = (exchange.ours.as_deref().unwrap_or_default(), exchange.theirs.as_deref().unwrap_or_default());
        let ((client, server), (client_init, server_init)) = match self.settings.role {
            Role::Client => ((IDENTIFICATION, theirs), inits),
            Role::Server => ((theirs, IDENTIFICATION), (inits.1, inits.0)),
        };
        let group = &exchange.group;
        let transcript =
            kex::Transcript { client, server, client_init, server_init, host_key, group, client_share, server_share };
        Ok(transcript.hash(method, shared))
    }

    /// Announces new keys, and sends under them from now on.
    fn change(&mut self, agreed: &Agreed, shared: &kex::Shared, hash: &Digest) -> Result<(), Error> {
        let first = self.session.is_none();
        let session = *self.session.get_or_insert(*hash);
        self.seal(|out| out.byte(NEWKEYS))?;
        let derive = |suite: Suite, [iv, key, mac]: [u8; 3]| {
            let lengths = suite.lengths();
            let part = |letter, length| kex::derive(agreed.method, shared, (hash, &session), letter, length);
            Fresh { suite, iv: part(iv, lengths.iv), key: part(key, lengths.key), mac: part(mac, lengths.mac) }
        };
        let to_server = derive(agreed.to_server, *b"ACE");
        let to_client = derive(agreed.to_client, *b"BDF");
        let (outgoing, incoming) = match self.settings.role {
            Role::Client => (to_server, to_client),
            Role::Server => (to_client, to_server),
        };
        self.sealer.rekey(outgoing.suite, &outgoing.secrets(), self.strict)?;
        self.algorithms = Some(*agreed);
        if let Some(exchange) = &mut self.exchange {
            exchange.incoming = Some(incoming);
        }
        if first && agreed.ext_info {
            self.seal(|out| {
                out.byte(EXT_INFO);
                out.uint32(1);
                out.string(b"server-sig-algs");
                out.names(&key::SIGNATURES);
            })?;
        }
        Ok(())
    }

    /// Their keys are new too: the exchange is over, and what waited goes out.
    fn renewed(&mut self, payload: &[u8]) -> Result<(), Error> {
        let incoming = self.exchange.as_mut().and_then(|exchange| exchange.incoming.take());
        let Some(fresh) = incoming.filter(|_| payload.len() == 1) else {
            return Err(Error::OutOfTurn(NEWKEYS));
        };
        self.opener.rekey(fresh.suite, &fresh.secrets(), self.strict)?;
        self.exchange = None;
        self.held_bytes = 0;
        for held in std::mem::take(&mut self.held) {
            self.seal(|out| out.bytes(&held))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
