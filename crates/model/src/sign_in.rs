//! How people sign in: factors, devices, enrolment links. These are bodies of sealed documents, kept as JSON.

use crate::inventory::Rest;
use crate::{AccountName, DeviceId, FactorId, GatewayId, IdentityId, LinkId, LoginId, SecretId, TargetName, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What somebody proves themselves with.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorKind {
    /// Something one knows. Never enough alone.
    Password,
    /// Codes of ten, each good once: for the day on which the other factor is lost.
    Recovery,
    /// Codes by the clock (RFC 6238).
    Totp,
    /// A key that stays in its device (WebAuthn). Enough alone, since the device asks who holds it.
    Passkey,
}

impl FactorKind {
    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Recovery => "recovery",
            Self::Totp => "totp",
            Self::Passkey => "passkey",
        }
    }

    /// Whether it is a factor beside the password by which one is wholly signed in, for good.
    #[must_use]
    pub const fn lasts(self) -> bool {
        matches!(self, Self::Totp | Self::Passkey)
    }
}

/// One factor of one identity.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// Identity of the document.
    pub id: FactorId,
    /// Whose.
    pub identity: IdentityId,
    /// What it is.
    pub kind: FactorKind,
    /// What its owner calls it.
    #[serde(default)]
    pub label: String,
    /// When it was made.
    pub created: Timestamp,
    /// What the vault keeps of it, and which version; a passkey has nothing secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<(SecretId, u64)>,
    /// TOTP: the last step that a code was accepted for. None at or before it is accepted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Recovery codes: how many are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u8>,
    /// Passkey: the credential as the WebAuthn library writes it, with its public key and counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<serde_json::Value>,
    /// When it was used last, as of the last write that had another reason too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Timestamp>,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// How far a device is signed in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// The password was right, or a link was used, and there is no second factor yet: it may add one.
    Enrolling,
    /// The password was right: it may present a second factor.
    Factor,
    /// Wholly.
    In,
}

impl DeviceState {
    /// Stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enrolling => "enrolling",
            Self::Factor => "factor",
            Self::In => "in",
        }
    }
}

/// A browser that somebody is signed in with: what stands behind its cookie.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Identity of the document.
    pub id: DeviceId,
    /// Whose.
    pub identity: IdentityId,
    /// HMAC-SHA256 of the cookie under the vault's authentication key: its epoch, `:`, hexadecimal.
    pub verifier: String,
    /// How far.
    pub state: DeviceState,
    /// What was presented so far.
    pub factors: Vec<FactorKind>,
    /// When the sign-in began.
    pub created: Timestamp,
    /// When it ends, whatever is done with it.
    pub expires: Timestamp,
    /// Until when a second factor counts as fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh_until: Option<Timestamp>,
    /// From where it signed in.
    pub from: IpAddr,
    /// What the browser calls itself, cut.
    #[serde(default)]
    pub agent: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A link by which somebody sets a password and then a factor. Good once.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Identity of the document.
    pub id: LinkId,
    /// For whom.
    pub identity: IdentityId,
    /// HMAC-SHA256 of its token, as of a device's cookie.
    pub verifier: String,
    /// Until when.
    pub expires: Timestamp,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// How far a login is that its owner is to allow in a browser.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Nobody has answered.
    Waiting,
    /// It was allowed with this browser.
    Allowed(DeviceId),
    /// It was refused.
    Refused,
}

/// A login through a gateway that its owner is to allow in a browser. Good once, and for minutes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Identity of the document: the login itself.
    pub id: LoginId,
    /// Whose handle it names.
    pub identity: IdentityId,
    /// HMAC-SHA256 of its code, as of a device's cookie.
    pub verifier: String,
    /// The gateway that it came to, and nobody else's.
    pub gateway: GatewayId,
    /// From where.
    pub from: IpAddr,
    /// What its client calls itself, cut.
    #[serde(default)]
    pub client: String,
    /// Where it leads to, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<(AccountName, TargetName)>,
    /// When it began.
    pub begun: Timestamp,
    /// Until when it can be allowed and used.
    pub expires: Timestamp,
    /// How far it is.
    pub answer: Answer,
    /// Unknown fields.
    #[serde(flatten)]
    pub rest: Rest,
}

impl Pending {
    /// Where it leads to, in words.
    #[must_use]
    pub fn wants(&self) -> String {
        self.place.as_ref().map_or_else(String::new, |(account, target)| format!("{account}@{target}"))
    }
}
