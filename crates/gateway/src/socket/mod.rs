//! A socket whose handshake nobody waits for: what is small leaves at once, and what came is acknowledged at once.

mod rush;

use rush::Rush;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A connection to or from the outside.
///
/// Handshakes are small pieces in turn, and peers like OpenSSH leave the algorithm of Nagle (RFC 896) on: they keep
/// the second of two small pieces until the first is acknowledged, which the kernel puts off by 40 ms in the hope
/// of an answer to send it with. So the first reads are acknowledged as they are made.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// Reads that are still acknowledged at once.
    prompt: u8,
    rush: Rush,
}

/// More reads than a handshake and the opening of a first session have.
const PROMPT: u8 = 96;

impl Socket {
    /// Over this stream.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        // Neither is needed for anything but speed.
        let _ = stream.set_nodelay(true);
        Self { stream, prompt: PROMPT, rush: Rush::default() }
    }

    /// Whom it leads to.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, prompt, rush } = &mut *self;
        rush.poll(stream, cx);
        let room = buf.remaining();
        ready!(Pin::new(&mut *stream).poll_read(cx, buf))?;
        rush.read(stream, room.saturating_sub(buf.remaining()), buf.remaining() > 0, Instant::now());
        if let Some(left) = prompt.checked_sub(1) {
            *prompt = left;
            // The kernel falls back to delays by itself (tcp(7), TCP_QUICKACK): it is told so anew each time.
            let _ = rustix::net::sockopt::set_tcp_quickack(&*stream, true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, rush, .. } = &mut *self;
        let sent = ready!(Pin::new(&mut *stream).poll_write(cx, bytes))?;
        rush.wrote(stream, sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, rush, .. } = &mut *self;
        let sent = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, pieces))?;
        rush.wrote(stream, sent);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Asks and answers in turn, which the kernel takes for a reason to put acknowledgements off.
    async fn converse(peer: &mut TcpStream, ours: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
        let mut one = [0; 1];
        for _ in 0..8 {
            peer.write_all(b"q").await.unwrap();
            ours.read_exact(&mut one).await.unwrap();
            ours.write_all(b"a").await.unwrap();
            peer.read_exact(&mut one).await.unwrap();
        }
        peer.write_all(b"q").await.unwrap();
        ours.read_exact(&mut one).await.unwrap();
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a test's own client")]
    async fn what_was_read_of_a_handshake_is_acknowledged_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let prompt = |stream: &TcpStream| rustix::net::sockopt::tcp_quickack(stream).unwrap();

        let mut peer = TcpStream::connect(address).await.unwrap();
        let mut plain = listener.accept().await.unwrap().0;
        converse(&mut peer, &mut plain).await;
        assert!(!prompt(&plain), "this kernel puts nothing off: the test shows nothing");

        let mut peer = TcpStream::connect(address).await.unwrap();
        let mut ours = Socket::new(listener.accept().await.unwrap().0);
        converse(&mut peer, &mut ours).await;
        assert!(prompt(&ours.stream));

        // What comes after a handshake is the kernel's affair again.
        while ours.prompt > 0 {
            converse(&mut peer, &mut ours).await;
        }
        converse(&mut peer, &mut ours).await;
        assert!(!prompt(&ours.stream));
    }
}
