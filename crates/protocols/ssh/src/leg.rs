//! The client's leg: russh calls these handlers in its session loop, so none of them waits once logged in.

use crate::events::{Arrival, not_yet, subsystem};
use crate::meter::{CHANNELS, Meter, Share};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error, Pty, Sig};
use sallyport_gateway::spine::{Authenticated, Login, Step};
use sallyport_model::access::Channel as Kind;
use sallyport_model::authority::Evidence;
use sallyport_model::{Address, Secret};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Keys that a client may offer. An offer is never a factor.
const OFFERS: u32 = 10;
/// Longest token.
const TOKEN: usize = 4096;

/// Who logged in, and as what it addressed the gateway.
pub(crate) type LoggedIn = (Authenticated, Address);

/// The handler of one client's connection.
pub(crate) struct ClientLeg {
    login: Login,
    logged_in: Option<oneshot::Sender<LoggedIn>>,
    arrivals: mpsc::UnboundedSender<Arrival>,
    meter: Arc<Meter>,
    channels: HashMap<ChannelId, Arc<Share>>,
    offers: u32,
    refusals: Arc<Share>,
}

impl ClientLeg {
    pub(crate) fn new(
        login: Login,
        logged_in: oneshot::Sender<LoggedIn>,
        arrivals: mpsc::UnboundedSender<Arrival>,
        meter: Arc<Meter>,
    ) -> Self {
        let refusals = Share::new(meter.clone());
        Self { login, logged_in: Some(logged_in), arrivals, meter, channels: HashMap::new(), offers: 0, refusals }
    }

    /// Shows a proof. The user name of this very request counts, so that a client which changes it
    /// between requests gains nothing.
    async fn prove(&mut self, user: &str, evidence: Evidence) -> Auth {
        let Ok(address) = user.parse::<Address>() else { return Auth::reject() };
        match self.login.step(address.handle().cloned(), evidence).await {
            Ok(Step::Authenticated(who)) => match self.logged_in.take() {
                Some(done) => {
                    let _ = done.send((who, address));
                    Auth::Accept
                }
                None => Auth::reject(),
            },
            Ok(Step::More) | Err(_) => Auth::reject(),
        }
    }

    /// Counts what a channel was sent. A peer that ignores its windows loses the connection.
    fn count(&self, channel: ChannelId, bytes: usize) -> Result<(), Error> {
        match self.channels.get(&channel) {
            Some(share) if !share.add(bytes) => Err(Error::Disconnect),
            _ => Ok(()),
        }
    }

    /// Passes a refusal on to be recorded. Refusals wait there as bytes do, and are bounded as they are.
    fn refuse(&self, kind: Kind, detail: impl Into<String>) -> Result<(), Error> {
        let detail = detail.into();
        let fits = self.refusals.add(detail.len());
        let _ = self.arrivals.send(Arrival::Refused(kind, detail, self.refusals.clone()));
        if fits { Ok(()) } else { Err(Error::Disconnect) }
    }

    async fn refuse_open(&self, kind: Kind, detail: String, reply: ChannelOpenHandle) -> Result<(), Error> {
        self.refuse(kind, detail)?;
        // RFC 4254 section 5.1: SSH_OPEN_ADMINISTRATIVELY_PROHIBITED is 1.
        reply.reject(ChannelOpenFailure::Other { code: 1, reason: not_yet(kind) }).await;
        Ok(())
    }
}

impl Handler for ClientLeg {
    type Error = Error;

    /// "Permission denied" would be a lie where nobody can be let in.
    async fn authentication_banner(&mut self) -> Result<Option<String>, Error> {
        Ok(self.login.possible().err().map(|denial| format!("sallyport: {denial}\r\n")))
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        self.offers = self.offers.saturating_add(1);
        let (Ok(address), Some(key)) = (user.parse::<Address>(), crate::config::openssh(offer.public_key)) else {
            return Ok(Auth::reject());
        };
        if self.offers > OFFERS {
            return Ok(Auth::reject());
        }
        let evidence = Evidence::SshKey { key, proved: false };
        match self.login.step(address.handle().cloned(), evidence).await {
            Ok(Step::More) => Ok(Auth::Accept),
            Ok(Step::Authenticated(_)) | Err(_) => Ok(Auth::reject()),
        }
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        let Some(key) = crate::config::openssh(key.public_key) else { return Ok(Auth::reject()) };
        Ok(self.prove(user, Evidence::SshKey { key, proved: true }).await)
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Error> {
        if password.len() > TOKEN {
            return Ok(Auth::reject());
        }
        Ok(self.prove(user, Evidence::Token(Secret::new(password.as_bytes().to_vec()))).await)
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Error> {
        let Some(mut response) = response else {
            return Ok(Auth::Partial {
                name: "Sallyport".into(),
                instructions: "".into(),
                prompts: vec![("Token: ".into(), false)].into(),
            });
        };
        match response.next() {
            Some(token) if token.len() <= TOKEN => {
                Ok(self.prove(user, Evidence::Token(Secret::new(token.to_vec()))).await)
            }
            _ => Ok(Auth::reject()),
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        if self.channels.len() >= CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let share = Share::new(self.meter.clone());
        self.channels.insert(channel.id(), share.clone());
        reply.accept().await;
        let _ = self.arrivals.send(Arrival::Channel(channel, share));
        Ok(())
    }

    async fn channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        originator: &str,
        port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse_open(Kind::X11, format!("from {originator}:{port}"), reply).await
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse_open(Kind::ForwardLocal, format!("{host}:{port}"), reply).await
    }

    async fn channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse_open(Kind::ForwardRemote, format!("{host}:{port}"), reply).await
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse_open(Kind::ForwardSocket, path.to_owned(), reply).await
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Error> {
        self.count(channel, data.len())
    }

    async fn extended_data(
        &mut self,
        channel: ChannelId,
        _code: u32,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.count(channel, data.len())
    }

    async fn window_adjusted(&mut self, channel: ChannelId, _size: u32, _session: &mut Session) -> Result<(), Error> {
        self.count(channel, 0)
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.meter.window()
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        _cols: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        // Answered here: russh keeps one flag per channel for the reply it owes, so a late answer is lost.
        session.channel_success(channel)?;
        self.count(channel, term.len().saturating_add(modes.len().saturating_mul(8)))
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        session.channel_success(channel)?;
        self.count(channel, name.len().saturating_add(value.len()))
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Error> {
        session.channel_success(channel)?;
        self.count(channel, 0)
    }

    async fn exec_request(&mut self, channel: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Error> {
        session.channel_success(channel)?;
        self.count(channel, command.len())
    }

    async fn subsystem_request(&mut self, channel: ChannelId, name: &str, session: &mut Session) -> Result<(), Error> {
        self.refuse(subsystem(name), name)?;
        // Success, because OpenSSH drops what it was shown when the answer is a failure: the
        // channel then shows the line and ends with an exit code.
        session.channel_success(channel)?;
        self.count(channel, name.len())
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse(Kind::X11, "")?;
        session.channel_failure(channel)?;
        self.count(channel, 0)
    }

    async fn agent_request(&mut self, channel: ChannelId, _session: &mut Session) -> Result<bool, Error> {
        self.refuse(Kind::Agent, "")?;
        self.count(channel, 0)?;
        Ok(false)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _cols: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        session.channel_success(channel)?;
        self.count(channel, 0)
    }

    async fn signal(&mut self, channel: ChannelId, _signal: Sig, session: &mut Session) -> Result<(), Error> {
        session.channel_success(channel)?;
        self.count(channel, 0)
    }

    async fn tcpip_forward(&mut self, address: &str, port: &mut u32, _session: &mut Session) -> Result<bool, Error> {
        self.refuse(Kind::ForwardRemote, format!("{address}:{port}"))?;
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool, Error> {
        self.refuse(Kind::ForwardSocket, path)?;
        Ok(false)
    }

    async fn channel_eof(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Error> {
        self.count(channel, 0)
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Error> {
        // What is still queued stays counted until its pump has taken it or closed its share.
        self.channels.remove(&channel);
        Ok(())
    }
}
