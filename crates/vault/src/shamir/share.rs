//! A share as people keep it: 16 groups of five characters that can be typed, read aloud or scanned.
//!
//! ```text
//! version u8 | cluster [5] | set [4] | k u8 | n u8 | number u8 | value [32] | check [5]
//! ```
//!
//! 50 bytes in Crockford's base 32, which has no I, L, O and U. Cluster and set stand there as the
//! first bytes of a hash, enough to say which paper this is; what binds a share to its slot is the
//! slot's commitment to it.

use crate::crypto::{self, KEY, Key};
use aws_lc_rs::digest::{SHA256, digest};
use sallyport_model::{ClusterId, Kind, Secret, SlotId};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const CLUSTER: usize = 5;
const SET: usize = 4;
const CHECK: usize = 5;
/// Bytes before the check.
const BODY: usize = 1 + CLUSTER + SET + 3 + KEY;
const BYTES: usize = BODY + CHECK;
const GROUP: usize = 5;
const CHARACTERS: usize = BYTES / 5 * 8;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Text that is no share. No message repeats what was typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ShareError {
    /// A character that no share has.
    #[error("character {at} in group {group} of the share cannot stand in one: look at the paper again")]
    Character {
        /// Which group, from 1.
        group: usize,
        /// Which character of it, from 1.
        at: usize,
    },
    /// The right characters, but one at least was mistyped.
    #[error("the share was mistyped somewhere (its check does not match): compare it group by group")]
    Check,
    /// Too few or too many characters.
    #[error("a share has {CHARACTERS} characters in {} groups of {GROUP}, this has {found}: type all of it", CHARACTERS / GROUP)]
    Length {
        /// How many there are.
        found: usize,
    },
    /// Written by another release.
    #[error("this share has a form that this release does not know: use the release that printed it, or a newer one")]
    Version,
}

impl ShareError {
    /// Sort of failure.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// One share of a seal slot's key.
///
/// ```compile_fail
/// fn show<T: std::fmt::Debug>() {}
/// show::<sallyport_vault::Share>();
/// ```
/// ```compile_fail
/// fn copy<T: Clone>() {}
/// copy::<sallyport_vault::Share>();
/// ```
/// ```compile_fail
/// fn wire<T: serde::Serialize>() {}
/// wire::<sallyport_vault::Share>();
/// ```
pub struct Share {
    cluster: [u8; CLUSTER],
    set: [u8; SET],
    k: u8,
    n: u8,
    number: u8,
    value: Key,
}

impl Share {
    pub(crate) fn new(cluster: ClusterId, slot: SlotId, rule: (u8, u8), number: u8, value: Key) -> Self {
        let (cluster, set) = (mark(b"share-cluster", cluster.as_bytes()), mark(b"share-set", slot.as_bytes()));
        Self { cluster, set, k: rule.0, n: rule.1, number, value }
    }

    /// Which of the set it is, from 1.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// How many open together, out of how many.
    #[must_use]
    pub const fn rule(&self) -> (u8, u8) {
        (self.k, self.n)
    }

    pub(crate) const fn value(&self) -> &Key {
        &self.value
    }

    /// Whether it names this installation.
    #[must_use]
    pub fn is_of_cluster(&self, cluster: ClusterId) -> bool {
        self.cluster == mark(b"share-cluster", cluster.as_bytes())
    }

    /// Whether it names this slot's set.
    #[must_use]
    pub fn is_of_set(&self, slot: SlotId) -> bool {
        self.set == mark(b"share-set", slot.as_bytes())
    }

    /// The text that people keep, 16 groups of five.
    #[must_use]
    pub fn encode(&self) -> Secret<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.cluster);
        bytes.extend_from_slice(&self.set);
        bytes.extend_from_slice(&[self.k, self.n, self.number]);
        bytes.extend_from_slice(self.value.expose());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        let mut text = String::with_capacity(CHARACTERS + CHARACTERS / GROUP);
        for (at, c) in base32(&bytes).enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            text.push(c);
        }
        Secret::new(text)
    }

    /// Reads what was typed or scanned. Hyphens and white space do not count, nor does the case, and I, L and O
    /// are taken for the digits that they look like: people type this.
    ///
    /// # Errors
    /// Says what about the text is wrong; never which character would be right.
    pub fn parse(text: &Secret<String>) -> Result<Self, ShareError> {
        let mut digits = Zeroizing::new(Vec::with_capacity(CHARACTERS));
        for c in text.expose().chars().filter(|c| !c.is_whitespace() && *c != '-').take(2 * CHARACTERS) {
            let at = digits.len();
            digits.push(digit(c).ok_or(ShareError::Character { group: at / GROUP + 1, at: at % GROUP + 1 })?);
        }
        if digits.len() != CHARACTERS {
            return Err(ShareError::Length { found: digits.len() });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        for eight in digits.chunks_exact(8) {
            let number = eight.iter().fold(0_u64, |number, digit| number << 5 | u64::from(*digit));
            bytes.extend(number.to_be_bytes().iter().skip(3));
        }
        let (body, written) = bytes.split_at_checked(BODY).ok_or(ShareError::Check)?;
        if !crypto::equal(&check(body), written) {
            return Err(ShareError::Check);
        }
        Self::read(body).ok_or(ShareError::Version)
    }

    fn read(body: &[u8]) -> Option<Self> {
        let rest = body.strip_prefix(&[VERSION])?;
        let (cluster, rest) = rest.split_first_chunk()?;
        let (set, rest) = rest.split_first_chunk()?;
        let ([k, n, number], value) = rest.split_first_chunk::<3>()?;
        let sound = super::check_rule(*k, *n).is_ok() && (1..=*n).contains(number);
        let value = Secret::new(<[u8; KEY]>::try_from(value).ok()?);
        sound.then_some(Self { cluster: *cluster, set: *set, k: *k, n: *n, number: *number, value })
    }
}

/// The first bytes of a hash that names something on paper.
fn mark<const N: usize>(purpose: &[u8], id: &[u8]) -> [u8; N] {
    let hash = digest(&SHA256, &[b"sallyport-v1/", purpose, b"\0", id].concat());
    let mut out = [0; N];
    out.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    out
}

fn check(body: &[u8]) -> [u8; CHECK] {
    let mut text = Zeroizing::new(b"sallyport-v1/share\0".to_vec());
    text.extend_from_slice(body);
    let hash = digest(&SHA256, &text);
    let mut out = [0; CHECK];
    out.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// Five bytes become eight characters.
fn base32(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.chunks_exact(5).flat_map(|five| {
        let number = five.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        (0..8_u32).rev().map(move |at| {
            let digit = usize::try_from(number >> (5 * at) & 31).unwrap_or(0);
            ALPHABET.get(digit).map_or('0', |c| char::from(*c))
        })
    })
}

fn digit(c: char) -> Option<u8> {
    let c = match c.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        c => c,
    };
    ALPHABET.iter().position(|a| char::from(*a) == c).and_then(|at| u8::try_from(at).ok())
}
