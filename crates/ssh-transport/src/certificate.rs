//! Certificates of OpenSSH (its PROTOCOL.certkeys): what one says, what an authority signs of it, and whether one has.

use crate::Error;
use crate::key;
use crate::wire::{Cursor, Put as _};

/// Sorts of keys that can be certified: the key's type, its certificate's, and how many parts the key has behind its type.
const SORTS: [(&str, &str, usize); 7] = [
    ("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", 1),
    ("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com", 2),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com", 2),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com", 2),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", 3),
    ("ssh-rsa", "ssh-rsa-cert-v01@openssh.com", 2),
];
/// Algorithms of signatures by certified RSA keys, whose names are not their certificates' (OpenSSH's PROTOCOL.certkeys).
const RSA: [(&str, &str); 2] =
    [("rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-512"), ("rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-256")];
/// Algorithms by which a client asks for certificates of host keys, best first.
pub(crate) const HOST_ALGORITHMS: [&str; 6] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
];
/// Longest certificate that is looked at, and the most names and options in one.
const LONGEST: usize = 16 * 1024;
const MOST: usize = 64;
/// No certificate ends later than this: it stands for `forever`.
pub const FOREVER: u64 = u64::MAX;

/// Whom a certificate is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holder {
    /// Somebody who signs in.
    User,
    /// A server.
    Host,
}

/// What a certificate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contents {
    /// The bytes of the certified key.
    pub key: Vec<u8>,
    /// Chosen by the authority.
    pub serial: u64,
    /// Whom it is about.
    pub holder: Holder,
    /// What servers log.
    pub id: String,
    /// Names that it is good for. One without any is good for every name, which nobody here means.
    pub principals: Vec<String>,
    /// The first second that it is good in, since 1970.
    pub after: u64,
    /// The first one in which it is good no more.
    pub before: u64,
    /// Critical options by name: whoever does not know one refuses the certificate.
    pub critical: Vec<(String, String)>,
    /// Extensions, such as `permit-pty`, of which one that is unknown says nothing.
    pub extensions: Vec<String>,
}

/// A certificate as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// What it says.
    pub contents: Contents,
    /// The key of the authority that has signed it.
    pub authority: Vec<u8>,
}

impl Contents {
    /// What an authority with this key signs. `nonce` is of the authority's choosing, and never the same.
    ///
    /// # Errors
    /// When the key is of no sort that can be certified.
    pub fn unsigned(&self, nonce: &[u8; 32], authority: &[u8]) -> Result<Vec<u8>, Error> {
        let kind = key::kind(&self.key)?;
        let (_, certified, _) = SORTS.iter().find(|(sort, ..)| *sort == kind).ok_or(Error::Key)?;
        let mut behind = Cursor::new(&self.key);
        behind.string()?;
        let mut out = Vec::with_capacity(512);
        out.string(certified.as_bytes());
        out.string(nonce);
        out.bytes(behind.rest());
        out.uint64(self.serial);
        out.uint32(match self.holder {
            Holder::User => 1,
            Holder::Host => 2,
        });
        out.string(self.id.as_bytes());
        out.string(&packed(self.principals.iter(), |out, name| out.string(name.as_bytes())));
        out.uint64(self.after);
        out.uint64(self.before);
        let mut critical: Vec<_> = self.critical.iter().collect();
        critical.sort();
        out.string(&packed(critical.into_iter(), |out, (name, value)| {
            out.string(name.as_bytes());
            out.string(&packed(std::iter::once(value), |out, value| out.string(value.as_bytes())));
        }));
        let mut extensions: Vec<_> = self.extensions.iter().collect();
        extensions.sort();
        out.string(&packed(extensions.into_iter(), |out, name| {
            out.string(name.as_bytes());
            out.string(b"");
        }));
        out.string(b"");
        out.string(authority);
        Ok(out)
    }
}

/// A certificate of what was signed and the signature (RFC 4253 section 6.6).
#[must_use]
pub fn signed(mut unsigned: Vec<u8>, signature: &[u8]) -> Vec<u8> {
    unsigned.string(signature);
    unsigned
}

/// Takes a certificate apart, and sees that the authority that it names has signed it. Whether that authority is to be
/// believed, and whether the certificate is good now and here, is the caller's to say.
///
/// # Errors
/// When it is none, or was altered.
pub fn read(blob: &[u8]) -> Result<Certificate, Error> {
    if blob.len() > LONGEST {
        return Err(Error::Key);
    }
    let kind = key::kind(blob)?;
    let (sort, _, parts) = SORTS.iter().find(|(_, certified, _)| *certified == kind).ok_or(Error::Key)?;
    let mut c = Cursor::new(blob);
    c.string()?;
    c.string()?;
    let mut key = Vec::with_capacity(128);
    key.string(sort.as_bytes());
    for _ in 0..*parts {
        key.string(c.string()?);
    }
    let serial = c.uint64()?;
    let holder = match c.uint32()? {
        1 => Holder::User,
        2 => Holder::Host,
        _ => return Err(Error::Key),
    };
    let id = c.text()?.to_owned();
    let principals = list(c.string()?, |c| Ok(c.text()?.to_owned()))?;
    let (after, before) = (c.uint64()?, c.uint64()?);
    let critical = options(c.string()?)?;
    let extensions = options(c.string()?)?.into_iter().map(|(name, _)| name).collect();
    c.string()?;
    let authority = c.string()?;
    let length = blob.len().checked_sub(c.rest().len()).ok_or(Error::Key)?;
    let (covered, _) = blob.split_at_checked(length).ok_or(Error::Key)?;
    let signature = c.string()?;
    c.end()?;
    // No chains: an authority's key is a key.
    let algorithm = Cursor::new(signature).text()?;
    if !key::SIGNATURES.contains(&algorithm) {
        return Err(Error::Signature);
    }
    key::verify(authority, algorithm, signature, covered)?;
    let contents = Contents { key, serial, holder, id, principals, after, before, critical, extensions };
    Ok(Certificate { contents, authority: authority.to_vec() })
}

/// The algorithm by which the key in a certificate signs, where this is the name of one for certificates.
#[must_use]
pub fn plain(algorithm: &str) -> Option<&'static str> {
    let certified =
        SORTS.iter().filter(|(sort, ..)| *sort != "ssh-rsa").map(|(sort, certified, _)| (*certified, *sort));
    certified.chain(RSA).find(|(name, _)| *name == algorithm).map(|(_, plain)| plain)
}

/// The type of the certificates whose keys sign by this algorithm, where it is the name of one for certificates.
#[must_use]
pub fn type_of(algorithm: &str) -> Option<&'static str> {
    let plain = key::type_of(plain(algorithm)?);
    SORTS.iter().find(|(sort, ..)| *sort == plain).map(|(_, certified, _)| *certified)
}

fn packed<T>(items: impl Iterator<Item = T>, put: impl Fn(&mut Vec<u8>, T)) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        put(&mut out, item);
    }
    out
}

fn list<T>(bytes: &[u8], take: impl Fn(&mut Cursor<'_>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let mut c = Cursor::new(bytes);
    let mut taken = Vec::new();
    while !c.rest().is_empty() {
        if taken.len() >= MOST {
            return Err(Error::Overrun("too many names in a certificate"));
        }
        taken.push(take(&mut c)?);
    }
    Ok(taken)
}

/// Options by name, in the order of their names and none of them twice.
fn options(bytes: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let taken = list(bytes, |c| {
        let name = c.text()?.to_owned();
        let mut value = Cursor::new(c.string()?);
        let text = if value.rest().is_empty() { "" } else { value.text()? };
        value.end()?;
        Ok((name, text.to_owned()))
    })?;
    let ordered = taken.iter().zip(taken.iter().skip(1)).all(|((a, _), (b, _))| a < b);
    if ordered { Ok(taken) } else { Err(Error::Key) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::HostKey;
    use proptest::prelude::*;

    fn contents() -> Contents {
        Contents {
            key: HostKey::from_seed(&[9; 32]).unwrap().public().to_vec(),
            serial: 77,
            holder: Holder::User,
            id: "sallyport session ada".into(),
            principals: vec!["deploy".into(), "ops".into()],
            after: 1_000,
            before: 1_360,
            critical: vec![("source-address".into(), "10.0.0.0/8".into()), ("force-command".into(), "true".into())],
            extensions: vec!["permit-pty".into(), "permit-agent-forwarding".into()],
        }
    }

    fn made(contents: &Contents) -> Vec<u8> {
        let authority = HostKey::from_seed(&[7; 32]).unwrap();
        let unsigned = contents.unsigned(&[3; 32], authority.public()).unwrap();
        let signature = authority.sign(&unsigned);
        signed(unsigned, &signature)
    }

    #[test]
    fn what_was_said_is_read() {
        let read = read(&made(&contents())).unwrap();
        let mut said = contents();
        said.critical.sort();
        said.extensions.sort();
        assert_eq!(read.contents, said);
        assert_eq!(read.authority, HostKey::from_seed(&[7; 32]).unwrap().public());
    }

    #[test]
    fn a_key_in_a_certificate_signs_by_its_own_algorithm() {
        assert_eq!(plain("ssh-ed25519-cert-v01@openssh.com"), Some("ssh-ed25519"));
        assert_eq!(plain("rsa-sha2-512-cert-v01@openssh.com"), Some("rsa-sha2-512"));
        assert_eq!(plain("ssh-rsa-cert-v01@openssh.com"), None, "that one signs by SHA-1");
        assert_eq!(plain("ssh-ed25519"), None);
    }

    #[test]
    fn options_stand_in_the_order_of_their_names_and_once() {
        let twice = packed(["a", "a"].iter(), |out, name| {
            out.string(name.as_bytes());
            out.string(b"");
        });
        assert!(options(&twice).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_flipped_bit_is_accepted(at: prop::sample::Index, bit in 0..8u8) {
            let good = made(&contents());
            let mut bad = good.clone();
            bad[at.index(good.len())] ^= 1 << bit;
            prop_assert!(read(&bad).is_err());
        }
    }
}
