//! An authority of this node's own, made at first start, and certificates under it.

use super::certificate::certified;
use crate::config::Config;
use crate::private::Private;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sallyport_cli::Fail;
use sallyport_model::{Env, Timestamp};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

/// Days that the own authority is good, and a certificate of it.
const AUTHORITY_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 90;

/// The authority of this node, as clients may know it.
pub(crate) struct Authority {
    /// The certificate, PEM.
    pub(crate) pem: String,
    /// `SHA256:` and hexadecimal, over the certificate as it is (DER).
    pub(crate) fingerprint: String,
}

/// What people compare: `SHA256:` and the hash of a certificate, two digits behind two.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let mut text = String::from("SHA256");
    for byte in digest(&SHA256, certificate).as_ref() {
        let _ = write!(text, ":{byte:02X}");
    }
    text
}

/// An authority of this node. Its key never leaves `keys/tls-ca.pem`, which only the server reads.
pub(super) struct Own {
    env: Env,
    names: Vec<String>,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Own {
    /// The authority of the data directory, made where there is none.
    pub(super) fn open(config: &Config) -> Result<Self, Fail> {
        let env = Env::system();
        let path = Authority::path(config);
        if !path.exists() {
            make_authority(&env, config, &path)?;
        }
        let text =
            Private::file(path.clone()).read("the authority's key", "restore it, or remove it to make another")?;
        let bad =
            |e: &dyn std::fmt::Display| Fail::usage(format!("`{}` is no authority ({e}): remove it", path.display()));
        let key = PrivateKeyDer::from_pem_slice(text.expose().as_bytes()).map_err(|e| bad(&e))?;
        let key = KeyPair::try_from(&key).map_err(|e| bad(&e))?;
        let certificate = CertificateDer::from_pem_slice(text.expose().as_bytes()).map_err(|e| bad(&e))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|e| bad(&e))?;
        let mut names = vec![config.api.listen.ip().to_string(), "localhost".into()];
        let site = config.sign_in().map_err(Fail::usage)?.site;
        names.extend(site.host());
        names.retain(|name| name != "0.0.0.0" && name != "::");
        names.sort();
        names.dedup();
        tracing::info!(
            fingerprint = fingerprint(&certificate),
            "The API's certificate comes from an authority of its own: `sallyport trust` makes clients know it"
        );
        Ok(Self { env, names, issuer, certificate })
    }

    /// Changes every thirty days, long before the ninety of a certificate are over.
    pub(super) fn season(&self) -> u64 {
        self.env.now().since(Timestamp::default()).as_secs() / (30 * 24 * 3600)
    }

    pub(super) fn leaf(&self) -> Result<CertifiedKey, Fail> {
        let mut params = CertificateParams::new(self.names.clone()).map_err(Fail::failed)?;
        params.distinguished_name = named("Sallyport");
        (params.not_before, params.not_after) = days(&self.env, LEAF_DAYS)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(Fail::failed)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(Fail::failed)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(Fail::failed)?;
        certified(vec![leaf.der().clone(), self.certificate.clone()], &private).map_err(Fail::failed)
    }
}

impl Authority {
    fn path(config: &Config) -> PathBuf {
        config.data.join("keys/tls-ca.pem")
    }

    /// What clients may know of the authority in this data directory; `None` where the certificate comes from elsewhere.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        if !config.api.tls.has_authority() {
            return None;
        }
        let text = std::fs::read(Self::path(config)).ok()?;
        let certificate = CertificateDer::from_pem_slice(&text).ok()?;
        let lines = data_lines(&certificate);
        Some(Self {
            pem: format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"),
            fingerprint: fingerprint(&certificate),
        })
    }
}

fn data_lines(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let mut lines = String::with_capacity(text.len().saturating_add(text.len() / 32));
    for (at, c) in text.chars().enumerate() {
        lines.push(c);
        if at % 64 == 63 {
            lines.push('\n');
        }
    }
    if !lines.ends_with('\n') {
        lines.push('\n');
    }
    lines
}

fn named(what: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, what);
    name
}

fn days(env: &Env, count: i64) -> Result<(OffsetDateTime, OffsetDateTime), Fail> {
    let now = OffsetDateTime::from_unix_timestamp(env.now().0.div_euclid(1_000_000)).map_err(Fail::failed)?;
    // Clients' clocks may be behind ours.
    Ok((now - time::Duration::hours(1), now + time::Duration::days(count)))
}

fn make_authority(env: &Env, config: &Config, path: &Path) -> Result<(), Fail> {
    let mut params = CertificateParams::new(Vec::new()).map_err(Fail::failed)?;
    params.distinguished_name = named(&format!("Sallyport authority of {}", config.node));
    (params.not_before, params.not_after) = days(env, AUTHORITY_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(Fail::failed)?;
    let private = key.serialize_pem();
    let authority = CertifiedIssuer::self_signed(params, key).map_err(Fail::failed)?;
    let text = format!("{}{private}", authority.pem());
    let written =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|e| Fail::failed(format!("cannot write `{}`: {e}", path.display())))
}
