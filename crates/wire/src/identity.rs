//! People: signing in, factors, devices, keys, tokens, users, groups.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// An enrolment link's token, to see whose it is.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkToken {
    /// What stands behind `/enroll/` in the link.
    pub token: String,
}

/// Whose an enrolment link is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LinkOwner {
    /// Their handle.
    pub handle: String,
}

/// Spends an enrolment link.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// What stands behind `/enroll/` in the link.
    pub token: String,
    /// The password from here on: 12 characters or more.
    pub password: String,
}

/// The first step of a sign-in.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Handle.
    pub handle: String,
    /// Password.
    pub password: String,
}

/// How far a sign-in is. The cookie goes with it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SignedIn {
    /// `factor` (a second factor is due), `enrolling` (one must be added first), `in`.
    pub state: String,
    /// What can be presented as a second factor: `passkey`, `totp`, `recovery`.
    pub methods: Vec<String>,
}

/// A code: of an app, or a recovery code.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// The code as it was typed.
    pub code: String,
}

/// Begins a ceremony that needs nothing further.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Options of WebAuthn, in the JSON form that browsers parse (binary values are base64url).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PasskeyOptions {
    /// For `PublicKeyCredential.parseRequestOptionsFromJSON` or `parseCreationOptionsFromJSON`.
    #[serde(rename = "publicKey")]
    #[schema(value_type = Object)]
    pub public_key: Value,
}

/// What an authenticator has made of a challenge.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyAnswer {
    /// `toJSON()` of the credential.
    #[schema(value_type = Object)]
    pub credential: Value,
}

/// A passkey that was made.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasskey {
    /// `toJSON()` of the credential.
    #[schema(value_type = Object)]
    pub credential: Value,
    /// What its owner calls it.
    #[serde(default)]
    pub label: String,
}

/// A second factor again, so that it is fresh. A password is none.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepUp {
    /// A code of an app.
    #[serde(default)]
    pub totp: Option<String>,
    /// A recovery code.
    #[serde(default)]
    pub recovery: Option<String>,
}

/// A change of the password.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The present one.
    pub current: String,
    /// The one from here on: 12 characters or more.
    pub new: String,
}

/// A shared secret for an app that computes codes: shown once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct NewTotp {
    /// In base 32, to be typed.
    pub secret: String,
    /// As `otpauth://`, to be scanned.
    pub uri: String,
}

/// The first code of a new app.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddTotp {
    /// The code.
    pub code: String,
    /// What its owner calls the app.
    #[serde(default)]
    pub label: String,
}

/// Recovery codes: shown once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct RecoveryCodes {
    /// Ten, each good once.
    pub codes: Vec<String>,
}

/// A factor of one's own.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Factor {
    /// Id.
    pub id: String,
    /// `totp`, `passkey`, `recovery`.
    pub kind: String,
    /// What its owner calls it.
    pub label: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it was used last.
    pub last_used: Option<String>,
    /// Recovery codes that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u8>,
}

/// A browser of one's own that is signed in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Id.
    pub id: String,
    /// Whether it is the one that asks.
    pub current: bool,
    /// `factor`, `enrolling`, `in`.
    pub state: String,
    /// When it signed in, RFC 3339.
    pub created: String,
    /// When it was seen last, to the minute.
    pub last_seen: String,
    /// From which address it signed in.
    pub from: String,
    /// What the browser calls itself.
    pub agent: String,
    /// When it is signed out, whatever it does.
    pub expires: String,
}

/// An SSH key that signs one in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SshKey {
    /// `SHA256:...`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// Algorithm and base64.
    pub key: String,
}

/// Adds an SSH key.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddSshKey {
    /// The line of a `.pub` file.
    pub key: String,
}

/// A token of one's own, without its text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OwnToken {
    /// Id.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// When it stops working, RFC 3339.
    pub expires: String,
}

/// Asks for an SSH certificate, by which the caller signs in at gateways.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertifyKey {
    /// The public key, a line of a `.pub` file. Its private half stays where it is.
    pub public_key: String,
    /// How long it is good, in seconds; as long as it may be where absent or longer.
    #[serde(default)]
    pub seconds: Option<u32>,
    /// Networks that it may be used from, such as `10.0.0.0/8`; anywhere where empty.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// An SSH certificate that was made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CertifiedKey {
    /// The line of a `-cert.pub` file.
    pub certificate: String,
    /// What is known of it.
    pub about: OwnCertificate,
}

/// An SSH certificate of one's own.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OwnCertificate {
    /// Its serial, decimal.
    pub serial: String,
    /// Fingerprint of its key.
    pub fingerprint: String,
    /// When it was made, RFC 3339.
    pub made: String,
    /// When it ends.
    pub expires: String,
    /// What the sign-in had shown: `password`, `totp`, ..., or `token`.
    pub factors: Vec<String>,
    /// From where it was asked for.
    pub from: String,
}

/// What a client over SSH has shown, to be entered in a browser.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginCode {
    /// The code, as it was shown; small letters and what stands between its halves do not matter.
    pub code: String,
}

/// A login over SSH that waits to be allowed in a browser.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PendingLogin {
    /// Account and target that it leads to, and to no others; absent where a target is chosen behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants: Option<String>,
    /// From which address it comes.
    pub from: String,
    /// Whether this browser comes from the same one.
    pub same_address: bool,
    /// What its client calls itself.
    pub client: String,
    /// When it began, RFC 3339.
    pub begun: String,
    /// Until when it can be allowed.
    pub expires: String,
}

/// Things of one's own: all of them at once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Items<T> {
    /// The things.
    pub items: Vec<T>,
}

/// A user or workload.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Handle.
    pub handle: String,
    /// `user` or `workload`.
    pub kind: String,
    /// Groups, roles among them.
    pub groups: Vec<String>,
    /// Whether they may do nothing.
    pub disabled: bool,
    /// By what they sign in with a browser: `password`, `totp`, `passkey`, `recovery`.
    pub factors: Vec<String>,
    /// How many SSH keys they have.
    pub ssh_keys: u32,
    /// When they were last seen with a browser that is still signed in, to the minute.
    pub last_seen: Option<String>,
}

/// Makes a user.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Handle: never used before.
    pub handle: String,
    /// Groups, roles among them.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// An enrolment link: shown once.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// The link. Whoever opens it first sets the password.
    pub link: String,
    /// For whom.
    pub handle: String,
    /// Until when it is good, RFC 3339.
    pub expires: String,
}

/// The groups that somebody is to be in.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// All of them, roles among them.
    pub groups: Vec<String>,
}

/// A group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Whether it is a role of the product.
    pub role: bool,
    /// What it is for; empty where it is none of the product's.
    pub sentence: String,
    /// Enabled identities in it.
    pub members: usize,
}
