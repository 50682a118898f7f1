//! A key file: 32 random bytes in three lines of text that tell a wrong file from a corrupt one.
//!
//! ```text
//! sallyport-key-file v1
//! <key: 64 hexadecimal digits>
//! <check: first 16 hexadecimal digits of SHA-256 over both lines above, newlines included>
//! ```
//!
//! The caller reads and writes the file; it must be readable by its owner alone.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{Env, Kind, Secret};
use zeroize::Zeroizing;

const MAGIC: &str = "sallyport-key-file v1";
const CHECK: usize = 8;
const LENGTH: usize = MAGIC.len() + 1 + 64 + 1 + 2 * CHECK + 1;

/// Text that is no key file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyFileError {
    /// The first line is right, the rest is not.
    #[error("the key file is corrupt (its check does not match): restore it from a copy")]
    Corrupt,
    /// The first line is not the magic one.
    #[error("not a key file: its first line is not `{MAGIC}`; point to the file that `init` wrote")]
    NotAKeyFile,
    /// A key file of another version.
    #[error("a key file of another version: this release reads `{MAGIC}`")]
    OtherVersion,
}

impl KeyFileError {
    /// Sort of failure.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// The secret that opens a key file slot.
///
/// ```compile_fail
/// fn show<T: std::fmt::Debug>(_: &T) {}
/// show(&sallyport_vault::KeyFile::generate(&sallyport_model::Env::system()));
/// ```
/// ```compile_fail
/// let _ = sallyport_vault::KeyFile::generate(&sallyport_model::Env::system()).clone();
/// ```
pub struct KeyFile(SecretBytes);

impl KeyFile {
    /// A new random key.
    #[must_use]
    pub fn generate(env: &Env) -> Self {
        let mut bytes = vec![0; 32];
        env.fill(&mut bytes);
        Self(Secret::new(bytes))
    }

    /// The file's text, with a final newline.
    #[must_use]
    pub fn encode(&self) -> Secret<String> {
        let mut text = String::with_capacity(LENGTH);
        text.push_str(MAGIC);
        text.push('\n');
        HEXLOWER.encode_append(self.0.expose(), &mut text);
        text.push('\n');
        let check = check(text.as_bytes());
        text.push_str(&check);
        text.push('\n');
        Secret::new(text)
    }

    /// Reads the file's bytes. Nothing but the exact form that `encode` writes is accepted.
    ///
    /// # Errors
    /// Tells a file that is no key file from one that is corrupt.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyFileError> {
        let Some(body) = bytes.strip_prefix(MAGIC.as_bytes()).and_then(|rest| rest.strip_prefix(b"\n")) else {
            let other = bytes.starts_with(b"sallyport-key-file ");
            return Err(if other { KeyFileError::OtherVersion } else { KeyFileError::NotAKeyFile });
        };
        let (hex, tail) = body.split_at_checked(64).ok_or(KeyFileError::Corrupt)?;
        let signed = bytes.get(..MAGIC.len() + 1 + 64 + 1).ok_or(KeyFileError::Corrupt)?;
        let written = tail.strip_prefix(b"\n").and_then(|t| t.strip_suffix(b"\n")).ok_or(KeyFileError::Corrupt)?;
        if written != check(signed).as_bytes() {
            return Err(KeyFileError::Corrupt);
        }
        let mut key = Zeroizing::new(vec![0; 32]);
        HEXLOWER.decode_mut(hex, &mut key).map_err(|_| KeyFileError::Corrupt)?;
        Ok(Self(Secret::new(key.to_vec())))
    }

    /// The key's 32 bytes.
    pub(crate) const fn key(&self) -> &SecretBytes {
        &self.0
    }
}

fn check(lines: &[u8]) -> String {
    let hash = digest(&SHA256, lines);
    HEXLOWER.encode(hash.as_ref().get(..CHECK).unwrap_or_default())
}

#[cfg(test)]
mod tests;
