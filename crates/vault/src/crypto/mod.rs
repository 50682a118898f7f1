//! What every layer of the vault does: name a context, derive a key, wrap bytes under a key, sign a body.

use crate::VaultError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, hkdf, hmac};
use sallyport_model::secret::SecretBytes;
use sallyport_model::{ClusterId, Env, Secret};
use serde::Serialize;
use zeroize::Zeroizing;

/// Bytes of every symmetric key.
pub(crate) const KEY: usize = 32;
/// Bytes of a GCM nonce.
pub(crate) const NONCE: usize = NONCE_LEN;
/// Bytes of a GCM tag.
pub(crate) const TAG: usize = 16;
/// Bytes of the random salt before wrapped bytes.
const SALT: usize = 32;
/// What wrapping adds, in bytes.
pub(crate) const WRAP: usize = SALT + TAG;

/// A symmetric key; zeroed on drop.
pub(crate) type Key = Secret<[u8; KEY]>;

/// A canonical context for AAD and key derivation: every part is prefixed by its length, so that
/// no two lists of parts give the same bytes.
pub(crate) struct Context(Vec<u8>);

impl Context {
    /// Opens with the name of the scheme.
    pub(crate) fn new(purpose: &str) -> Self {
        Self(Vec::with_capacity(192)).text("sallyport-v1").text(purpose)
    }

    /// Adds bytes.
    pub(crate) fn bytes(mut self, part: &[u8]) -> Self {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    /// Adds text.
    pub(crate) fn text(self, part: &str) -> Self {
        self.bytes(part.as_bytes())
    }

    /// Adds a number.
    pub(crate) fn number(self, part: u64) -> Self {
        self.bytes(&part.to_be_bytes())
    }

    /// The context's bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A fresh random key.
pub(crate) fn fresh_key(env: &Env) -> Key {
    Secret::new(env.random())
}

/// HKDF-SHA256 (RFC 5869) of `secret` under `salt` and `info`, 32 bytes.
pub(crate) fn derive(secret: &[u8], salt: &[u8], info: &Context) -> Result<Key, VaultError> {
    let mut out = Zeroizing::new([0; KEY]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(out.as_mut_slice()))
        .map_err(|_| VaultError::Primitive("key derivation"))?;
    Ok(Secret::new(*out))
}

/// A value that only the holder of `key` can compute and that reveals nothing of it: GCM alone
/// does not commit to its key, so the commitment is checked before anything is decrypted.
pub(crate) fn commitment(key: &Key, context: &Context) -> Result<[u8; KEY], VaultError> {
    let committed = derive(key.expose(), b"sallyport-v1/commitment", context)?;
    Ok(*committed.expose())
}

/// Whether two byte strings are equal, in time that depends on their lengths only.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// AES-256-GCM: ciphertext and tag.
pub(crate) fn seal(key: &Key, nonce: [u8; NONCE], aad: &Context, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut bytes = Vec::with_capacity(plaintext.len().saturating_add(TAG));
    bytes.extend_from_slice(plaintext);
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad.as_bytes()), &mut bytes)
        .map_err(|_| VaultError::Primitive("encryption"))?;
    Ok(bytes)
}

/// Opens what [`seal`] made; `None` where key, nonce, context or bytes differ.
pub(crate) fn open(key: &Key, nonce: [u8; NONCE], aad: &Context, sealed: &[u8]) -> Option<SecretBytes> {
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let plaintext = cipher(key)
        .ok()?
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad.as_bytes()), &mut bytes)
        .ok()?;
    Some(Secret::new(plaintext.to_vec()))
}

fn cipher(key: &Key) -> Result<LessSafeKey, VaultError> {
    let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| VaultError::Primitive("encryption"))?;
    Ok(LessSafeKey::new(key))
}

/// Wraps `plaintext` under `key`: `salt[32] | ciphertext | tag[16]`.
///
/// The cipher's key is derived from `key`, the salt and the context and is used once, so that the
/// number of wraps under one key is not bounded by GCM's 96-bit nonce.
pub(crate) fn wrap(env: &Env, key: &Key, context: &Context, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
    let salt: [u8; SALT] = env.random();
    let once = derive(key.expose(), &salt, context)?;
    let mut wrapped = salt.to_vec();
    wrapped.extend(seal(&once, [0; NONCE], context, plaintext)?);
    Ok(wrapped)
}

/// Opens what [`wrap`] made; `None` where key, context or bytes differ.
pub(crate) fn unwrap(key: &Key, context: &Context, wrapped: &[u8]) -> Option<SecretBytes> {
    let (salt, sealed) = wrapped.split_at_checked(SALT)?;
    let once = derive(key.expose(), salt, context).ok()?;
    open(&once, [0; NONCE], context, sealed)
}

/// The key with these bytes; `None` where they are not 32.
pub(crate) fn key_from(bytes: &SecretBytes) -> Option<Key> {
    <[u8; KEY]>::try_from(bytes.expose().as_slice()).ok().map(Secret::new)
}

/// HMAC-SHA256 of a body under a key of the root key that serves this purpose alone.
///
/// The body counts as JSON with sorted keys and without its field `mac`: the same bytes on every
/// node, whatever order a newer one wrote its fields in.
pub(crate) fn body_mac(
    root: &Key,
    cluster: ClusterId,
    purpose: &str,
    body: &impl Serialize,
) -> Result<Vec<u8>, VaultError> {
    let failed = |_| VaultError::Primitive("writing a body");
    let key = derive(root.expose(), cluster.as_bytes(), &Context::new(purpose))?;
    let mut value = serde_json::to_value(body).map_err(failed)?;
    if let Some(object) = value.as_object_mut() {
        object.remove("mac");
    }
    value.sort_all_objects();
    let bytes = serde_json::to_vec(&value).map_err(failed)?;
    Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), &bytes).as_ref().to_vec())
}

#[cfg(test)]
mod tests;
