//! Either side of a session by script: a client and a target that say what no stock one would.

use crate::rig::Rig;
use bytes::Bytes;
use sallyport_gateway::conformance::bench::TOKEN;
use sallyport_model::Env;
use sallyport_ssh_transport::key::{self, HostKey};
use sallyport_ssh_transport::link::{Arrivals, Bounds, Link, Reader, Said, Writer};
use sallyport_ssh_transport::wire::Put as _;
use sallyport_ssh_transport::{Error, Leg, Random, SERVICE_ACCEPT, SERVICE_REQUEST, Settings, Transport, auth};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(20);
const BOUNDS: Bounds = Bounds { channels: 64, quiet: Duration::from_secs(60), patience: 2 };

/// One end of a connection, message by message.
pub(crate) type Wire = Leg<TcpStream>;

fn random() -> Random {
    let env = Env::system();
    Arc::new(move |out| env.fill(out))
}

/// `string` of RFC 4251 section 5, and what follows it.
pub(crate) fn words(words: &[&str], rest: &[u8]) -> Bytes {
    let mut out = Vec::new();
    words.iter().for_each(|word| out.string(word.as_bytes()));
    out.bytes(rest);
    out.into()
}

/// `host:port` as forwards have it.
pub(crate) fn place(host: &str, port: u16) -> Vec<u8> {
    let mut out = Vec::new();
    out.string(host.as_bytes());
    out.uint32(port.into());
    out
}

/// A client's connection that has exchanged keys, and may show who it is.
#[expect(clippy::disallowed_methods, reason = "a client of the gateway")]
pub(crate) async fn knock(rig: &Rig) -> Wire {
    let stream = TcpStream::connect(rig.bench.address).await.unwrap();
    let settings = Settings::client(vec![key::parse(rig.fixed.host_key()).unwrap()], random());
    let mut leg = Leg::new(stream, Transport::new(Arc::new(settings)).unwrap());
    service(&mut leg, SERVICE_REQUEST).unwrap();
    assert_eq!(leg.receive().await.unwrap()[0], SERVICE_ACCEPT);
    leg
}

fn service(leg: &mut Wire, number: u8) -> Result<(), Error> {
    leg.send(|out| {
        out.byte(number);
        out.string(b"ssh-userauth");
    })
}

/// `account@target`, as a client writes it.
pub(crate) fn name(rig: &Rig, account: &str) -> String {
    format!("{account}@{}", rig.name)
}

/// A client that has signed in with the suite's token.
pub(crate) async fn signed_in(rig: &Rig, account: &str) -> Wire {
    let mut leg = knock(rig).await;
    leg.send(|out| auth::with_password(out, &name(rig, account), TOKEN.as_bytes())).unwrap();
    assert_eq!(leg.receive().await.unwrap()[0], auth::SUCCESS);
    leg.authenticated();
    leg
}

/// The channels of a connection whose client is in.
pub(crate) fn channels(leg: Wire) -> (Link, Arrivals) {
    let (link, arrivals, driver) = Link::start(leg, BOUNDS);
    tokio::spawn(driver.run());
    (link, arrivals)
}

/// A channel in which a command was begun.
pub(crate) async fn exec(link: &Link, command: &str) -> (Reader, Writer) {
    let (mut read, write) = link.open("session", Bytes::new()).await.unwrap();
    write.request("exec", true, words(&[command], b"")).unwrap();
    assert_eq!(soon(read.next()).await, Said::Answer(true));
    (read, write)
}

/// What is waited for must come.
pub(crate) async fn soon<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, coming).await.expect("nothing came")
}

/// Reads a channel until a text was shown, on either stream.
pub(crate) async fn until(read: &mut Reader, wanted: &str) -> String {
    let mut shown = String::new();
    while !shown.contains(wanted) {
        let said = tokio::time::timeout(SOON, read.next()).await;
        match said.unwrap_or_else(|_| panic!("{wanted:?} does not come after {shown:?}")) {
            Said::Data(data) | Said::Extended(_, data) => shown.push_str(&String::from_utf8_lossy(&data)),
            Said::Close => panic!("{wanted:?} is not shown: {shown:?}"),
            _ => {}
        }
    }
    shown
}

/// A target that a script plays, one connection each: its port and its host key.
pub(crate) async fn target<F>(script: impl Fn(Wire) -> F + Send + 'static) -> (u16, String)
where
    F: Future<Output = ()> + Send + 'static,
{
    let host_key = Arc::new(HostKey::from_seed(&[6; 32]).unwrap());
    let public = key::print(host_key.public()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let settings = Arc::new(Settings::server(host_key.clone(), random()));
            tokio::spawn(script(Leg::new(stream, Transport::new(settings).unwrap())));
        }
    });
    (port, public)
}

/// A target's side up to where its client shows a credential.
pub(crate) async fn asked_in(leg: &mut Wire) -> Result<(), Error> {
    leg.receive().await?;
    service(leg, SERVICE_ACCEPT)?;
    leg.receive().await?;
    Ok(())
}

/// A target's side that lets whoever comes in.
pub(crate) async fn let_in(mut leg: Wire) -> Result<Wire, Error> {
    asked_in(&mut leg).await?;
    leg.send(|out| out.byte(auth::SUCCESS))?;
    leg.flush().await?;
    leg.authenticated();
    Ok(leg)
}

/// A target's side of a channel, up to the program that its client wants: every request is granted.
pub(crate) async fn begun(read: &mut Reader, write: &Writer) -> bool {
    program(read, write).await && write.answer(true).is_ok()
}

/// The same, but that the program is not granted yet.
pub(crate) async fn program(read: &mut Reader, write: &Writer) -> bool {
    loop {
        match read.next().await {
            Said::Request(name, ..) if matches!(name.as_str(), "exec" | "shell" | "subsystem") => return true,
            Said::Request(_, true, _) if write.answer(true).is_err() => return false,
            Said::Close => return false,
            _ => {}
        }
    }
}

/// A program on such a target has ended well.
pub(crate) fn ended(write: &Writer) {
    let _ = write.request("exit-status", false, Bytes::from_static(&[0; 4]));
    let _ = write.eof();
    write.close();
}
