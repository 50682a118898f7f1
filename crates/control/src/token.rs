//! A key that a token keeps (PKCS#11): wraps and unwraps the secret of a seal slot, on a thread of its own.
//!
//! The key is AES-256 and never leaves the token; what it wraps (AES-GCM, PKCS#11 v3.0 section 6.13.3) is a random secret
//! of one slot. Module, token and key are named by the configuration alone: whoever writes to the database must not
//! have us load a library, or ask a token for another key. Slots of the module are looked through by the token's label,
//! since their numbers change.

use crate::Error;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Failure, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use sallyport_model::access::Denial;
use sallyport_model::secret::SecretBytes;
use sallyport_model::{ClusterId, Env, Kind, Secret};
use sallyport_vault::TokenPlace;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a token may take for one act.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// How the token wraps, as it stands in a slot.
const MECHANISM: &str = "aes-gcm";
const NONCE: usize = 12;
const TAG_BITS: u64 = 128;
const KEY_BYTES: u64 = 32;

/// The token of this node, as the configuration names it.
pub struct TokenConfig {
    /// Path of the PKCS#11 module.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// Label of the key on it; made there with the first slot.
    pub key: String,
    /// The PIN, where it is not asked for.
    pub pin: Option<Secret<String>>,
}

/// A module serves one act at a time: it is loaded and initialised for each, so that a token that was changed is found.
static TURN: Mutex<()> = Mutex::new(());

/// The token, for one installation.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) config: Arc<TokenConfig>,
    pub(crate) cluster: ClusterId,
}

impl Token {
    /// A fresh secret and what the token made of it. The key is made on the token where it is not there yet.
    pub(crate) async fn wrap(
        &self,
        env: &Env,
        pin: Option<Secret<String>>,
    ) -> Result<(SecretBytes, Vec<u8>, TokenPlace), Error> {
        let (token, env) = (self.clone(), env.clone());
        apart(LIMIT, move || {
            let secret = Secret::new(env.random::<32>().to_vec());
            let mut nonce: [u8; NONCE] = env.random();
            let mut wrapped = nonce.to_vec();
            let config = &token.config;
            let sealed = token.with_session(pin.as_ref(), |session| {
                let key = match config.find(session)? {
                    Some(key) => key,
                    None => config.generate(session)?,
                };
                let aad = token.aad();
                let params = GcmParams::new(&mut nonce, &aad, TAG_BITS.into()).map_err(|e| config.said(&e))?;
                session.encrypt(&Mechanism::AesGcm(params), key, secret.expose()).map_err(|e| config.said(&e))
            })?;
            wrapped.extend(sealed);
            let place =
                TokenPlace { token: config.token.clone(), key: config.key.clone(), mechanism: MECHANISM.to_owned() };
            Ok((secret, wrapped, place))
        })
        .await
    }

    /// The secret that the token has wrapped.
    pub(crate) async fn unwrap(&self, wrapped: &[u8], pin: Option<Arc<Secret<String>>>) -> Result<SecretBytes, Error> {
        let (token, wrapped) = (self.clone(), wrapped.to_vec());
        apart(LIMIT, move || {
            let config = &token.config;
            let wrong = || Error::from(sallyport_vault::VaultError::WrongToken);
            token.with_session(pin.as_deref(), |session| {
                let key = config.find(session)?.ok_or_else(|| {
                    let text = format!(
                        "the token `{}` has no key `{}`: it is not the one the slot was made with",
                        config.token, config.key
                    );
                    Denial::new(Kind::Denied, text)
                })?;
                let (nonce, sealed) = wrapped.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
                let (mut nonce, aad) = (*nonce, token.aad());
                let params = GcmParams::new(&mut nonce, &aad, TAG_BITS.into()).map_err(|e| config.said(&e))?;
                match session.decrypt(&Mechanism::AesGcm(params), key, sealed) {
                    Ok(secret) => Ok(Secret::new(secret)),
                    Err(failure) if is_gone(&failure) => Err(config.said(&failure)),
                    // Tokens differ in how they say that the tag is wrong.
                    Err(_) => Err(wrong()),
                }
            })
        })
        .await
    }

    /// What ties the wrapped secret to this installation.
    fn aad(&self) -> Vec<u8> {
        [b"sallyport-v1/token\0".as_slice(), self.cluster.as_bytes()].concat()
    }

    /// One act in a session of the user.
    fn with_session<T>(
        &self,
        pin: Option<&Secret<String>>,
        act: impl FnOnce(&Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let config = &self.config;
        let pin = pin.or(config.pin.as_ref()).ok_or_else(|| {
            Error::usage(
                "the token's PIN is not known: set `pin_file` in `[seal.pkcs11]`, or give it with `--pin-stdin`",
            )
        })?;
        let pin = AuthPin::from(pin.expose().clone());
        let module = Pkcs11::new(&config.module).map_err(|e| config.said(&e))?;
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(|e| config.said(&e))?;
        let outcome = (|| {
            let slot = config.slot(&module)?;
            // A session that may write: the key may have to be made.
            let session = module.open_rw_session(slot).map_err(|e| config.said(&e))?;
            session.login(UserType::User, Some(&pin)).map_err(|e| config.said(&e))?;
            let outcome = act(&session);
            let _ = session.logout();
            outcome
        })();
        if let Err(failure) = module.finalize() {
            tracing::warn!(%failure, "The PKCS#11 module does not end in good order");
        }
        outcome
    }
}

impl TokenConfig {
    /// The slot where the token is now.
    fn slot(&self, module: &Pkcs11) -> Result<cryptoki::slot::Slot, Error> {
        let mut found = Vec::new();
        let mut others = Vec::new();
        for slot in module.get_slots_with_initialized_token().map_err(|e| self.said(&e))? {
            let Ok(info) = module.get_token_info(slot) else { continue };
            let label = info.label().trim_end().to_owned();
            if label == self.token { found.push(slot) } else { others.push(label) }
        }
        let unavailable = |text: String| Err(Denial::new(Kind::Unavailable, text).into());
        match found.as_slice() {
            [slot] => Ok(*slot),
            [] if others.is_empty() => {
                unavailable(format!("the token `{}` is not there, nor any other: insert it", self.token))
            }
            [] => unavailable(format!(
                "the token `{}` is not there: insert it; there are: {}",
                self.token,
                others.join(", ")
            )),
            _ => unavailable(format!(
                "several tokens are called `{}`: give the right one a label of its own",
                self.token
            )),
        }
    }

    fn find(&self, session: &Session) -> Result<Option<ObjectHandle>, Error> {
        let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(self.key.clone().into_bytes())];
        let keys = session.find_objects(&template).map_err(|e| self.said(&e))?;
        let [key] = keys.as_slice() else {
            return match keys.len() {
                0 => Ok(None),
                _ => Err(Error::usage(format!("several keys on the token are called `{}`: name another", self.key))),
            };
        };
        let kinds = [AttributeType::Extractable, AttributeType::Sensitive, AttributeType::KeyType];
        let attributes = session.get_attributes(*key, &kinds).map_err(|e| self.said(&e))?;
        let has = |wanted: &Attribute| attributes.contains(wanted);
        if has(&Attribute::Extractable(false))
            && has(&Attribute::Sensitive(true))
            && has(&Attribute::KeyType(KeyType::AES))
        {
            return Ok(Some(*key));
        }
        Err(Error::usage(format!(
            "the key `{}` on the token is no AES key that never leaves it (sensitive, not extractable): name another, and it is made",
            self.key
        )))
    }

    fn generate(&self, session: &Session) -> Result<ObjectHandle, Error> {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(KEY_BYTES.into()),
            Attribute::Label(self.key.clone().into_bytes()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        session.generate_key(&Mechanism::AesKeyGen, &template).map_err(|e| self.said(&e))
    }

    /// A failure of the module, with what to do.
    fn said(&self, failure: &Failure) -> Error {
        let module = self.module.display();
        let (kind, text) = match failure {
            Failure::LibraryLoading(_) | Failure::MissingSymbol(_) | Failure::NullFunctionPointer => (
                Kind::Usage,
                format!("cannot load the PKCS#11 module `{module}` ({failure}): set `[seal.pkcs11] module`"),
            ),
            Failure::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => (
                Kind::Denied,
                format!(
                    "the PIN of the token `{}` is wrong; it locks after a few wrong ones, so look it up before trying again",
                    self.token
                ),
            ),
            Failure::Pkcs11(RvError::PinLocked, _) => (
                Kind::Denied,
                format!("the PIN of the token `{}` is locked: its security officer sets a new one", self.token),
            ),
            failure if is_gone(failure) => {
                (Kind::Unavailable, format!("the token `{}` was taken away: insert it and repeat", self.token))
            }
            failure => (Kind::Failed, format!("the token `{}` failed: {failure}", self.token)),
        };
        Denial::new(kind, text).into()
    }
}

/// Whether a failure says that the token is not there any more.
const fn is_gone(failure: &Failure) -> bool {
    use RvError::{DeviceRemoved, SessionClosed, SessionHandleInvalid, TokenNotPresent, TokenNotRecognized};
    matches!(
        failure,
        Failure::Pkcs11(DeviceRemoved | SessionClosed | SessionHandleInvalid | TokenNotPresent | TokenNotRecognized, _)
    )
}

/// Runs an act of a module on a thread of its own, for so long: a module that hangs holds neither the runtime nor the
/// end of the process.
pub(crate) async fn apart<T: Send + 'static>(
    limit: Duration,
    act: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let unavailable = |text: String| Error::from(Denial::new(Kind::Unavailable, text));
    let (answer, answered) = oneshot::channel();
    let thread = move || {
        let turn = match TURN.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let busy = "the token is busy with another act: try again in a moment";
        let outcome = if turn.is_some() { act() } else { Err(Denial::new(Kind::Unavailable, busy).into()) };
        // Before the answer: whoever gets it may come again at once.
        drop(turn);
        let _ = answer.send(outcome);
    };
    std::thread::Builder::new().name("token".into()).spawn(thread).map_err(Error::failed)?;
    match tokio::time::timeout(limit, answered).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Error::failed("the PKCS#11 module has failed without a word")),
        Err(_) => {
            Err(unavailable(format!("the token has not answered within {} s: look at it and repeat", limit.as_secs())))
        }
    }
}
