//! Mutual TLS 1.3 for gateways of another zone: both ends show a certificate of the installation.

use super::{Accept, Connect, Error, Wire};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sallyport_model::authority::Boxed;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const HANDSHAKE: Duration = Duration::from_secs(10);
const HALF_OPEN: usize = 64;

/// What one end shows and whom it believes.
pub struct Identity {
    /// The certificate, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
    /// The authority that both certificates come from.
    pub authority: CertificateDer<'static>,
}

impl Identity {
    fn roots(&self) -> Result<Arc<RootCertStore>, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).map_err(bad)?;
        Ok(Arc::new(roots))
    }
}

/// Connects to control.
pub struct Connector {
    address: SocketAddr,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Connector {
    /// Control at `address`, whose certificate must name `name`.
    ///
    /// # Errors
    /// When certificate, key or name cannot be used.
    pub fn new(address: SocketAddr, name: &str, identity: Identity) -> Result<Self, Error> {
        let name = ServerName::try_from(name.to_owned()).map_err(|e| Error::Tls(e.to_string()))?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(bad)?
            .with_root_certificates(identity.roots()?)
            .with_client_auth_cert(identity.chain, identity.key)
            .map_err(bad)?;
        Ok(Self { address, name, tls: TlsConnector::from(Arc::new(config)) })
    }
}

impl Connect for Connector {
    fn connect(&self) -> Boxed<'_, Result<Wire, Error>> {
        Box::pin(async {
            let opening = async {
                #[expect(clippy::disallowed_methods, reason = "this is the way to control, not to a target")]
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                let stream = self.tls.connect(self.name.clone(), stream).await;
                stream.map_err(|e| Error::Tls(e.to_string()))
            };
            let stream = tokio::time::timeout(HANDSHAKE, opening).await;
            let stream = stream.map_err(|_| Error::Tls("the handshake took too long".into()))??;
            Ok::<Wire, Error>(Box::new(stream))
        })
    }
}

/// Control's listener. Handshakes run beside each other, at most 64 at a time.
pub struct Listener {
    address: SocketAddr,
    ready: Mutex<mpsc::Receiver<Wire>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Binds `address` and begins to shake hands.
    ///
    /// # Errors
    /// When the address, the certificate or the key cannot be used.
    pub async fn bind(address: SocketAddr, identity: Identity) -> Result<Self, Error> {
        let verifier = WebPkiClientVerifier::builder_with_provider(identity.roots()?, provider())
            .build()
            .map_err(|e| Error::Tls(e.to_string()))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(bad)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain, identity.key)
            .map_err(bad)?;
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (verified, ready) = mpsc::channel(HALF_OPEN);
        let accepting = tokio::spawn(shake_hands(listener, TlsAcceptor::from(Arc::new(config)), verified));
        Ok(Self { address, ready: Mutex::new(ready), accepting })
    }

    /// The address that was bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Accept for Listener {
    fn accept(&self) -> Boxed<'_, Result<Wire, Error>> {
        Box::pin(async {
            let next = self.ready.lock().await.recv().await;
            next.ok_or_else(|| Error::Io(std::io::Error::other("the listener ended")))
        })
    }
}

async fn shake_hands(listener: TcpListener, tls: TlsAcceptor, verified: mpsc::Sender<Wire>) {
    let room = Arc::new(tokio::sync::Semaphore::new(HALF_OPEN));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the authority's listener cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, verified) = (tls.clone(), verified.clone());
        tokio::spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => drop(verified.send(Box::new(stream)).await),
                Ok(Err(error)) => tracing::warn!(%error, "a gateway's handshake was refused"),
                Err(_) => tracing::warn!("a gateway's handshake took too long"),
            }
        });
    }
}

pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub(super) fn bad(error: rustls::Error) -> Error {
    Error::Tls(error.to_string())
}
