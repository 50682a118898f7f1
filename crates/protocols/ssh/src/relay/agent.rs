//! A channel to the agent that a client lends its target: each signature is asked for before it goes on.

use super::forward::{DOWN, Stream, UP, closed};
use crate::agent::{FAILURE, Step, Talk};
use bytes::Bytes;
use sallyport_gateway::observe::WhatRef;
use sallyport_gateway::observe::tap::Stop;
use sallyport_gateway::spine::{Allowed, Live, Sought};
use sallyport_model::agent::By;
use sallyport_ssh_transport::link::{Reader, Said, Writer};
use std::pin::Pin;

/// Why other requests are refused.
const NOT_CARRIED: &str = "nothing but keys listed and signatures goes to the agent of a user";

/// Why a channel ends.
enum Over {
    /// One side has closed it, or the session is over.
    Closed,
    /// What was said is none of the protocol.
    Broken(String),
    Stopped(Stop),
}

impl From<Stop> for Over {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

type Consent = Pin<Box<dyn Future<Output = Option<Allowed>> + Send>>;

/// A question that stands, and what goes on after a yes.
struct Asking {
    whole: Bytes,
    consent: Consent,
}

/// One channel, with both of its ends.
struct Lent<'a> {
    live: &'a Live,
    number: u32,
    target: (Reader, Writer),
    client: (Reader, Writer),
    talk: Talk,
    asking: Option<Asking>,
    /// The signature that the agent was asked for.
    signing: Option<Allowed>,
    up: Stream,
    down: Stream,
}

/// Carries one, to its end.
pub(super) async fn carry(live: &Live, number: u32, client: (Reader, Writer), target: (Reader, Writer)) {
    let (up, down) = (Stream::new(UP, live), Stream::new(DOWN, live));
    let (talk, asking, signing) = (Talk::default(), None, None);
    let mut lent = Lent { live, number, target, client, talk, asking, signing, up, down };
    let mut ended = live.clone();
    let over = tokio::select! {
        over = lent.run() => over,
        _ = ended.ended() => Over::Closed,
    };
    lent.leave(&over).await;
}

/// A consent that may stand while the channel is listened to.
fn consent(live: &Live, number: u32, sought: Sought) -> Consent {
    let live = live.clone();
    Box::pin(async move { live.signature(number, &sought).await })
}

/// The answer to what is asked, where something is.
async fn answer(asking: &mut Option<Asking>) -> Option<Allowed> {
    match asking {
        Some(asking) => asking.consent.as_mut().await,
        None => std::future::pending().await,
    }
}

impl Lent<'_> {
    async fn run(&mut self) -> Over {
        loop {
            if let Err(over) = self.turn().await {
                return over;
            }
        }
    }

    /// Does what is due, and then waits for what comes next.
    async fn turn(&mut self) -> Result<(), Over> {
        while self.asking.is_none() {
            match self.talk.next().map_err(|broken| Over::Broken(broken.to_string()))? {
                Step::Wait => break,
                Step::Pass(whole) => self.pass(whole).await?,
                Step::Refuse(sought) => {
                    self.live.not_carried(self.number, &sought, (By::Gateway, NOT_CARRIED)).await;
                    self.fail().await?;
                }
                Step::Ask(sought, whole) => {
                    let consent = consent(self.live, self.number, sought);
                    self.asking = Some(Asking { whole, consent });
                }
            }
        }
        let room = self.talk.has_room();
        tokio::select! {
            allowed = answer(&mut self.asking) => self.decided(allowed).await,
            said = self.client.0.next() => match said {
                Said::Data(data) => self.answered(data).await,
                said => besides(said, &self.client.1),
            },
            said = self.target.0.next(), if room => match said {
                Said::Data(data) => {
                    self.talk.said(&data);
                    Ok(())
                }
                said => besides(said, &self.target.1),
            },
        }
    }

    /// The user or policy has said whether the signature may be asked for.
    async fn decided(&mut self, allowed: Option<Allowed>) -> Result<(), Over> {
        let Some(Asking { whole, .. }) = self.asking.take() else { return Ok(()) };
        match allowed {
            Some(allowed) => {
                self.talk.allowed();
                self.signing = Some(allowed);
                self.pass(whole).await
            }
            None => {
                self.talk.refused();
                self.fail().await
            }
        }
    }

    /// The agent has said something.
    async fn answered(&mut self, data: Bytes) -> Result<(), Over> {
        let answer = self.talk.answered(&data).map_err(|broken| Over::Broken(broken.to_string()))?;
        let Some(answer) = answer else { return Ok(()) };
        if let (Some(signed), Some(allowed)) = (answer.signed, self.signing.take()) {
            let outcome = if signed { Ok(()) } else { Err("the agent said no") };
            self.live.signed(self.number, allowed, outcome).await;
        }
        self.live.tap().flow(true, answer.whole.len()).await?;
        self.up.pass(self.live, self.number, &answer.whole).await?;
        self.target.1.data(answer.whole).await.map_err(|_| Over::Closed)
    }

    /// A request goes on to the agent.
    async fn pass(&mut self, whole: Bytes) -> Result<(), Over> {
        self.live.tap().flow(false, whole.len()).await?;
        self.down.pass(self.live, self.number, &whole).await?;
        self.client.1.data(whole).await.map_err(|_| Over::Closed)
    }

    async fn fail(&mut self) -> Result<(), Over> {
        self.target.1.data(Bytes::from_static(&FAILURE)).await.map_err(|_| Over::Closed)
    }

    /// Tells what is left to tell, and closes both ends. At a session's end there is no time for it, and the relay does.
    async fn leave(mut self, over: &Over) {
        let (live, number) = (self.live, self.number);
        // A question whose answer nobody waits for is taken back with this.
        self.asking = None;
        for end in [&self.target.1, &self.client.1] {
            end.close();
        }
        live.agent_left(number).await;
        let text = format!("{} up, {} down", self.up.size(), self.down.size());
        let _ = live.tap().note(number, WhatRef::Mark { kind: "flow", text: &text }).await;
        for stream in [self.up, self.down] {
            stream.end(live, number).await;
        }
        match over {
            Over::Closed => closed(live, number, None).await,
            Over::Broken(why) => closed(live, number, Some(&format!("the agent's protocol: {why}"))).await,
            Over::Stopped(stop) => closed(live, number, Some(&stop.to_string())).await,
        }
    }
}

/// What a side says that is no data. One that has said all has nothing more to do with an agent, in either role.
fn besides(said: Said, back: &Writer) -> Result<(), Over> {
    match said {
        Said::Eof | Said::Close => Err(Over::Closed),
        Said::Request(_, true, _) => {
            let _ = back.answer(false);
            Ok(())
        }
        _ => Ok(()),
    }
}
