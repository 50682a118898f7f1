//! An errand that came through the door, as a protocol has it: what is wanted, and both ways to whoever wants it.

use super::seat::Stay;
use crate::transport::{Wire, frame};
use sallyport_model::access::Denial;
use sallyport_model::door::{Closed, Inward, Lent, Outward, PIECE};
use sallyport_model::errand::{self, Told};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;

/// Pieces that have come and wait for a slow target; then whoever sends them waits.
const CAME: usize = 8;

/// What comes with an errand.
#[derive(Debug, Eq, PartialEq)]
pub enum Piece {
    /// The next bytes of the file.
    Bytes(Vec<u8>),
    /// There are no more.
    Whole,
}

/// Whoever wanted it is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Left;

/// An errand.
pub struct Errand {
    /// What is wanted.
    pub wanted: errand::Errand,
    came: mpsc::Receiver<Piece>,
    to: WriteHalf<Wire>,
    /// The session does not end for want of a stream while this lasts.
    _stay: Stay,
}

impl Errand {
    /// The next piece that comes. May be dropped at any time, and nothing is lost.
    ///
    /// # Errors
    /// When whoever wanted it is gone.
    pub async fn next(&mut self) -> Result<Piece, Left> {
        self.came.recv().await.ok_or(Left)
    }

    /// Tells how far it has come.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub async fn tell(&mut self, told: Told) -> Result<(), Left> {
        self.say(&Outward::Told(told)).await
    }

    /// Gives bytes of a file; waits while they are not taken.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub async fn give(&mut self, bytes: &[u8]) -> Result<(), Left> {
        for piece in bytes.chunks(PIECE) {
            self.say(&Lent::Outward(piece)).await?;
        }
        Ok(())
    }

    /// Tells why not, or why no further.
    pub async fn refuse(mut self, why: &Denial) {
        let _ = self.say(&Outward::Closed(Closed::refused(why))).await;
    }

    async fn say(&mut self, message: &impl minicbor::Encode<()>) -> Result<(), Left> {
        frame::write(&mut self.to, message).await.map_err(|_| Left)
    }
}

/// Makes an errand of what stands at the door, and the other end of what comes with it.
pub(super) fn errand(wanted: errand::Errand, to: WriteHalf<Wire>, stay: Stay) -> (Errand, mpsc::Sender<Piece>) {
    let (pieces, came) = mpsc::channel(CAME);
    (Errand { wanted, came, to, _stay: stay }, pieces)
}

/// Brings what comes with an errand to it, until it is done or its stream ends.
pub(super) async fn carry(mut from: ReadHalf<Wire>, pieces: mpsc::Sender<Piece>) -> Result<(), frame::Error> {
    loop {
        let message = tokio::select! {
            message = frame::read::<Inward, _>(&mut from) => message?,
            () = pieces.closed() => return Ok(()),
        };
        let piece = match message {
            None => return Ok(()),
            Some(Inward::Bytes(bytes)) if bytes.len() <= PIECE => Piece::Bytes(bytes),
            Some(Inward::Whole) => Piece::Whole,
            Some(_) => return Err(frame::Error::Unexpected("what comes with an errand is bytes")),
        };
        if pieces.send(piece).await.is_err() {
            return Ok(());
        }
    }
}
