//! A channel as a stream of bytes: what an SSH server forwards to (`direct-tcpip`) is spoken to as if over a socket.
//!
//! Windows bound it both ways: what was not read gives the far side no credit, and writes wait for the far window.

use super::{Reader, Said, Writer};
use bytes::{Buf as _, Bytes};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both halves of one channel. Other streams of the channel and requests in it are passed over.
pub struct Stream {
    reader: Reader,
    writer: Writer,
    /// What was taken out of the channel and not yet read.
    rest: Bytes,
    over: bool,
}

impl Stream {
    /// Of a channel that is open.
    #[must_use]
    pub fn new((reader, writer): (Reader, Writer)) -> Self {
        Self { reader, writer, rest: Bytes::new(), over: false }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() && !this.over {
            match ready!(this.reader.poll_next(cx)) {
                Said::Data(data) => this.rest = data,
                Said::Request(_, true, _) => drop(this.writer.answer(false)),
                Said::Extended(..) | Said::Answer(_) | Said::Request(..) => {}
                Said::Eof | Said::Close => this.over = true,
            }
        }
        let size = this.rest.len().min(buf.remaining());
        buf.put_slice(this.rest.get(..size).unwrap_or_default());
        this.rest.advance(size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let sent = ready!(self.writer.poll_data(cx, bytes));
        Poll::Ready(sent.map_err(|gone| io::Error::new(io::ErrorKind::BrokenPipe, gone)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Bytes that were taken are before the socket of the link, whose driver writes them.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.writer.eof();
        Poll::Ready(Ok(()))
    }
}
