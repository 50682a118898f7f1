//! The driver: login, ask, authorize, open, drive, close, in this order for every protocol.

use super::door::{Entry, Seat};
use super::drive;
use super::gateway::Gateway;
use super::open::{self, Open};
use super::proof::{Authenticated, Choices, Login};
use super::protocol::{Arrival, Hold, Protocol, Wish};
use super::traced;
use crate::listen::Downstream;
use sallyport_model::access::{Ask, Denial};
use sallyport_model::{Kind, Limits, SessionId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

/// Further connections that may wait for their session.
const ATTACHING: usize = 16;
/// How long a person may take to choose a target.
const CHOOSE: Duration = Duration::from_secs(300);

impl Gateway {
    /// Carries one client's connection from its first byte to its last entry.
    pub async fn carry<P: Protocol>(self: Arc<Self>, protocol: Arc<P>, io: Downstream) {
        let from = io.from;
        let login = Login::new(&self.parts.env, self.parts.authority.clone(), from.ip());
        let (span, overdue) = (traced::session(P::NAME), login.overdue());
        let login = traced::step(&span, "login", protocol.login(io, login), traced::allowed);
        let arrived = tokio::select! {
            arrived = Box::pin(login) => Some(arrived),
            () = overdue => None,
        };
        let arrival = match arrived {
            Some(Ok(arrival)) => arrival,
            Some(Err(denial)) => {
                span.record("outcome", denial.kind.word());
                return tracing::info!(%from, protocol = P::NAME, %denial, "a login failed");
            }
            None => return tracing::info!(%from, protocol = P::NAME, "a login took too long"),
        };
        self.admit(protocol, arrival, None).instrument(span).await;
    }

    /// Gives a client that is known what it wants, or tells it why not. Runs in the span of its session.
    pub(super) async fn admit<P: Protocol>(
        self: Arc<Self>,
        protocol: Arc<P>,
        arrival: Arrival<P::Client>,
        seat: Option<Arc<Seat>>,
    ) {
        let Arrival { mut client, who, wish } = arrival;
        match wish {
            Wish::Join(session) => {
                if let Err((client, denial)) = self.join::<P>(session, &who, client).await {
                    protocol.deny(client, &denial).await;
                }
            }
            Wish::Open(ask) => self.enter(protocol, client, (&who, &ask), seat).await,
            Wish::Choose(from) => {
                let choices = Choices::new(&who, &*self.parts.authority);
                let chosen = tokio::time::timeout(CHOOSE, Box::pin(protocol.choose(&mut client, &choices))).await;
                let slow = || Err(Denial::new(Kind::Usage, "nothing was chosen for five minutes; connect again"));
                match chosen.unwrap_or_else(|_| slow()) {
                    Ok((account, target)) => {
                        let (protocol_name, reason) = (P::NAME.into(), String::new());
                        let ask = Ask { account, target, protocol: protocol_name, from, reason };
                        self.enter(protocol, client, (&who, &ask), seat).await;
                    }
                    Err(denial) => protocol.deny(client, &denial).await,
                }
            }
        }
    }

    /// Opens what is asked for, or tells the client why not.
    async fn enter<P: Protocol>(
        self: Arc<Self>,
        protocol: Arc<P>,
        mut client: P::Client,
        (who, ask): (&Authenticated, &Ask),
        seat: Option<Arc<Seat>>,
    ) {
        match self.authorize(&*protocol, &mut client, who, ask).await {
            Ok(open) => self.begin(protocol, open, client, seat),
            Err(denial) => {
                Span::current().record("outcome", denial.kind.word());
                protocol.deny(client, &denial).await;
            }
        }
    }

    /// Opens, or waits in `hold` for an approval where the client is of the kind that waits.
    async fn authorize<P: Protocol>(
        &self,
        protocol: &P,
        client: &mut P::Client,
        who: &Authenticated,
        ask: &Ask,
    ) -> Result<Open, Denial> {
        let give_up = Instant::now() + Duration::from_secs(Limits::house().hold.into());
        loop {
            let denial = match traced::step(&Span::current(), "open", open::open(self, who, ask), traced::allowed).await
            {
                Ok(open) => return Ok(open),
                Err(denial) => denial,
            };
            let waits = denial.kind == Kind::NeedsApproval && Instant::now() < give_up;
            if !waits || protocol.hold(client, &denial, false).await != Hold::Waiting {
                return Err(denial);
            }
        }
    }

    /// Drives a session in a task that nobody's leaving cancels.
    fn begin<P: Protocol>(self: Arc<Self>, protocol: Arc<P>, open: Open, client: P::Client, seat: Option<Arc<Seat>>) {
        let (attach, more) = mpsc::channel(ATTACHING);
        if let Some(seat) = &seat {
            seat.opened(open.outline(&self.parts.env), open.recording.onlooker());
            let (seat, followed) = (seat.clone(), open.followed());
            tokio::spawn(async move { seat.follow(followed).await });
        }
        let entry = Entry {
            identity: open.identity,
            protocol: P::NAME,
            attach,
            seat: seat.clone(),
            onlooker: open.recording.onlooker(),
            knock: open.knock.clone(),
            typed: open.typed.clone(),
        };
        self.sessions.insert(open.session, entry);
        let running = self.running.clone();
        let driven = async move { Box::pin(drive::drive(&self, &protocol, open, (client, seat), more)).await };
        running.spawn(driven.in_current_span());
    }

    /// Brings a further connection to a session of the same identity.
    async fn join<P: Protocol>(
        &self,
        session: SessionId,
        who: &Authenticated,
        client: P::Client,
    ) -> Result<(), (P::Client, Denial)> {
        let entry = self.sessions.get(session).filter(|e| e.identity == who.identity() && e.protocol == P::NAME);
        let Some(entry) = entry else { return Err((client, Denial::unknown())) };
        match entry.attach.send(Box::new(client)).await {
            Ok(()) => Ok(()),
            Err(back) => match back.0.downcast() {
                Ok(client) => Err((*client, Denial::unknown())),
                Err(_) => Ok(()),
            },
        }
    }
}
