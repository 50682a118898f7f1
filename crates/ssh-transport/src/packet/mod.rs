//! Packets (RFC 4253 section 6): sealed and opened where they lie.
//!
//! Spoken are AES-GCM with 256 or 128 bits (RFC 5647, in OpenSSH's form), ChaCha20-Poly1305 (OpenSSH's
//! PROTOCOL.chacha20poly1305), and for peers that have neither AES-CTR (RFC 4344) under an
//! encrypt-then-MAC of SHA-2 (OpenSSH's PROTOCOL, section 1.5). A packet is authenticated before
//! anything of it is deciphered, but for the length under ChaCha20, which has a key of its own.
//! By exception a client speaks what older servers have: AES-CBC, and MACs over what is not yet encrypted (RFC 4253 section
//! 6.4), whose first block has to be deciphered to learn the length.

mod block;

use crate::Error;
use crate::wire::Put as _;
use aws_lc_rs::aead::chacha20_poly1305_openssh as chacha;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use block::Block;
use bytes::{Bytes, BytesMut};

/// A cipher of the table that both sides choose from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CipherName {
    /// `aes256-gcm@openssh.com`
    Aes256Gcm,
    /// `aes128-gcm@openssh.com`
    Aes128Gcm,
    /// `chacha20-poly1305@openssh.com`; safe under strict key exchange only (CVE-2023-48795).
    ChaCha20,
    /// `aes256-ctr`, with a MAC of its own.
    Aes256Ctr,
    /// `aes128-ctr`, with a MAC of its own.
    Aes128Ctr,
    /// `aes256-cbc`, with a MAC of its own, by exception.
    Aes256Cbc,
    /// `aes128-cbc`, with a MAC of its own, by exception.
    Aes128Cbc,
}

/// How packets are authenticated whose cipher does not do it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MacName {
    /// `hmac-sha2-256-etm@openssh.com`
    Sha256,
    /// `hmac-sha2-512-etm@openssh.com`
    Sha512,
    /// `hmac-sha2-512`: over what is not yet encrypted, by exception.
    Sha512Before,
    /// `hmac-sha2-256`, by exception.
    Sha256Before,
    /// `hmac-sha1`, by exception.
    Sha1Before,
}

impl MacName {
    /// Best first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Those that a client speaks by exception, best first.
    pub const OLD: [Self; 3] = [Self::Sha512Before, Self::Sha256Before, Self::Sha1Before];

    /// As key exchange writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "hmac-sha2-256-etm@openssh.com",
            Self::Sha512 => "hmac-sha2-512-etm@openssh.com",
            Self::Sha512Before => "hmac-sha2-512",
            Self::Sha256Before => "hmac-sha2-256",
            Self::Sha1Before => "hmac-sha1",
        }
    }

    const fn length(self) -> usize {
        match self {
            Self::Sha256 | Self::Sha256Before => 32,
            Self::Sha512 | Self::Sha512Before => 64,
            Self::Sha1Before => 20,
        }
    }

    /// Whether it is made before the packet is encrypted.
    const fn before(self) -> bool {
        matches!(self, Self::Sha512Before | Self::Sha256Before | Self::Sha1Before)
    }

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 | Self::Sha256Before => hmac::HMAC_SHA256,
            Self::Sha512 | Self::Sha512Before => hmac::HMAC_SHA512,
            Self::Sha1Before => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        }
    }
}

/// What protects one direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Suite {
    /// Its cipher.
    pub cipher: CipherName,
    /// How packets are authenticated, where the cipher does not do it.
    pub mac: Option<MacName>,
}

/// Lengths of what a suite needs, in bytes.
pub(crate) struct Lengths {
    pub(crate) key: usize,
    pub(crate) iv: usize,
    pub(crate) mac: usize,
}

impl Suite {
    pub(crate) const fn lengths(self) -> Lengths {
        let (key, iv) = match self.cipher {
            CipherName::Aes256Gcm => (32, 12),
            CipherName::Aes128Gcm => (16, 12),
            CipherName::ChaCha20 => (64, 0),
            CipherName::Aes256Ctr | CipherName::Aes256Cbc => (32, 16),
            CipherName::Aes128Ctr | CipherName::Aes128Cbc => (16, 16),
        };
        let mac = match self.mac {
            Some(mac) => mac.length(),
            None => 0,
        };
        Lengths { key, iv, mac }
    }
}

/// The secrets of one direction.
pub(crate) struct Secrets<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) iv: &'a [u8],
    pub(crate) mac: &'a [u8],
}

impl CipherName {
    /// Best first.
    pub const ALL: [Self; 5] = [Self::Aes256Gcm, Self::Aes128Gcm, Self::ChaCha20, Self::Aes256Ctr, Self::Aes128Ctr];

    /// Those that a client speaks by exception, best first.
    pub const OLD: [Self; 2] = [Self::Aes256Cbc, Self::Aes128Cbc];

    /// Whether it needs a MAC beside it.
    #[must_use]
    pub const fn wants_mac(self) -> bool {
        matches!(self, Self::Aes256Ctr | Self::Aes128Ctr | Self::Aes256Cbc | Self::Aes128Cbc)
    }

    /// As key exchange writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes256-gcm@openssh.com",
            Self::Aes128Gcm => "aes128-gcm@openssh.com",
            Self::ChaCha20 => "chacha20-poly1305@openssh.com",
            Self::Aes256Ctr => "aes256-ctr",
            Self::Aes128Ctr => "aes128-ctr",
            Self::Aes256Cbc => "aes256-cbc",
            Self::Aes128Cbc => "aes128-cbc",
        }
    }
}

/// The keys of one direction.
enum Keys<C> {
    /// Before the first key exchange.
    None,
    Gcm(LessSafeKey, Counter),
    ChaCha(C),
    Block(Box<Block>),
}

/// RFC 5647 section 7.1: a fixed part, and a counter of packets.
struct Counter([u8; 12]);

impl Counter {
    fn next(&mut self) -> Nonce {
        let now = self.0;
        if let Some(counter) = self.0.last_chunk_mut::<8>() {
            *counter = u64::from_be_bytes(*counter).wrapping_add(1).to_be_bytes();
        }
        Nonce::assume_unique_for_key(now)
    }
}

fn gcm<C>(algorithm: &'static Algorithm, key: &[u8], iv: &[u8]) -> Result<Keys<C>, Error> {
    let key = UnboundKey::new(algorithm, key).map_err(|_| Error::Crypto)?;
    let iv = iv.first_chunk::<12>().ok_or(Error::Crypto)?;
    Ok(Keys::Gcm(LessSafeKey::new(key), Counter(*iv)))
}

fn keys<C>(
    suite: Suite,
    secrets: &Secrets<'_>,
    (seals, stream): (bool, impl FnOnce(&[u8; 64]) -> C),
) -> Result<Keys<C>, Error> {
    match suite.cipher {
        CipherName::Aes256Gcm => gcm(&AES_256_GCM, secrets.key, secrets.iv),
        CipherName::Aes128Gcm => gcm(&AES_128_GCM, secrets.key, secrets.iv),
        CipherName::ChaCha20 => Ok(Keys::ChaCha(stream(secrets.key.first_chunk::<64>().ok_or(Error::Crypto)?))),
        _ => Ok(Keys::Block(Box::new(Block::new(suite, secrets, seals)?))),
    }
}

const LENGTH: usize = 4;
const TAG: usize = 16;
/// Blocks that a packet fills up: RFC 4253 wants 8 at least, AES has 16.
const BLOCK: usize = 8;
const AES_BLOCK: usize = 16;
/// Least padding.
const PADDING: usize = 4;

/// How much a direction has carried since its keys are new.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carried {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Carried {
    fn add(&mut self, bytes: usize) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// Seals what goes out.
pub(crate) struct Sealer {
    keys: Keys<chacha::SealingKey>,
    sequence: u32,
    pub(crate) carried: Carried,
}

impl Sealer {
    pub(crate) fn new() -> Self {
        Self { keys: Keys::None, sequence: 0, carried: Carried::default() }
    }

    /// From the next packet on, under these keys.
    pub(crate) fn rekey(&mut self, suite: Suite, secrets: &Secrets<'_>, strict: bool) -> Result<(), Error> {
        self.keys = keys(suite, secrets, (true, chacha::SealingKey::new))?;
        self.carried = Carried::default();
        if strict {
            self.sequence = 0;
        }
        Ok(())
    }

    /// Appends a packet to `out`. `fill` writes its payload, and nothing else.
    pub(crate) fn seal(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        let start = out.len();
        out.bytes(&[0; LENGTH + 1]);
        fill(out);
        // What padding aligns: all of it, but not the length where that is authenticated apart.
        let plain = out.len().saturating_sub(start);
        let (counted, block) = match &self.keys {
            Keys::None => (plain, BLOCK),
            Keys::Block(block) if block.before => (plain, AES_BLOCK),
            Keys::Gcm(..) | Keys::Block(_) => (plain.saturating_sub(LENGTH), AES_BLOCK),
            Keys::ChaCha(_) => (plain.saturating_sub(LENGTH), BLOCK),
        };
        let short = block.saturating_sub(counted % block);
        let padding = if short < PADDING { short.saturating_add(block) } else { short };
        out.resize(out.len().saturating_add(padding), 0);
        let length = out.len().saturating_sub(start).saturating_sub(LENGTH);
        let packet = out.get_mut(start..).unwrap_or_default();
        if let Some((head, rest)) = packet.split_first_chunk_mut::<LENGTH>() {
            *head = u32::try_from(length).map_err(|_| Error::TooLong)?.to_be_bytes();
            if let Some(first) = rest.first_mut() {
                *first = u8::try_from(padding).map_err(|_| Error::TooLong)?;
            }
        }
        let mut tag = [0; TAG];
        match &mut self.keys {
            Keys::None => {}
            Keys::Gcm(key, counter) => {
                let (head, body) = packet.split_at_mut_checked(LENGTH).ok_or(Error::TooLong)?;
                let sealed = key.seal_in_place_separate_tag(counter.next(), Aad::from(&*head), body);
                tag.copy_from_slice(sealed.map_err(|_| Error::Crypto)?.as_ref());
                out.bytes(&tag);
            }
            Keys::ChaCha(key) => {
                key.seal_in_place(self.sequence, packet, &mut tag);
                out.bytes(&tag);
            }
            Keys::Block(block) => {
                let tag = block.seal(self.sequence, packet)?;
                out.bytes(tag.as_ref());
            }
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.carried.add(length);
        Ok(())
    }
}

/// Opens what comes in.
pub(crate) struct Opener {
    keys: Keys<chacha::OpeningKey>,
    sequence: u32,
    pub(crate) carried: Carried,
}

impl Opener {
    pub(crate) fn new() -> Self {
        Self { keys: Keys::None, sequence: 0, carried: Carried::default() }
    }

    /// Whether packets come in the clear still.
    pub(crate) const fn is_clear(&self) -> bool {
        matches!(self.keys, Keys::None)
    }

    /// From the next packet on, under these keys.
    pub(crate) fn rekey(&mut self, suite: Suite, secrets: &Secrets<'_>, strict: bool) -> Result<(), Error> {
        self.keys = keys(suite, secrets, (false, chacha::OpeningKey::new))?;
        self.carried = Carried::default();
        if strict {
            self.sequence = 0;
        }
        Ok(())
    }

    /// The number of the last packet, for `SSH_MSG_UNIMPLEMENTED`.
    pub(crate) const fn last(&self) -> u32 {
        self.sequence.wrapping_sub(1)
    }

    /// The payload of the packet at the beginning of `input`, once all of it is there. Its length is
    /// judged before anything waits for it.
    pub(crate) fn open(&mut self, input: &mut BytesMut, longest: usize) -> Result<Option<Bytes>, Error> {
        if let Keys::Block(block) = &mut self.keys
            && !block.begin(input)?
        {
            return Ok(None);
        }
        let Some(head) = input.first_chunk::<LENGTH>() else { return Ok(None) };
        let (plain, tag, block, counted) = match &self.keys {
            Keys::None => (*head, 0, BLOCK, LENGTH),
            Keys::Gcm(..) => (*head, TAG, AES_BLOCK, 0),
            Keys::Block(block) => (*head, block.tag, AES_BLOCK, if block.before { LENGTH } else { 0 }),
            Keys::ChaCha(key) => (key.decrypt_packet_length(self.sequence, *head), TAG, BLOCK, 0),
        };
        let length = usize::try_from(u32::from_be_bytes(plain)).map_err(|_| Error::TooLong)?;
        let aligned = length.saturating_add(counted) % block == 0;
        if length > longest || length < PADDING + 1 || !aligned {
            return match &self.keys {
                Keys::Block(block) if block.hides_lengths() && input.len() < longest => Ok(None),
                Keys::Block(block) if block.hides_lengths() => Err(Error::Mac),
                _ => Err(Error::Length),
            };
        }
        let body = LENGTH.saturating_add(length);
        let all = body.saturating_add(tag);
        if input.len() < all {
            return Ok(None);
        }
        let mut packet = input.split_to(all);
        self.unseal(&mut packet, body)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.carried.add(length);
        let padding = usize::from(*packet.get(LENGTH).ok_or(Error::Length)?);
        let end = body.checked_sub(padding).filter(|end| *end > LENGTH + 1 && padding >= PADDING);
        let end = end.ok_or(Error::Padding)?;
        Ok(Some(packet.freeze().slice(LENGTH + 1..end)))
    }

    fn unseal(&mut self, packet: &mut BytesMut, body: usize) -> Result<(), Error> {
        match &mut self.keys {
            Keys::None => Ok(()),
            Keys::Gcm(key, counter) => {
                let (head, sealed) = packet.split_at_mut_checked(LENGTH).ok_or(Error::Length)?;
                let opened = key.open_in_place(counter.next(), Aad::from(&*head), sealed);
                opened.map(drop).map_err(|_| Error::Mac)
            }
            Keys::ChaCha(key) => {
                let (sealed, tag) = packet.split_at_mut_checked(body).ok_or(Error::Length)?;
                let tag = tag.first_chunk::<TAG>().ok_or(Error::Length)?;
                key.open_in_place(self.sequence, sealed, tag).map(drop).map_err(|_| Error::Mac)
            }
            Keys::Block(block) => {
                let (sealed, tag) = packet.split_at_mut_checked(body).ok_or(Error::Length)?;
                block.unseal(self.sequence, sealed, tag)
            }
        }
    }
}

#[cfg(test)]
mod tests;
