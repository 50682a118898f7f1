//! Sealing to a public key: HPKE (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM.
//!
//! The vault seals its root key to slots, the gateway seals recording keys to the recording
//! domain, and control seals passwords to one session. The primitive comes from rustls.

use crate::{Env, Secret};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};

/// Sealing or opening failed: a wrong key, a wrong context or altered bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("sealed bytes do not open with this key and context")]
pub struct BadSeal;

/// An X25519 public key, 32 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct PublicKey(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// The private half; zeroed on drop.
pub struct PrivateKey(Secret<Vec<u8>>);

/// Bytes that only the holder of the private key can read.
#[derive(Clone, Debug, Eq, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Sealed {
    /// The encapsulated key, 32 bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub encapsulated: Vec<u8>,
    /// Ciphertext and tag.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub ciphertext: Vec<u8>,
}

impl PrivateKey {
    /// A new key pair. The randomness is the library's own.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate(_env: &Env) -> Result<(Self, PublicKey), BadSeal> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| BadSeal)?;
        let public = PublicKey(public.0.try_into().map_err(|_| BadSeal)?);
        Ok((Self(Secret::new(private.secret_bytes().to_vec())), public))
    }

    /// The key with these 32 bytes, as `bytes` gave them.
    #[must_use]
    pub fn from_bytes(bytes: Secret<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The key's bytes, for storing them under another key.
    #[must_use]
    pub const fn bytes(&self) -> &Secret<Vec<u8>> {
        &self.0
    }

    /// Opens what was sealed to this key under the same `info` and `aad`.
    ///
    /// # Errors
    /// When key, context or bytes are not the ones that were sealed.
    pub fn open(&self, info: &[u8], aad: &[u8], sealed: &Sealed) -> Result<Secret<Vec<u8>>, BadSeal> {
        let encapsulated = EncapsulatedSecret(sealed.encapsulated.clone());
        let key = HpkePrivateKey::from(self.0.expose().clone());
        SUITE.open(&encapsulated, info, aad, &sealed.ciphertext, &key).map(Secret::new).map_err(|_| BadSeal)
    }
}

impl PublicKey {
    /// Seals `plaintext` so that only the private key opens it, and only under the same `info` and `aad`.
    ///
    /// # Errors
    /// When the public key is no point of the curve.
    pub fn seal(&self, info: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Sealed, BadSeal> {
        let key = HpkePublicKey(self.0.to_vec());
        let (encapsulated, ciphertext) = SUITE.seal(info, aad, plaintext, &key).map_err(|_| BadSeal)?;
        Ok(Sealed { encapsulated: encapsulated.0, ciphertext })
    }
}

#[cfg(test)]
mod tests;
