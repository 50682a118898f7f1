//! A crowd from many addresses of this host, and a neighbour who only wants to be served.

use super::PATIENCE;
use super::frames::Client;
use reqwest::Certificate;
use sallyport_testkit::product::Product;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::interval;

/// As many as one address may have.
const PER_ADDRESS: u32 = 250;

/// Between two asks of a neighbour.
const PAUSE: Duration = Duration::from_millis(25);

/// Connections that are held open.
pub(super) struct Crowd {
    runtime: Runtime,
    server: SocketAddr,
    count: u32,
    held: Vec<TcpStream>,
    clients: Vec<Client>,
}

impl Crowd {
    pub(super) fn of(product: &Product) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = SocketAddr::from(([127, 0, 0, 1], crate::tls::port(product)));
        Self { runtime, server, count: 0, held: Vec::new(), clients: Vec::new() }
    }

    /// A connection that is coming, from the next address.
    fn dial(&mut self) -> impl Future<Output = TcpStream> + Send + 'static {
        let address = Ipv4Addr::from_bits(0x7f01_0001 + self.count / PER_ADDRESS);
        self.count += 1;
        let server = self.server;
        async move {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from((address, 0))).unwrap();
            socket.connect(server).await.unwrap()
        }
    }

    /// Connects so often, a hundred at a time, says this on each, and no more.
    pub(super) fn connect(&mut self, count: usize, words: &[u8]) {
        for _ in 0..count / 100 {
            let mut coming = JoinSet::new();
            for _ in 0..100 {
                let (dial, words) = (self.dial(), words.to_vec());
                let said = async move {
                    let mut stream = dial.await;
                    // Whoever had to give way cannot say it any more.
                    let _ = stream.write_all(&words).await;
                    stream
                };
                coming.spawn_on(said, self.runtime.handle());
            }
            self.held.extend(self.runtime.block_on(coming.join_all()));
        }
    }

    /// Shakes hands so often, says this, and no more; how often it could. Whoever comes late to a crowd is refused.
    pub(super) fn slow(&mut self, count: usize, words: &[u8]) -> usize {
        for _ in 0..count {
            let dial = self.dial();
            let stream = self.runtime.block_on(dial).into_std().unwrap();
            stream.set_nonblocking(false).unwrap();
            let client = Client::over(stream, &[b"http/1.1"]);
            self.clients.extend(client.and_then(|mut client| client.write_all(words).map(|()| client)));
        }
        self.clients.len()
    }
}

/// Somebody who asks again and again, each time on a new connection, and is answered each time.
pub(super) struct Neighbour {
    over: Arc<AtomicBool>,
    asks: JoinHandle<u32>,
}

struct Asker {
    runtime: Runtime,
    client: reqwest::Client,
    url: String,
}

impl Asker {
    fn of(product: &Product) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let print = product.fingerprint().unwrap();
        let pem = product.ok(&["trust", "--fingerprint", &print, "--print"]).unwrap();
        let known = Certificate::from_pem(pem.as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([known]).timeout(PATIENCE).pool_max_idle_per_host(0);
        Self { runtime, client: client.build().unwrap(), url: format!("{}/api/v1/status", product.url()) }
    }

    fn ask(&self) {
        let answer = self.runtime.block_on(async { self.client.get(&self.url).send().await });
        assert_eq!(answer.unwrap().status(), 200);
    }
}

impl Neighbour {
    pub(super) fn beside(product: &Product) -> Self {
        let (asker, over) = (Asker::of(product), Arc::new(AtomicBool::new(false)));
        asker.ask();
        let seen = over.clone();
        let asks = std::thread::spawn(move || {
            let mut answered = 0;
            // People do not ask without a pause, and the machine's cores are for the flood.
            let mut pace = asker.runtime.block_on(async { interval(PAUSE) });
            while !seen.load(Ordering::Relaxed) {
                asker.runtime.block_on(pace.tick());
                asker.ask();
                answered += 1;
            }
            answered
        });
        Self { over, asks }
    }

    /// How often they were answered.
    pub(super) fn leave(self) -> u32 {
        self.over.store(true, Ordering::Relaxed);
        self.asks.join().unwrap()
    }

    /// Ten asks, each of which is answered.
    pub(super) fn ask_often(product: &Product) {
        let asker = Asker::of(product);
        for _ in 0..10 {
            asker.ask();
        }
    }
}
