//! The edge of the API: TLS, bounds on connections and on slow clients, and who stands behind a proxy.

mod certificate;
mod peers;

use certificate::certificates;
pub(crate) use certificate::{Authority, CertificateFile, expiry};
pub(crate) use peers::Network;

use crate::config::{Api, Config};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use peers::Peers;
use sallyport_cli::Fail;
use sallyport_gateway::listen::{Bounds, Downstream, listen};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Connections of one address, and of all, at once. Browsers have a handful; whoever has more is cut off, not everybody.
const BOUNDS: Bounds = Bounds { per_address: 256, total: 2048 };
/// How long a client may take for the handshake, or for the line of a proxy.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long it may take for the head of a request, and may be silent between two.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of the head of a request.
const HEAD_BYTES: usize = 64 << 10;
/// Requests that one connection of HTTP/2 may have open.
const STREAMS: u32 = 128;

/// What stands between the network and the API.
#[derive(Clone)]
pub(crate) struct Edge {
    tls: Option<TlsAcceptor>,
    peers: Arc<Peers>,
    http: Arc<Builder<TokioExecutor>>,
}

impl Edge {
    /// As it is configured. What certificates need is made here, and looked after until the process ends.
    pub(crate) async fn new(config: &Config) -> Result<Self, Fail> {
        let Api { trusted_peers, proxy_protocol, .. } = &config.api;
        let tls = certificates(config).await?;
        Ok(Self {
            tls: tls.map(TlsAcceptor::from),
            peers: Arc::new(Peers::new(trusted_peers, *proxy_protocol)?),
            http: Arc::new(http(HEAD)),
        })
    }

    /// Serves the API. The accept loop waits for nobody.
    pub(crate) async fn serve(self, listener: TcpListener, router: Router) {
        listen(listener, BOUNDS, CancellationToken::new(), move |client| {
            let (edge, router) = (self.clone(), router.clone());
            async move {
                if let Err(error) = edge.carry(client, router).await {
                    tracing::debug!(%error, "A connection to the API ended");
                }
            }
        })
        .await;
    }

    async fn carry(&self, client: Downstream, router: Router) -> Result<(), BoxError> {
        let Downstream { mut stream, from, half_open } = client;
        // Its place is held as long as the connection is: what is bounded here are connections, not logins.
        let _place = half_open;
        let from = timeout(HANDSHAKE, self.peers.behind(&mut stream, from)).await??;
        match &self.tls {
            Some(tls) => {
                let stream = timeout(HANDSHAKE, tls.accept(stream)).await??;
                self.speak(stream, from, router).await
            }
            None => self.speak(stream, from, router).await,
        }
    }

    async fn speak<S>(&self, stream: S, from: SocketAddr, router: Router) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let peers = self.peers.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, peers) = (router.clone(), peers.clone());
            async move {
                let mut request = request.map(Body::new);
                let client = peers.client(from, request.headers());
                request.extensions_mut().insert(ConnectInfo(client));
                let response: Result<Response<Body>, Infallible> = router.oneshot(request).await;
                response
            }
        });
        self.http.serve_connection_with_upgrades(TokioIo::new(stream), service).await
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn http(head: Duration) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(16 << 10)
        .keep_alive_interval(HEAD)
        .keep_alive_timeout(HANDSHAKE);
    http
}

#[cfg(test)]
mod tests;
