//! Control's way to a gateway's door: connects, hears the greeting, and carries messages both ways.

use super::{Connect, Wire, frame};
use sallyport_model::access::Denial;
use sallyport_model::authority::Boxed;
use sallyport_model::door::{Door, Doorway, Hear, Inward, Lent, Outward, Speak, VERSION};
use sallyport_model::{GatewayId, Kind};
use std::time::Duration;
use tokio::io::{ReadHalf, WriteHalf};

/// How long the gateway may take to greet.
const GREETING: Duration = Duration::from_secs(5);

/// Knocks at the door behind a transport.
pub struct Knocker {
    connect: Box<dyn Connect>,
}

impl Knocker {
    /// Through this transport.
    #[must_use]
    pub fn new(connect: Box<dyn Connect>) -> Self {
        Self { connect }
    }
}

impl Door for Knocker {
    fn reach(&self) -> Boxed<'_, Result<Doorway, Denial>> {
        Box::pin(async {
            let away = |why: &dyn std::fmt::Display| {
                tracing::warn!(%why, "the gateway's door is not reached");
                Denial::new(Kind::Unavailable, "the gateway is not reached; try again shortly")
            };
            let wire = self.connect.connect().await.map_err(|error| away(&error))?;
            let (mut from, to) = tokio::io::split(wire);
            let greeting = tokio::time::timeout(GREETING, frame::read::<Outward, _>(&mut from)).await;
            let gateway = greeted(greeting.map_err(|error| away(&error))?).map_err(|error| away(&error))?;
            Ok(Doorway { gateway, speak: Box::new(Mouth(to)), hear: Box::new(Ear(from)) })
        })
    }
}

fn greeted(first: Result<Option<Outward>, frame::Error>) -> Result<GatewayId, frame::Error> {
    match first? {
        Some(Outward::Greeting(VERSION, gateway)) => Ok(gateway),
        Some(Outward::Greeting(..)) => {
            Err(frame::Error::Unexpected("gateway and control speak different versions; upgrade the older one"))
        }
        Some(_) | None => Err(frame::Error::Unexpected("the gateway greets first")),
    }
}

/// Says things on a wire.
pub(super) struct Mouth(pub(super) WriteHalf<Wire>);

impl Speak for Mouth {
    fn say(&mut self, message: Inward) -> Boxed<'_, bool> {
        Box::pin(async move { frame::write(&mut self.0, &message).await.is_ok() })
    }

    fn pass<'a>(&'a mut self, bytes: &'a [u8]) -> Boxed<'a, bool> {
        Box::pin(async move { frame::write(&mut self.0, &Lent::Inward(bytes)).await.is_ok() })
    }
}

/// Hears things on a wire.
pub(super) struct Ear(pub(super) ReadHalf<Wire>);

impl Hear for Ear {
    fn hear(&mut self) -> Boxed<'_, Option<Outward>> {
        Box::pin(async { frame::read(&mut self.0).await.ok().flatten() })
    }
}
