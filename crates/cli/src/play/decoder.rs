//! Events that arrive in pieces, cut anywhere.

use crate::Fail;
use sallyport_recording::Event;
use sallyport_recording::event::{self, Error};
use sallyport_recording::segment::MAX_EVENTS;

/// Puts events together from a stream of bytes in the recording's encoding.
#[derive(Default)]
pub(crate) struct Decoder {
    /// INVARIANT: begins with an event that is not whole yet.
    held: Vec<u8>,
}

impl Decoder {
    /// The events that are whole now.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>, Fail> {
        self.held.extend_from_slice(piece);
        let (mut ready, mut whole) = (Vec::new(), Vec::new());
        for event in event::events(&self.held) {
            match event {
                Ok(event) => {
                    // An event has one encoding: written again it tells how long it was.
                    event::encode(event.at, event.channel, event.what, &mut whole);
                    ready.push(event.to_owned());
                }
                Err(Error::Short(_)) if self.held.len() - whole.len() <= MAX_EVENTS => break,
                Err(error) => return Err(Fail::failed(error)),
            }
        }
        self.held.drain(..whole.len());
        Ok(ready)
    }

    /// Checks that nothing is left over.
    pub(crate) fn finish(self) -> Result<(), Fail> {
        if self.held.is_empty() {
            Ok(())
        } else {
            Err(Fail::failed("the server's answer broke off inside an event: try again"))
        }
    }
}
