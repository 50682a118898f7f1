//! Shamir's secret sharing of one 32-byte key: any k of n shares give it back, k - 1 say nothing of it.
//!
//! Each byte is shared by a polynomial of its own over GF(2^8), its coefficients uniform over the
//! whole field (leaving out zero is the bias of RUSTSEC-2024-0398). A key is split once in its
//! life: every split is of a fresh one.

mod field;
mod share;

pub use share::{Share, ShareError};

use crate::VaultError;
use crate::crypto::{self, KEY, Key};
use sallyport_model::{Env, Secret};
use zeroize::Zeroizing;

/// Most shares of one set: what a ceremony can still gather people for.
pub const MAX_SHARES: u8 = 16;

/// Refuses thresholds that share nothing or cannot be met.
pub(crate) fn check_rule(k: u8, n: u8) -> Result<(), VaultError> {
    if k >= 2 && k <= n && n <= MAX_SHARES {
        return Ok(());
    }
    Err(VaultError::Refused(format!(
        "{k}-of-{n} is no rule for shares: at least 2 must open together, out of at most {MAX_SHARES}, such as 3-of-5"
    )))
}

/// Splits a key into the points 1 to `n`; any `k` of them give it back.
pub(crate) fn split(env: &Env, key: &Key, k: u8, n: u8) -> Result<Vec<(u8, Key)>, VaultError> {
    check_rule(k, n)?;
    let mut coefficients = Zeroizing::new(vec![0_u8; KEY.saturating_mul(usize::from(k) - 1)]);
    env.fill(&mut coefficients);
    Ok((1..=n).map(|x| (x, evaluate(key, &coefficients, x))).collect())
}

/// The polynomials at `x`, by Horner, highest coefficients first in memory.
fn evaluate(key: &Key, coefficients: &[u8], x: u8) -> Key {
    let mut at = Zeroizing::new([0_u8; KEY]);
    for row in coefficients.chunks_exact(KEY).chain([key.expose().as_slice()]) {
        for (sum, coefficient) in at.iter_mut().zip(row) {
            *sum = field::mul(*sum, x) ^ coefficient;
        }
    }
    Secret::new(*at)
}

/// The key behind these points, in any order; `None` where two have the same number, one has number
/// 0, or there are none. Too few or wrong points give another key: whoever calls checks a commitment.
pub(crate) fn combine(points: &[(u8, &Key)]) -> Option<Key> {
    let distinct =
        points.iter().enumerate().all(|(at, (x, _))| *x != 0 && points.iter().skip(at + 1).all(|p| p.0 != *x));
    if points.is_empty() || !distinct {
        return None;
    }
    let mut key = Zeroizing::new([0_u8; KEY]);
    for (x, value) in points {
        // Lagrange at 0. The numbers of shares are no secret, their values are.
        let weight = points
            .iter()
            .filter(|(other, _)| other != x)
            .fold(1, |weight, (other, _)| field::mul(weight, field::mul(*other, field::inverse(other ^ x))));
        for (sum, byte) in key.iter_mut().zip(value.expose()) {
            *sum ^= field::mul(*byte, weight);
        }
    }
    Some(Secret::new(*key))
}

/// A fresh key and its shares.
pub(crate) fn fresh(env: &Env, k: u8, n: u8) -> Result<(Key, Vec<(u8, Key)>), VaultError> {
    let key = crypto::fresh_key(env);
    let points = split(env, &key, k, n)?;
    Ok((key, points))
}

#[cfg(test)]
mod tests;
