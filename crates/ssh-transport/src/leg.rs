//! A transport on its socket, message by message: for what comes before channels.

use crate::{Error, Transport};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// One side of a connection before it has channels.
pub struct Leg<S> {
    pub(crate) stream: S,
    pub(crate) input: BytesMut,
    pub(crate) transport: Transport,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Leg<S> {
    /// Over this socket.
    pub fn new(stream: S, transport: Transport) -> Self {
        Self { stream, input: BytesMut::new(), transport }
    }

    /// The transport.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Sends what is to be sent, and waits for the next payload.
    ///
    /// # Errors
    /// When the connection cannot go on; the peer has been told.
    pub async fn receive(&mut self) -> Result<Bytes, Error> {
        loop {
            let next = self.transport.next(&mut self.input);
            self.flush().await?;
            if let Some(payload) = next? {
                return Ok(payload);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(Error::HungUp);
            }
        }
    }

    /// Puts a payload together, and sends it with the next [`Leg::receive`] or [`Leg::flush`].
    ///
    /// # Errors
    /// When the connection cannot go on.
    pub fn send(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        self.transport.send(fill)
    }

    /// Sends what is to be sent.
    ///
    /// # Errors
    /// When the socket breaks.
    pub async fn flush(&mut self) -> Result<(), Error> {
        let output = std::mem::take(self.transport.output());
        if !output.is_empty() {
            self.stream.write_all(&output).await?;
        }
        Ok(())
    }

    /// Says goodbye.
    pub async fn disconnect(&mut self, code: u32, text: &str) {
        self.transport.disconnect(code, text);
        let _ = self.flush().await;
    }

    /// From now on the peer is authenticated.
    pub const fn authenticated(&mut self) {
        self.transport.authenticated();
    }
}
