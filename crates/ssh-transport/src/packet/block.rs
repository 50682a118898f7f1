//! AES in counter mode or as a chain of blocks, with a MAC of its own.

use super::{AES_BLOCK, CipherName, LENGTH, Secrets, Suite};
use crate::Error;
use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, StreamingEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, hmac};
use bytes::BytesMut;

/// AES with a MAC of its own.
pub(super) struct Block {
    cipher: Chain,
    mac: hmac::Key,
    pub(super) tag: usize,
    /// Whether the MAC is over what is not yet encrypted.
    pub(super) before: bool,
    /// Whether the first block of the packet at hand is deciphered already.
    begun: bool,
}

/// How blocks hang together, and where in the chain we are.
enum Chain {
    /// The same key stream enciphers and deciphers.
    Ctr(StreamingEncryptingKey, Vec<u8>),
    Seal(EncryptingKey, [u8; AES_BLOCK]),
    Open(DecryptingKey, [u8; AES_BLOCK]),
}

impl Chain {
    fn run(&mut self, body: &mut [u8]) -> Result<(), Error> {
        let last = body.last_chunk::<AES_BLOCK>().copied();
        match self {
            Self::Ctr(stream, scratch) => {
                scratch.resize(body.len().saturating_add(AES_BLOCK), 0);
                let done = stream.update(body, scratch).map_err(|_| Error::Crypto)?;
                if done.written().len() != body.len() {
                    return Err(Error::Crypto);
                }
                body.copy_from_slice(done.written());
            }
            Self::Seal(key, iv) => {
                let context = EncryptionContext::Iv128(FixedLength::from(&*iv));
                key.less_safe_encrypt(body, context).map_err(|_| Error::Crypto)?;
                *iv = body.last_chunk().copied().unwrap_or(*iv);
            }
            Self::Open(key, iv) => {
                let context = DecryptionContext::Iv128(FixedLength::from(&*iv));
                key.decrypt(body, context).map_err(|_| Error::Crypto)?;
                *iv = last.unwrap_or(*iv);
            }
        }
        Ok(())
    }
}

impl Block {
    pub(super) fn new(suite: Suite, secrets: &Secrets<'_>, seals: bool) -> Result<Self, Error> {
        let aes = if secrets.key.len() == 16 { &AES_128 } else { &AES_256 };
        let key = UnboundCipherKey::new(aes, secrets.key).map_err(|_| Error::Crypto)?;
        let iv = secrets.iv.first_chunk::<AES_BLOCK>().ok_or(Error::Crypto)?;
        let cipher = match suite.cipher {
            CipherName::Aes256Cbc | CipherName::Aes128Cbc if seals => {
                EncryptingKey::cbc(key).map(|k| Chain::Seal(k, *iv))
            }
            CipherName::Aes256Cbc | CipherName::Aes128Cbc => DecryptingKey::cbc(key).map(|k| Chain::Open(k, *iv)),
            _ => {
                let iv = EncryptionContext::Iv128(FixedLength::from(iv));
                StreamingEncryptingKey::less_safe_ctr(key, iv).map(|stream| Chain::Ctr(stream, Vec::new()))
            }
        };
        let mac = suite.mac.ok_or(Error::Crypto)?;
        Ok(Self {
            cipher: cipher.map_err(|_| Error::Crypto)?,
            mac: hmac::Key::new(mac.algorithm(), secrets.mac),
            tag: mac.length(),
            before: mac.before(),
            begun: false,
        })
    }

    fn sign(&self, sequence: u32, packet: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(&sequence.to_be_bytes());
        context.update(packet);
        context.sign()
    }

    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<hmac::Tag, Error> {
        if self.before {
            let tag = self.sign(sequence, packet);
            self.cipher.run(packet)?;
            return Ok(tag);
        }
        self.cipher.run(packet.get_mut(LENGTH..).unwrap_or_default())?;
        Ok(self.sign(sequence, packet))
    }

    /// Deciphers as much as tells the length, where that is encrypted; whether enough has come.
    pub(super) fn begin(&mut self, input: &mut BytesMut) -> Result<bool, Error> {
        if !self.before || self.begun {
            return Ok(true);
        }
        let Some(first) = input.get_mut(..AES_BLOCK) else { return Ok(false) };
        self.cipher.run(first)?;
        self.begun = true;
        Ok(true)
    }

    pub(super) fn unseal(&mut self, sequence: u32, sealed: &mut [u8], tag: &[u8]) -> Result<(), Error> {
        let (before, begun) = (self.before, std::mem::take(&mut self.begun));
        if before && begun {
            self.cipher.run(sealed.get_mut(AES_BLOCK..).unwrap_or_default())?;
        }
        let signed = self.sign(sequence, sealed);
        constant_time::verify_slices_are_equal(signed.as_ref(), tag).map_err(|_| Error::Mac)?;
        if before { Ok(()) } else { self.cipher.run(sealed.get_mut(LENGTH..).unwrap_or_default()) }
    }

    /// Whether a length that cannot be must not be told from one whose packet is not authentic: under CBC the difference
    /// gives away what an attacker has put in its place (CPNI-957037).
    pub(super) const fn hides_lengths(&self) -> bool {
        self.before && matches!(self.cipher, Chain::Open(..))
    }
}
