//! The way between nodes: a listener for the others, and a certificate that is made anew with every start.

use crate::config::Config;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use sallyport_cli::Fail;
use sallyport_control::Control;
use sallyport_gateway::transport::pinned::Shown;
use sallyport_gateway::transport::relay::{self, Peers};
use std::sync::Arc;
use tokio::net::TcpListener;

/// What a node listens with for others.
pub(crate) struct Nodes {
    listener: TcpListener,
    shown: Shown,
    /// The way to the others.
    pub(crate) peers: Arc<Peers>,
}

impl Nodes {
    /// As it is configured; `None` where this node is alone.
    pub(crate) async fn open(config: &Config) -> Result<Option<Self>, Fail> {
        let Some(listen) = config.nodes.listen else { return Ok(None) };
        let listener = TcpListener::bind(listen).await.map_err(|e| {
            Fail::usage(format!("cannot listen on {listen} for other nodes: {e}; choose another `[nodes] listen`"))
        })?;
        let shown = shown(&config.node)?;
        let address = config.nodes.address.clone().unwrap_or_else(|| listen.to_string());
        tracing::info!(%listen, %address, "Other nodes reach this one");
        Ok(Some(Self { listener, peers: Arc::new(Peers::new(shown.clone(), address)), shown }))
    }

    /// Answers the others.
    pub(crate) async fn serve(self, control: Arc<Control>) -> Result<(), Fail> {
        relay::serve(self.listener, self.shown, control).await.map_err(Fail::failed)
    }
}

fn shown(node: &str) -> Result<Shown, Fail> {
    let mut params = CertificateParams::new(Vec::new()).map_err(Fail::failed)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, node);
    params.distinguished_name = name;
    let key = KeyPair::generate().map_err(Fail::failed)?;
    let certificate = params.self_signed(&key).map_err(Fail::failed)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(Fail::failed)?;
    Ok(Shown { certificate: certificate.der().clone(), key })
}
