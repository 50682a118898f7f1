//! The edge of the API: TLS, bounds on connections and on slow clients, and who stands behind a proxy.

mod acme;
mod authority;
mod certificate;
mod choice;
mod peers;
mod visit;

pub(crate) use authority::Authority;
pub(crate) use certificate::{CertificateFile, expiry};
use certificate::{H2, certificates};
pub(crate) use choice::Tls;

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
use sallyport_api::Known;
use sallyport_cli::Fail;
use sallyport_control::Control;
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
use visit::Visit;

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
/// Bytes of bodies that one stream, and one connection, may have sent and nobody has read yet.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 128 << 10;
/// Bytes of an answer that wait for a slow reader.
const UNSENT: usize = 64 << 10;

/// What stands between the network and the API.
#[derive(Clone)]
pub(crate) struct Edge {
    tls: Option<TlsAcceptor>,
    peers: Arc<Peers>,
    first: Arc<Builder<TokioExecutor>>,
    second: Arc<Builder<TokioExecutor>>,
    /// How long for the head of a request.
    head: Duration,
}

impl Edge {
    /// As it is configured. What certificates need is made here, and looked after until the process ends.
    pub(crate) async fn new(config: &Config, control: &Arc<Control>) -> Result<Self, Fail> {
        let Api { trusted_peers, proxy_protocol, .. } = &config.api;
        let tls = certificates(config, control).await?;
        Ok(Self::with(tls.map(TlsAcceptor::from), Peers::new(trusted_peers, *proxy_protocol)?, HEAD))
    }

    fn with(tls: Option<TlsAcceptor>, peers: Peers, head: Duration) -> Self {
        let (first, second) = (Arc::new(http_1(head)), Arc::new(http_2()));
        Self { tls, peers: Arc::new(peers), first, second, head }
    }

    /// Serves the API. The accept loop waits for nobody.
    pub(crate) async fn serve(self, listener: TcpListener, router: Router) {
        // Half of the descriptors are for everything else that control does.
        let total = BOUNDS.total.min(descriptors() / 2);
        listen(listener, Bounds { total, ..BOUNDS }, CancellationToken::new(), move |client| {
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
        let visit = Visit::new(move || half_open.stay());
        let from = timeout(HANDSHAKE, self.peers.behind(&mut stream, from)).await??;
        match &self.tls {
            Some(tls) => {
                let stream = timeout(HANDSHAKE, tls.accept(stream)).await??;
                let agreed = stream.get_ref().1.alpn_protocol();
                if agreed == Some(acme::PROTOCOL) {
                    // The handshake was the whole of it (RFC 8737 section 3).
                    return Ok(());
                }
                let second = agreed == Some(H2);
                self.speak(stream, second, from, (router, visit)).await
            }
            None => self.speak(stream, false, from, (router, visit)).await,
        }
    }

    /// Speaks HTTP, of which the second version was agreed upon or not. It is never guessed from what a client sends: one
    /// that sends nothing would be waited for without end.
    async fn speak<S>(
        &self,
        stream: S,
        second: bool,
        from: SocketAddr,
        (router, visit): (Router, Arc<Visit>),
    ) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (peers, asked) = (self.peers.clone(), visit.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, peers, visit) = (router.clone(), peers.clone(), asked.clone());
            async move {
                let _turn = visit.turn().await;
                let mut request = request.map(Body::new);
                let client = peers.client(from, request.headers());
                request.extensions_mut().insert(ConnectInfo(client));
                let known = visit.clone();
                request.extensions_mut().insert(Known::new(move || known.know()));
                let response: Result<Response<Body>, Infallible> = router.oneshot(request).await;
                response
            }
        });
        let http = if second { &self.second } else { &self.first };
        tokio::select! {
            ended = http.serve_connection_with_upgrades(TokioIo::new(stream), service) => ended,
            () = visit.silent(self.head) => Err("nothing was asked for in time".into()),
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How many descriptors this process may have.
fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

fn http_1(head: Duration) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES);
    http
}

fn http_2() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new()).http2_only();
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(UNSENT)
        .max_header_list_size(16 << 10)
        .keep_alive_interval(HEAD)
        .keep_alive_timeout(HANDSHAKE);
    http
}

#[cfg(test)]
mod tests;
