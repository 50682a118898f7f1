//! Names and the one address grammar of every protocol: `[handle+]account@target`.

use std::fmt;
use std::str::FromStr;

/// A name that breaks its grammar. The message says what is allowed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadName {
    /// The account part is empty, too long or holds control characters.
    #[error(
        "an account is 1 to 128 characters without control characters, with `+`, `@` and `%` written as %2B, %40, %25"
    )]
    Account,
    /// The handle part is not `[a-z0-9._-]{{1,32}}`.
    #[error("a handle is 1 to 32 of a-z, 0-9, `.`, `_`, `-`")]
    Handle,
    /// A label (environment, zone, tag, group) is not `[a-z0-9._:/-]{{1,63}}`.
    #[error("a label is 1 to 63 of a-z, 0-9, `.`, `_`, `:`, `/`, `-`")]
    Label,
    /// The target part is not `[a-z0-9.-]{{1,63}}`.
    #[error("a target is 1 to 63 of a-z, 0-9, `.`, `-`")]
    Target,
}

fn only(text: &str, max: usize, extra: &[u8]) -> bool {
    (1..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(&b))
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $bad:ident, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, minicbor::Encode, serde::Serialize)]
        #[cbor(transparent)]
        #[serde(transparent)]
        pub struct $name(#[n(0)] String);

        impl $name {
            /// The checked text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(BadName::$bad) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                d.str()?.parse().map_err(|bad: BadName| minicbor::decode::Error::message(bad.to_string()))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

names! {
    /// An identity on a target, as the target spells it (decoded).
    AccountName, Account, |t| (1..=128).contains(&t.len()) && !t.chars().any(char::is_control);
    /// An identity's short login name, never reused.
    Handle, Handle, |t| only(t, 32, b"._-");
    /// An environment, zone, tag or group.
    Label, Label, |t| only(t, 63, b"._:/-");
    /// A target's name.
    TargetName, Target, |t| only(t, 63, b".-");
}

/// What a client wrote as its user name.
///
/// The target is what follows the last `@`; what precedes the first `+`, if there is one, is
/// always the handle; the rest is the account, percent-encoded. Without `@` there is no target
/// and the gateway offers a chooser.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// `[handle]`: who, but not what.
    Chooser {
        /// The handle, where one was written.
        handle: Option<Handle>,
    },
    /// `[handle+]account@target`.
    Place {
        /// The handle, where one was written.
        handle: Option<Handle>,
        /// The account on the target, decoded.
        account: AccountName,
        /// The target.
        target: TargetName,
    },
}

impl Address {
    /// The handle, where one was written.
    #[must_use]
    pub const fn handle(&self) -> Option<&Handle> {
        match self {
            Self::Chooser { handle } | Self::Place { handle, .. } => handle.as_ref(),
        }
    }
}

impl FromStr for Address {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let Some((who, target)) = text.rsplit_once('@') else {
            let handle = text.strip_suffix('+').unwrap_or(text);
            return Ok(Self::Chooser { handle: if handle.is_empty() { None } else { Some(handle.parse()?) } });
        };
        let (handle, account) = match who.split_once('+') {
            Some((handle, account)) => (Some(handle.parse()?), account),
            None => (None, who),
        };
        Ok(Self::Place { handle, account: decode(account)?.parse()?, target: target.parse()? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chooser { handle } => handle.as_ref().map_or(Ok(()), |h| h.fmt(f)),
            Self::Place { handle, account, target } => {
                if let Some(handle) = handle {
                    write!(f, "{handle}+")?;
                }
                for c in account.as_str().chars() {
                    match c {
                        '+' | '@' | '%' => write!(f, "%{:02X}", u32::from(c))?,
                        _ => write!(f, "{c}")?,
                    }
                }
                write!(f, "@{target}")
            }
        }
    }
}

/// Percent-decoding that knows only the three reserved characters, so that every account has
/// exactly one spelling.
fn decode(text: &str) -> Result<String, BadName> {
    if text.contains('+') || text.contains('@') {
        return Err(BadName::Account);
    }
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or(BadName::Account)?;
        out.push(match code {
            "25" => '%',
            "2B" | "2b" => '+',
            "40" => '@',
            _ => return Err(BadName::Account),
        });
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
