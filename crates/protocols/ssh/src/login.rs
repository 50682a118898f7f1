//! `login`: who the client is, by key or token, and what its user name asks for.

use crate::leg::{ClientLeg, LoggedIn};
use crate::meter::{ClientStream, Cut, Meter};
use crate::{Client, Event};
use sallyport_gateway::listen::Downstream;
use sallyport_gateway::spine::{Authenticated, Login, Wish};
use sallyport_model::access::{Ask, Denial, From as Source};
use sallyport_model::{Address, Kind};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

type Outcome = (Client, Authenticated, Result<Wish, Denial>);

/// Speaks SSH with a client until it is known. A wish that cannot be granted is for the caller to tell.
pub(crate) async fn login(config: Arc<russh::server::Config>, io: Downstream, login: Login) -> Result<Outcome, Denial> {
    let from = io.from.ip();
    let meter = Meter::new();
    let cut = Cut(meter.clone());
    let (logged_in, done) = oneshot::channel::<LoggedIn>();
    let (events, arrivals) = mpsc::unbounded_channel::<Event>();
    let leg = ClientLeg::new(login, logged_in, events, meter.clone());
    let stream = ClientStream::new(io.stream, meter.clone());
    let gone = |e: russh::Error| Denial::new(Kind::Usage, format!("the client left before it logged in: {e}"));
    let running = russh::server::run_stream(config, stream, leg).await.map_err(gone)?;
    let handle = running.handle();
    // The handler is dropped with the connection, and its sender with it.
    let (who, address) =
        done.await.map_err(|_| Denial::new(Kind::Denied, "the client left, or no proof of it was accepted"))?;
    drop(io.half_open);
    let client = Client { handle: Some(handle), arrivals, meter, started: None, told: false, _cut: cut };
    Ok((client, who, wish(address, from)))
}

fn wish(address: Address, from: IpAddr) -> Result<Wish, Denial> {
    match address {
        Address::Place { account, target, .. } => {
            let protocol = "ssh".into();
            Ok(Wish::Open(Ask { account, target, protocol, from: Source(from), reason: String::new() }))
        }
        Address::Chooser { .. } => Err(Denial::new(
            Kind::Usage,
            "no target was named, and the chooser is not there yet: connect as account@target, \
             such as `ssh root@web-1@this-gateway`",
        )),
    }
}
