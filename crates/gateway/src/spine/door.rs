//! The door: sessions for clients that come through no listener, and further connections to open ones.

use super::gateway::Gateway;
use super::open;
use super::proof::Authenticated;
use super::protocol::Protocol;
use sallyport_model::access::{Ask, Denial};
use sallyport_model::authority::{Authenticated as Who, Boxed};
use sallyport_model::door::{Door, Stream};
use sallyport_model::{IdentityId, Kind, SessionId};
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// An open session, as the door finds it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) identity: IdentityId,
    pub(super) protocol: &'static str,
    /// The protocol's client type: what may be attached.
    pub(super) client: TypeId,
    pub(super) attach: mpsc::Sender<super::drive::Boxed>,
}

/// The open sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<SessionId, Entry>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, session: SessionId, entry: Entry) {
        self.lock().insert(session, entry);
    }

    pub(super) fn remove(&self, session: SessionId) {
        self.lock().remove(&session);
    }

    pub(super) fn get(&self, session: SessionId) -> Option<Entry> {
        self.lock().get(&session).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

type Opener = Box<dyn Fn(Arc<Gateway>, Who, Ask) -> Boxed<'static, Result<SessionId, Denial>> + Send + Sync>;

/// The gateway's door, with the protocols that it opens sessions of.
pub struct Doors {
    gateway: Arc<Gateway>,
    openers: HashMap<&'static str, Opener>,
}

impl Doors {
    /// A door that opens nothing yet.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, openers: HashMap::new() }
    }

    /// With one more protocol. Streams attached to its sessions are boxed `P::Client`s.
    #[must_use]
    pub fn with<P: Protocol>(mut self, protocol: Arc<P>) -> Self {
        let opener: Opener = Box::new(move |gateway, who, ask| {
            let protocol = protocol.clone();
            Box::pin(async move {
                let who = Authenticated::new(who);
                let open = Box::pin(open::open(&gateway, &who, &ask)).await?;
                let session = open.session;
                gateway.begin(protocol, open, None);
                Ok(session)
            })
        });
        self.openers.insert(P::NAME, opener);
        self
    }
}

impl Door for Doors {
    fn open<'a>(&'a self, who: Who, ask: Ask) -> Boxed<'a, Result<SessionId, Denial>> {
        match self.openers.get(ask.protocol.as_str()) {
            Some(opener) => opener(self.gateway.clone(), who, ask),
            None => {
                let text = format!("this gateway speaks no `{}`; name a protocol that it speaks", ask.protocol);
                Box::pin(std::future::ready(Err(Denial::new(Kind::Usage, text))))
            }
        }
    }

    fn attach<'a>(&'a self, session: SessionId, stream: Stream) -> Boxed<'a, Result<(), Denial>> {
        Box::pin(async move {
            let entry = self.gateway.sessions.get(session).ok_or_else(Denial::unknown)?;
            if (*stream).type_id() != entry.client {
                let text = format!("this stream is no client of `{}`; attach one that is", entry.protocol);
                return Err(Denial::new(Kind::Usage, text));
            }
            entry.attach.send(stream).await.map_err(|_| Denial::unknown())
        })
    }
}
