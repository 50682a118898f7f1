//! Finite fields (RFC 4253 section 8, RFC 4419, RFC 8268): for servers that know nothing newer. Only as a client, and
//! only where that was asked for.

use crate::Error;
use crate::transport::Random;
use crate::wire::Put as _;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use zeroize::Zeroizing;

/// Sizes of moduli that are taken, in bits; and the one that is asked for (RFC 4419 section 3, RFC 8270).
pub(crate) const LEAST: u32 = 2048;
pub(crate) const WANTED: u32 = 3072;
pub(crate) const MOST: u32 = 8192;
/// Bytes of our secret exponent: twice the strength of the strongest cipher (RFC 4419 section 6.2).
const EXPONENT: usize = 64;
const LIMB: usize = 64;

/// The modulus of group 14 (RFC 3526 section 3).
const GROUP_14: &str = "\
     FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AACAA68FFFFFFFFFFFFFFFF";
/// The modulus of group 16 (RFC 3526 section 5).
const GROUP_16: &str = "\
     FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7\
     88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6\
     287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9\
     93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF";

/// A group to exchange keys in.
pub(crate) struct Group {
    params: BoxedMontyParams,
    generator: BoxedUint,
    /// Bits of the numbers here.
    precision: u32,
}

/// Our half of an exchange.
pub(crate) struct Half {
    group: Group,
    exponent: Zeroizing<Vec<u8>>,
    /// The number that the peer is sent, as the body of an `mpint`.
    pub(crate) share: Vec<u8>,
}

fn bytes_of(hex: &str) -> Result<Vec<u8>, Error> {
    let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    hex.as_bytes().chunks(2).map(pair).collect::<Option<_>>().ok_or(Error::Crypto)
}

/// The body of an `mpint` (RFC 4251 section 5) that is not negative.
fn mpint(number: &BoxedUint) -> Vec<u8> {
    let mut out = Vec::new();
    out.unsigned(&number.to_be_bytes());
    out.split_off(4)
}

/// The number in the body of an `mpint`, which has one spelling.
fn plain(body: &[u8]) -> Result<&[u8], Error> {
    match body {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Ok(rest),
        [first, ..] if (1..0x80).contains(first) => Ok(body),
        _ => Err(Error::Exchange),
    }
}

impl Group {
    /// `diffie-hellman-group14-*`
    pub(crate) fn fourteen() -> Result<Self, Error> {
        Self::new(&bytes_of(GROUP_14)?, &[2])
    }

    /// `diffie-hellman-group16-*`
    pub(crate) fn sixteen() -> Result<Self, Error> {
        Self::new(&bytes_of(GROUP_16)?, &[2])
    }

    /// A group that a server proposes, as bodies of `mpint`s.
    pub(crate) fn proposed(modulus: &[u8], generator: &[u8]) -> Result<Self, Error> {
        Self::new(plain(modulus)?, plain(generator)?)
    }

    fn new(modulus: &[u8], generator: &[u8]) -> Result<Self, Error> {
        let precision = modulus.len().saturating_mul(8).next_multiple_of(LIMB);
        let precision = u32::try_from(precision).map_err(|_| Error::Exchange)?;
        let read = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, precision).map_err(|_| Error::Exchange);
        let (modulus, generator) = (read(modulus)?, read(generator)?);
        // A safe prime is twice an odd prime, and one more: 3 modulo 4. That it is one only the server can know, which signs
        // what came of it.
        let shape = modulus.to_be_bytes().last().is_some_and(|last| last % 4 == 3);
        if !(LEAST..=MOST).contains(&modulus.bits_vartime()) || !shape || !inside(&generator, &modulus) {
            return Err(Error::Exchange);
        }
        let odd: Option<Odd<BoxedUint>> = Odd::new(modulus).into();
        let params = BoxedMontyParams::new_vartime(odd.ok_or(Error::Exchange)?);
        Ok(Self { params, generator, precision })
    }

    /// Begins an exchange.
    pub(crate) fn ask(self, random: &Random) -> Result<Half, Error> {
        let mut exponent = Zeroizing::new(vec![0; EXPONENT]);
        random(&mut exponent);
        let share = self.power(&self.generator, &exponent)?;
        if !inside(&share, self.params.modulus().as_ref()) {
            return Err(Error::Crypto);
        }
        Ok(Half { exponent, share: mpint(&share), group: self })
    }

    fn power(&self, base: &BoxedUint, exponent: &[u8]) -> Result<BoxedUint, Error> {
        let bits = u32::try_from(exponent.len().saturating_mul(8)).map_err(|_| Error::Crypto)?;
        let exponent = Zeroizing::new(BoxedUint::from_be_slice(exponent, bits).map_err(|_| Error::Crypto)?);
        Ok(BoxedMontyForm::new(base.clone(), &self.params).pow_bounded_exp(&exponent, bits).retrieve())
    }
}

/// Whether a number is more than 1 and less than the modulus minus 1: neither end leads anywhere but to itself.
fn inside(number: &BoxedUint, modulus: &BoxedUint) -> bool {
    let one = BoxedUint::one_with_precision(number.bits_precision());
    *number > one && number.wrapping_add(&one) < *modulus
}

impl Half {
    /// Ends the exchange with the peer's number: the secret, as an `mpint`.
    pub(crate) fn finish(&self, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let theirs = plain(theirs)?;
        let theirs = BoxedUint::from_be_slice(theirs, self.group.precision).map_err(|_| Error::Exchange)?;
        if !inside(&theirs, self.group.params.modulus().as_ref()) {
            return Err(Error::Exchange);
        }
        let secret = Zeroizing::new(self.group.power(&theirs, &self.exponent)?);
        let bytes = Zeroizing::new(secret.to_be_bytes().into_vec());
        let mut out = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_add(5)));
        out.unsigned(&bytes);
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
