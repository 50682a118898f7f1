//! Certificates from an ACME directory (RFC 8555): ordered in time, proven on this very port (RFC 8737), kept in the vault.

mod http;
mod order;

use order::Failure;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use sallyport_control::{CertificateBody, Control, Error};
use sallyport_model::{Env, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a directory asks for in the handshake when it looks whether a name is ours (RFC 8737 section 6.2).
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";

/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_secs(2);
/// The first wait after a directory was not reached, and after it has refused; each further one is twice as long.
const UNREACHED: Duration = Duration::from_secs(5);
const REFUSED: Duration = Duration::from_secs(60);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// An ACME directory: `[api] tls = { acme = { ... } }`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acme {
    /// URL of the directory.
    pub(crate) directory: String,
    /// Whom it may write to about certificates: mail addresses.
    #[serde(default)]
    pub(crate) contact: Vec<String>,
    /// That its terms of service were read and are agreed to.
    #[serde(default)]
    pub(crate) accept_terms: bool,
    /// File with the authority of the directory's own certificate, PEM; those that the system trusts where absent.
    #[serde(default)]
    pub(crate) root: Option<PathBuf>,
}

impl Acme {
    /// What is wrong is named when the configuration is read.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.directory.starts_with("https://") {
            return Err(format!("directory = {:?} is no https:// address", self.directory));
        }
        if !self.accept_terms {
            return Err(format!(
                "read the terms of service of {} and write accept_terms = true, or take tls = \"own\"",
                self.directory
            ));
        }
        match self.contact.iter().find(|contact| !contact.contains('@') || contact.contains(':')) {
            Some(wrong) => Err(format!("contact {wrong:?} is no mail address: write ops@example.org")),
            None => Ok(()),
        }
    }
}

/// What a directory is shown for a name that it asks about.
pub(super) fn proof(control: &Control, name: &str) -> Option<Arc<CertifiedKey>> {
    let order = control.certificate().ok()?.order?;
    let challenge = order.challenges.into_iter().find(|challenge| challenge.name.eq_ignore_ascii_case(name))?;
    proof_of(&challenge.name, &challenge.digest).ok().map(Arc::new)
}

fn proof_of(name: &str, digest: &[u8; 32]) -> Result<CertifiedKey, String> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(|e| e.to_string())?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let made = params.self_signed(&key).map_err(|e| e.to_string())?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(str::to_owned)?;
    let key = any_supported_type(&key).map_err(|e| e.to_string())?;
    // Not looked at once more: its extension is critical, and nobody but directories knows it.
    Ok(CertifiedKey::new(vec![made.der().clone()], key))
}

/// Whether a certificate is to be ordered now.
fn due(known: &CertificateBody, settings: &Acme, name: &str, now: Timestamp) -> bool {
    if known.next.is_some_and(|next| now < next) {
        return false;
    }
    let fits = |found: &&sallyport_control::Issued| {
        found.directory == settings.directory && found.names.iter().all(|found| found == name)
    };
    known.certificate.as_ref().filter(fits).is_none_or(|found| now >= found.renew)
}

/// How long to wait after so many failures in a row, less or more a fifth by chance.
fn wait(reached: bool, failed: u32, chance: u16) -> Duration {
    let first = if reached { REFUSED } else { UNREACHED };
    let whole = first.saturating_mul(2_u32.saturating_pow(failed.min(16))).min(LONGEST);
    whole.mul_f64(0.8 + 0.4 * f64::from(chance) / f64::from(u16::MAX))
}

/// Looks after the certificate until the process ends. Nothing here ends the service: what fails is told and tried again.
pub(super) async fn tend(control: Arc<Control>, settings: Acme, name: String, several: bool) {
    let env = Env::system();
    let mut there = None;
    loop {
        tokio::time::sleep(LOOK).await;
        // A sealed vault has nothing to give and keeps nothing.
        let Ok(known) = control.certificate() else { continue };
        if let Err(error) = control.provide_certificate(&mut there) {
            tracing::error!(%error, "The certificate in the vault cannot be shown by this node");
        }
        if !due(&known, &settings, &name, env.now()) || !control.may_order(&known) {
            continue;
        }
        let failure = match order::carry_out(&control, &known, &settings, &name, several).await {
            Ok(()) => {
                tracing::info!(directory = settings.directory, name, "A certificate was issued");
                continue;
            }
            Err(Failure::NotOurs(Error::Busy(_))) => continue,
            Err(failure) => failure,
        };
        let wait = wait(failure.reached(), known.failed, u16::from_be_bytes(env.random()));
        tracing::error!(%failure, next_in_seconds = wait.as_secs(), "No certificate was issued");
        match control.certificate_failed(&known, &settings.directory, &failure.to_string(), wait).await {
            // Another node is at it, and says what comes of it.
            Ok(()) | Err(Error::Busy(_)) => {}
            Err(error) => {
                tracing::error!(%error, "That no certificate was issued cannot be kept");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
