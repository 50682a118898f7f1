//! A toy protocol: lines over TCP, with sessions of several connections. It shows the spine at its plainest.
//!
//! ```text
//! client  -> gateway   LOGIN token account target | JOIN token session
//! gateway -> client    OK session | NO why
//! gateway -> target    PASS password               target -> gateway   OK
//! then lines both ways
//! ```

use super::desk::{Credential, Target};
use super::{Entrance, Failure, Fixture, Flood, Oracle, PASSWORD};
use crate::listen::Downstream;
use crate::observe::tap::Stop;
use crate::socket::Socket;
use crate::spine::{Arrival, Choices, Clearance, DialError, Hold, Live, Login, Protocol, Step, Wish};
use sallyport_model::access::{Ask, Channel, Denial, EndReason, From as Source};
use sallyport_model::authority::Evidence;
use sallyport_model::{AccountName, Kind, Limits, Secret, TargetName};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Longest line.
const LINE: u64 = 32 << 10;

/// The protocol.
#[derive(Debug)]
pub struct Toy;

/// One side's connection.
pub struct Side {
    read: BufReader<ReadHalf<Socket>>,
    write: WriteHalf<Socket>,
}

impl Side {
    /// Over a connected socket.
    #[must_use]
    pub fn new(stream: Socket) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self { read: BufReader::new(read), write }
    }

    pub(crate) async fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        line_of(&mut self.read, &mut line).await?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.write.write_all(format!("{line}\n").as_bytes()).await
    }
}

async fn line_of(read: &mut BufReader<ReadHalf<Socket>>, line: &mut Vec<u8>) -> std::io::Result<usize> {
    line.clear();
    (&mut *read).take(LINE).read_until(b'\n', line).await
}

impl Protocol for Toy {
    const NAME: &'static str = "toy";
    const LINGER: Duration = Duration::from_millis(200);
    type Client = Side;
    type Upstream = Side;

    async fn login(&self, io: Downstream, login: Login) -> Result<Arrival<Side>, Denial> {
        let from = io.from.ip();
        let mut client = Side::new(io.stream);
        let line = client.line().await.map_err(|e| Denial::new(Kind::Usage, e.to_string()))?;
        let words: Vec<&str> = line.split(' ').collect();
        let usage = || Denial::new(Kind::Usage, "say LOGIN token account target, CHOOSE token, or JOIN token session");
        let (token, wish) = match words.as_slice() {
            ["LOGIN", token, account, target] => {
                let account = account.parse().map_err(|_| usage())?;
                let target = target.parse().map_err(|_| usage())?;
                let ask = Ask { account, target, protocol: "toy".into(), from: Source(from), reason: String::new() };
                (*token, Wish::Open(ask))
            }
            ["CHOOSE", token] => (*token, Wish::Choose(Source(from))),
            ["JOIN", token, session] => (*token, Wish::Join(session.parse().map_err(|_| usage())?)),
            _ => return Err(usage()),
        };
        let evidence = Evidence::Token(Secret::new(token.as_bytes().to_vec()));
        match login.step(None, evidence).await {
            Ok(Step::Authenticated(who)) => Ok(Arrival { client, who, wish }),
            Ok(Step::More) => Err(usage()),
            Err(denial) => {
                self.deny(client, &denial).await;
                Err(denial)
            }
        }
    }

    async fn deny(&self, mut client: Side, why: &Denial) {
        let _ = client.say(&format!("NO {why}")).await;
    }

    async fn hold(&self, client: &mut Side, why: &Denial, _any: bool) -> Hold {
        if client.say(&format!("WAIT {why}")).await.is_err() {
            return Hold::Gone;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        Hold::Waiting
    }

    async fn choose(&self, client: &mut Side, choices: &Choices<'_>) -> Result<(AccountName, TargetName), Denial> {
        let gone = |e: std::io::Error| Denial::new(Kind::Usage, e.to_string());
        client.say("WHERE").await.map_err(gone)?;
        let search = client.line().await.map_err(gone)?;
        let mut found = choices.find(&search).await?.into_iter();
        found.next().map(|choice| (choice.account, choice.target)).ok_or_else(Denial::unknown)
    }

    async fn dial(&self, go: &Clearance) -> Result<Side, DialError> {
        let bad = |e: std::io::Error| DialError::new(Kind::Unavailable, e.to_string());
        let mut target = Side::new(go.connect().await?);
        let password = go.lease().password().await?;
        target.write.write_all(b"PASS ").await.map_err(bad)?;
        target.write.write_all(password.expose()).await.map_err(bad)?;
        target.write.write_all(b"\n").await.map_err(bad)?;
        match target.line().await.map_err(bad)?.as_str() {
            "OK" => Ok(target),
            _ => Err(DialError::new(Kind::Denied, "the target did not accept the account's credential")),
        }
    }

    async fn relay(&self, mut client: Side, target: Side, live: Live) -> (EndReason, String) {
        let channel = match live.channel(Channel::Stream, "lines").await {
            Ok(channel) => channel,
            Err(denial) => {
                self.deny(client, &denial).await;
                return (EndReason::Block, String::new());
            }
        };
        if client.say(&format!("OK {}", live.clearance().permit().session())).await.is_err() {
            return (EndReason::ClientClose, String::new());
        }
        let goodbye = Mutex::new(None);
        let mut ended = live.clone();
        let (mut read, mut write) = (client.read, client.write);
        let end = tokio::select! {
            end = up(&live, channel, &mut read, target.write, &goodbye) => end,
            end = down(&live, channel, target.read, &mut write) => end,
            ending = ended.ended() => {
                *goodbye.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending.text);
                ending.reason
            }
        };
        let text = goodbye.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(text) = text {
            let _ =
                tokio::time::timeout(Duration::from_millis(100), write.write_all(format!("NO {text}\n").as_bytes()))
                    .await;
        }
        (end, String::new())
    }
}

async fn up(
    live: &Live,
    channel: u32,
    from: &mut BufReader<ReadHalf<Socket>>,
    mut to: WriteHalf<Socket>,
    goodbye: &Mutex<Option<String>>,
) -> EndReason {
    let mut line = Vec::new();
    loop {
        match line_of(from, &mut line).await {
            Ok(0) | Err(_) => return EndReason::ClientClose,
            Ok(_) => {}
        }
        if let Err(stop) = pass(live, channel, &line).await {
            *goodbye.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop.to_string());
            return stop.reason();
        }
        if to.write_all(&line).await.is_err() {
            return EndReason::TargetClose;
        }
    }
}

async fn pass(live: &Live, channel: u32, line: &[u8]) -> Result<(), Stop> {
    live.tap().command(channel, &String::from_utf8_lossy(line)).await?;
    live.tap().input(channel, line).await
}

async fn down(
    live: &Live,
    channel: u32,
    mut from: BufReader<ReadHalf<Socket>>,
    to: &mut WriteHalf<Socket>,
) -> EndReason {
    let mut buffer = vec![0; 32 << 10];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return EndReason::TargetClose,
            Ok(read) => read,
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        if let Err(stop) = live.tap().output(channel, bytes).await {
            return stop.reason();
        }
        if to.write_all(bytes).await.is_err() {
            return EndReason::ClientClose;
        }
    }
}

/// The toy's fixture.
#[derive(Debug)]
pub struct Toys;

/// A target that answers `said: line`; `flood` makes it send for ever, `busy n` so many bytes.
#[derive(Clone, Default)]
pub struct ToyTarget {
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<String>>,
}

impl Oracle for ToyTarget {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn heard(&self, text: &str) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).contains(text)
    }
}

impl ToyTarget {
    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            self.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(self.clone().answer(stream));
        }
    }

    async fn answer(self, stream: TcpStream) -> std::io::Result<()> {
        let mut side = Side::new(Socket::new(stream));
        if side.line().await? != format!("PASS {PASSWORD}") {
            return side.say("NO").await;
        }
        side.say("OK").await?;
        loop {
            let line = side.line().await?;
            if line.is_empty() {
                return Ok(());
            }
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).push_str(line.get(..200).unwrap_or(&line));
            match line.split_once(' ') {
                None if line == "flood" => loop {
                    side.write.write_all(&[b'x'; 4096]).await?;
                },
                Some(("busy", count)) => {
                    let count = count.parse::<usize>().unwrap_or(0);
                    let (mut read, mut write) = (side.read, side.write);
                    let swallow = tokio::spawn(async move {
                        let mut all = vec![0; count];
                        read.read_exact(&mut all).await.map(drop)
                    });
                    for _ in 0..count / 4096 {
                        write.write_all(&[b'x'; 4096]).await?;
                    }
                    let _ = swallow.await;
                    return write.write_all(b"done").await;
                }
                _ => side.say(&format!("said: {line}")).await?,
            }
        }
    }
}

/// Connects and logs in; gives the gateway's answer.
///
/// # Errors
/// When the connection breaks.
pub async fn enter(gateway: SocketAddr, words: &str) -> Result<(Side, String), Failure> {
    #[expect(clippy::disallowed_methods, reason = "a client of the suite, not a relay")]
    let mut side = Side::new(Socket::new(TcpStream::connect(gateway).await?));
    side.say(words).await?;
    let answer = side.line().await?;
    Ok((side, answer))
}

/// Says a line and gives the answer.
///
/// # Errors
/// When the connection breaks.
pub async fn say(side: &mut Side, line: &str) -> Result<String, Failure> {
    side.say(line).await?;
    hear(side).await
}

/// What is said next.
///
/// # Errors
/// When the connection is over.
pub async fn hear(side: &mut Side) -> Result<String, Failure> {
    Ok(side.line().await?)
}

struct ToyFlood {
    bytes: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Flood for ToyFlood {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn vanish(self: Box<Self>) {
        self.task.abort();
    }
}

impl Fixture for Toys {
    type Protocol = Toy;
    type Target = ToyTarget;

    fn protocol(&self) -> Arc<Toy> {
        Arc::new(Toy)
    }

    async fn target(&self) -> Result<(ToyTarget, Target), Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let oracle = ToyTarget::default();
        tokio::spawn(oracle.clone().serve(listener));
        let credential = Credential::Password(PASSWORD.into());
        let (host, limits) = ("127.0.0.1".into(), Limits::house());
        Ok((
            oracle,
            Target {
                host,
                port,
                login: None,
                host_keys: vec![],
                credential,
                limits,
                rules: Vec::new(),
                grace: 60,
                anchor: 10,
                freezes: false,
                platform: Default::default(),
                becomes: None,
                hops: Vec::new(),
                accepts: Default::default(),
            },
        ))
    }

    async fn talk(&self, at: &Entrance, account: &str, target: &TargetName, command: &str) -> Result<String, Failure> {
        let (mut side, mut shown) = enter(at.gateway, &format!("LOGIN {} {account} {target}", at.token)).await?;
        if shown.starts_with("OK") {
            shown.push_str(&say(&mut side, command).await?);
        }
        Ok(shown)
    }

    async fn flood(&self, at: &Entrance, target: &TargetName) -> Result<Box<dyn Flood>, Failure> {
        let (mut side, _) = enter(at.gateway, &format!("LOGIN {} ops {target}", at.token)).await?;
        side.say("flood").await?;
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = bytes.clone();
        let task = tokio::spawn(async move {
            let Side { mut read, write: _open } = side;
            let mut buffer = vec![0; 65536];
            while let Ok(read @ 1..) = read.read(&mut buffer).await {
                counted.fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
            }
        });
        Ok(Box::new(ToyFlood { bytes, task }))
    }

    async fn busy(&self, at: &Entrance, target: &TargetName, bytes: usize) -> Result<(), Failure> {
        let (mut side, _) = enter(at.gateway, &format!("LOGIN {} ops {target}", at.token)).await?;
        side.say(&format!("busy {bytes}")).await?;
        let (mut read, mut write) = (side.read, side.write);
        let sending = tokio::spawn(async move {
            let line = [vec![b'y'; 4095], vec![b'\n']].concat();
            for _ in 0..bytes / 4096 {
                write.write_all(&line).await?;
            }
            Ok::<_, std::io::Error>(write)
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut all = vec![0; bytes / 4096 * 4096 + 4];
        read.read_exact(&mut all).await?;
        drop(sending.await??);
        if all.ends_with(b"done") { Ok(()) } else { Err("bytes were lost".into()) }
    }
}
