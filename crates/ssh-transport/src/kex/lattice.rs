//! Encapsulation of a secret over lattices: the half of a hybrid exchange that no quantum computer is known to undo. The
//! other half is a curve's, so that a flaw here costs no more than that.

use crate::Error;
use crate::negotiate::Method;
use crate::transport::Random;
use crate::wire::Put as _;
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use sntrup::{Sntrup761Params, SntrupParams as _, sntrup761};
use zeroize::Zeroizing;

/// Which one.
#[derive(Clone, Copy)]
pub(super) enum Lattice {
    /// ML-KEM-768 (FIPS 203)
    MlKem,
    /// Streamlined NTRU Prime 761 (NTRU Prime: round 3, 2020)
    Prime,
}

/// The client's key, for one exchange.
pub(super) enum Key {
    MlKem(Box<DecapsulationKey>),
    Prime(Box<sntrup761::DecapsulationKey>),
}

/// What both sides have then.
pub(super) type Secret = Zeroizing<Vec<u8>>;

impl Lattice {
    pub(super) const fn of(method: Method) -> Option<Self> {
        match method {
            Method::MlKem768X25519 => Some(Self::MlKem),
            Method::Sntrup761X25519 | Method::Sntrup761X25519Early => Some(Self::Prime),
            _ => None,
        }
    }

    /// Bytes of the key that a client sends.
    pub(super) const fn key(self) -> usize {
        match self {
            Self::MlKem => 1184, // FIPS 203, table 3
            Self::Prime => Sntrup761Params::PK_BYTES,
        }
    }

    /// A client's key, behind what of it the server is sent.
    pub(super) fn generate(self, random: &Random) -> Result<(Vec<u8>, Key), Error> {
        match self {
            Self::MlKem => {
                let key = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| Error::Crypto)?;
                let sent = key.encapsulation_key().and_then(|key| Ok(key.key_bytes()?.as_ref().to_vec()));
                Ok((sent.map_err(|_| Error::Crypto)?, Key::MlKem(Box::new(key))))
            }
            Self::Prime => {
                let (sent, key) = sntrup761::generate_key(&mut entropy(random));
                Ok((sent.as_ref().to_vec(), Key::Prime(Box::new(key))))
            }
        }
    }

    /// A server's answer to such a key, and the secret.
    pub(super) fn encapsulate(self, key: &[u8], random: &Random) -> Result<(Vec<u8>, Secret), Error> {
        match self {
            Self::MlKem => {
                let key = EncapsulationKey::new(&ML_KEM_768, key).map_err(|_| Error::Exchange)?;
                let (ciphertext, secret) = key.encapsulate().map_err(|_| Error::Exchange)?;
                Ok((ciphertext.as_ref().to_vec(), kept(secret.as_ref())))
            }
            Self::Prime => {
                let key = sntrup761::EncapsulationKey::try_from(key).map_err(|_| Error::Exchange)?;
                let (ciphertext, secret) = key.encapsulate(&mut entropy(random));
                Ok((ciphertext.as_ref().to_vec(), kept(secret.as_ref())))
            }
        }
    }
}

impl Key {
    /// Bytes of a server's answer.
    pub(super) const fn ciphertext(&self) -> usize {
        match self {
            Self::MlKem(_) => 1088, // FIPS 203, table 3
            Self::Prime(_) => Sntrup761Params::CT_BYTES,
        }
    }

    /// The secret of an answer. One that was made for another key has a secret as well, which nobody else knows.
    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, Error> {
        match self {
            Self::MlKem(key) => {
                let secret = key.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| Error::Exchange)?;
                Ok(kept(secret.as_ref()))
            }
            Self::Prime(key) => {
                let ciphertext = sntrup761::Ciphertext::try_from(ciphertext).map_err(|_| Error::Exchange)?;
                Ok(kept(key.decapsulate(&ciphertext).as_ref()))
            }
        }
    }
}

fn kept(secret: &[u8]) -> Secret {
    let mut out = Zeroizing::new(Vec::with_capacity(secret.len()));
    out.bytes(secret);
    out
}

/// Random numbers as the library of NTRU Prime takes them: from a generator that ours has sown.
fn entropy(random: &Random) -> ChaCha20Rng {
    let mut seed = Zeroizing::new([0; 32]);
    random(seed.as_mut());
    ChaCha20Rng::from_seed(*seed)
}
