//! Between nodes: what a session needs that runs through another node is asked of that node, which decides it.

use crate::control::put;
use crate::directory::{all, kinds, load};
use crate::sessions::SessionBody;
use crate::terminal::Terminal;
use crate::{Actor, Control, Error, Op, Watching};
use sallyport_model::access::{Denial, From};
use sallyport_model::authority::{Boxed, View};
use sallyport_model::door::{Closed, Hear, Inward, Outward, Speak};
use sallyport_model::inventory::Rest;
use sallyport_model::relay::{Asked, Line, Nodes, Pin, Relayed, Wanted};
use sallyport_model::{Kind, WatchId};
use sallyport_store::{Change, DocId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often it is looked whether the others know the way here.
const LOOK: Duration = Duration::from_secs(2);
/// Messages of other nodes that wait for a slow browser; then those nodes wait.
const WAITING: usize = 64;
const ACTOR: Actor = Actor::System("nodes");

/// The way to a node, as its document says it. Whoever is reached there must show this certificate.
#[derive(Debug, Serialize, Deserialize)]
struct WayBody {
    node: String,
    address: String,
    /// SHA-256 of the certificate, hexadecimal.
    certificate: String,
    #[serde(flatten)]
    rest: Rest,
}

impl WayBody {
    fn pin(&self) -> Option<Pin> {
        hex::decode(&self.certificate).ok()?.try_into().ok()
    }
}

/// The document that says the way to a node.
pub(crate) fn way(node: &str) -> DocId {
    DocId::new(format_args!("way/{node}"))
}

impl Control {
    /// With the way to other nodes.
    #[must_use]
    pub fn with_nodes(mut self, nodes: Arc<dyn Nodes>) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// Has the other nodes know the way here, as soon as the vault is open. Never ends.
    pub async fn tend_way(&self) {
        loop {
            match self.publish_way().await {
                Ok(()) | Err(Error::Sealed | Error::Quarantined(_)) => {}
                Err(error) => tracing::warn!(%error, "Other nodes do not know the way here; it is tried again"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn publish_way(&self) -> Result<(), Error> {
        let Some(nodes) = &self.nodes else { return Ok(()) };
        let open = self.opened()?;
        let id = way(self.node());
        let known = load::<WayBody>(&open.store, &id, kinds::SETTING);
        let (address, certificate) = (nodes.address().to_owned(), hex::encode(nodes.pin()));
        let (was, rest) = match known {
            Some(known) if known.value.address == address && known.value.certificate == certificate => return Ok(()),
            Some(known) => (known.version, known.value.rest),
            None => (0, Rest::new()),
        };
        let facts = [("address", address.as_str()), ("certificate", &certificate)];
        let draft = self.draft(&ACTOR, "node.reachable", self.node(), &facts);
        let body = WayBody { node: self.node().to_owned(), address: address.clone(), certificate, rest };
        open.store.commit(Change::entry(draft).put(put(id.as_str(), was, kinds::SETTING, &body)?)).await?;
        Ok(())
    }

    /// Asks the node of a session for what is wanted of it. Whether it is granted is the first thing heard.
    pub(crate) async fn relay(&self, op: &Op, node: &str, wanted: Wanted) -> Result<Terminal, Error> {
        let unset = |place: &str| {
            let text =
                format!("this session runs through the node `{node}`: set `[nodes] listen` {place}, or do it there");
            Error::Denied(Denial::new(Kind::Unavailable, text))
        };
        let own = self.acting(op)?;
        let nodes = self.nodes.as_ref().ok_or_else(|| unset("on both nodes"))?;
        let known = load::<WayBody>(&self.opened()?.store, &way(node), kinds::SETTING);
        let known = known.ok_or_else(|| unset("there"))?.value;
        let pin = known.pin().ok_or_else(|| Error::failed("the way to a node cannot be read"))?;
        let from = From(op.from);
        let relayed = Relayed { identity: own.id, handle: own.handle, device: op.device, from, wanted };
        let Line { speak, hear } = nodes.ask(&known.address, pin, relayed).await?;
        Ok(Terminal { speak, hear, streaming: self.metrics.streaming() })
    }

    /// Looks over the shoulder of a session of another node.
    pub(crate) async fn watch_elsewhere(&self, op: &Op, known: &SessionBody) -> Result<Watching, Error> {
        let Terminal { speak, mut hear, streaming } = self.relay(op, &known.node, Wanted::Watch(known.id)).await?;
        let id = WatchId::new(&self.env);
        // Whether one may is the first thing heard.
        let mut next = match hear.hear().await {
            Some(Outward::Events(events)) => View { watch: id, events, last: false },
            Some(Outward::Closed(closed)) => return Err(Denial::new(closed.kind(), closed.text).into()),
            _ => return Err(Denial::new(Kind::Unavailable, "the node of this session is not reached").into()),
        };
        let (views, receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let _held = (speak, streaming);
            loop {
                let last = next.last;
                if views.send(next).await.is_err() || last {
                    return;
                }
                next = tokio::select! {
                    heard = hear.hear() => match heard {
                        Some(Outward::Events(events)) => View { watch: id, events, last: false },
                        Some(Outward::Closed(closed)) if closed.reason == ENDED => {
                            View { watch: id, events: Vec::new(), last: true }
                        }
                        // The line is lost, which says nothing of the session.
                        _ => return,
                    },
                    () = views.closed() => return,
                };
            }
        });
        Ok(Watching { id, views: receiver })
    }

    /// The nodes that may have sessions: this one, and those that have said the way to them.
    pub(crate) fn reachable(&self) -> BTreeSet<String> {
        let mut nodes = BTreeSet::from([self.node().to_owned()]);
        if let (Some(_), Ok(open)) = (&self.nodes, self.opened()) {
            nodes.extend(all::<WayBody>(&open.store, kinds::SETTING).into_iter().map(|(_, way)| way.value.node));
        }
        nodes
    }

    async fn decide(&self, pin: Pin, relayed: Relayed) -> Result<Line, Error> {
        let Relayed { identity, handle, device, from, wanted } = relayed;
        if !self.knows(&pin) {
            return Err(Denial::new(Kind::Denied, "this node is not of this installation").into());
        }
        let op = Op { actor: Actor::Identity(identity, handle), from: from.0, correlation: String::new(), device };
        if let Some(session) = wanted.session()
            && self.elsewhere(&self.live_session(session)?)
        {
            // Nothing is relayed twice.
            return Err(Error::usage("this session runs through another node than the one that was asked"));
        }
        let Terminal { speak, hear, streaming } = match wanted {
            Wanted::Join(session, size) => self.join_terminal(&op, session, size).await?,
            Wanted::Accompany(session) => self.accompany(&op, session).await?,
            Wanted::Errand(session, errand) => self.errand(&op, session, errand).await?,
            Wanted::Screens => {
                self.require(&op, sallyport_policy::Right::SessionWatch)?;
                self.screens_here().await?
            }
            Wanted::Watch(session) => {
                let watching = self.watch(&op, session).await?;
                let unwatch = Unwatch(self.live.clone(), watching.id);
                let hear = Viewed { views: watching.views, begun: false, over: false, _unwatch: unwatch };
                return Ok(Line { speak: Box::new(Silent), hear: Box::new(hear) });
            }
        };
        Ok(Line { speak, hear: Box::new(Counted { hear, _streaming: streaming }) })
    }
}

impl Asked for Control {
    fn knows(&self, pin: &Pin) -> bool {
        let Ok(open) = self.opened() else { return false };
        let ways = all::<WayBody>(&open.store, kinds::SETTING);
        ways.iter().any(|(_, way)| way.value.node != self.node() && way.value.pin().as_ref() == Some(pin))
    }

    fn relayed(&self, pin: Pin, relayed: Relayed) -> Boxed<'_, Result<Line, Denial>> {
        Box::pin(async move { self.decide(pin, relayed).await.map_err(|error| error.denial()) })
    }
}

/// How a watch is told that its session has ended.
const ENDED: &str = "ended";

/// Nothing is said to what is only looked at.
struct Silent;

impl Speak for Silent {
    fn say(&mut self, _: Inward) -> Boxed<'_, bool> {
        Box::pin(async { true })
    }

    fn pass<'a>(&'a mut self, _: &'a [u8]) -> Boxed<'a, bool> {
        Box::pin(async { true })
    }
}

/// What is heard, counted while it is.
struct Counted {
    hear: Box<dyn Hear>,
    _streaming: crate::metrics::Streaming,
}

impl Hear for Counted {
    fn hear(&mut self) -> Boxed<'_, Option<Outward>> {
        self.hear.hear()
    }
}

/// Ends a watch when it goes.
struct Unwatch(crate::sessions::Live, WatchId);

impl Drop for Unwatch {
    fn drop(&mut self) {
        self.0.unwatch(self.1);
    }
}

/// A watch, as another node hears it: that it is granted, what happens, and that the session has ended.
struct Viewed {
    views: mpsc::Receiver<View>,
    begun: bool,
    over: bool,
    _unwatch: Unwatch,
}

impl Hear for Viewed {
    fn hear(&mut self) -> Boxed<'_, Option<Outward>> {
        Box::pin(async {
            if !std::mem::replace(&mut self.begun, true) {
                return Some(Outward::Events(Vec::new()));
            }
            let ended = || {
                let text = "the session has ended".into();
                Outward::Closed(Closed { reason: ENDED.into(), text, code: None })
            };
            if self.over {
                return Some(ended());
            }
            let view = self.views.recv().await?;
            self.over = view.last;
            Some(if view.last && view.events.is_empty() { ended() } else { Outward::Events(view.events) })
        })
    }
}
