//! Key exchange: a shared secret, the hash that both sides sign, and the keys that follow from them.

mod field;
mod lattice;

use crate::Error;
use crate::negotiate::Method;
use crate::transport::Random;
use crate::wire::{Cursor, Put as _};
use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::digest::{self, Digest};
use lattice::Lattice;
use zeroize::Zeroizing;

const POINT: usize = 32;

/// The client's half, while the server's is under way.
pub(crate) struct Asked {
    /// What the server is sent, and the exchange hash takes, as the body of a `string`.
    pub(crate) share: Vec<u8>,
    half: Half,
}

enum Half {
    Curve(&'static agreement::Algorithm, PrivateKey),
    Hybrid(Method, PrivateKey, lattice::Key),
    Field(Box<field::Half>),
}

/// The shared secret as the exchange hash and the derivation of keys take it: an `mpint`, or a
/// `string` where the method is a hybrid one.
pub(crate) type Shared = Zeroizing<Vec<u8>>;

fn point(curve: &'static agreement::Algorithm) -> Result<(PrivateKey, Vec<u8>), Error> {
    let private = PrivateKey::generate(curve).map_err(|_| Error::Crypto)?;
    let public = private.compute_public_key().map_err(|_| Error::Crypto)?;
    Ok((private, public.as_ref().to_vec()))
}

/// A point of low order, which would make the secret known to all, or one that is not on the curve, is an error of the
/// library's.
fn meet(
    curve: &'static agreement::Algorithm,
    private: &PrivateKey,
    theirs: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let theirs = UnparsedPublicKey::new(curve, theirs);
    agreement::agree(private, theirs, Error::Exchange, |secret| Ok(Zeroizing::new(secret.to_vec())))
}

fn plain(secret: &[u8]) -> Shared {
    let mut out = Zeroizing::new(Vec::with_capacity(secret.len().saturating_add(5)));
    out.unsigned(secret);
    out
}

/// The hash of both secrets (draft-ietf-sshm-mlkem-hybrid-kex, draft-ietf-sshm-ntruprime-ssh).
fn hybrid(method: Method, lattice: &[u8], curve: &[u8]) -> Shared {
    let mut both = Zeroizing::new(Vec::with_capacity(64));
    both.bytes(lattice);
    both.bytes(curve);
    let mut out = Zeroizing::new(Vec::with_capacity(68));
    out.string(digest::digest(method.digest(), &both).as_ref());
    out
}

/// The curve of a method that has one, and no more.
fn curve(method: Method) -> Option<&'static agreement::Algorithm> {
    match method {
        Method::Curve25519 | Method::Curve25519Early => Some(&X25519),
        Method::Ecdh256 => Some(&ECDH_P256),
        Method::Ecdh384 => Some(&ECDH_P384),
        Method::Ecdh521 => Some(&ECDH_P521),
        _ => None,
    }
}

/// Begins as a client; a method whose group the server proposes begins with [`ask_in`].
pub(crate) fn ask(method: Method, random: &Random) -> Result<Asked, Error> {
    if let Some(curve) = curve(method) {
        let (private, share) = point(curve)?;
        return Ok(Asked { share, half: Half::Curve(curve, private) });
    }
    if let Some(lattice) = Lattice::of(method) {
        let (private, public) = point(&X25519)?;
        let (mut share, key) = lattice.generate(random)?;
        share.bytes(&public);
        return Ok(Asked { share, half: Half::Hybrid(method, private, key) });
    }
    match method {
        Method::Field14Sha256 | Method::Field14Sha1 => in_field(field::Group::fourteen()?, random),
        Method::Field16 => in_field(field::Group::sixteen()?, random),
        _ => Err(Error::Exchange),
    }
}

/// What is asked for where the server proposes a group: the smallest, the wanted and the largest size, in bits.
pub(crate) fn sizes() -> [u32; 3] {
    [field::LEAST, field::WANTED, field::MOST]
}

/// Begins in the group that a server has proposed: the rest of its message.
pub(crate) fn ask_in(proposed: &[u8], random: &Random) -> Result<Asked, Error> {
    let mut cursor = Cursor::new(proposed);
    let (modulus, generator) = (cursor.string()?, cursor.string()?);
    cursor.end()?;
    in_field(field::Group::proposed(modulus, generator)?, random)
}

fn in_field(group: field::Group, random: &Random) -> Result<Asked, Error> {
    let half = group.ask(random)?;
    Ok(Asked { share: half.share.clone(), half: Half::Field(Box::new(half)) })
}

/// Answers as a server: our half, and the secret. A server speaks nothing old.
pub(crate) fn answer(method: Method, theirs: &[u8], random: &Random) -> Result<(Vec<u8>, Shared), Error> {
    let (private, public) = point(&X25519)?;
    if let Some(lattice) = Lattice::of(method) {
        let (key, curve) = theirs.split_at_checked(lattice.key()).ok_or(Error::Exchange)?;
        exactly(curve, POINT)?;
        let (mut share, secret) = lattice.encapsulate(key, random)?;
        share.bytes(&public);
        return Ok((share, hybrid(method, &secret, &meet(&X25519, &private, curve)?)));
    }
    match method {
        Method::Curve25519 | Method::Curve25519Early => {
            exactly(theirs, POINT)?;
            Ok((public, plain(&meet(&X25519, &private, theirs)?)))
        }
        _ => Err(Error::Exchange),
    }
}

/// Ends as a client: the secret.
pub(crate) fn finish(asked: &Asked, theirs: &[u8]) -> Result<Shared, Error> {
    match &asked.half {
        Half::Curve(curve, private) => {
            // A point has one spelling: that of our own.
            exactly(theirs, asked.share.len())?;
            Ok(plain(&meet(curve, private, theirs)?))
        }
        Half::Field(half) => half.finish(theirs),
        Half::Hybrid(method, private, key) => {
            let (ciphertext, curve) = theirs.split_at_checked(key.ciphertext()).ok_or(Error::Exchange)?;
            exactly(curve, POINT)?;
            Ok(hybrid(*method, &key.decapsulate(ciphertext)?, &meet(&X25519, private, curve)?))
        }
    }
}

fn exactly(share: &[u8], length: usize) -> Result<(), Error> {
    if share.len() == length { Ok(()) } else { Err(Error::Exchange) }
}

/// What the exchange hash is made of, beside the secret (RFC 5656 section 4).
pub(crate) struct Transcript<'a> {
    /// Identifications, without line ends.
    pub(crate) client: &'a [u8],
    pub(crate) server: &'a [u8],
    /// Payloads of `SSH_MSG_KEXINIT`.
    pub(crate) client_init: &'a [u8],
    pub(crate) server_init: &'a [u8],
    pub(crate) host_key: &'a [u8],
    /// Sizes and group of RFC 4419 section 3, as they were sent; empty elsewhere.
    pub(crate) group: &'a [u8],
    pub(crate) client_share: &'a [u8],
    pub(crate) server_share: &'a [u8],
}

impl Transcript<'_> {
    pub(crate) fn hash(&self, method: Method, shared: &Shared) -> Digest {
        let mut out = Zeroizing::new(Vec::with_capacity(4096));
        for part in [self.client, self.server, self.client_init, self.server_init, self.host_key] {
            out.string(part);
        }
        out.bytes(self.group);
        for part in [self.client_share, self.server_share] {
            out.string(part);
        }
        out.bytes(shared);
        digest::digest(method.digest(), &out)
    }
}

/// RFC 4253 section 7.2: so many bytes for one letter.
pub(crate) fn derive(
    method: Method,
    shared: &Shared,
    (hash, session): (&Digest, &Digest),
    letter: u8,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length.saturating_add(64)));
    while key.len() < length {
        let mut from = Zeroizing::new(Vec::with_capacity(256));
        from.bytes(shared);
        from.bytes(hash.as_ref());
        if key.is_empty() {
            from.byte(letter);
            from.bytes(session.as_ref());
        } else {
            from.bytes(&key);
        }
        key.bytes(digest::digest(method.digest(), &from).as_ref());
    }
    key.truncate(length);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn random() -> Random {
        std::sync::Arc::new(|bytes: &mut [u8]| bytes.fill(42))
    }

    #[test]
    fn both_sides_have_the_same_secret_and_no_two_exchanges_do() {
        for method in Method::ALL {
            let asked = ask(method, &random()).unwrap();
            let (share, ours) = answer(method, &asked.share, &random()).unwrap();
            assert_eq!(*finish(&asked, &share).unwrap(), *ours);
            let (_, other) = answer(method, &asked.share, &random()).unwrap();
            assert_ne!(*other, *ours);
        }
    }

    #[test]
    fn a_server_answers_nothing_old() {
        for method in Method::OLD {
            let share = ask(method, &random()).map(|asked| asked.share).unwrap_or_default();
            assert!(answer(method, &share, &random()).is_err(), "{method:?}");
        }
    }

    #[test]
    fn points_of_the_older_curves_meet_and_others_are_refused() {
        for method in [Method::Ecdh256, Method::Ecdh384, Method::Ecdh521] {
            let (one, other) = (ask(method, &random()).unwrap(), ask(method, &random()).unwrap());
            assert_eq!(*finish(&one, &other.share).unwrap(), *finish(&other, &one.share).unwrap());
            let mut off = other.share.clone();
            *off.last_mut().unwrap() ^= 1;
            assert!(finish(&one, &off).is_err(), "{method:?}");
            assert!(finish(&one, &other.share[1..]).is_err());
        }
    }

    #[test]
    fn points_of_low_order_are_refused() {
        for point in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            assert!(answer(Method::Curve25519, &point, &random()).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_share_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..1300)) {
            for method in Method::ALL {
                let _ = answer(method, &bytes, &random());
                let _ = finish(&ask(method, &random()).unwrap(), &bytes);
            }
            let _ = ask_in(&bytes, &random());
        }
    }

    #[test]
    fn keys_grow_as_the_specification_says() {
        let shared = plain(&[1; 32]);
        let hash = |byte: u8| digest::digest(&digest::SHA256, &[byte]);
        let of = |letter, length| derive(Method::Curve25519, &shared, (&hash(2), &hash(3)), letter, length);
        let (short, long) = (of(b'C', 16), of(b'C', 64));
        assert_eq!(*short, long[..16]);
        assert_ne!(long[..32], long[32..]);
        assert_ne!(*of(b'D', 16), *short);
    }
}
