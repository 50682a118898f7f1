//! What both sides can do, and what they agree on (RFC 4253 section 7.1).

use crate::packet::{CipherName, MacName, Suite};
use crate::wire::{Cursor, Malformed, Put as _, lists};
use crate::{Error, Role, message};

/// A method of key exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// `mlkem768x25519-sha256` (draft-ietf-sshm-mlkem-hybrid-kex)
    MlKem768X25519,
    /// `curve25519-sha256` (RFC 8731)
    Curve25519,
    /// `curve25519-sha256@libssh.org`, the same under its first name.
    Curve25519Early,
}

impl Method {
    /// Best first.
    pub const ALL: [Self; 3] = [Self::MlKem768X25519, Self::Curve25519, Self::Curve25519Early];

    /// As key exchange writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MlKem768X25519 => "mlkem768x25519-sha256",
            Self::Curve25519 => "curve25519-sha256",
            Self::Curve25519Early => "curve25519-sha256@libssh.org",
        }
    }

    /// Whether what is recorded today stays secret from a quantum computer of tomorrow.
    #[must_use]
    pub const fn post_quantum(self) -> bool {
        matches!(self, Self::MlKem768X25519)
    }
}

/// RFC 8308: signs that a client takes `EXT_INFO`.
const EXT_INFO_CLIENT: &str = "ext-info-c";
/// OpenSSH's PROTOCOL, section 1.10: against CVE-2023-48795.
const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";

/// Our `SSH_MSG_KEXINIT`, whole. `signatures` are the algorithms of host keys, best first.
pub(crate) fn ours(role: Role, signatures: &[&str], cookie: [u8; 16], first: bool) -> Vec<u8> {
    let mut methods: Vec<&str> = Method::ALL.iter().map(|method| method.name()).collect();
    if first {
        match role {
            Role::Client => methods.extend([EXT_INFO_CLIENT, STRICT_CLIENT]),
            Role::Server => methods.push(STRICT_SERVER),
        }
    }
    let (ciphers, macs) = (CipherName::ALL.map(CipherName::name), MacName::ALL.map(MacName::name));
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
pub(crate) fn agree(
    role: Role,
    signatures: &[&'static str],
    theirs: &[u8],
    strict: Option<bool>,
) -> Result<Agreed, Error> {
    let offer = read(theirs)?;
    let methods: Vec<&'static str> = Method::ALL.iter().map(|method| method.name()).collect();
    let name = choose(role, &methods, offer.methods).ok_or(Error::NoCommon("key exchange"))?;
    let signature = choose(role, signatures, offer.signatures).ok_or(Error::NoCommon("host keys"))?;
    let marker = if role == Role::Server { STRICT_CLIENT } else { STRICT_SERVER };
    let strict = strict.unwrap_or_else(|| lists(offer.methods, marker));
    let safe = |cipher: &CipherName| strict || *cipher != CipherName::ChaCha20;
    let suite = |ciphers, macs| {
        let names: Vec<&'static str> = CipherName::ALL.into_iter().filter(safe).map(CipherName::name).collect();
        let cipher = choose(role, &names, ciphers);
        let cipher = CipherName::ALL.into_iter().find(|known| Some(known.name()) == cipher);
        let only_unsafe = || {
            let chacha = lists(ciphers, CipherName::ChaCha20.name());
            if chacha { Error::NotStrict } else { Error::NoCommon("ciphers") }
        };
        let cipher = cipher.ok_or_else(only_unsafe)?;
        if !cipher.wants_mac() {
            return Ok::<_, Error>(Suite { cipher, mac: None });
        }
        let mac = choose(role, &MacName::ALL.map(MacName::name), macs);
        let mac = MacName::ALL.into_iter().find(|known| Some(known.name()) == mac);
        Ok(Suite { cipher, mac: Some(mac.ok_or(Error::NoCommon("MACs"))?) })
    };
    let ([there, back], [mac_there, mac_back]) = (offer.ciphers, offer.macs);
    let (to_server, to_client) = (suite(there, mac_there)?, suite(back, mac_back)?);
    if !offer.compression.iter().all(|list| lists(list, "none")) {
        return Err(Error::NoCommon("compression: only \"none\" is spoken"));
    }
    let (our_method, our_signature) = (methods.first().copied(), signatures.first().copied());
    let right = our_method == Some(first(offer.methods)) && our_signature == Some(first(offer.signatures));
    Ok(Agreed {
        method: Method::ALL.into_iter().find(|method| method.name() == name).ok_or(Error::NoCommon("key exchange"))?,
        signature,
        to_server,
        to_client,
        strict,
        ext_info: role == Role::Server && lists(offer.methods, EXT_INFO_CLIENT),
        skip: offer.guessed && !right,
    })
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

    #[test]
    fn the_client_chooses() {
        let client = ours(Role::Client, &SIGNATURES, [1; 16], true);
        let agreed = agree(Role::Server, &["ssh-ed25519"], &client, None).unwrap();
        assert_eq!((agreed.method, agreed.signature), (Method::MlKem768X25519, "ssh-ed25519"));
        let best = Suite { cipher: CipherName::Aes256Gcm, mac: None };
        assert_eq!((agreed.to_server, agreed.to_client), (best, best));
        assert!(agreed.strict && agreed.ext_info && !agreed.skip);
        // Not again: a later exchange says nothing of either.
        let client = ours(Role::Client, &SIGNATURES, [1; 16], false);
        let agreed = agree(Role::Server, &["ssh-ed25519"], &client, None).unwrap();
        assert!(!agreed.strict && !agreed.ext_info);
    }

    #[test]
    fn without_strict_exchange_the_next_cipher_is_chosen() {
        // `ssh-keyscan` asks for ChaCha20 first, and not for strict exchange.
        let client = ours(Role::Client, &SIGNATURES, [1; 16], false);
        let mut first = client;
        for cipher in [CipherName::Aes256Gcm, CipherName::Aes128Gcm] {
            let name = cipher.name().as_bytes();
            while let Some(at) = first.windows(name.len()).position(|window| window == name) {
                first[at] = b'x';
            }
        }
        let agreed = agree(Role::Server, &["ssh-ed25519"], &first, None).unwrap();
        assert_eq!(agreed.to_server.cipher, CipherName::Aes256Ctr);
        let agreed = agree(Role::Server, &["ssh-ed25519"], &first, Some(true)).unwrap();
        assert_eq!(agreed.to_server.cipher, CipherName::ChaCha20);
    }

    #[test]
    fn what_is_not_shared_is_named() {
        let client = ours(Role::Client, &["rsa-sha2-512"], [1; 16], true);
        let error = agree(Role::Server, &["ssh-ed25519"], &client, None).unwrap_err();
        assert!(error.to_string().contains("host keys"), "{error}");
    }

    proptest! {
        #[test]
        fn no_offer_is_too_strange(bytes: Vec<u8>) {
            let _ = agree(Role::Server, &SIGNATURES, &bytes, None);
            let _ = agree(Role::Client, &SIGNATURES, &bytes, Some(true));
        }
    }
}
