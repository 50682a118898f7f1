//! The data types of RFC 4251 section 5: read without copying, written to the end of a buffer.

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a message is malformed")]
pub struct Malformed;

/// Reads a message from its beginning. Nothing is allocated for what a length claims.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the beginning of these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// So many bytes as they are.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// `byte`
    ///
    /// # Errors
    /// At the end.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    /// `boolean`: everything but 0 is true.
    ///
    /// # Errors
    /// At the end.
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        Ok(self.byte()? != 0)
    }

    /// `uint32`
    ///
    /// # Errors
    /// When fewer than four bytes are left.
    pub fn uint32(&mut self) -> Result<u32, Malformed> {
        let (number, rest) = self.rest.split_first_chunk::<4>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*number))
    }

    /// `uint64`
    ///
    /// # Errors
    /// When fewer than eight bytes are left.
    pub fn uint64(&mut self) -> Result<u64, Malformed> {
        let (number, rest) = self.rest.split_first_chunk::<8>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(u64::from_be_bytes(*number))
    }

    /// `string`
    ///
    /// # Errors
    /// When its length is more than what is left.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.uint32()?).map_err(|_| Malformed)?;
        self.take(length)
    }

    /// `string` that holds text.
    ///
    /// # Errors
    /// When it is no UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.string()?).map_err(|_| Malformed)
    }

    /// `mpint` that is not negative, without leading zeros.
    ///
    /// # Errors
    /// When it is negative, or longer than it needs to be.
    pub fn unsigned(&mut self) -> Result<&'a [u8], Malformed> {
        match self.string()? {
            [first, ..] if first & 0x80 != 0 => Err(Malformed),
            [0, second, ..] if second & 0x80 == 0 => Err(Malformed),
            [0] => Err(Malformed),
            [0, rest @ ..] => Ok(rest),
            all => Ok(all),
        }
    }

    /// What is left.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub const fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Writes to the end of a buffer.
pub trait Put {
    /// Bytes as they are.
    fn bytes(&mut self, bytes: &[u8]);

    /// `byte`
    fn byte(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    /// `boolean`
    fn boolean(&mut self, value: bool) {
        self.byte(u8::from(value));
    }

    /// `uint32`
    fn uint32(&mut self, number: u32) {
        self.bytes(&number.to_be_bytes());
    }

    /// `uint64`
    fn uint64(&mut self, number: u64) {
        self.bytes(&number.to_be_bytes());
    }

    /// `string`. No message is so long that its length is no `uint32`: what would be is cut there.
    fn string(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.uint32(length);
        self.bytes(bytes.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(bytes));
    }

    /// `name-list`
    fn names(&mut self, names: &[&str]) {
        self.string(names.join(",").as_bytes());
    }

    /// `mpint` of a number that is not negative, given in big-endian order.
    fn unsigned(&mut self, bytes: &[u8]) {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let digits = bytes.get(zeros..).unwrap_or_default();
        let sign = digits.first().is_some_and(|first| first & 0x80 != 0);
        self.uint32(u32::try_from(digits.len().saturating_add(usize::from(sign))).unwrap_or(u32::MAX));
        if sign {
            self.byte(0);
        }
        self.bytes(digits);
    }
}

impl Put for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Whether a comma-separated list has a name.
#[must_use]
pub fn lists(list: &str, name: &str) -> bool {
    list.split(',').any(|listed| listed == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_length_claims_is_not_believed() {
        assert_eq!(Cursor::new(&[0xff; 7]).string(), Err(Malformed));
        assert_eq!(Cursor::new(&[0, 0, 0]).uint32(), Err(Malformed));
        assert_eq!(Cursor::new(&[]).byte(), Err(Malformed));
    }

    #[test]
    fn numbers_are_as_the_specification_shows_them() {
        let mpint = |bytes: &[u8]| {
            let mut out = Vec::new();
            out.unsigned(bytes);
            out
        };
        // The examples of RFC 4251 section 5.
        assert_eq!(mpint(&[]), [0, 0, 0, 0]);
        assert_eq!(mpint(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
        let long = [0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7];
        assert_eq!(mpint(&long), [&[0, 0, 0, 8][..], &long].concat());
        assert_eq!(Cursor::new(&[0, 0, 0, 1, 0x80]).unsigned(), Err(Malformed), "negative");
        assert_eq!(Cursor::new(&[0, 0, 0, 2, 0, 0x7f]).unsigned(), Err(Malformed), "padded");
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(a: Vec<u8>, n: u32, flag: bool, number: Vec<u8>) {
            let mut out = Vec::new();
            out.string(&a);
            out.uint32(n);
            out.boolean(flag);
            out.unsigned(&number);
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!(cursor.string().unwrap(), a.as_slice());
            prop_assert_eq!(cursor.uint32().unwrap(), n);
            prop_assert_eq!(cursor.boolean().unwrap(), flag);
            let zeros = number.iter().take_while(|byte| **byte == 0).count();
            prop_assert_eq!(cursor.unsigned().unwrap(), &number[zeros..]);
            prop_assert!(cursor.end().is_ok());
        }
    }
}
