//! Bytes that must not leak: no Debug, Display, Clone or Serialize; zeroed on drop.

use zeroize::{Zeroize, Zeroizing};

/// A protected value. `expose` is the only way in, and is greppable on purpose.
///
/// ```compile_fail
/// let secret = sallyport_model::Secret::new(String::from("hunter2"));
/// println!("{secret:?}");
/// ```
/// ```compile_fail
/// let secret = sallyport_model::Secret::new(String::from("hunter2"));
/// let copy = secret.clone();
/// ```
/// ```compile_fail
/// let secret = sallyport_model::Secret::new(String::from("hunter2"));
/// format!("{secret}");
/// ```
/// ```compile_fail
/// fn wire<T: serde::Serialize>(_: &T) {}
/// wire(&sallyport_model::Secret::new(String::from("hunter2")));
/// ```
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes ownership of a value that must not leak.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Lends the protected value. Allowed only in the modules that `tidy` lists.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

/// Protected bytes, the form in which secrets are stored and carried.
pub type SecretBytes = Secret<Vec<u8>>;

impl SecretBytes {
    /// Length in bytes, which is not itself secret.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<C> minicbor::Encode<C> for SecretBytes {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for SecretBytes {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self::new(d.bytes()?.to_vec()))
    }
}
