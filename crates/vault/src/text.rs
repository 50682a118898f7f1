//! Binary fields of JSON bodies: base64 with padding (RFC 4648 section 4), canonical only.

use data_encoding::BASE64;
use sallyport_model::sealed::Sealed;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest binary field, in bytes; far above any real one, below what hurts.
const MAX: usize = 1 << 20;

/// Bytes as base64 text. Non-canonical text (stray bits, missing padding, white space) is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > MAX {
            return Err(serde::de::Error::custom("a binary field is too long"));
        }
        BASE64.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Bytes sealed to a public key, as two text fields.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealedText {
    encapsulated: Base64,
    ciphertext: Base64,
}

impl From<Sealed> for SealedText {
    fn from(sealed: Sealed) -> Self {
        Self { encapsulated: Base64(sealed.encapsulated), ciphertext: Base64(sealed.ciphertext) }
    }
}

impl SealedText {
    /// The form that `model::sealed` opens.
    pub(crate) fn sealed(&self) -> Sealed {
        Sealed { encapsulated: self.encapsulated.0.clone(), ciphertext: self.ciphertext.0.clone() }
    }
}
