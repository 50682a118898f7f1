//! The field GF(2^8) of AES (FIPS 197 section 4) in constant time: no table, no branch and no index that depends on a value.

use std::hint::black_box;

/// Bits of the reduction polynomial x^8 + x^4 + x^3 + x + 1 below x^8.
const REDUCE: u8 = 0x1b;

/// All ones for 1, all zeroes for 0. The barrier keeps the compiler from making a branch of it.
fn mask(bit: u8) -> u8 {
    black_box(0_u8.wrapping_sub(bit))
}

/// The product of two elements, in eight steps whatever they are.
pub(super) fn mul(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut product) = (a, b, 0);
    for _ in 0..8 {
        product ^= a & mask(b & 1);
        a = (a << 1) ^ (REDUCE & mask(a >> 7));
        b >>= 1;
    }
    product
}

/// The inverse, by Fermat: `a^254`. Zero has none and gives zero.
pub(super) fn inverse(a: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128: the product of seven squares, always the same fourteen steps.
    let (mut square, mut out) = (a, 1);
    for _ in 0..7 {
        square = mul(square, square);
        out = mul(out, square);
    }
    out
}
