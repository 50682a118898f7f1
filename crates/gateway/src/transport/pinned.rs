//! Mutual TLS 1.3 between nodes: each end knows the other's certificate by its hash, and no authority.

use super::tls::{bad, provider};
use super::{Error, Wire};
use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use sallyport_model::relay::Pin;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long a connection and its handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The name that is asked for: certificates of nodes are known by their hashes.
const NAME: &str = "node.sallyport";

/// The hash of a certificate.
#[must_use]
pub fn pin(certificate: &CertificateDer<'_>) -> Pin {
    let mut pin = [0; 32];
    pin.iter_mut().zip(digest(&SHA256, certificate).as_ref()).for_each(|(to, from)| *to = *from);
    pin
}

/// What one end shows.
pub struct Shown {
    /// Its certificate, signed by itself.
    pub certificate: CertificateDer<'static>,
    /// The key of it.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Shown {
    fn clone(&self) -> Self {
        Self { certificate: self.certificate.clone(), key: self.key.clone_key() }
    }
}

/// Connects to a node, whose certificate must have this hash.
///
/// # Errors
/// When it is not reached, or shows another certificate.
pub async fn connect(address: &str, wanted: Pin, own: &Shown) -> Result<Wire, Error> {
    let verifier = Arc::new(Pinned { known: Box::new(move |shown| *shown == wanted), provider: provider() });
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(bad)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key())
        .map_err(bad)?;
    let name = ServerName::try_from(NAME).map_err(|error| Error::Tls(error.to_string()))?;
    let opening = async {
        #[expect(clippy::disallowed_methods, reason = "this is the way to another node, not to a target")]
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| Error::Tls(error.to_string()))
    };
    let stream = tokio::time::timeout(HANDSHAKE, opening).await;
    let stream = stream.map_err(|_| Error::Tls("the handshake took too long".into()))??;
    Ok(Box::new(stream))
}

/// Shakes hands with nodes that connect.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// Showing this, to whoever has a certificate whose hash is known.
    ///
    /// # Errors
    /// When certificate or key cannot be used.
    pub fn new(own: Shown, known: impl Fn(&Pin) -> bool + Send + Sync + 'static) -> Result<Self, Error> {
        let verifier = Arc::new(Pinned { known: Box::new(known), provider: provider() });
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(bad)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![own.certificate], own.key)
            .map_err(bad)?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// The connection of a node, and the hash of what it showed.
    ///
    /// # Errors
    /// When it is nobody who is known.
    pub async fn accept(&self, stream: TcpStream) -> Result<(Wire, Pin), Error> {
        stream.set_nodelay(true)?;
        let shaken = tokio::time::timeout(HANDSHAKE, self.0.accept(stream)).await;
        let shaken = shaken.map_err(|_| Error::Tls("the handshake took too long".into()))?;
        let stream = shaken.map_err(|error| Error::Tls(error.to_string()))?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(pin);
        let shown = shown.ok_or_else(|| Error::Tls("no certificate was shown".into()))?;
        Ok((Box::new(stream), shown))
    }
}

/// Believes certificates by their hashes; that whoever shows one has its key, TLS proves.
struct Pinned {
    known: Box<dyn Fn(&Pin) -> bool + Send + Sync>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pinned")
    }
}

impl Pinned {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        if (self.known)(&pin(certificate)) {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn signed(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS 1.2 is not offered.
fn too_old() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::PeerIncompatible::Tls12NotOfferedOrEnabled.into())
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
