//! Authentication's messages (RFC 4252, RFC 4256), taken apart and put together. Who decides is not here.

use crate::Error;
use crate::wire::{Cursor, Put as _};
use crate::{certificate, key};

/// `SSH_MSG_USERAUTH_REQUEST`
pub const REQUEST: u8 = 50;
/// `SSH_MSG_USERAUTH_FAILURE`
pub const FAILURE: u8 = 51;
/// `SSH_MSG_USERAUTH_SUCCESS`
pub const SUCCESS: u8 = 52;
/// `SSH_MSG_USERAUTH_BANNER`
pub const BANNER: u8 = 53;
/// `SSH_MSG_USERAUTH_PK_OK`; and `PASSWD_CHANGEREQ`, and `INFO_REQUEST` of RFC 4256.
pub const MORE: u8 = 60;
/// `SSH_MSG_USERAUTH_INFO_RESPONSE`
pub const INFO_RESPONSE: u8 = 61;
/// The one service that is asked for.
const SERVICE: &[u8] = b"ssh-connection";

/// What a client shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method<'a> {
    /// Asks what there is.
    None,
    /// A key. Without a signature it is a mere offer.
    PublicKey {
        /// Of the signature.
        algorithm: &'a str,
        /// Its bytes.
        key: &'a [u8],
        /// Over [`proof`].
        signature: Option<&'a [u8]>,
    },
    /// A password, in clear under the transport's cipher.
    Password(&'a [u8]),
    /// Wants to be asked.
    Interactive,
    /// Something that nobody here knows.
    Other,
}

/// A client's request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request<'a> {
    /// The user name, which holds for this request alone.
    pub user: &'a str,
    /// What it shows.
    pub method: Method<'a>,
}

impl<'a> Request<'a> {
    /// Takes one apart.
    ///
    /// # Errors
    /// When it is malformed, or wants another service.
    pub fn read(payload: &'a [u8]) -> Result<Self, Error> {
        let mut c = Cursor::new(payload);
        if c.byte()? != REQUEST {
            return Err(Error::Malformed(crate::wire::Malformed));
        }
        let (user, service, method) = (c.text()?, c.string()?, c.text()?);
        if service != SERVICE {
            return Err(Error::Malformed(crate::wire::Malformed));
        }
        let method = match method {
            "none" => Method::None,
            "publickey" => {
                let signed = c.boolean()?;
                let (algorithm, key) = (c.text()?, c.string()?);
                let signature = if signed { Some(c.string()?) } else { None };
                c.end()?;
                Method::PublicKey { algorithm, key, signature }
            }
            "password" => {
                // A change of password brings a second one, and is refused as a whole.
                let change = c.boolean()?;
                let password = c.string()?;
                if change { Method::Other } else { Method::Password(password) }
            }
            "keyboard-interactive" => Method::Interactive,
            _ => Method::Other,
        };
        Ok(Self { user, method })
    }
}

/// What a client's key signs (RFC 4252 section 7).
#[must_use]
pub fn proof(session: &[u8], user: &str, algorithm: &str, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.string(session);
    public_key(&mut out, user, algorithm, key, true);
    out
}

fn public_key(out: &mut Vec<u8>, user: &str, algorithm: &str, key: &[u8], signed: bool) {
    request(out, user, b"publickey");
    out.boolean(signed);
    out.string(algorithm.as_bytes());
    out.string(key);
}

fn request(out: &mut Vec<u8>, user: &str, method: &[u8]) {
    out.byte(REQUEST);
    for part in [user.as_bytes(), SERVICE, method] {
        out.string(part);
    }
}

/// Whether a client's key, or the key in its certificate, has signed for this session. Whose certificate it is, and
/// whether it is good now, is not asked here.
///
/// # Errors
/// When it has not.
pub fn proved(session: &[u8], user: &str, algorithm: &str, key: &[u8], signature: &[u8]) -> Result<(), Error> {
    let message = proof(session, user, algorithm, key);
    match certificate::plain(algorithm) {
        Some(plain) => key::verify(&certificate::read(key)?.contents.key, plain, signature, &message),
        None => key::verify(key, algorithm, signature, &message),
    }
}

/// A client's request with a key and its signature.
#[must_use]
pub fn with_key(user: &str, algorithm: &str, key: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    public_key(&mut out, user, algorithm, key, true);
    out.string(signature);
    out
}

/// A client's request with a password.
pub fn with_password(out: &mut Vec<u8>, user: &str, password: &[u8]) {
    request(out, user, b"password");
    out.boolean(false);
    out.string(password);
}

/// A client's request to be asked.
pub fn to_be_asked(out: &mut Vec<u8>, user: &str) {
    request(out, user, b"keyboard-interactive");
    out.string(b"");
    out.string(b"");
}

/// A server's refusal: what may be tried.
pub fn failure(out: &mut Vec<u8>, methods: &[&str], partial: bool) {
    out.byte(FAILURE);
    out.names(methods);
    out.boolean(partial);
}

/// A server's line for people before they are in.
pub fn banner(out: &mut Vec<u8>, text: &str) {
    out.byte(BANNER);
    out.string(text.as_bytes());
    out.string(b"en");
}

/// A server's answer that a signature by this key would be welcome.
pub fn welcome(out: &mut Vec<u8>, algorithm: &str, key: &[u8]) {
    out.byte(MORE);
    out.string(algorithm.as_bytes());
    out.string(key);
}

/// Questions of a server: each with whether the answer is shown.
pub fn questions(out: &mut Vec<u8>, name: &str, instruction: &str, prompts: &[(&str, bool)]) {
    out.byte(MORE);
    out.string(name.as_bytes());
    out.string(instruction.as_bytes());
    out.string(b"");
    out.uint32(u32::try_from(prompts.len()).unwrap_or(0));
    for (prompt, echo) in prompts {
        out.string(prompt.as_bytes());
        out.boolean(*echo);
    }
}

/// Most questions, and answers, in one message.
const QUESTIONS: u32 = 8;

/// The questions of a server, taken apart: text, and whether the answer is shown.
///
/// # Errors
/// When they are malformed, or too many.
pub fn asked(payload: &[u8]) -> Result<Vec<(String, bool)>, Error> {
    let mut c = Cursor::new(payload);
    c.byte()?;
    for _ in 0..3 {
        c.string()?;
    }
    let count = c.uint32()?;
    if count > QUESTIONS {
        return Err(Error::Overrun("too many questions"));
    }
    (0..count).map(|_| Ok((String::from_utf8_lossy(c.string()?).into_owned(), c.boolean()?))).collect()
}

/// A client's answers, taken apart.
///
/// # Errors
/// When they are malformed, or too many.
pub fn answers(payload: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut c = Cursor::new(payload);
    c.byte()?;
    let count = c.uint32()?;
    if count > QUESTIONS {
        return Err(Error::Overrun("too many answers"));
    }
    let answers = (0..count).map(|_| Ok(c.string()?)).collect::<Result<Vec<_>, Error>>()?;
    c.end()?;
    Ok(answers)
}

/// A client's answers.
pub fn answer(out: &mut Vec<u8>, answers: &[&[u8]]) {
    out.byte(INFO_RESPONSE);
    out.uint32(u32::try_from(answers.len()).unwrap_or(0));
    for answer in answers {
        out.string(answer);
    }
}

/// A server's refusal, taken apart: what may be tried, and whether what was shown counts in part.
///
/// # Errors
/// When it is malformed.
pub fn refused(payload: &[u8]) -> Result<(&str, bool), Error> {
    let mut c = Cursor::new(payload);
    c.byte()?;
    Ok((c.text()?, c.boolean()?))
}
