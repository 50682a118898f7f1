//! The data key of one recording: what is derived from it, and its commitment.

use crate::Hash;
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use sallyport_model::{Env, Kind, RecordingId, Secret};
use zeroize::Zeroizing;

/// Domain of everything that is derived for recordings.
pub(crate) const DOMAIN: &[u8] = b"sallyport/recording/v1";

/// Bytes that are no data key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a data key is 32 bytes; take the key that belongs to this recording")]
pub struct BadKey;

impl BadKey {
    /// What sort of failure it is.
    #[must_use]
    pub const fn kind(self) -> Kind {
        Kind::Usage
    }
}

/// The key that one recording's segments are sealed under: 32 random bytes, used by no other recording.
pub struct DataKey(Secret<Vec<u8>>);

impl DataKey {
    /// A new key.
    #[must_use]
    pub fn generate(env: &Env) -> Self {
        let mut bytes = vec![0; 32];
        env.fill(&mut bytes);
        Self(Secret::new(bytes))
    }

    /// The key with these bytes, as [`DataKey::bytes`] lends them.
    ///
    /// # Errors
    /// When they are not 32.
    pub fn from_bytes(bytes: Secret<Vec<u8>>) -> Result<Self, BadKey> {
        if bytes.len() == 32 { Ok(Self(bytes)) } else { Err(BadKey) }
    }

    /// The key's 32 bytes, for sealing them to somebody else.
    #[must_use]
    pub const fn bytes(&self) -> &Secret<Vec<u8>> {
        &self.0
    }

    /// What the header says of the key: no second key has the same commitment, because AES-GCM by
    /// itself would let one ciphertext open under two keys.
    #[must_use]
    pub fn commitment(&self, recording: RecordingId) -> Hash {
        let mut out = [0; 32];
        self.derive(recording, b"commitment", &mut out);
        out
    }

    /// The AES-256-GCM key of the segments (RFC 5869 from the data key).
    pub(crate) fn segments(&self, recording: RecordingId) -> Option<LessSafeKey> {
        let mut bytes = Zeroizing::new([0; 32]);
        if !self.derive(recording, b"segments", &mut bytes) {
            return None;
        }
        UnboundKey::new(&AES_256_GCM, bytes.as_slice()).ok().map(LessSafeKey::new)
    }

    /// HKDF-SHA256 with the recording as salt. False where the library refuses, which 32 bytes never cause.
    fn derive(&self, recording: RecordingId, purpose: &[u8], out: &mut Hash) -> bool {
        let prk = Salt::new(HKDF_SHA256, recording.as_bytes()).extract(self.0.expose());
        prk.expand(&[DOMAIN, b"/", purpose], HKDF_SHA256).and_then(|okm| okm.fill(out)).is_ok()
    }
}
