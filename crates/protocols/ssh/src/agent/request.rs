//! What a target asks of an agent.

use super::kind;
use super::signed::{self, key, plain};
use sallyport_gateway::spine::Sought;
use sallyport_ssh_transport::wire::{Cursor, Malformed};

/// The extension that goes on.
const BIND: &[u8] = b"session-bind@openssh.com";

/// A server that the target has shown it is connected to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Bound {
    /// Its key, without a certificate around it.
    pub(super) host: Vec<u8>,
    /// The identifier of the exchange of keys.
    pub(super) exchange: Vec<u8>,
}

/// One request.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Request {
    Identities,
    Sign(Sought),
    /// It goes on, and says which server a connection is to where its signature shows that.
    Bind(Option<Bound>),
    /// What it wants, in words that follow `to`.
    Other(&'static str),
}

impl Request {
    /// Reads a message without its length. What is not well formed is something else.
    pub(super) fn read(message: &[u8], bound: &[Bound]) -> Self {
        let (kind, rest) = message.split_first().map_or((0, message), |(kind, rest)| (*kind, rest));
        match kind {
            kind::REQUEST_IDENTITIES if rest.is_empty() => Self::Identities,
            kind::SIGN_REQUEST => sign(rest, bound).map_or(Self::Other(MALFORMED), Self::Sign),
            kind::EXTENSION if Cursor::new(rest).string() == Ok(BIND) => {
                bind(rest).map_or(Self::Other("bind it by a message that is malformed"), Self::Bind)
            }
            other => Self::Other(name(other)),
        }
    }
}

const MALFORMED: &str = "sign by a message that is malformed";

fn sign(rest: &[u8], bound: &[Bound]) -> Result<Sought, Malformed> {
    let mut cursor = Cursor::new(rest);
    let (blob, data, _flags) = (cursor.string()?, cursor.string()?, cursor.uint32()?);
    cursor.end()?;
    let key = key(blob).ok_or(Malformed)?;
    Ok(Sought { what: signed::what(data, blob, bound), key })
}

fn bind(rest: &[u8]) -> Result<Option<Bound>, Malformed> {
    let mut cursor = Cursor::new(rest);
    let (_name, host, exchange, signature) = (cursor.string()?, cursor.string()?, cursor.string()?, cursor.string()?);
    let _is_forwarding = cursor.boolean()?;
    cursor.end()?;
    let host = plain(host);
    // What the gateway cannot verify, the agent may: it is passed on and believed nothing of.
    let shown = Cursor::new(signature)
        .text()
        .is_ok_and(|by| sallyport_ssh_transport::key::verify(&host, by, signature, exchange).is_ok());
    Ok(shown.then(|| Bound { host: host.into_owned(), exchange: exchange.to_vec() }))
}

/// What other messages want, by their numbers in the draft and in what was before it.
const fn name(kind: u8) -> &'static str {
    match kind {
        kind::REQUEST_IDENTITIES => "list its keys by a message that is malformed",
        1 | 3 => "use keys of SSH 1",
        7 | 17 | 24 | 25 => "add a key to it",
        8 | 18 => "remove a key from it",
        9 | 19 => "remove every key from it",
        20 | 26 => "add a smart card to it",
        21 => "remove a smart card from it",
        22 => "lock it",
        23 => "unlock it",
        kind::EXTENSION => "use an extension of it that is not carried",
        _ => "do something with it that is not known",
    }
}
