//! kill -9 of a gateway process while its parent holds the tail, as in the product.

use crate::rig::{Fixed, Server, finish, text};
use sallyport_gateway::conformance::Fixture;
use sallyport_gateway::conformance::bench::{Node, TOKEN, until};
use sallyport_gateway::conformance::desk::Reference;
use sallyport_gateway::conformance::house::open;
use sallyport_gateway::listen::{Bounds, listen};
use sallyport_gateway::observe::journal::Sizes;
use sallyport_gateway::observe::tail::Tail;
use sallyport_gateway::spine::{Gateway, Setup};
use sallyport_gateway::transport::{Connect, serve, unix};
use sallyport_model::access::EndReason;
use sallyport_model::authority::Desk;
use sallyport_model::{Env, GatewayId, TargetName};
use sallyport_recording::verify::End;
use sallyport_recording::{Expect, What, container, verify};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;

const SOON: Duration = Duration::from_secs(15);
const DIRECTORY: &str = "SALLYPORT_TEST_DIRECTORY";
const TAIL: &str = "SALLYPORT_TEST_TAIL";

/// The gateway process: this very binary, run by the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child process of the test below"]
#[expect(clippy::disallowed_methods, reason = "a child is told by its parent")]
async fn child() {
    let directory = std::env::var(DIRECTORY).unwrap();
    let tail = Tail::inherit(std::env::var(TAIL).unwrap().parse().unwrap()).unwrap();
    let directory = Path::new(&directory);
    let connect = Box::new(unix::Connector::new(directory.join("authority.sock")));
    let node = Node::start(Fixed::new().protocol(), directory, connect, tail).await.unwrap();
    std::fs::write(directory.join("draft"), node.address.to_string()).unwrap();
    std::fs::rename(directory.join("draft"), directory.join("address")).unwrap();
    std::future::pending::<()>().await;
}

async fn gateway(directory: &Path, tail: i32) -> (Child, SocketAddr) {
    let _ = std::fs::remove_file(directory.join("address"));
    let process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored"])
        .env(DIRECTORY, directory)
        .env(TAIL, tail.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until(SOON, || directory.join("address").exists()).await.unwrap();
    (process, std::fs::read_to_string(directory.join("address")).unwrap().parse().unwrap())
}

/// A gateway in this process whose control is not there.
pub(crate) async fn alone(fixed: &Fixed, directory: &Path, connect: Box<dyn Connect>) -> SocketAddr {
    let setup = Setup {
        env: Env::system(),
        id: GatewayId::new(&Env::system()),
        zone: "default".parse().unwrap(),
        connect,
        journal: directory.join("journal"),
        sizes: Sizes::default(),
        recordings: directory.join("recordings"),
        tail: Tail::create(2).unwrap(),
        dialer: Arc::default(),
        observers: Gateway::no_observers(),
    };
    let gateway = Gateway::start(setup).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, protocol, stop) = (listener.local_addr().unwrap(), fixed.protocol(), gateway.stopping());
    let accept = listen(listener, Bounds::default(), stop, move |io| gateway.clone().carry(protocol.clone(), io));
    tokio::spawn(accept);
    address
}

/// A gateway process, with all it needs in this one.
struct Apart {
    fixed: Fixed,
    directory: tempfile::TempDir,
    desk: Arc<Reference>,
    _server: Server,
    tail: Tail,
}

impl Apart {
    async fn new() -> Self {
        let fixed = Fixed::new();
        let directory = tempfile::tempdir().unwrap();
        let desk = Reference::new(&Env::system()).unwrap();
        desk.person(&"ada".parse().unwrap(), TOKEN, &[]);
        let (server, target) = fixed.target().await.unwrap();
        let name: TargetName = "web-1".parse().unwrap();
        desk.target(&name, target);
        let listener = unix::Listener::bind(&directory.path().join("authority.sock")).unwrap();
        let control: Arc<dyn Desk> = desk.clone();
        tokio::spawn(async move { serve::serve(&listener, control).await });
        let tail = Tail::create(64).unwrap();
        Self { fixed, directory, desk, _server: server, tail }
    }

    async fn gateway(&self) -> (Process, SocketAddr) {
        let (process, address) = gateway(self.directory.path(), self.tail.share().unwrap()).await;
        (Process(process), address)
    }
}

/// A process that ends with this value, as kill -9 ends it.
struct Process(Child);

impl Process {
    /// Its memory, in KiB.
    fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_costs_no_memory_and_delays_nobody() {
    let apart = Apart::new().await;
    let (process, address) = apart.gateway().await;
    let ssh = |run: &str| apart.fixed.ssh(address, "ops", "web-1", &[]).arg(run).spawn().unwrap();
    // A neighbour at full speed, before and beside.
    let neighbour = async |size: usize| {
        let mut child = ssh(&format!("head -c {size} /dev/zero"));
        let mut output = child.stdout.take().unwrap();
        let moved = tokio::time::timeout(SOON, tokio::io::copy(&mut output, &mut tokio::io::sink())).await;
        assert_eq!(moved.expect("it is delayed").unwrap(), u64::try_from(size).unwrap());
        assert_eq!(finish(child).await.status.code(), Some(0));
    };
    neighbour(8 << 20).await;
    let before = process.resident();
    let asleep = ssh("head -c 300000000 /dev/zero");
    // What it takes without its client reading anything is soon full, and stays so.
    tokio::time::sleep(Duration::from_millis(500)).await;
    neighbour(64 << 20).await;
    let grown = process.resident().saturating_sub(before);
    assert!(grown < 20_000, "a sleeping client holds {grown} KiB");
    drop(asleep);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing_that_a_client_saw() {
    let apart = Apart::new().await;
    let (first, address) = apart.gateway().await;
    let (directory, desk) = (&apart.directory, &apart.desk);

    let run = "i=0; while [ $i -lt 300 ]; do echo line-$i; i=$((i+1)); done; echo the very last; sleep 60";
    let mut client = apart.fixed.ssh(address, "ops", "web-1", &[]).arg(run).spawn().unwrap();
    let mut output = client.stdout.take().unwrap();
    let mut seen = Vec::new();
    while !text(&seen).contains("the very last") {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(SOON, output.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "the session ended early");
        seen.extend_from_slice(&buffer[..read]);
    }
    drop(first);
    let session = desk.leased()[0];

    let (_second, _) = apart.gateway().await;
    until(SOON, || desk.closed(session).is_some()).await.unwrap();
    let close = desk.closed(session).unwrap();
    assert_eq!((close.reason, close.complete), (EndReason::Orphan, false));
    let file = std::fs::read_dir(directory.path().join("recordings")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(file).unwrap();
    let events = open(&bytes, desk).unwrap();
    let recorded: Vec<u8> = events
        .into_iter()
        .filter_map(|e| if let What::Output(b) = e.what { Some(b) } else { None })
        .flatten()
        .collect();
    assert_eq!(text(&recorded), text(&seen));
    let header = container::parse(&bytes).unwrap().header;
    let key = header.open(desk.recording_key()).unwrap();
    let hash: [u8; 32] = desk.header(header.facts.recording).unwrap().try_into().unwrap();
    let chain = close.anchor.chain.clone().try_into().unwrap();
    let end = End { segments: close.anchor.segments, chain, complete: false };
    verify(&bytes, &key, Expect { header_hash: hash, anchors: &[], end: Some(end) }).expect("the ledger attests it");
    assert!(apart.tail.left().unwrap().is_empty(), "plaintext is left in memory");
}
