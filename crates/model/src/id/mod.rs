//! Typed ids: a prefix that names the kind, and a UUIDv7 so that keys sort by time.

use crate::Env;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Text that is no id of the wanted kind.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is no {kind} id: expected `{prefix}_` and 32 hexadecimal digits")]
pub struct BadId {
    text: String,
    kind: &'static str,
    prefix: &'static str,
}

fn fresh(env: &Env) -> Uuid {
    let millis = u64::try_from(env.now().0 / 1000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &env.random()).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Uuid);

        impl $name {
            /// What the text form begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, unique and ordered by time.
            #[must_use]
            pub fn new(env: &Env) -> Self {
                Self(fresh(env))
            }

            /// The id with these 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes behind the prefix.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| BadId { text: text.chars().take(80).collect(), kind: stringify!($name), prefix: $prefix })
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self, e: &mut minicbor::Encoder<W>, _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(self.0.as_bytes())?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let at = d.position();
                <[u8; 16]>::try_from(d.bytes()?)
                    .map(Self::from_bytes)
                    .map_err(|_| minicbor::decode::Error::message(concat!(stringify!($name), " wants 16 bytes")).at(at))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// An account on a target.
    AccountId = "acc";
    /// One authentication that a gateway may spend on sessions, bound to it and short-lived.
    AuthId = "ath";
    /// One installation: part of every AAD and of the ledger's origin.
    ClusterId = "clu";
    /// A stream inside a session.
    ChannelId = "chn";
    /// A browser that an identity is signed in with.
    DeviceId = "dev";
    /// One appended fact; also what resolves an unknown outcome.
    EntryId = "ent";
    /// Something that an identity proves itself with.
    FactorId = "fac";
    /// A gateway process; a restarted gateway is a new gateway.
    GatewayId = "gwy";
    /// A user or a workload.
    IdentityId = "idn";
    /// A link that lets somebody set a password and a factor, once.
    LinkId = "lnk";
    /// One login conversation with a client.
    LoginId = "lgn";
    /// A recording.
    RecordingId = "rec";
    /// One call of the Authority; a repeated call has the same id.
    CallId = "cal";
    /// A secret, with all its versions.
    SecretId = "sec";
    /// One permitted use of a target.
    SessionId = "ses";
    /// A way to unseal the vault.
    SlotId = "slt";
    /// A system that can be reached.
    TargetId = "tgt";
    /// A short-lived token of an identity.
    TokenId = "tok";
    /// One file on its way between a browser and a target.
    TransferId = "trf";
    /// Somebody looking at a live session.
    WatchId = "wat";
}

#[cfg(test)]
mod tests;
