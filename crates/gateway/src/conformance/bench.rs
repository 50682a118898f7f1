//! A whole gateway on a temporary directory, with the reference desk behind a real transport.

use super::desk::{Reference, Target};
use super::house::House;
use super::{Entrance, Failure, Fixture};
use crate::dial::Dialer;
use crate::listen::{Bounds, listen};
use crate::observe::journal::Sizes;
use crate::observe::tail::Tail;
use crate::observe::{Event, Observer, Verdict, ship};
use crate::spine::{Gateway, ObserversFor, Protocol, Setup};
use crate::transport::{Connect, tls, unix};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sallyport_model::authority::Desk;
use sallyport_model::{Env, GatewayId, TargetName};
use sallyport_recording::Event as Recorded;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Which way gateway and desk speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// A unix socket.
    Unix,
    /// Mutual TLS on the loopback.
    Tls,
}

/// What a client types to be blocked by the suite's observer.
pub const FORBIDDEN: &str = "forbidden-command";
/// What a client types to make the suite's observer panic.
pub const PANIC: &str = "panic-now";
/// The token of the suite's person, whose handle is `ada`.
pub const TOKEN: &str = "suite-token";

/// The gateway under test and all it needs.
pub struct Bench<H = Reference> {
    /// Its directory.
    pub directory: tempfile::TempDir,
    /// Control.
    pub desk: Arc<H>,
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Its unsealed memory.
    pub tail: Tail,
    /// Where it listens.
    pub address: SocketAddr,
    /// Who it is.
    pub id: GatewayId,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Bench {
    /// Starts one with a desk that knows the suite's person.
    ///
    /// # Errors
    /// When any part does not start.
    pub async fn start<P: Protocol>(protocol: Arc<P>, transport: Transport) -> Result<Self, Failure> {
        let env = Env::system();
        let desk = Reference::new(&env)?;
        desk.person(&"ada".parse()?, TOKEN, &[]);
        let directory = tempfile::tempdir()?;
        let tail = Tail::create(64)?;
        Self::over(protocol, transport, directory, desk, tail).await
    }

    /// Makes control fall silent, for the gateway.
    pub fn partition(&self) {
        if let Some(control) = self.tasks.first() {
            control.abort();
        }
        self.desk.hang_up();
    }

    /// Lets control come back where it was, and waits until the gateway has found it.
    ///
    /// # Errors
    /// When it does not.
    pub async fn rejoin(&self) -> Result<(), Failure> {
        let listener = unix::Listener::bind(&self.directory.path().join("authority.sock"))?;
        let desk: Arc<dyn Desk> = self.desk.clone();
        tokio::spawn(async move { crate::transport::serve::serve(&listener, desk).await });
        let desk = self.desk.clone();
        until(Duration::from_secs(10), move || desk.gateways() > 0).await
    }
}

impl<H: House> Bench<H> {
    /// Starts one over what an earlier one left, as after a crash.
    ///
    /// # Errors
    /// When any part does not start.
    pub async fn over<P: Protocol>(
        protocol: Arc<P>,
        transport: Transport,
        directory: tempfile::TempDir,
        desk: Arc<H>,
        tail: Tail,
    ) -> Result<Self, Failure> {
        let (connect, control) = wire(transport, directory.path(), desk.clone().desk()).await?;
        let node = Node::start(protocol, directory.path(), connect, tail.clone()).await?;
        let Node { gateway, address, id, listening } = node;
        Ok(Self { directory, desk, gateway, tail, address, id, tasks: vec![control, listening] })
    }

    /// Makes a fixture's target known under a name, and gives the name: `host-port`.
    ///
    /// # Errors
    /// When the address is no target's name.
    pub async fn know(&self, target: Target) -> Result<TargetName, Failure> {
        let name: TargetName = format!("{}-{}", target.host, target.port).parse()?;
        #[cfg(feature = "sabotage")]
        crate::sabotage::know(&name, &target);
        self.desk.know(&name, target).await?;
        Ok(name)
    }

    /// Where the suite's person comes in.
    #[must_use]
    pub fn entrance(&self) -> Entrance {
        Entrance { gateway: self.address, token: self.desk.token() }
    }

    /// Waits until no lease is out.
    ///
    /// # Errors
    /// When one is still out after `patience`.
    pub async fn returned(&self, patience: Duration) -> Result<(), Failure> {
        let desk = self.desk.clone();
        until(patience, move || House::leased(&*desk) == 0).await.map_err(|_| "a lease was not returned".into())
    }

    /// Every event of every finished recording.
    ///
    /// # Errors
    /// When one does not read.
    pub async fn events(&self) -> Result<Vec<Recorded>, Failure> {
        let mut events = Vec::new();
        let Ok(files) = std::fs::read_dir(self.directory.path().join("recordings")) else { return Ok(events) };
        for file in files {
            let file = file?.path();
            if ship::is_whole(&file) {
                events.extend(self.desk.play(&file).await?);
            }
        }
        Ok(events)
    }

    /// Ends the gateway as `kill -9` does: nothing is finished, nothing is said.
    #[must_use]
    pub fn crash(self) -> (tempfile::TempDir, Arc<H>, Tail) {
        for task in &self.tasks {
            task.abort();
        }
        (self.directory, self.desk, self.tail)
    }

    /// Ends it in good order.
    ///
    /// # Errors
    /// When its sessions do not close.
    pub async fn stop(self) -> Result<(), Failure> {
        let closed = self.gateway.shutdown(Duration::from_secs(10)).await;
        for task in &self.tasks {
            task.abort();
        }
        if closed { Ok(()) } else { Err("the gateway did not close its sessions".into()) }
    }
}

/// A gateway alone, with a listener of its own.
pub struct Node {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Who it is.
    pub id: GatewayId,
    listening: tokio::task::JoinHandle<()>,
}

impl Node {
    /// Starts one over what an earlier one left in the directory and the tail, and waits for control.
    ///
    /// # Errors
    /// When any part does not start.
    pub async fn start<P: Protocol>(
        protocol: Arc<P>,
        directory: &Path,
        connect: Box<dyn Connect>,
        tail: Tail,
    ) -> Result<Self, Failure> {
        let env = Env::system();
        let id = GatewayId::new(&env);
        let observers: ObserversFor = Arc::new(|_| {
            let rules: Box<dyn Observer> = Box::new(Rules);
            Ok(vec![rules])
        });
        let dialer = Arc::new(Dialer::default());
        let setup = Setup {
            env,
            id,
            zone: "default".parse()?,
            connect,
            journal: directory.join("journal"),
            sizes: Sizes::default(),
            recordings: directory.join("recordings"),
            tail,
            dialer: dialer.clone(),
            observers,
        };
        let gateway = Gateway::start(setup).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        dialer.own(address);
        let (carrier, stop) = (gateway.clone(), gateway.stopping());
        let accept = listen(listener, Bounds::default(), stop, move |io| carrier.clone().carry(protocol.clone(), io));
        let listening = tokio::spawn(accept);
        let reached = tokio::time::timeout(Duration::from_secs(10), gateway.reached()).await;
        reached.map_err(|_| "the desk is not reached")?;
        Ok(Self { gateway, address, id, listening })
    }
}

/// Waits for a condition, never longer than `patience`.
///
/// # Errors
/// When it does not come true.
pub async fn until(patience: Duration, mut condition: impl FnMut() -> bool) -> Result<(), Failure> {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(patience, waiting).await.map_err(|_| "what was waited for did not happen".into())
}

/// The suite's observer.
struct Rules;

impl Observer for Rules {
    #[expect(clippy::panic, reason = "one case is about what a panic does")]
    fn observe(&self, _channel: u32, event: &Event<'_>) -> Verdict {
        match event {
            Event::Command(text) if text.contains(PANIC) => panic!("as the suite asked"),
            Event::Command(text) if text.contains(FORBIDDEN) => Verdict::Block("this command is not allowed".into()),
            _ => Verdict::Pass,
        }
    }
}

type Control = tokio::task::JoinHandle<()>;

async fn wire(
    transport: Transport,
    directory: &Path,
    desk: Arc<dyn Desk>,
) -> Result<(Box<dyn Connect>, Control), Failure> {
    match transport {
        Transport::Unix => {
            let path = directory.join("authority.sock");
            let listener = unix::Listener::bind(&path)?;
            let control = tokio::spawn(async move { drop(crate::transport::serve::serve(&listener, desk).await) });
            Ok((Box::new(unix::Connector::new(path)), control))
        }
        Transport::Tls => {
            let (server, client) = identities()?;
            let listener = tls::Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), server).await?;
            let connector = tls::Connector::new(listener.address(), "control.sallyport", client)?;
            let control = tokio::spawn(async move { drop(crate::transport::serve::serve(&listener, desk).await) });
            Ok((Box::new(connector), control))
        }
    }
}

/// Certificates of control and of a gateway, from one authority made for the occasion.
///
/// # Errors
/// When none can be made.
pub fn identities() -> Result<(tls::Identity, tls::Identity), Failure> {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let one = |name: &str| -> Result<tls::Identity, Failure> {
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &authority)?;
        Ok(tls::Identity {
            chain: vec![CertificateDer::from(leaf)],
            key: PrivateKeyDer::try_from(key.serialize_der())?,
            authority: CertificateDer::from(authority.der().to_vec()),
        })
    };
    Ok((one("control.sallyport")?, one("gateway.sallyport")?))
}

/// Starts a bench for a fixture, with its target known.
///
/// # Errors
/// When bench or target do not start.
pub async fn with<F: Fixture>(fixture: &F, transport: Transport) -> Result<(Bench, F::Target, TargetName), Failure> {
    let bench = Bench::start(fixture.protocol(), transport).await?;
    let (oracle, target) = fixture.target().await?;
    let name = bench.know(target).await?;
    Ok((bench, oracle, name))
}
