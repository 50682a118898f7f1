//! Certificates: files that are read again when they change, those of an ACME directory, or an authority of one's own.

use super::acme::{self, Acme};
use super::authority::Own;
use super::choice::Tls;
use crate::config::Config;
use crate::private::Private;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use sallyport_cli::Fail;
use sallyport_control::{CERTIFICATE, Control};
use sallyport_model::{Env, Timestamp};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// HTTP/2, as clients and servers agree upon it (RFC 9113 section 3.2).
pub(super) const H2: &[u8] = b"h2";

/// How often it is looked whether files have changed, or the own certificate comes to its end.
const LOOK: Duration = Duration::from_secs(3);
/// What a client is shown.
struct Shown {
    certificate: ArcSwap<CertifiedKey>,
    /// Who knows what an ACME directory is to be shown, where there is one.
    challenges: Option<Arc<Control>>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match &self.challenges {
            Some(control) if hello.alpn().is_some_and(|mut names| names.any(|name| name == acme::PROTOCOL)) => {
                acme::proof(control, hello.server_name()?)
            }
            _ => Some(self.certificate.load_full()),
        }
    }
}

/// When a certificate begins and ends.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Result<(Timestamp, Timestamp), String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|e| e.to_string())?;
    let at = |time: x509_parser::time::ASN1Time| Timestamp(time.timestamp().saturating_mul(1_000_000));
    Ok((at(parsed.validity().not_before), at(parsed.validity().not_after)))
}

/// How many days a certificate in a file is still good; less than none where it is over its time.
pub(crate) fn expiry(cert: &Path) -> Result<i64, String> {
    Ok(ends(cert)?.0.saturating_sub(Env::system().now().0).div_euclid(24 * 3600 * 1_000_000))
}

/// When a certificate in a file ends.
fn ends(cert: &Path) -> Result<Timestamp, String> {
    let text = std::fs::read(cert).map_err(|e| e.to_string())?;
    let found = CertificateDer::pem_slice_iter(&text).next().ok_or("there is no certificate in it")?;
    Ok(validity(&found.map_err(|e| e.to_string())?)?.1)
}

/// The certificate of the API where it is a file: read when somebody asks, since it is replaced while we run.
pub(crate) struct CertificateFile(pub(crate) PathBuf);

impl sallyport_control::Certificate for CertificateFile {
    fn ends(&self) -> Option<i64> {
        ends(&self.0).ok().map(|at| at.0.div_euclid(1_000_000))
    }
}

/// The server's side of TLS as it is configured; `None` without TLS. Certificates are looked after until the process ends.
pub(crate) async fn certificates(config: &Config, control: &Arc<Control>) -> Result<Option<Arc<ServerConfig>>, Fail> {
    let (source, acme) = match &config.api.tls {
        Tls::Off => return Ok(None),
        Tls::Own => (Source::Own(Box::new(Own::open(config)?)), None),
        Tls::Acme(acme) => {
            let path = config.data.join(CERTIFICATE);
            (Source::Acme(path, Box::new(Own::open(config)?)), Some(acme))
        }
        Tls::Files { cert, key } => (Source::Files(cert.clone(), key.clone()), None),
    };
    let certificate = ArcSwap::from_pointee(source.load()?);
    let shown = Arc::new(Shown { certificate, challenges: acme.map(|_| control.clone()) });
    let mut tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        // Every browser and program of the last years speaks it, and nothing weaker can be agreed upon.
        .with_protocol_versions(&[&TLS13])
        .map_err(Fail::failed)?
        .with_no_client_auth()
        .with_cert_resolver(shown.clone());
    tls.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    if let Some(acme) = acme {
        tls.alpn_protocols.push(acme::PROTOCOL.to_vec());
        tokio::spawn(acme::tend(control.clone(), Acme::clone(acme), config.host()?, config.store.url.is_some()));
    }
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
                shown.certificate.store(Arc::new(key));
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
    /// What a directory has issued; as long as there is nothing that is good, one's own.
    Acme(PathBuf, Box<Own>),
}

/// What changes when there is a new certificate.
#[derive(Eq, PartialEq)]
struct State {
    changed: Vec<Option<SystemTime>>,
    season: u64,
    issued: bool,
}

impl Source {
    fn state(&self) -> State {
        let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|found| found.modified()).ok();
        match self {
            Self::Files(cert, key) => State { changed: vec![changed(cert), changed(key)], season: 0, issued: true },
            Self::Own(own) => State { changed: Vec::new(), season: own.season(), issued: false },
            Self::Acme(path, own) => match expiry(path).is_ok_and(|days| days >= 0) {
                true => State { changed: vec![changed(path)], season: 0, issued: true },
                false => State { changed: Vec::new(), season: own.season(), issued: false },
            },
        }
    }

    fn load(&self) -> Result<CertifiedKey, Fail> {
        match self {
            Self::Files(cert, key) => from_files(cert, key),
            Self::Own(own) => own.leaf(),
            Self::Acme(path, own) => {
                if self.state().issued {
                    match from_files(path, path) {
                        Ok(key) => return Ok(key),
                        Err(fail) => {
                            tracing::error!(error = fail.message, "The certificate that was issued is not usable")
                        }
                    }
                }
                tracing::warn!(
                    "No directory has issued a certificate that is good now: the API shows one of its own authority"
                );
                own.leaf()
            }
        }
    }
}

/// A chain with the key that belongs to it.
pub(super) fn certified(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<CertifiedKey, String> {
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
