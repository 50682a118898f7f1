//! What is kept of what a person knows: a verifier of a password, keyed hashes of recovery codes. Both are sealed as secrets.

use crate::crypto;
use crate::text::Base64;
use crate::{Argon, VaultError};
use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{Env, Secret};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How many recovery codes are made at once.
pub const RECOVERY_CODES: u8 = 10;

const SALT: usize = 16;
/// Random bytes of one recovery code: 80 bits.
const CODE: usize = 10;

/// Costs of Argon2id for passwords, by number. Only what stands here is ever computed: a stored verifier names a line
/// of this table, so nobody can make a check cheaper, or so dear that it exhausts the machine.
const COSTS: [(u8, u32, u32, u32); 1] = [
    // 19 MiB, 2 passes, 1 lane: the first choice of OWASP's list for a server that many sign in to.
    (1, 19 * 1024, 2, 1),
];
/// What new verifiers use.
const COST: u8 = 1;

fn cost(number: u8) -> Result<Argon, VaultError> {
    let found = COSTS.iter().find(|(known, ..)| *known == number);
    let (_, memory, passes, lanes) = found.ok_or_else(|| {
        VaultError::Refused(format!("a password verifier names the cost {number}, which this version does not know"))
    })?;
    Argon::new(*memory, *passes, *lanes)
}

/// What is kept of a password: Argon2id (RFC 9106) over it and a random salt.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordVerifier {
    cost: u8,
    salt: Base64,
    hash: Base64,
}

impl PasswordVerifier {
    /// Of a password. Takes the time and memory of its cost: call it off the runtime's threads.
    ///
    /// # Errors
    /// When a primitive fails.
    pub fn new(env: &Env, password: &Secret<String>) -> Result<Self, VaultError> {
        let salt: [u8; SALT] = env.random();
        let hash = cost(COST)?.hash(password.expose(), &salt)?;
        Ok(Self { cost: COST, salt: Base64(salt.to_vec()), hash: Base64(hash.expose().to_vec()) })
    }

    /// One that no password matches, for those who have none: checking it is the same work.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self { cost: COST, salt: Base64(vec![0; SALT]), hash: Base64(vec![0; crypto::KEY]) }
    }

    /// Whether this is the password. The same work and time whether or not it is.
    ///
    /// # Errors
    /// When the cost is none of the table.
    pub fn matches(&self, password: &Secret<String>) -> Result<bool, VaultError> {
        let hash = cost(self.cost)?.hash(password.expose(), &self.salt.0)?;
        Ok(crypto::equal(hash.expose(), &self.hash.0))
    }

    /// As the bytes of a secret.
    ///
    /// # Errors
    /// Never, but for want of memory.
    pub fn encode(&self) -> Result<SecretBytes, VaultError> {
        encode(self)
    }

    /// From the bytes of a secret.
    ///
    /// # Errors
    /// When they are none.
    pub fn decode(bytes: &SecretBytes) -> Result<Self, VaultError> {
        decode(bytes, "password verifier")
    }
}

/// What is kept of recovery codes. Each is good once.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryCodes {
    key: Base64,
    hashes: Vec<Base64>,
}

impl RecoveryCodes {
    /// Fresh codes: what is kept of them, and their texts, which are shown once.
    #[must_use]
    pub fn generate(env: &Env) -> (Self, Vec<Secret<String>>) {
        let mut codes = Self { key: Base64(env.random::<{ crypto::KEY }>().to_vec()), hashes: Vec::new() };
        let texts = (0..RECOVERY_CODES).map(|_| {
            let bytes = Zeroizing::new(env.random::<CODE>());
            let plain = Zeroizing::new(BASE32_NOPAD.encode(bytes.as_slice()).to_lowercase());
            let hash = codes.hash(&plain);
            codes.hashes.push(Base64(hash));
            let mut text = String::with_capacity(plain.len().saturating_add(3));
            for (at, c) in plain.chars().enumerate() {
                if at > 0 && at % 4 == 0 {
                    text.push('-');
                }
                text.push(c);
            }
            Secret::new(text)
        });
        let texts = texts.collect();
        (codes, texts)
    }

    /// What is kept once this code was used; `None` where it is none of them. Case, spaces and hyphens do not matter.
    #[must_use]
    pub fn without(&self, code: &Secret<String>) -> Option<Self> {
        let mut plain = Zeroizing::new(String::with_capacity(code.expose().len()));
        plain.extend(code.expose().chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_lowercase()));
        let hash = self.hash(&plain);
        // Every hash is looked at, so that time tells nothing of which one it was.
        let found = self.hashes.iter().filter(|known| crypto::equal(&known.0, &hash)).count();
        let left = self.hashes.iter().filter(|known| !crypto::equal(&known.0, &hash)).cloned();
        (found > 0).then(|| Self { key: self.key.clone(), hashes: left.collect() })
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> u8 {
        u8::try_from(self.hashes.len()).unwrap_or(u8::MAX)
    }

    /// As the bytes of a secret.
    ///
    /// # Errors
    /// Never, but for want of memory.
    pub fn encode(&self) -> Result<SecretBytes, VaultError> {
        encode(self)
    }

    /// From the bytes of a secret.
    ///
    /// # Errors
    /// When they are none.
    pub fn decode(bytes: &SecretBytes) -> Result<Self, VaultError> {
        decode(bytes, "recovery codes")
    }

    fn hash(&self, plain: &str) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key.0);
        let mut context = hmac::Context::with_key(&key);
        context.update(b"sallyport-v1/recovery-code\0");
        context.update(plain.as_bytes());
        context.sign().as_ref().to_vec()
    }
}

fn encode(what: &impl Serialize) -> Result<SecretBytes, VaultError> {
    serde_json::to_vec(what).map(Secret::new).map_err(|_| VaultError::Primitive("writing a secret"))
}

fn decode<T: DeserializeOwned>(bytes: &SecretBytes, what: &'static str) -> Result<T, VaultError> {
    serde_json::from_slice(bytes.expose()).map_err(|_| VaultError::Damaged { what })
}

#[cfg(test)]
mod tests;
