//! SSH keys as secrets: the stored form is the 32-byte Ed25519 seed (RFC 8032); signing happens here, so that it never leaves.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64, BASE64_NOPAD};
use sallyport_model::secret::SecretBytes;
use sallyport_model::{Env, Kind, Secret};
use zeroize::Zeroizing;

const ALGORITHM: &str = "ssh-ed25519";
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
const END: &str = "-----END OPENSSH PRIVATE KEY-----\n";
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// Longest file that is looked at; a real one has about 400 bytes.
const MAX_FILE: usize = 4096;

/// Bytes that are no usable SSH key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SshKeyError {
    /// The file is protected by a passphrase.
    #[error(
        "the key file is protected by a passphrase: make a copy without one (`ssh-keygen -p -N ''`) and import that"
    )]
    Encrypted,
    /// The file is damaged or not canonical.
    #[error("the key file is damaged: export it again with ssh-keygen")]
    Malformed,
    /// Not the format of ssh-keygen.
    #[error("not an OpenSSH private key: the file begins with `-----BEGIN OPENSSH PRIVATE KEY-----`")]
    NotOpenSsh,
    /// Another algorithm.
    #[error("only ed25519 keys are stored in this release: make one with `ssh-keygen -t ed25519`")]
    OtherAlgorithm,
    /// The seed is not 32 bytes.
    #[error("the stored key is not an Ed25519 seed of 32 bytes")]
    Seed,
}

impl SshKeyError {
    /// Sort of failure.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Seed => Kind::Failed,
            _ => Kind::Usage,
        }
    }
}

/// An SSH key: the seed to store, and what goes into `authorized_keys`.
pub struct SshKey {
    /// The 32-byte seed.
    pub seed: SecretBytes,
    /// Algorithm and base64, without a comment.
    pub public: String,
}

impl SshKey {
    /// A new Ed25519 key.
    ///
    /// # Errors
    /// When the library refuses the seed, which it has no reason to.
    pub fn generate(env: &Env) -> Result<Self, SshKeyError> {
        let mut seed = vec![0; 32];
        env.fill(&mut seed);
        Self::from_seed(Secret::new(seed))
    }

    /// The key with this seed.
    ///
    /// # Errors
    /// When the seed is not 32 bytes.
    pub fn from_seed(seed: SecretBytes) -> Result<Self, SshKeyError> {
        let public = public_text(pair(&seed)?.public_key().as_ref());
        Ok(Self { seed, public })
    }

    /// Reads an unencrypted `openssh-key-v1` file with one Ed25519 key (OpenSSH, PROTOCOL.key).
    ///
    /// # Errors
    /// Tells a protected key, another algorithm and a damaged file apart.
    pub fn parse_openssh(file: &SecretBytes) -> Result<Self, SshKeyError> {
        let text = std::str::from_utf8(file.expose()).map_err(|_| SshKeyError::NotOpenSsh)?;
        let body = text.strip_prefix(BEGIN).ok_or(SshKeyError::NotOpenSsh)?;
        let body = body.strip_suffix(END).ok_or(SshKeyError::Malformed)?;
        if text.len() > MAX_FILE {
            return Err(SshKeyError::Malformed);
        }
        parse(&unarmor(body)?)
    }
}

/// Signs with the key of this seed (RFC 8032, pure Ed25519).
///
/// # Errors
/// When the seed is not 32 bytes.
pub fn sign_ed25519(seed: &SecretBytes, data: &[u8]) -> Result<[u8; 64], SshKeyError> {
    pair(seed)?.sign(data).as_ref().try_into().map_err(|_| SshKeyError::Seed)
}

fn pair(seed: &SecretBytes) -> Result<Ed25519KeyPair, SshKeyError> {
    Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| SshKeyError::Seed)
}

/// The wire form of RFC 8709 section 4, in the text form of `authorized_keys`.
fn public_text(key: &[u8]) -> String {
    format!("{ALGORITHM} {}", BASE64.encode(&public_blob(key)))
}

fn public_blob(key: &[u8]) -> Vec<u8> {
    let mut blob = vec![0, 0, 0, 11];
    blob.extend_from_slice(ALGORITHM.as_bytes());
    blob.extend_from_slice(&[0, 0, 0, 32]);
    blob.extend_from_slice(key);
    blob
}

/// Base64 in lines of 70, each ended by one newline, as ssh-keygen writes it: no other layout.
fn unarmor(body: &str) -> Result<Zeroizing<Vec<u8>>, SshKeyError> {
    let lines: Vec<&str> = body.split_terminator('\n').collect();
    let (last, full) = lines.split_last().ok_or(SshKeyError::Malformed)?;
    let laid_out = body.ends_with('\n') && full.iter().all(|l| l.len() == 70) && (1..=70).contains(&last.len());
    if !laid_out {
        return Err(SshKeyError::Malformed);
    }
    let joined = Zeroizing::new(lines.concat());
    BASE64.decode(joined.as_bytes()).map(Zeroizing::new).map_err(|_| SshKeyError::Malformed)
}

fn parse(bytes: &[u8]) -> Result<SshKey, SshKeyError> {
    let mut outer = Reader(bytes.strip_prefix(MAGIC).ok_or(SshKeyError::Malformed)?);
    let (cipher, kdf, options) = (outer.string()?, outer.string()?, outer.string()?);
    if cipher != b"none" || kdf != b"none" {
        return Err(SshKeyError::Encrypted);
    }
    if !options.is_empty() || outer.number()? != 1 {
        return Err(SshKeyError::Malformed);
    }
    let (blob, private) = (outer.string()?, outer.string()?);
    outer.end()?;

    if Reader(blob).string()? != ALGORITHM.as_bytes() {
        return Err(SshKeyError::OtherAlgorithm);
    }
    let mut inner = Reader(private);
    let same_check = inner.number()? == inner.number()?;
    let (name, public, pair) = (inner.string()?, inner.string()?, inner.string()?);
    let _comment = inner.string()?;
    let padding_sound =
        private.len() % 8 == 0 && inner.0.len() < 8 && (1..).zip(inner.0).all(|(n, b): (u8, _)| n == *b);
    let (seed, repeated) = pair.split_at_checked(32).ok_or(SshKeyError::Malformed)?;
    let sound = same_check && padding_sound && name == ALGORITHM.as_bytes() && public == repeated;
    if !sound || public.len() != 32 || blob != public_blob(public) {
        return Err(SshKeyError::Malformed);
    }
    let key = SshKey::from_seed(Secret::new(seed.to_vec()))?;
    if key.public == public_text(public) { Ok(key) } else { Err(SshKeyError::Malformed) }
}

/// Reads the SSH wire types of RFC 4251 section 5.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<u32, SshKeyError> {
        let (number, rest) = self.0.split_first_chunk::<4>().ok_or(SshKeyError::Malformed)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Result<&'a [u8], SshKeyError> {
        let length = usize::try_from(self.number()?).map_err(|_| SshKeyError::Malformed)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(SshKeyError::Malformed)?;
        self.0 = rest;
        Ok(string)
    }

    const fn end(&self) -> Result<(), SshKeyError> {
        if self.0.is_empty() { Ok(()) } else { Err(SshKeyError::Malformed) }
    }
}

/// The fingerprint of a public key, as `ssh-keygen -l` prints it: SHA-256 in base64 without padding. Of text that is no
/// key it is that of nothing.
#[must_use]
pub fn fingerprint(key: &str) -> String {
    let encoded = key.split_whitespace().nth(1).unwrap_or_default();
    let bytes = BASE64.decode(encoded.as_bytes()).unwrap_or_default();
    format!("SHA256:{}", BASE64_NOPAD.encode(digest(&SHA256, &bytes).as_ref()))
}

#[cfg(test)]
mod tests;
