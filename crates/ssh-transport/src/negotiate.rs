//! What both sides can do, and what they agree on (RFC 4253 section 7.1).

use crate::packet::{CipherName, MacName, Suite};
use crate::wire::{Cursor, Malformed, Put as _, lists};
use crate::{Error, Role, message};
use aws_lc_rs::digest;

/// A method of key exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// `mlkem768x25519-sha256` (draft-ietf-sshm-mlkem-hybrid-kex)
    MlKem768X25519,
    /// `sntrup761x25519-sha512` (draft-ietf-sshm-ntruprime-ssh)
    Sntrup761X25519,
    /// `sntrup761x25519-sha512@openssh.com`, the same under its first name.
    Sntrup761X25519Early,
    /// `curve25519-sha256` (RFC 8731)
    Curve25519,
    /// `curve25519-sha256@libssh.org`, the same under its first name.
    Curve25519Early,
    /// `ecdh-sha2-nistp256` (RFC 5656), by exception.
    Ecdh256,
    /// `ecdh-sha2-nistp384`, by exception.
    Ecdh384,
    /// `ecdh-sha2-nistp521`, by exception.
    Ecdh521,
    /// `diffie-hellman-group16-sha512` (RFC 8268), by exception.
    Field16,
    /// `diffie-hellman-group-exchange-sha256` (RFC 4419), by exception.
    FieldProposed,
    /// `diffie-hellman-group14-sha256` (RFC 8268), by exception.
    Field14Sha256,
    /// `diffie-hellman-group14-sha1` (RFC 4253 section 8.2), by exception.
    Field14Sha1,
}

impl Method {
    /// Best first.
    pub const ALL: [Self; 5] = [
        Self::MlKem768X25519,
        Self::Sntrup761X25519,
        Self::Sntrup761X25519Early,
        Self::Curve25519,
        Self::Curve25519Early,
    ];

    /// Those that a client speaks by exception, best first.
    pub const OLD: [Self; 7] = [
        Self::Ecdh256,
        Self::Ecdh384,
        Self::Ecdh521,
        Self::Field16,
        Self::FieldProposed,
        Self::Field14Sha256,
        Self::Field14Sha1,
    ];

    /// As key exchange writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MlKem768X25519 => "mlkem768x25519-sha256",
            Self::Sntrup761X25519 => "sntrup761x25519-sha512",
            Self::Sntrup761X25519Early => "sntrup761x25519-sha512@openssh.com",
            Self::Curve25519 => "curve25519-sha256",
            Self::Curve25519Early => "curve25519-sha256@libssh.org",
            Self::Ecdh256 => "ecdh-sha2-nistp256",
            Self::Ecdh384 => "ecdh-sha2-nistp384",
            Self::Ecdh521 => "ecdh-sha2-nistp521",
            Self::Field16 => "diffie-hellman-group16-sha512",
            Self::FieldProposed => "diffie-hellman-group-exchange-sha256",
            Self::Field14Sha256 => "diffie-hellman-group14-sha256",
            Self::Field14Sha1 => "diffie-hellman-group14-sha1",
        }
    }

    /// The hash of its exchanges.
    pub(crate) fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Ecdh384 => &digest::SHA384,
            Self::Ecdh521 | Self::Field16 | Self::Sntrup761X25519 | Self::Sntrup761X25519Early => &digest::SHA512,
            Self::Field14Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            _ => &digest::SHA256,
        }
    }

    /// Whether what is recorded today stays secret from a quantum computer of tomorrow.
    #[must_use]
    pub const fn post_quantum(self) -> bool {
        matches!(self, Self::MlKem768X25519 | Self::Sntrup761X25519 | Self::Sntrup761X25519Early)
    }
}

/// RFC 8308: signs that a client takes `EXT_INFO`.
const EXT_INFO_CLIENT: &str = "ext-info-c";
/// OpenSSH's PROTOCOL, section 1.10: against CVE-2023-48795.
const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";

/// What one side speaks, each list best first.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    pub(crate) methods: Vec<Method>,
    /// Algorithms of host keys.
    pub(crate) signatures: Vec<&'static str>,
    pub(crate) ciphers: Vec<CipherName>,
    pub(crate) macs: Vec<MacName>,
}

impl Spoken {
    /// What everybody speaks here.
    pub(crate) fn new(signatures: Vec<&'static str>) -> Self {
        let (methods, ciphers, macs) = (Method::ALL.to_vec(), CipherName::ALL.to_vec(), MacName::ALL.to_vec());
        Self { methods, signatures, ciphers, macs }
    }

    /// The same, without methods that a quantum computer of tomorrow undoes.
    pub(crate) fn post_quantum(mut self) -> Self {
        self.methods.retain(|method| method.post_quantum());
        self
    }

    fn names(&self) -> [Vec<&'static str>; 3] {
        [
            self.methods.iter().map(|method| method.name()).collect(),
            self.ciphers.iter().map(|cipher| cipher.name()).collect(),
            self.macs.iter().map(|mac| mac.name()).collect(),
        ]
    }
}

/// Our `SSH_MSG_KEXINIT`, whole.
pub(crate) fn ours(role: Role, spoken: &Spoken, cookie: [u8; 16], first: bool) -> Vec<u8> {
    let [mut methods, ciphers, macs] = spoken.names();
    let signatures = &spoken.signatures;
    if first {
        match role {
            Role::Client => methods.extend([EXT_INFO_CLIENT, STRICT_CLIENT]),
            Role::Server => methods.push(STRICT_SERVER),
        }
    }
    let mut out = Vec::with_capacity(640);
    out.byte(message::KEXINIT);
    out.bytes(&cookie);
    out.names(&methods);
    out.names(signatures);
    for list in [&ciphers[..], &ciphers[..], &macs[..], &macs[..], &["none"][..], &["none"][..], &[][..], &[][..]] {
        out.names(list);
    }
    out.boolean(false);
    out.uint32(0);
    out
}

/// Their `SSH_MSG_KEXINIT`, as far as it matters.
struct Offer<'a> {
    methods: &'a str,
    signatures: &'a str,
    /// Client to server, server to client.
    ciphers: [&'a str; 2],
    macs: [&'a str; 2],
    compression: [&'a str; 2],
    guessed: bool,
}

fn read(payload: &[u8]) -> Result<Offer<'_>, Malformed> {
    let mut cursor = Cursor::new(payload);
    cursor.take(17)?;
    let (methods, signatures) = (cursor.text()?, cursor.text()?);
    let ciphers = [cursor.text()?, cursor.text()?];
    let macs = [cursor.text()?, cursor.text()?];
    let compression = [cursor.text()?, cursor.text()?];
    let _languages = [cursor.text()?, cursor.text()?];
    let guessed = cursor.boolean()?;
    cursor.uint32()?;
    cursor.end()?;
    Ok(Offer { methods, signatures, ciphers, macs, compression, guessed })
}

/// What was agreed on.
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    /// How keys are exchanged.
    pub method: Method,
    /// The algorithm of the server's signature.
    pub signature: &'static str,
    /// From client to server.
    pub to_server: Suite,
    /// From server to client.
    pub to_client: Suite,
    /// Whether key exchange is strict (first one only).
    pub(crate) strict: bool,
    /// Whether the peer takes `EXT_INFO` (first one only).
    pub(crate) ext_info: bool,
    /// Whether the peer's next packet is a wrong guess, to be passed over.
    pub(crate) skip: bool,
}

/// Finds what both can do: the client's first choice that the server has. Whether exchange is strict is told by the
/// first offer; `strict` is what it told, later on. ChaCha20 is no choice without it (CVE-2023-48795).
pub(crate) fn agree(role: Role, spoken: &Spoken, theirs: &[u8], strict: Option<bool>) -> Result<Agreed, Error> {
    let offer = read(theirs)?;
    let marker = if role == Role::Server { STRICT_CLIENT } else { STRICT_SERVER };
    let strict = strict.unwrap_or_else(|| lists(offer.methods, marker));
    let [methods, ..] = spoken.names();
    let method = choose(role, &methods, offer.methods);
    let method = spoken.methods.iter().copied().find(|known| Some(known.name()) == method);
    let signature = choose(role, &spoken.signatures, offer.signatures);
    let [there, back] = [0, 1].map(|way| suite(role, spoken, &offer, (way, strict)));
    let (Some(method), Some(signature), Ok(to_server), Ok(to_client)) = (method, signature, &there, &back) else {
        if let Err(Missing::Strict) = there.and(back) {
            return Err(Error::NotStrict);
        }
        return Err(Error::NoCommon(gaps(role, spoken, &offer, strict)));
    };
    if !offer.compression.iter().all(|list| lists(list, "none")) {
        return Err(Error::NoCommon(vec![Gap::new(NO_COMPRESSION, offer.compression.concat().as_str())]));
    }
    let (our_method, our_signature) = (methods.first().copied(), spoken.signatures.first().copied());
    let right = our_method == Some(first(offer.methods)) && our_signature == Some(first(offer.signatures));
    Ok(Agreed {
        method,
        signature,
        to_server: *to_server,
        to_client: *to_client,
        strict,
        ext_info: role == Role::Server && lists(offer.methods, EXT_INFO_CLIENT),
        skip: offer.guessed && !right,
    })
}

/// Why there is no suite for one direction.
#[derive(Clone, Copy)]
enum Missing {
    Cipher,
    Mac,
    /// The only cipher in common would need a strict exchange.
    Strict,
}

/// What protects one direction: 0 towards the server, 1 towards the client.
fn suite(role: Role, spoken: &Spoken, offer: &Offer<'_>, (way, strict): (usize, bool)) -> Result<Suite, Missing> {
    let of = |lists: &[&str; 2]| lists.get(way).copied().unwrap_or_default().to_owned();
    let (ciphers, macs) = (of(&offer.ciphers), of(&offer.macs));
    let safe = |cipher: &&CipherName| strict || **cipher != CipherName::ChaCha20;
    let names: Vec<&'static str> = spoken.ciphers.iter().filter(safe).map(|cipher| cipher.name()).collect();
    let cipher = choose(role, &names, &ciphers);
    let cipher = spoken.ciphers.iter().copied().find(|known| Some(known.name()) == cipher);
    let only_unsafe = || if lists(&ciphers, CipherName::ChaCha20.name()) { Missing::Strict } else { Missing::Cipher };
    let cipher = cipher.ok_or_else(only_unsafe)?;
    if !cipher.wants_mac() {
        return Ok(Suite { cipher, mac: None });
    }
    let [_, _, names] = spoken.names();
    let mac = choose(role, &names, &macs);
    let mac = spoken.macs.iter().copied().find(|known| Some(known.name()) == mac);
    Ok(Suite { cipher, mac: Some(mac.ok_or(Missing::Mac)?) })
}

/// Everything that two sides have nothing in common in.
fn gaps(role: Role, spoken: &Spoken, offer: &Offer<'_>, strict: bool) -> Vec<Gap> {
    let [methods, ..] = spoken.names();
    let mut gaps = Vec::new();
    if choose(role, &methods, offer.methods).is_none() {
        gaps.push(Gap::new(METHODS, offer.methods));
    }
    if choose(role, &spoken.signatures, offer.signatures).is_none() {
        gaps.push(Gap::new(HOST_KEYS, offer.signatures));
    }
    for (way, (ciphers, macs)) in offer.ciphers.into_iter().zip(offer.macs).enumerate() {
        let found = match suite(role, spoken, offer, (way, strict)) {
            Ok(_) => Vec::new(),
            Err(Missing::Mac) => vec![Gap::new(MACS, macs)],
            Err(Missing::Cipher | Missing::Strict) => {
                // What would close it wants a MAC.
                let [_, _, ours] = spoken.names();
                let mac = choose(role, &ours, macs).is_none().then(|| Gap::new(MACS, macs));
                [Gap::new(CIPHERS, ciphers)].into_iter().chain(mac).collect()
            }
        };
        for gap in found {
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
        }
    }
    gaps
}

/// What a gap is in.
pub(crate) const METHODS: &str = "key exchange";
pub(crate) const HOST_KEYS: &str = "host keys";
pub(crate) const CIPHERS: &str = "ciphers";
pub(crate) const MACS: &str = "MACs";
const NO_COMPRESSION: &str = "compression: only \"none\" is spoken";
/// Most of a peer's list that is told.
const TOLD: usize = 400;

/// Something that two sides have nothing in common in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gap {
    /// In what.
    pub what: &'static str,
    /// What the peer has, by its own names, as far as they are printable.
    pub theirs: String,
}

impl Gap {
    fn new(what: &'static str, theirs: &str) -> Self {
        // Marks among the methods are no methods.
        let names =
            theirs.split(',').filter(|name| !["kex-strict-", "ext-info-"].iter().any(|mark| name.starts_with(mark)));
        let names = names.collect::<Vec<_>>().join(",");
        Self { what, theirs: names.chars().filter(char::is_ascii_graphic).take(TOLD).collect() }
    }
}

/// What is missing, in words.
pub(crate) fn told(gaps: &[Gap]) -> String {
    let told: Vec<_> = gaps.iter().map(|gap| format!("{} (the peer has {})", gap.what, gap.theirs)).collect();
    told.join("; ")
}

fn first(list: &str) -> &str {
    list.split(',').next().unwrap_or_default()
}

fn choose(role: Role, ours: &[&'static str], theirs: &str) -> Option<&'static str> {
    match role {
        Role::Client => ours.iter().copied().find(|name| lists(theirs, name)),
        Role::Server => theirs.split(',').find_map(|name| ours.iter().copied().find(|ours| *ours == name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SIGNATURES;
    use proptest::prelude::*;

    fn all() -> Spoken {
        Spoken::new(SIGNATURES.to_vec())
    }

    fn ed25519() -> Spoken {
        Spoken::new(vec!["ssh-ed25519"])
    }

    #[test]
    fn the_client_chooses() {
        let client = ours(Role::Client, &all(), [1; 16], true);
        let agreed = agree(Role::Server, &ed25519(), &client, None).unwrap();
        assert_eq!((agreed.method, agreed.signature), (Method::MlKem768X25519, "ssh-ed25519"));
        let best = Suite { cipher: CipherName::Aes256Gcm, mac: None };
        assert_eq!((agreed.to_server, agreed.to_client), (best, best));
        assert!(agreed.strict && agreed.ext_info && !agreed.skip);
        // Not again: a later exchange says nothing of either.
        let client = ours(Role::Client, &all(), [1; 16], false);
        let agreed = agree(Role::Server, &ed25519(), &client, None).unwrap();
        assert!(!agreed.strict && !agreed.ext_info);
    }

    #[test]
    fn without_strict_exchange_the_next_cipher_is_chosen() {
        // `ssh-keyscan` asks for ChaCha20 first, and not for strict exchange.
        let client = ours(Role::Client, &all(), [1; 16], false);
        let mut first = client;
        for cipher in [CipherName::Aes256Gcm, CipherName::Aes128Gcm] {
            let name = cipher.name().as_bytes();
            while let Some(at) = first.windows(name.len()).position(|window| window == name) {
                first[at] = b'x';
            }
        }
        let agreed = agree(Role::Server, &ed25519(), &first, None).unwrap();
        assert_eq!(agreed.to_server.cipher, CipherName::Aes256Ctr);
        let agreed = agree(Role::Server, &ed25519(), &first, Some(true)).unwrap();
        assert_eq!(agreed.to_server.cipher, CipherName::ChaCha20);
    }

    #[test]
    fn what_is_not_shared_is_named() {
        let client = ours(Role::Client, &Spoken::new(vec!["rsa-sha2-512"]), [1; 16], true);
        let error = agree(Role::Server, &ed25519(), &client, None).unwrap_err();
        assert!(error.to_string().contains("host keys"), "{error}");
    }

    proptest! {
        #[test]
        fn no_offer_is_too_strange(bytes: Vec<u8>) {
            let _ = agree(Role::Server, &all(), &bytes, None);
            let _ = agree(Role::Client, &all(), &bytes, Some(true));
        }
    }
}
