//! Key exchange and re-exchange (RFC 4253 sections 7 and 9): offers, both halves, and new keys for each direction.

use super::{IDENTIFICATION, Transport};
use crate::message::{EXT_INFO, GROUP, GROUP_INIT, GROUP_REPLY, GROUP_REQUEST, KEX_INIT, KEX_REPLY, KEXINIT, NEWKEYS};
use crate::negotiate::{self, Agreed, Method, Spoken};
use crate::packet::{Secrets, Suite};
use crate::wire::{Cursor, Put as _};
use crate::{Error, Role, certificate, kex, key};
use aws_lc_rs::digest::Digest;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Packets under one set of keys: RFC 4344 section 3.1.
const REKEY_PACKETS: u64 = 1 << 31;

/// A key exchange under way.
#[derive(Default)]
pub(super) struct Exchange {
    pub(super) ours: Option<Vec<u8>>,
    pub(super) theirs: Option<Vec<u8>>,
    pub(super) agreed: Option<Agreed>,
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

impl Transport {
    /// New keys when these have carried enough.
    pub(super) fn renew(&mut self) -> Result<(), Error> {
        let worn = [self.opener.carried, self.sealer.carried]
            .iter()
            .any(|carried| carried.bytes > self.settings.rekey || carried.packets > REKEY_PACKETS);
        if worn && self.session.is_some() && self.exchange.is_none() { self.exchange() } else { Ok(()) }
    }

    /// What is spoken from now on.
    ///
    /// INVARIANT: no exchange falls behind a post-quantum one before it. What was demanded of the first, and is told of it, holds
    /// for every byte.
    fn spoken(&self) -> Cow<'_, Spoken> {
        let spoken = &self.settings.spoken;
        match &self.algorithms {
            Some(agreed) if agreed.method.post_quantum() => Cow::Owned(spoken.clone().post_quantum()),
            _ => Cow::Borrowed(spoken),
        }
    }

    /// Sends our offer.
    pub(super) fn exchange(&mut self) -> Result<(), Error> {
        let mut cookie = [0; 16];
        (self.settings.random)(&mut cookie);
        let first = self.session.is_none();
        let ours = negotiate::ours(self.settings.role, &self.spoken(), cookie, first);
        self.seal(|out| out.bytes(&ours))?;
        self.exchange.get_or_insert_default().ours = Some(ours);
        Ok(())
    }

    pub(super) fn offered(&mut self, payload: &[u8]) -> Result<(), Error> {
        if self.exchange.is_none() {
            self.exchange()?;
        }
        let first = self.session.is_none();
        let known = (!first).then_some(self.strict);
        let agreed = negotiate::agree(self.settings.role, &self.spoken(), payload, known)?;
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

    pub(super) fn exchanged(&mut self, number: u8, payload: &[u8]) -> Result<(), Error> {
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
        let (share, shared) = kex::answer(agreed.method, theirs, &self.settings.random)?;
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
    pub(super) fn change(&mut self, agreed: &Agreed, shared: &kex::Shared, hash: &Digest) -> Result<(), Error> {
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
    pub(super) fn renewed(&mut self, payload: &[u8]) -> Result<(), Error> {
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
