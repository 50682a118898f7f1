//! Public keys and signatures: what a key's bytes say, and whether it signed.

use crate::Error;
use crate::wire::{Cursor, Put as _};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, EcdsaVerificationAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Algorithms of signatures that are believed, best first. SHA-1 and DSA are not among them.
pub const SIGNATURES: [&str; 8] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// `ssh-rsa`: the type of RSA keys, and the algorithm of their signatures over SHA-1, which are believed by exception.
pub(crate) const SSH_RSA: &str = "ssh-rsa";

/// The type of the keys that sign by an algorithm (RFC 8332: RSA's signatures have other names).
#[must_use]
pub fn type_of(signature: &str) -> &str {
    match signature {
        "rsa-sha2-512" | "rsa-sha2-256" => "ssh-rsa",
        other => other,
    }
}

/// A key as OpenSSH prints it, type and base64, from its bytes.
///
/// # Errors
/// When they are no key.
pub fn print(key: &[u8]) -> Result<String, Error> {
    Ok(format!("{} {}", kind(key)?, BASE64.encode(key)))
}

/// The bytes of a key as OpenSSH prints it, whatever comment follows.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> Result<Vec<u8>, Error> {
    let mut words = text.split_ascii_whitespace();
    let (sort, body) = (words.next().ok_or(Error::Key)?, words.next().ok_or(Error::Key)?);
    let key = BASE64.decode(body).map_err(|_| Error::Key)?;
    if kind(&key)? == sort { Ok(key) } else { Err(Error::Key) }
}

/// The type that a key's bytes begin with, such as `ssh-ed25519`.
///
/// # Errors
/// When they are no key.
pub fn kind(key: &[u8]) -> Result<&str, Error> {
    let kind = Cursor::new(key).text()?;
    let plain = (1..=64).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { Ok(kind) } else { Err(Error::Key) }
}

/// Whether `signature` (RFC 4253 section 6.6) over `message` was made by `key`, by the algorithm that was announced.
///
/// # Errors
/// When it was not, or cannot be told.
pub fn verify(key: &[u8], algorithm: &str, signature: &[u8], message: &[u8]) -> Result<(), Error> {
    let mut key = Cursor::new(key);
    let mut signature = Cursor::new(signature);
    if key.text()? != type_of(algorithm) || signature.text()? != algorithm {
        return Err(Error::Signature);
    }
    let blob = signature.string()?;
    let good = match algorithm {
        "ssh-ed25519" => UnparsedPublicKey::new(&ED25519, key.string()?).verify(message, blob),
        "ecdsa-sha2-nistp256" => return ecdsa(&mut key, &P256, blob, message, signature),
        "ecdsa-sha2-nistp384" => return ecdsa(&mut key, &P384, blob, message, signature),
        "ecdsa-sha2-nistp521" => return ecdsa(&mut key, &P521, blob, message, signature),
        "rsa-sha2-256" | "rsa-sha2-512" => {
            let (e, n) = (key.unsigned()?, key.unsigned()?);
            let parameters =
                if algorithm == "rsa-sha2-512" { &RSA_PKCS1_2048_8192_SHA512 } else { &RSA_PKCS1_2048_8192_SHA256 };
            PublicKeyComponents { n, e }.verify(parameters, message, blob)
        }
        "sk-ssh-ed25519@openssh.com" => {
            let point = key.string()?;
            let signed = touched(&mut key, &mut signature, message)?;
            UnparsedPublicKey::new(&ED25519, point).verify(&signed, blob)
        }
        "sk-ecdsa-sha2-nistp256@openssh.com" => {
            let (curve, point) = (key.string()?, key.string()?);
            let signed = touched(&mut key, &mut signature, message)?;
            if curve != P256.name {
                return Err(Error::Signature);
            }
            UnparsedPublicKey::new(P256.algorithm, point).verify(&signed, &fixed(blob, P256.length)?)
        }
        _ => return Err(Error::Signature),
    };
    key.end()?;
    signature.end()?;
    good.map_err(|_| Error::Signature)
}

/// The same for signatures that are believed by exception: RSA over SHA-1, with keys of 2048 bits at least.
pub(crate) fn verify_old(key: &[u8], algorithm: &str, signature: &[u8], message: &[u8]) -> Result<(), Error> {
    if algorithm != SSH_RSA {
        return verify(key, algorithm, signature, message);
    }
    let (mut key, mut signature) = (Cursor::new(key), Cursor::new(signature));
    if key.text()? != SSH_RSA || signature.text()? != SSH_RSA {
        return Err(Error::Signature);
    }
    let (e, n, blob) = (key.unsigned()?, key.unsigned()?, signature.string()?);
    key.end()?;
    signature.end()?;
    let good = PublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, message, blob);
    good.map_err(|_| Error::Signature)
}

struct Curve {
    name: &'static [u8],
    length: usize,
    algorithm: &'static EcdsaVerificationAlgorithm,
}

const P256: Curve = Curve { name: b"nistp256", length: 32, algorithm: &ECDSA_P256_SHA256_FIXED };
const P384: Curve = Curve { name: b"nistp384", length: 48, algorithm: &ECDSA_P384_SHA384_FIXED };
const P521: Curve = Curve { name: b"nistp521", length: 66, algorithm: &ECDSA_P521_SHA512_FIXED };

/// RFC 5656 section 3.1.
fn ecdsa(key: &mut Cursor<'_>, curve: &Curve, blob: &[u8], message: &[u8], signature: Cursor<'_>) -> Result<(), Error> {
    let (name, point) = (key.string()?, key.string()?);
    key.end()?;
    signature.end()?;
    if name != curve.name {
        return Err(Error::Signature);
    }
    let good = UnparsedPublicKey::new(curve.algorithm, point).verify(message, &fixed(blob, curve.length)?);
    good.map_err(|_| Error::Signature)
}

/// Two numbers in the fixed form that libraries take.
fn fixed(blob: &[u8], length: usize) -> Result<Vec<u8>, Error> {
    let mut cursor = Cursor::new(blob);
    let mut out = Vec::with_capacity(length.saturating_mul(2));
    for _ in 0..2 {
        let number = cursor.unsigned()?;
        let zeros = length.checked_sub(number.len()).ok_or(Error::Signature)?;
        out.resize(out.len().saturating_add(zeros), 0);
        out.bytes(number);
    }
    cursor.end()?;
    Ok(out)
}

/// What a security key signs (OpenSSH's PROTOCOL.u2f): only where a person touched it.
fn touched(key: &mut Cursor<'_>, signature: &mut Cursor<'_>, message: &[u8]) -> Result<Vec<u8>, Error> {
    let application = key.string()?;
    let (flags, counter) = (signature.byte()?, signature.uint32()?);
    if flags & 1 == 0 {
        return Err(Error::Signature);
    }
    let mut signed = Vec::with_capacity(69);
    signed.bytes(digest(&SHA256, application).as_ref());
    signed.byte(flags);
    signed.uint32(counter);
    signed.bytes(digest(&SHA256, message).as_ref());
    Ok(signed)
}

/// A server's own key.
pub struct HostKey {
    pair: Ed25519KeyPair,
    public: Vec<u8>,
}

impl HostKey {
    /// From an Ed25519 seed.
    ///
    /// # Errors
    /// When the library does not take it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Error::Key)?;
        let mut public = Vec::with_capacity(51);
        public.string(b"ssh-ed25519");
        public.string(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }

    /// Its public half's bytes.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Its signature over a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(83);
        out.string(b"ssh-ed25519");
        out.string(self.pair.sign(message).as_ref());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_signs_what_it_can_be_verified_by() {
        let key = HostKey::from_seed(&[7; 32]).unwrap();
        let signature = key.sign(b"message");
        assert!(verify(key.public(), "ssh-ed25519", &signature, b"message").is_ok());
        assert!(verify(key.public(), "ssh-ed25519", &signature, b"massage").is_err());
        assert!(verify(key.public(), "rsa-sha2-512", &signature, b"message").is_err());
        let longer = [signature.as_slice(), &[0]].concat();
        assert!(verify(key.public(), "ssh-ed25519", &longer, b"message").is_err());
    }

    #[test]
    fn keys_are_printed_as_openssh_prints_them() {
        let key = HostKey::from_seed(&[7; 32]).unwrap();
        let text = print(key.public()).unwrap();
        assert!(text.starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"), "{text}");
        assert_eq!(parse(&format!("{text} ada@laptop")).unwrap(), key.public());
        assert!(parse(&text.replace("ssh-ed25519", "ssh-rsa")).is_err());
        assert!(parse("ssh-ed25519").is_err());
    }
}
