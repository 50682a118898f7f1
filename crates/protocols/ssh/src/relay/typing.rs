//! Who types in a channel: its user, and peers. What the user says while the session is paused is read along for answers to us.

use crate::client::{Reader, Said, Writer};
use bytes::Bytes;
use sallyport_gateway::observe::WhatRef;
use sallyport_gateway::observe::tap::Stop;
use sallyport_gateway::spine::{Live, Peers, Typist};
use sallyport_model::Handle;
use sallyport_ssh_transport::link;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Words that are read while the session is paused and wait for it; then the client does.
const AHEAD: usize = 16;

/// What comes next in a channel.
pub(super) enum Next {
    /// From its client.
    Said(Said),
    /// From a peer.
    Typed(Typist, Bytes),
}

/// Those who type in one channel.
pub(super) struct Typing<'a> {
    live: &'a Live,
    number: u32,
    back: &'a Writer,
    to: &'a link::Writer,
    /// Absent where the channel has no terminal.
    peers: Option<Peers>,
    ahead: VecDeque<Next>,
    /// Who typed last, where it was not the user.
    last: Option<Handle>,
    /// When the user typed last.
    touched: Instant,
}

impl<'a> Typing<'a> {
    pub(super) fn new(live: &'a Live, (number, shows): (u32, bool), back: &'a Writer, to: &'a link::Writer) -> Self {
        let peers = shows.then(|| live.peers());
        Self { live, number, back, to, peers, ahead: VecDeque::new(), last: None, touched: Instant::now() }
    }

    /// What comes next. What answers a question of ours is taken for it at once, paused or not, and reaches nobody else.
    ///
    /// # Errors
    /// When the session ended while it was paused.
    pub(super) async fn next(&mut self, from: &mut Reader) -> Result<Next, Stop> {
        if self.peers.is_none() {
            return Ok(Next::Said(from.next().await));
        }
        loop {
            let paused = self.live.tap().is_paused();
            if !paused && let Some(next) = self.ahead.pop_front() {
                match next {
                    Next::Typed(whose, _) if !self.live.is_here(&whose) => continue,
                    next => return Ok(next),
                }
            }
            let room = self.ahead.len() < AHEAD;
            let peer = async {
                match &mut self.peers {
                    Some(peers) => peers.next().await,
                    None => std::future::pending().await,
                }
            };
            // Kept in any case, and looked at anew: it may have been paused while nothing came.
            tokio::select! {
                flows = self.live.tap().flowing(), if paused => flows?,
                said = from.next(), if room => match said {
                    Said::Bytes(data) if self.live.answers(&data, self.quiet()) => {}
                    // Whoever leaves does so at once.
                    Said::Close => return Ok(Next::Said(Said::Close)),
                    said => self.ahead.push_back(Next::Said(said)),
                },
                (whose, piece) = peer, if room => self.ahead.push_back(Next::Typed(whose, piece.into())),
            }
        }
    }

    /// How long the user has typed nothing; now they do.
    fn quiet(&mut self) -> Duration {
        std::mem::replace(&mut self.touched, Instant::now()).elapsed()
    }

    /// Brings what somebody typed to the target, line by line as rules want it; the recording says whose it is.
    ///
    /// # Errors
    /// When it must not go on, and the session ends.
    pub(super) async fn typed(&mut self, peer: Option<&Typist>, mut rest: Bytes) -> Result<(), Stop> {
        let tap = self.live.tap();
        let whose = peer.map(|peer| &peer.handle);
        if self.last.as_ref() != whose {
            let user = &self.live.clearance().permit().terms().handle;
            let text = whose.unwrap_or(user).as_str();
            tap.note(self.number, WhatRef::Mark { kind: "typist", text }).await?;
            self.last = whose.cloned();
        }
        while !rest.is_empty() {
            let typed = tap.typed(self.number, &rest).await?;
            let piece = rest.split_to(typed.taken.min(rest.len()));
            self.send(typed.instead.map_or(piece, |instead| instead.into_owned().into())).await;
            match (typed.say, peer) {
                (Some(why), None) => self.back.say(&why).await,
                (Some(why), Some(peer)) => {
                    peer.tell(&why);
                    self.back.say(&format!("{} was told: {why}", peer.handle)).await;
                }
                (None, _) => {}
            }
        }
        Ok(())
    }

    /// Brings to the target what of the client's was kept until now: it writes no more.
    ///
    /// # Errors
    /// When it must not go on.
    pub(super) async fn end(&mut self) -> Result<(), Stop> {
        let rest = self.live.tap().written(self.number).await?;
        self.send(rest.into()).await;
        Ok(())
    }

    async fn send(&self, data: Bytes) {
        if !data.is_empty() && self.to.data(data).await.is_err() {
            // The target has closed; the other pump sees it and says how.
            std::future::pending::<()>().await;
        }
    }
}
