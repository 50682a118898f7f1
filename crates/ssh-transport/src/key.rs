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

    type Sign = dyn Fn(&[u8]) -> Vec<u8>;

    /// A key, and what it makes of a message.
    struct Signer {
        algorithm: &'static str,
        public: Vec<u8>,
        sign: Box<Sign>,
    }

    fn edwards(algorithm: &'static str, behind: &[&[u8]]) -> Signer {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let mut public = Vec::new();
        let parts = [algorithm.as_bytes(), pair.public_key().as_ref()];
        parts.iter().chain(behind).for_each(|part| public.string(part));
        Signer { algorithm, public, sign: Box::new(move |message| pair.sign(message).as_ref().to_vec()) }
    }

    fn curve(algorithm: &'static str, curve: &Curve, behind: &[&[u8]]) -> Signer {
        use aws_lc_rs::signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
            EcdsaKeyPair,
        };
        let signing = match curve.length {
            32 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            48 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            _ => &ECDSA_P521_SHA512_FIXED_SIGNING,
        };
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let mut public = Vec::new();
        let parts = [algorithm.as_bytes(), curve.name, pair.public_key().as_ref()];
        parts.iter().chain(behind).for_each(|part| public.string(part));
        let length = curve.length;
        let sign = move |message: &[u8]| {
            let both = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), message).unwrap();
            let mut out = Vec::new();
            both.as_ref().chunks(length).for_each(|number| out.unsigned(number));
            out
        };
        Signer { algorithm, public, sign: Box::new(sign) }
    }

    impl Signer {
        fn signs(&self, message: &[u8]) -> Vec<u8> {
            let mut out = Vec::new();
            out.string(self.algorithm.as_bytes());
            out.string(&(self.sign)(message));
            out
        }

        /// What a security key makes of a message (OpenSSH's PROTOCOL.u2f): for an application, with flags, of which 1 says
        /// that somebody touched it, and a counter.
        fn touched(&self, (application, flags, counter): (&[u8], u8, u32), message: &[u8]) -> Vec<u8> {
            let mut signed = digest(&SHA256, application).as_ref().to_vec();
            signed.byte(flags);
            signed.uint32(counter);
            signed.bytes(digest(&SHA256, message).as_ref());
            let mut out = self.signs(&signed);
            out.byte(flags);
            out.uint32(counter);
            out
        }

        /// That a signature holds, and nothing that is like it.
        fn holds_alone(&self, signature: &[u8]) {
            let check = |key: &[u8], signature: &[u8]| verify(key, self.algorithm, signature, b"message");
            check(&self.public, signature).unwrap();
            assert!(verify(&self.public, self.algorithm, signature, b"massage").is_err());
            for (of_key, whole) in [(true, self.public.as_slice()), (false, signature)] {
                let refused = |bytes: &[u8], what: &str, at: usize| {
                    let checked = if of_key { check(bytes, signature) } else { check(&self.public, bytes) };
                    assert!(checked.is_err(), "{}: {what} at {at}, of the key: {of_key}", self.algorithm);
                };
                refused(&[whole, &[0]].concat(), "a byte more", whole.len());
                for at in 0..whole.len() {
                    refused(&whole[..at], "a cut", at);
                    let mut flipped = whole.to_vec();
                    flipped[at] ^= 1;
                    refused(&flipped, "a flipped bit", at);
                }
            }
        }
    }

    #[test]
    fn signatures_of_plain_keys_hold_and_nothing_that_is_like_them() {
        for (algorithm, of) in
            [("ecdsa-sha2-nistp256", P256), ("ecdsa-sha2-nistp384", P384), ("ecdsa-sha2-nistp521", P521)]
        {
            let signer = curve(algorithm, &of, &[]);
            signer.holds_alone(&signer.signs(b"message"));
        }
        let signer = edwards("ssh-ed25519", &[]);
        signer.holds_alone(&signer.signs(b"message"));
    }

    #[test]
    fn a_security_key_is_believed_for_its_application_where_somebody_touched_it() {
        for signer in [
            edwards("sk-ssh-ed25519@openssh.com", &[b"ssh:"]),
            curve("sk-ecdsa-sha2-nistp256@openssh.com", &P256, &[b"ssh:"]),
        ] {
            let check = |signature: &[u8]| verify(&signer.public, signer.algorithm, signature, b"message");
            // Touched; touched and known; whatever the counter.
            for (flags, counter) in [(1, 0), (5, 9), (0x81, u32::MAX)] {
                check(&signer.touched((b"ssh:", flags, counter), b"message")).unwrap();
            }
            signer.holds_alone(&signer.touched((b"ssh:", 1, 7), b"message"));
            for flags in [0, 4, 0x80, 0xfe] {
                let untouched = signer.touched((b"ssh:", flags, 7), b"message");
                assert!(check(&untouched).is_err(), "{}: nobody touched it ({flags})", signer.algorithm);
            }
            for other in [&b"ssh:other"[..], b"ssh", b""] {
                assert!(check(&signer.touched((other, 1, 7), b"message")).is_err(), "of another application");
            }
            // What it signed as if it were a plain key.
            assert!(check(&signer.signs(b"message")).is_err());
            assert!(check(&[signer.signs(b"message"), vec![1, 0, 0, 0, 7]].concat()).is_err());
            let plain = if signer.algorithm.contains("ed25519") { "ssh-ed25519" } else { "ecdsa-sha2-nistp256" };
            assert!(verify(&signer.public, plain, &signer.signs(b"message"), b"message").is_err());
        }
    }
}
