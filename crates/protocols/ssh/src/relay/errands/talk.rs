//! A channel of SFTP to the target in which the gateway is the client, and what may go wrong in it.

use crate::client::Heard;
use crate::files::Fault;
use crate::files::sftp::speak::{
    Attributes, EOF, NO_SUCH_FILE, OK, PERMISSION_DENIED, Reply, Request, Says, UNSUPPORTED, greeting,
};
use bytes::{Bytes, BytesMut};
use sallyport_gateway::spine::Left;
use sallyport_model::Kind;
use sallyport_model::access::Denial;
use tokio::sync::mpsc;

/// Why an errand comes to nothing.
pub(super) enum Failed {
    /// The target, or the gate on the way to it, said no: a status code and words.
    Status(u32, String),
    /// It is refused, or the channel is over.
    No(Denial),
    /// Whoever wanted it is gone.
    Left,
}

impl From<Left> for Failed {
    fn from(_: Left) -> Self {
        Self::Left
    }
}

impl From<Denial> for Failed {
    fn from(denial: Denial) -> Self {
        Self::No(denial)
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::No(Denial::new(Kind::Failed, fault.to_string()))
    }
}

impl Failed {
    /// With a reason of one's own.
    pub(super) fn because(kind: Kind, why: impl Into<String>) -> Self {
        Self::No(Denial::new(kind, why))
    }

    /// What to tell, where anybody is there to hear it.
    pub(super) fn denial(self) -> Option<Denial> {
        Some(match self {
            Self::Left => return None,
            Self::No(denial) => denial,
            Self::Status(NO_SUCH_FILE, _) => Denial::new(Kind::NotFound, "there is no such file on the target"),
            Self::Status(PERMISSION_DENIED, words) if words.is_empty() || words == "Permission denied" => {
                Denial::new(Kind::Denied, "the target does not let this account do that")
            }
            Self::Status(PERMISSION_DENIED, words) => Denial::new(Kind::Denied, words),
            Self::Status(UNSUPPORTED, _) => {
                Denial::new(Kind::Conflict, "the SFTP server of the target does not know how to do that")
            }
            Self::Status(code, words) => {
                let words = if words.is_empty() { format!("status {code}") } else { words };
                Denial::new(Kind::Conflict, format!("the target could not do it; it says: {words}"))
            }
        })
    }
}

/// One channel, between two packets.
pub(super) struct Talk {
    say: mpsc::Sender<Bytes>,
    heard: mpsc::Receiver<Heard>,
    held: BytesMut,
    next: u32,
}

impl Talk {
    /// Greets the server behind a channel.
    pub(super) async fn begin((say, heard): (mpsc::Sender<Bytes>, mpsc::Receiver<Heard>)) -> Result<Self, Failed> {
        let mut talk = Self { say, heard, held: BytesMut::new(), next: 0 };
        talk.send(greeting()).await?;
        match talk.reply().await?.says {
            Says::Version => Ok(talk),
            _ => Err(misfit()),
        }
    }

    /// Whether the channel is still there.
    pub(super) fn goes_on(&self) -> bool {
        !self.heard.is_closed() && self.heard.is_empty()
    }

    async fn send(&self, packet: Bytes) -> Result<(), Failed> {
        self.say.send(packet).await.map_err(|_| over())
    }

    /// Asks, and does not wait for the reply; its number.
    pub(super) async fn request(&mut self, request: &Request<'_>) -> Result<u32, Failed> {
        self.next = self.next.wrapping_add(1);
        self.send(request.packet(self.next)).await?;
        Ok(self.next)
    }

    /// The next reply, whatever it is to. May be dropped at any time, and nothing is lost.
    pub(super) async fn reply(&mut self) -> Result<Reply, Failed> {
        loop {
            if let Some(reply) = Reply::take(&mut self.held)? {
                return Ok(reply);
            }
            match self.heard.recv().await {
                Some(Heard::Bytes(bytes)) if self.held.is_empty() => self.held = bytes.into(),
                Some(Heard::Bytes(bytes)) => self.held.extend_from_slice(&bytes),
                Some(Heard::Refused(why)) => return Err(why.into()),
                None => return Err(over()),
            }
        }
    }

    /// Asks and waits. What comes meanwhile is a reply to what nobody waits for any more.
    pub(super) async fn ask(&mut self, request: &Request<'_>) -> Result<Says, Failed> {
        let id = self.request(request).await?;
        loop {
            let reply = self.reply().await?;
            if reply.id == id {
                return Ok(reply.says);
            }
        }
    }

    /// Asks for what is done or not.
    pub(super) async fn done(&mut self, request: &Request<'_>) -> Result<(), Failed> {
        done(self.ask(request).await?)
    }

    /// Asks for a handle.
    pub(super) async fn handle(&mut self, request: &Request<'_>) -> Result<Bytes, Failed> {
        match self.ask(request).await? {
            Says::Handle(handle) => Ok(handle),
            other => Err(no(other)),
        }
    }

    /// Asks for attributes; `None` where there is no such file.
    pub(super) async fn known(&mut self, request: &Request<'_>) -> Result<Option<Attributes>, Failed> {
        match self.ask(request).await? {
            Says::Attributes(known) => Ok(Some(known)),
            Says::Status(NO_SUCH_FILE, _) => Ok(None),
            other => Err(no(other)),
        }
    }

    /// Asks for names; `None` where there are no more.
    pub(super) async fn names(&mut self, request: &Request<'_>) -> Result<Option<Vec<(Bytes, Attributes)>>, Failed> {
        match self.ask(request).await? {
            Says::Names(names) => Ok(Some(names)),
            Says::Status(EOF, _) => Ok(None),
            other => Err(no(other)),
        }
    }

    /// The path from the root, without links, dots and doubled slashes.
    pub(super) async fn real_path(&mut self, path: &[u8]) -> Result<Bytes, Failed> {
        let names = self.names(&Request::RealPath(path)).await?.unwrap_or_default();
        names.into_iter().next().map(|(name, _)| name).ok_or_else(misfit)
    }
}

/// What a reply says of what is done or not.
pub(super) fn done(says: Says) -> Result<(), Failed> {
    match says {
        Says::Status(OK, _) => Ok(()),
        other => Err(no(other)),
    }
}

/// A reply that is not the one that was hoped for.
pub(super) fn no(says: Says) -> Failed {
    match says {
        Says::Status(code, words) if code != OK => Failed::Status(code, words),
        _ => misfit(),
    }
}

fn misfit() -> Failed {
    Failed::because(Kind::Failed, "the SFTP server of the target answers what was not asked")
}

fn over() -> Failed {
    Failed::because(Kind::Unavailable, "the target has ended the transfer")
}
