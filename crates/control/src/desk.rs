//! Control's side of the Authority.

use crate::directory::{all, kinds};
use crate::sessions::SessionBody;
use crate::{Control, Error, SshCa};
use sallyport_model::access::Denial;
use sallyport_model::authority::{
    Boxed, Call, Desk, DownSink, Figures, Hello, Orphan, Pulse, Reply, VERSION, View, Welcome,
};
use sallyport_model::{CallId, ClusterId, GatewayId, Kind, SessionId};
use std::time::Duration;

/// Without a look at what is stored for so long this node does not know what others have decided.
const DEAF: Duration = Duration::from_millis(900);
/// A write that takes longer than this is one that may never end.
const MUTE: Duration = Duration::from_millis(600);

impl Desk for Control {
    fn join<'a>(&'a self, hello: Hello, down: DownSink) -> Boxed<'a, Result<Welcome, Denial>> {
        Box::pin(async move {
            if hello.version != VERSION {
                let text = format!(
                    "the gateway speaks version {}, control speaks {VERSION}: upgrade the older one",
                    hello.version
                );
                return Err(Denial::new(Kind::Usage, text));
            }
            if self.opened().is_ok() && self.pulse() == Pulse::Deaf {
                return Err(Denial::unavailable("the database"));
            }
            // Such a session would be in no list of orphans, and nobody would ever end it.
            if self.live.opens_for_nobody() {
                return Err(Denial::unavailable("what becomes of the sessions that an earlier gateway was opening"));
            }
            let welcome = self.welcome(&hello)?;
            let owned = self.owned(&hello);
            self.live.join(hello.gateway, &owned, down);
            // Looked at after the gateway has joined: an order that came before was not heard.
            for id in owned {
                for order in self.live_session(id).ok().iter().flat_map(SessionBody::orders) {
                    self.live.send(id, order);
                }
            }
            tracing::info!(gateway = %hello.gateway, zone = %hello.zone, open = hello.open.len(), orphans = welcome.orphans.len(), "A gateway has joined");
            Ok(welcome)
        })
    }

    fn call<'a>(&'a self, gateway: GatewayId, id: CallId, call: Call) -> Boxed<'a, Reply> {
        Box::pin(async move { self.answer(gateway, id, call).await.unwrap_or_else(|error| Reply::Denied(log(&error))) })
    }

    fn pulse(&self) -> Pulse {
        match self.opened() {
            Ok(open) if open.store.silence() > DEAF => Pulse::Deaf,
            Ok(open) if open.store.stuck() > MUTE => Pulse::Mute,
            Ok(_) if self.space_must_freeze() => Pulse::Full,
            Ok(_) => Pulse::Well,
            Err(_) => Pulse::Deaf,
        }
    }

    fn view(&self, gateway: GatewayId, view: View) {
        self.live.view(gateway, view);
    }

    fn figures(&self, gateway: GatewayId, figures: Figures) {
        self.metrics.of_gateway(gateway, figures);
    }

    fn leave(&self, gateway: GatewayId) {
        self.metrics.without_gateway(gateway);
        tracing::info!(%gateway, "A gateway has left; its sessions go on within their grace");
        self.live.leave(gateway);
    }
}

fn log(error: &Error) -> Denial {
    if matches!(error.kind(), Kind::Failed | Kind::Unavailable) {
        tracing::warn!(%error, "A call of a gateway failed");
    }
    error.denial()
}

impl Control {
    /// The sessions that a gateway names and that are its own: orders for another's must not come to it.
    fn owned(&self, hello: &Hello) -> Vec<SessionId> {
        let own = |id: &&SessionId| self.live_session(**id).is_ok_and(|session| session.gateway == hello.gateway);
        hello.open.iter().filter(own).copied().collect()
    }

    fn welcome(&self, hello: &Hello) -> Result<Welcome, Denial> {
        let Ok(open) = self.opened() else {
            let cluster = ClusterId::from_bytes([0; 16]);
            return Ok(Welcome { version: VERSION, cluster, recording_key: None, orphans: Vec::new() });
        };
        let recording_key = open.vault().recording_key().map_err(|e| Denial::new(Kind::Failed, e.to_string()))?;
        let orphans = all::<SessionBody>(&open.store, kinds::SESSION)
            .into_iter()
            .map(|(_, session)| session.value)
            .filter(|s| s.gateway != hello.gateway && !self.live.connected(s.gateway) && !self.elsewhere(s))
            .map(|s| Orphan { session: s.id, recording: s.recording })
            .collect();
        Ok(Welcome { version: VERSION, cluster: open.cluster, recording_key: Some(recording_key), orphans })
    }

    async fn answer(&self, gateway: GatewayId, id: CallId, call: Call) -> Result<Reply, Error> {
        match call {
            Call::AuthStep(login, step) => self.auth_step(gateway, id, (login, step)).await,
            Call::Open(ask) => self.open_session(gateway, id, ask).await,
            Call::Channel(ask) => self.open_channel(gateway, id, ask).await,
            Call::Places(asked) => self.choices(gateway, &asked).await,
            Call::Password(session, stop) => self.lend(gateway, id, (session, stop)).await,
            Call::Becoming(session) => self.lend_becoming(gateway, id, session).await,
            Call::Sign(session, data, stop) => self.sign(gateway, id, (session, stop), &data).await,
            Call::Certify(session, exchange, stop) => {
                let certified = self.certify(gateway, id, (session, stop), &exchange).await;
                certified.inspect_err(|_| self.metrics.certificate_refused(SshCa::Targets))
            }
            Call::Anchor(anchor) => self.anchor(gateway, id, anchor).await,
            Call::Thawed(thawed) => self.thawed(gateway, id, thawed).await,
            Call::Company(company) => self.company(gateway, id, company).await,
            Call::Judged(judged) => self.judged(gateway, id, judged).await,
            Call::Signature(told) => self.agent_asked(gateway, id, told).await,
            Call::Close(close) => self.close_session(gateway, id, close).await,
        }
    }
}
