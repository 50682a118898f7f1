//! Key exchange: a shared secret, the hash that both sides sign, and the keys that follow from them.

use crate::Error;
use crate::negotiate::Method;
use crate::wire::Put as _;
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use zeroize::Zeroizing;

const POINT: usize = 32;
/// Sizes of FIPS 203, table 3.
const ENCAPSULATION: usize = 1184;
const CIPHERTEXT: usize = 1088;

/// The client's half, while the server's is under way.
pub(crate) struct Asked {
    pub(crate) share: Vec<u8>,
    point: PrivateKey,
    lattice: Option<DecapsulationKey>,
}

/// The shared secret as the exchange hash and the derivation of keys take it: an `mpint`, or a
/// `string` where the method is a hybrid one.
pub(crate) type Shared = Zeroizing<Vec<u8>>;

fn point() -> Result<(PrivateKey, Vec<u8>), Error> {
    let private = PrivateKey::generate(&X25519).map_err(|_| Error::Crypto)?;
    let public = private.compute_public_key().map_err(|_| Error::Crypto)?;
    Ok((private, public.as_ref().to_vec()))
}

/// A point of low order, which would make the secret known to all, is an error of the library's.
fn meet(private: &PrivateKey, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let theirs = UnparsedPublicKey::new(&X25519, theirs);
    agreement::agree(private, theirs, Error::Exchange, |secret| Ok(Zeroizing::new(secret.to_vec())))
}

fn plain(secret: &[u8]) -> Shared {
    let mut out = Zeroizing::new(Vec::with_capacity(POINT + 5));
    out.unsigned(secret);
    out
}

/// draft-ietf-sshm-mlkem-hybrid-kex: the hash of both secrets.
fn hybrid(lattice: &[u8], curve: &[u8]) -> Shared {
    let mut both = Zeroizing::new(Vec::with_capacity(64));
    both.bytes(lattice);
    both.bytes(curve);
    let mut out = Zeroizing::new(Vec::with_capacity(36));
    out.string(digest::digest(&SHA256, &both).as_ref());
    out
}

/// Begins as a client.
pub(crate) fn ask(method: Method) -> Result<Asked, Error> {
    let (private, public) = point()?;
    let (mut share, mut lattice) = (Vec::new(), None);
    if method.post_quantum() {
        let key = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| Error::Crypto)?;
        let public = key.encapsulation_key().and_then(|key| Ok(key.key_bytes()?.as_ref().to_vec()));
        share = public.map_err(|_| Error::Crypto)?;
        lattice = Some(key);
    }
    share.bytes(&public);
    Ok(Asked { share, point: private, lattice })
}

/// Answers as a server: our half, and the secret.
pub(crate) fn answer(method: Method, theirs: &[u8]) -> Result<(Vec<u8>, Shared), Error> {
    let (private, public) = point()?;
    if !method.post_quantum() {
        exactly(theirs, POINT)?;
        return Ok((public, plain(&meet(&private, theirs)?)));
    }
    exactly(theirs, ENCAPSULATION + POINT)?;
    let (key, curve) = theirs.split_at_checked(ENCAPSULATION).ok_or(Error::Exchange)?;
    let key = EncapsulationKey::new(&ML_KEM_768, key).map_err(|_| Error::Exchange)?;
    let (ciphertext, lattice) = key.encapsulate().map_err(|_| Error::Exchange)?;
    let secret = hybrid(lattice.as_ref(), &meet(&private, curve)?);
    Ok(([ciphertext.as_ref(), &public].concat(), secret))
}

/// Ends as a client: the secret.
pub(crate) fn finish(asked: &Asked, theirs: &[u8]) -> Result<Shared, Error> {
    let Some(key) = &asked.lattice else {
        exactly(theirs, POINT)?;
        return Ok(plain(&meet(&asked.point, theirs)?));
    };
    exactly(theirs, CIPHERTEXT + POINT)?;
    let (ciphertext, curve) = theirs.split_at_checked(CIPHERTEXT).ok_or(Error::Exchange)?;
    let lattice = key.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| Error::Exchange)?;
    Ok(hybrid(lattice.as_ref(), &meet(&asked.point, curve)?))
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
    pub(crate) client_share: &'a [u8],
    pub(crate) server_share: &'a [u8],
}

impl Transcript<'_> {
    pub(crate) fn hash(&self, shared: &Shared) -> [u8; 32] {
        let mut out = Zeroizing::new(Vec::with_capacity(4096));
        let parts = [self.client, self.server, self.client_init, self.server_init, self.host_key];
        for part in parts.into_iter().chain([self.client_share, self.server_share]) {
            out.string(part);
        }
        out.bytes(shared);
        sha256(&out)
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&SHA256, bytes).as_ref().first_chunk().copied().unwrap_or_default()
}

/// RFC 4253 section 7.2: so many bytes for one letter.
pub(crate) fn derive(
    shared: &Shared,
    hash: &[u8; 32],
    letter: u8,
    session: &[u8],
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length.saturating_add(32)));
    while key.len() < length {
        let mut from = Zeroizing::new(Vec::with_capacity(256));
        from.bytes(shared);
        from.bytes(hash);
        if key.is_empty() {
            from.byte(letter);
            from.bytes(session);
        } else {
            from.bytes(&key);
        }
        key.bytes(&sha256(&from));
    }
    key.truncate(length);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_sides_have_the_same_secret_and_no_two_exchanges_do() {
        for method in Method::ALL {
            let asked = ask(method).unwrap();
            let (share, ours) = answer(method, &asked.share).unwrap();
            assert_eq!(*finish(&asked, &share).unwrap(), *ours);
            let (_, other) = answer(method, &asked.share).unwrap();
            assert_ne!(*other, *ours);
        }
    }

    #[test]
    fn points_of_low_order_are_refused() {
        for point in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            assert!(answer(Method::Curve25519, &point).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_share_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..1300)) {
            for method in Method::ALL {
                let _ = answer(method, &bytes);
                let _ = finish(&ask(method).unwrap(), &bytes);
            }
        }
    }

    #[test]
    fn keys_grow_as_the_specification_says() {
        let shared = plain(&[1; 32]);
        let short = derive(&shared, &[2; 32], b'C', &[3; 32], 16);
        let long = derive(&shared, &[2; 32], b'C', &[3; 32], 64);
        assert_eq!(*short, long[..16]);
        assert_ne!(long[..32], long[32..]);
        assert_ne!(*derive(&shared, &[2; 32], b'D', &[3; 32], 16), *short);
    }
}
