//! What an agent is to sign, in words: a sign-in, a message, or neither.

use super::request::Bound;
use sallyport_model::inventory::fingerprint;
use sallyport_ssh_transport::certificate;
use sallyport_ssh_transport::key::{kind, print};
use sallyport_ssh_transport::wire::{Cursor, Malformed};
use std::borrow::Cow;

/// The number of a request to sign in (RFC 4252 section 5).
const USERAUTH_REQUEST: u8 = 50;
/// What OpenSSH's signatures of messages begin with (its PROTOCOL.sshsig).
const SSHSIG: &[u8] = b"SSHSIG";
/// Longest name that is shown whole, in characters.
const NAME: usize = 48;

/// What somebody would sign who signs this with this key.
#[derive(Debug, Eq, PartialEq)]
enum Signed<'a> {
    /// A sign-in as this user (RFC 4252 section 7), and the server's key where it is known.
    SignIn(&'a str, Option<Cow<'a, [u8]>>),
    /// A message, for this purpose.
    Message(&'a str),
    Other,
}

/// What would be signed, in words that follow `to`.
pub(super) fn what(data: &[u8], key: &[u8], bound: &[Bound]) -> String {
    match read(data, key, bound) {
        Signed::SignIn(user, None) => format!("sign in as `{}`", shown(user)),
        Signed::SignIn(user, Some(host)) => {
            let host = self::key(&host);
            let host = host.map_or_else(|| "whose key is malformed".to_owned(), |key| format!("with the key {key}"));
            format!("sign in as `{}` at the host {host}", shown(user))
        }
        Signed::Message(purpose) => format!("sign a message for `{}`", shown(purpose)),
        Signed::Other => "sign something that is no sign-in".to_owned(),
    }
}

fn read<'a>(data: &'a [u8], key: &[u8], bound: &[Bound]) -> Signed<'a> {
    sign_in(data, key, bound).or_else(|_| message(data).map(Signed::Message)).unwrap_or(Signed::Other)
}

/// RFC 4252 section 7, and OpenSSH's `publickey-hostbound` (its PROTOCOL section 3.1).
fn sign_in<'a>(data: &'a [u8], key: &[u8], bound: &[Bound]) -> Result<Signed<'a>, Malformed> {
    let mut cursor = Cursor::new(data);
    let exchange = cursor.string()?;
    let number = cursor.byte()?;
    let (user, service, method) = (cursor.text()?, cursor.text()?, cursor.text()?);
    let (signs, _algorithm, with) = (cursor.byte()?, cursor.text()?, cursor.string()?);
    if exchange.is_empty() || number != USERAUTH_REQUEST || service != "ssh-connection" || signs != 1 || with != key {
        return Err(Malformed);
    }
    let host = match method {
        // Good at this server alone: it compares the key with its own.
        "publickey-hostbound-v00@openssh.com" => Some(plain(cursor.string()?)),
        "publickey" => {
            let known = bound.iter().find(|bound| bound.exchange == exchange);
            known.map(|bound| Cow::Owned(bound.host.clone()))
        }
        _ => return Err(Malformed),
    };
    cursor.end()?;
    Ok(Signed::SignIn(user, host))
}

/// OpenSSH's PROTOCOL.sshsig: the purpose that a message is signed for.
fn message(data: &[u8]) -> Result<&str, Malformed> {
    let mut cursor = Cursor::new(data);
    if cursor.take(SSHSIG.len())? != SSHSIG {
        return Err(Malformed);
    }
    let (purpose, _reserved, _hash, digest) = (cursor.text()?, cursor.string()?, cursor.text()?, cursor.string()?);
    cursor.end()?;
    if purpose.is_empty() || digest.is_empty() { Err(Malformed) } else { Ok(purpose) }
}

/// The key that a certificate is of, and any other as it is.
pub(super) fn plain(blob: &[u8]) -> Cow<'_, [u8]> {
    match certificate::read(blob) {
        Ok(certificate) => Cow::Owned(certificate.contents.key),
        Err(_) => Cow::Borrowed(blob),
    }
}

/// A key as people compare it, with its sort, as `ssh-add -l` shows both: a certificate by the key that it is of.
pub(super) fn key(blob: &[u8]) -> Option<String> {
    let print = print(&plain(blob)).ok()?;
    let sort = match kind(blob).ok()? {
        "ssh-ed25519" => "ED25519",
        "ssh-rsa" => "RSA",
        "ssh-dss" => "DSA",
        "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => "ECDSA",
        "sk-ssh-ed25519@openssh.com" => "ED25519-SK",
        "sk-ecdsa-sha2-nistp256@openssh.com" => "ECDSA-SK",
        "ssh-ed25519-cert-v01@openssh.com" => "ED25519-CERT",
        "ssh-rsa-cert-v01@openssh.com" => "RSA-CERT",
        other if other.contains("-cert-v01@") => "CERT",
        _ => "of a sort that is not known",
    };
    Some(format!("{} ({sort})", fingerprint(&print)?))
}

/// A name of the target's as it may stand in a question: it draws nothing, ends no quotes and is not too long to be read.
fn shown(name: &str) -> String {
    // Letters that are written from right to left would turn the question around.
    let draws = |c: char| c.is_control() || c == '`' || !(c.is_ascii() || ('\u{c0}'..='\u{24f}').contains(&c));
    let mut shown: String = name.chars().take(NAME).map(|c| if draws(c) { '\u{fffd}' } else { c }).collect();
    if name.chars().nth(NAME).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use sallyport_ssh_transport::wire::Put as _;

    pub(crate) const KEY: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01";

    /// What is signed to sign in.
    pub(crate) fn asks(user: &str, method: &str, rest: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.string(&[9; 32]);
        out.byte(USERAUTH_REQUEST);
        for text in [user, "ssh-connection", method] {
            out.string(text.as_bytes());
        }
        out.byte(1);
        out.string(b"ssh-ed25519");
        out.string(KEY);
        out.bytes(rest);
        out
    }

    #[test]
    fn a_sign_in_says_as_whom_and_where_as_far_as_that_is_shown() {
        let bound = Bound { host: KEY.to_vec(), exchange: vec![9; 32] };
        let print = key(KEY).unwrap();
        assert!(print.starts_with("SHA256:") && print.ends_with(" (ED25519)"), "{print}");
        let plainly = asks("git", "publickey", b"");
        assert_eq!(what(&plainly, KEY, &[]), "sign in as `git`");
        let there = format!("sign in as `git` at the host with the key {print}");
        assert_eq!(what(&plainly, KEY, std::slice::from_ref(&bound)), there);
        let other = Bound { exchange: vec![8; 32], ..bound };
        assert_eq!(what(&plainly, KEY, &[other]), "sign in as `git`", "another connection's");
        let mut host = Vec::new();
        host.string(KEY);
        let method = "publickey-hostbound-v00@openssh.com";
        assert_eq!(what(&asks("git", method, &host), KEY, &[]), there);
    }

    #[test]
    fn what_is_nearly_a_sign_in_is_none() {
        let none = "sign something that is no sign-in";
        let plainly = asks("git", "publickey", b"");
        for nearly in [
            asks("git", "publickey", b"x"),
            asks("git", "hostbased", b""),
            asks("git", "publickey-hostbound-v00@openssh.com", b""),
            plainly[..plainly.len() - 1].to_vec(),
            Vec::new(),
        ] {
            assert_eq!(what(&nearly, KEY, &[]), none, "{nearly:?}");
        }
        assert_eq!(what(&plainly, b"another key", &[]), none);
        for at in [36, 36 + 5 + 3] {
            let mut bytes = plainly.clone();
            bytes[at] ^= 1;
            assert_ne!(what(&bytes, KEY, &[]), "sign in as `git`", "{at}");
        }
    }

    #[test]
    fn a_message_says_what_it_is_for() {
        let mut out = SSHSIG.to_vec();
        for text in [b"git".as_slice(), b"", b"sha512", &[7; 64]] {
            out.string(text);
        }
        assert_eq!(what(&out, KEY, &[]), "sign a message for `git`");
        out.byte(0);
        assert_eq!(what(&out, KEY, &[]), "sign something that is no sign-in");
    }

    #[test]
    fn a_name_ends_no_quotes_draws_nothing_and_is_not_endless() {
        assert_eq!(shown("gr\u{fc}n_1.x@y"), "gr\u{fc}n_1.x@y");
        assert_eq!(shown("\u{5d0}x"), "\u{fffd}x");
        assert_eq!(shown("a`b\x1b[2J\u{202e}\u{200b}\n"), "a\u{fffd}b\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(shown(&"x".repeat(500)), format!("{}...", "x".repeat(48)));
    }
}
