//! Certificates: files that are read again when they change, or an authority of one's own that is made at first start.

use crate::config::{Config, Tls};
use crate::private::Private;
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sallyport_cli::Fail;
use sallyport_model::Env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

/// HTTP/2, as clients and servers agree upon it (RFC 9113 section 3.2).
pub(super) const H2: &[u8] = b"h2";

/// How often it is looked whether files have changed, or the own certificate comes to its end.
const LOOK: Duration = Duration::from_secs(3);
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

/// The certificate that is shown now.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// How many days a certificate in a file is still good; less than none where it is over its time.
pub(crate) fn expiry(cert: &Path) -> Result<i64, String> {
    let left = ends(cert)?.saturating_sub(Env::system().now().0.div_euclid(1_000_000));
    Ok(left.div_euclid(24 * 3600))
}

/// When a certificate in a file ends, in seconds since 1970.
fn ends(cert: &Path) -> Result<i64, String> {
    let text = std::fs::read(cert).map_err(|e| e.to_string())?;
    let der = CertificateDer::from_pem_slice(&text).map_err(|e| e.to_string())?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|e| e.to_string())?;
    Ok(parsed.validity().not_after.timestamp())
}

/// The certificate of the API where it is a file: read when somebody asks, since it is replaced while we run.
pub(crate) struct CertificateFile(pub(crate) PathBuf);

impl sallyport_control::Certificate for CertificateFile {
    fn ends(&self) -> Option<i64> {
        ends(&self.0).ok()
    }
}

/// The server's side of TLS as it is configured; `None` without TLS. Certificates are looked after until the process ends.
pub(crate) async fn certificates(config: &Config) -> Result<Option<Arc<ServerConfig>>, Fail> {
    let source = match &config.api.tls {
        Tls::Off => return Ok(None),
        Tls::Own => Source::Own(Box::new(Own::open(config)?)),
        Tls::Files { cert, key } => Source::Files(cert.clone(), key.clone()),
    };
    let shown = Arc::new(Shown(ArcSwap::from_pointee(source.load()?)));
    let mut tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Fail::failed)?
        .with_no_client_auth()
        .with_cert_resolver(shown.clone());
    tls.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    tokio::spawn(tend(source, shown));
    Ok(Some(Arc::new(tls)))
}

/// Shows a new certificate when there is one. Connections that are open keep the old one.
async fn tend(source: Source, shown: Arc<Shown>) {
    let mut known = source.state();
    loop {
        tokio::time::sleep(LOOK).await;
        let state = source.state();
        if state == known {
            continue;
        }
        match source.load() {
            Ok(key) => {
                shown.0.store(Arc::new(key));
                known = state;
                tracing::info!("The API shows a new certificate");
            }
            Err(error) => tracing::error!(%error, "The new certificate cannot be used: the old one is shown on"),
        }
    }
}

/// Where a certificate comes from.
enum Source {
    Files(PathBuf, PathBuf),
    Own(Box<Own>),
}

impl Source {
    /// What changes when there is a new one.
    fn state(&self) -> Vec<Option<SystemTime>> {
        let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|found| found.modified()).ok();
        match self {
            Self::Files(cert, key) => vec![changed(cert), changed(key)],
            Self::Own(own) => {
                let day = own.env.now().since(sallyport_model::Timestamp::default()).as_secs() / (24 * 3600);
                // A new one every thirty days, long before the ninety are over.
                vec![SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(day / 30))]
            }
        }
    }

    fn load(&self) -> Result<CertifiedKey, Fail> {
        match self {
            Self::Files(cert, key) => from_files(cert, key),
            Self::Own(own) => own.leaf(),
        }
    }
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<CertifiedKey, String> {
    let key = any_supported_type(key).map_err(|e| e.to_string())?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| "the key does not belong to the certificate".to_owned())?;
    Ok(certified)
}

fn from_files(cert: &Path, key: &Path) -> Result<CertifiedKey, Fail> {
    let wrong =
        |path: &Path, error: &dyn std::fmt::Display| Fail::usage(format!("[api] tls: `{}`: {error}", path.display()));
    let text = std::fs::read(cert).map_err(|e| wrong(cert, &e))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().map_err(|e| wrong(cert, &e))?;
    if chain.is_empty() {
        return Err(wrong(cert, &"there is no certificate in it: write the chain as PEM, the server's own first"));
    }
    let text = Private::file(key.to_owned()).read("the API's private key", "write it there as PEM")?;
    let key_der = PrivateKeyDer::from_pem_slice(text.expose().as_bytes()).map_err(|e| wrong(key, &e))?;
    certified(chain, &key_der).map_err(|e| wrong(key, &e))
}

/// An authority of this node. Its key never leaves `keys/tls-ca.pem`, which only the server reads.
struct Own {
    env: Env,
    names: Vec<String>,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Own {
    /// The authority of the data directory, made where there is none.
    fn open(config: &Config) -> Result<Self, Fail> {
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

    fn leaf(&self) -> Result<CertifiedKey, Fail> {
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
        if !matches!(config.api.tls, Tls::Own) {
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
