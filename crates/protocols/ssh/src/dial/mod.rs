//! `dial`: the legs to jump hosts and target, each inside the one before. A server's host key is compared with its own pins
//! before anything is sent to it.

mod login;
mod refusal;

use crate::config;
use bytes::Bytes;
use login::Login;
use sallyport_gateway::spine::{Clearance, DialError, Lease};
use sallyport_model::inventory::{HostKey, Place};
use sallyport_model::way::{Accepts, Exchange, Hop};
use sallyport_model::{Env, Kind};
use sallyport_ssh_transport::link::{Arrivals, Link, NotOpened, Stream, code};
use sallyport_ssh_transport::wire::Put as _;
use sallyport_ssh_transport::{Error, Leg, SERVICE_ACCEPT, SERVICE_REQUEST, Transport};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

/// A connection to the target, logged in.
pub struct Upstream {
    pub(crate) link: Link,
    /// What the target begins, until the relay takes it.
    pub(crate) arrivals: Option<Arrivals>,
    /// Tells, until the relay listens, how a jump host under the connection went; `None` where we have left it.
    pub(crate) lost: JoinSet<Option<String>>,
    /// Closes the sockets when nobody holds the connection any more.
    _drivers: Vec<AbortOnDropHandle<()>>,
}

/// How long a dial may take, with every login on the way.
const DIAL: Duration = Duration::from_secs(20);
/// How long a jump host may take to connect to what is next.
const CONNECT: Duration = Duration::from_secs(10);
/// What is told of a server's own words, in characters.
const TOLD: usize = 200;
/// An SSH server on the way: a jump host, or the target at its end.
struct Server<'a> {
    /// The jump host's name; `None` for the target.
    jump: Option<&'a str>,
    host: &'a str,
    port: u16,
    account: &'a str,
    host_keys: &'a [HostKey],
    accepts: &'a Accepts,
    lease: &'a Lease,
}

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.jump {
            Some(name) => write!(f, "the jump host `{name}`"),
            None => f.write_str("the target"),
        }
    }
}

impl<'a> Server<'a> {
    fn hop((hop, lease): (&'a Hop, &'a Lease)) -> Self {
        let Hop { target, host, port, account, host_keys, accepts, .. } = hop;
        let jump = Some(target.as_str());
        Self { jump, host, port: *port, account: account.as_str(), host_keys, accepts, lease }
    }

    fn target(go: &'a Clearance) -> Self {
        let place = go.place();
        let Place { host, port, host_keys, accepts, .. } = place;
        Self { jump: None, host, port: *port, account: place.login().as_str(), host_keys, accepts, lease: go.lease() }
    }

    fn error(&self, kind: Kind, what: impl fmt::Display) -> DialError {
        DialError::new(kind, format!("{self} {what}"))
    }

    /// `host:port`
    fn address(&self) -> String {
        address(self.host, self.port)
    }

    /// Exchanges keys and logs in over this stream, until then.
    async fn enter<S>(&self, stream: S, (go, env): (&Clearance, &Env), end: Instant) -> Result<Entered, DialError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let slow = || self.error(Kind::Unavailable, "did not let us in: its SSH server took longer than 20 seconds");
        timeout_at(end, Box::pin(self.log_in(stream, go, env))).await.map_err(|_| slow())?
    }

    async fn log_in<S>(&self, stream: S, go: &Clearance, env: &Env) -> Result<Entered, DialError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let failed = |e: Error| DialError::new(Kind::Failed, e.to_string());
        let settings = config::client(self.host_keys, self.accepts, env);
        let mut leg = Leg::new(stream, Transport::new(Arc::new(settings)).map_err(failed)?);
        exchange(&mut leg).await.map_err(|error| refusal::of(self, error))?;
        if let Some(agreed) = leg.transport().algorithms() {
            let exceptions = agreed.exceptions().into_iter().map(str::to_owned).collect();
            let leg = self.jump.map_or_else(|| "target".to_owned(), |name| format!("{}@{name}", self.account));
            go.agreed(Exchange { leg, algorithms: agreed.told(), exceptions });
        }
        let mut leg = Login::new(leg, self).run(self.lease).await?;
        leg.authenticated();
        let bounds = if self.jump.is_some() { config::HOP } else { config::TARGET };
        let (link, arrivals, driver) = Link::start(leg, bounds);
        let (fell, falls) = oneshot::channel();
        let run = async move { drop(fell.send(driver.run().await)) };
        Ok(Entered { link, arrivals, falls, driver: AbortOnDropHandle::new(tokio::spawn(run)) })
    }
}

/// `host:port`, with brackets where the host has colons.
fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A server that has let us in.
struct Entered {
    link: Link,
    arrivals: Arrivals,
    /// How the connection ended.
    falls: oneshot::Receiver<Error>,
    driver: AbortOnDropHandle<()>,
}

/// Goes with the connection to a jump host to its end, and tells how it came to that; unless we have left it, or the one
/// before it is what went: that one is not left before this is known.
async fn keep(
    mut arrivals: Arrivals,
    falls: oneshot::Receiver<Error>,
    (before, name): (Option<(Link, AbortOnDropHandle<()>)>, String),
) -> Option<String> {
    // Dropped, what a jump host begins is refused.
    while arrivals.next().await.is_some() {}
    match falls.await {
        Ok(Error::Closed) | Err(_) => None,
        Ok(_) if before.as_ref().is_some_and(|(before, _)| before.gone()) => None,
        Ok(why) => Some(format!("the connection to {name} was lost: {why}")),
    }
}

/// Has a jump host, which the link leads to, connect to a server.
async fn jump(go: &Clearance, (from, link): (&str, &Link), host: &str, port: u16) -> Result<Stream, DialError> {
    go.may_be_asked_for(host, port)?;
    let at = address(host, port);
    let mut data = Vec::with_capacity(64);
    data.string(host.as_bytes());
    data.uint32(port.into());
    // RFC 4254 section 7.2 wants to know where the connection comes from: nobody's client is told of there.
    data.string(b"127.0.0.1");
    data.uint32(0);
    let opened = timeout(CONNECT, link.open("direct-tcpip", Bytes::from(data))).await.map_err(|_| {
        DialError::new(
            Kind::Unavailable,
            format!("{from} did not connect to {at} within {} seconds", CONNECT.as_secs()),
        )
    })?;
    opened.map(Stream::new).map_err(|error| match error {
        NotOpened::Gone => DialError::new(Kind::Unavailable, format!("{from} closed the connection")),
        NotOpened::Refused { code: code::PROHIBITED, text } => DialError::new(
            Kind::Denied,
            format!(
                "{from} does not forward connections to {at} (`{}`): its sshd_config must say `AllowTcpForwarding \
                 local` (or `yes`) for that account, and no `PermitOpen` or `DisableForwarding` may stand against it",
                told(&text)
            ),
        ),
        NotOpened::Refused { text, .. } => DialError::new(
            Kind::Unavailable,
            format!("{from} does not reach {at} (`{}`): check the address as it is known there", told(&text)),
        ),
    })
}

/// A server's own words, as far as they may be shown.
fn told(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TOLD).collect()
}

/// Connects to where the way begins, goes over every jump host, checks who answers, and injects the credentials.
pub(crate) async fn dial(go: &Clearance, env: &Env) -> Result<Upstream, DialError> {
    let end = Instant::now() + DIAL;
    let target = Server::target(go);
    let hops: Vec<_> = go.hops().map(Server::hop).collect();
    for server in hops.iter().chain([&target]) {
        if server.host_keys.is_empty() && server.accepts.authorities.is_empty() {
            let text =
                format!("no host key of {server} is pinned, so nothing may be sent to it; ask its owner to pin one");
            return Err(DialError::new(Kind::Denied, text));
        }
    }
    let socket = go.connect().await;
    let mut way = hops.iter().chain([&target]);
    let first = way.next().unwrap_or(&target);
    let socket = socket.map_err(|error| match first.jump {
        Some(_) => DialError::new(error.kind(), format!("{first} is not reached at {}: {error}", first.address())),
        None => error.into(),
    })?;
    let mut entered = first.enter(socket, (go, env), end).await?;
    let mut lost = JoinSet::new();
    let (mut from, mut before) = (first, None);
    for server in way {
        let stream = jump(go, (&from.to_string(), &entered.link), server.host, server.port).await?;
        let next = server.enter(stream, (go, env), end).await?;
        let Entered { link, arrivals, falls, driver } = std::mem::replace(&mut entered, next);
        lost.spawn(keep(arrivals, falls, (before.replace((link, driver)), from.to_string())));
        from = server;
    }
    let Entered { link, arrivals, driver, .. } = entered;
    let drivers = before.into_iter().map(|(_, driver)| driver).chain([driver]).collect();
    Ok(Upstream { link, arrivals: Some(arrivals), lost, _drivers: drivers })
}

impl Upstream {
    /// A connection from the target to another server.
    pub(crate) async fn onward(&self, go: &Clearance, host: &str, port: u16) -> Result<Stream, DialError> {
        let from = format!("the jump host `{}`", go.place().target);
        jump(go, (&from, &self.link), host, port).await
    }
}

/// Keys are exchanged and the service is asked for: from here on the server is who it is pinned to be.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(leg: &mut Leg<S>) -> Result<(), Error> {
    leg.send(|out| {
        out.byte(SERVICE_REQUEST);
        out.string(b"ssh-userauth");
    })?;
    match leg.receive().await?.first() {
        Some(&SERVICE_ACCEPT) => Ok(()),
        other => Err(Error::OutOfTurn(other.copied().unwrap_or_default())),
    }
}
