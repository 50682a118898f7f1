//! A rush: a peer that writes much in small pieces. Taken one by one each would cost more than its bytes.
//!
//! Servers write what a terminal shows as it comes, in pieces of at most 4 KiB. While they do so without a pause, and are told
//! nothing in between, pieces gather in the kernel, which wakes nobody until there are enough of them (socket(7), `SO_RCVLOWAT`)
//! or a moment is over. Whoever waits for an answer is not in a rush: what is asked is written, and what is written ends it, but for
//! single keys: they are as short as more room for a channel, and what they change is seen a moment later.

use nix::sys::socket::setsockopt;
use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};
use std::future::Future as _;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// So many pieces in a row, each so soon behind the last one, are a rush.
const PIECES: u32 = 64;
const SOON: Duration = Duration::from_millis(2);
/// Smaller pieces are typed, or told, and not part of it.
const PIECE: usize = 1 << 10;
/// So many bytes gather, for so long at most: a timer takes up to a millisecond more.
const GATHERED: i32 = 64 << 10;
const MOMENT: Duration = Duration::from_millis(2);
/// Less than this in a moment is the end of it.
const ENOUGH: usize = 16 << 10;
/// The longest write that says nothing to a program: more room for a channel of SSH, sealed.
const ROOM: usize = 48;

sockopt_impl!(
    /// How many bytes wake whoever waits for them.
    Least, Both, libc::SOL_SOCKET, libc::SO_RCVLOWAT, libc::c_int
);

/// What is known of the pieces that came last.
#[derive(Debug, Default)]
pub(super) struct Rush {
    pieces: u32,
    last: Option<Instant>,
    /// Until when pieces gather.
    moment: Option<Pin<Box<Sleep>>>,
    /// Whether the kernel lets them.
    gathers: bool,
}

impl Rush {
    /// Takes what there is once the moment is over; until then the context is woken at its end.
    pub(super) fn poll(&mut self, stream: &TcpStream, cx: &mut Context<'_>) {
        if self.gathers && self.moment.as_mut().is_some_and(|moment| moment.as_mut().poll(cx).is_ready()) {
            self.gather(stream, false);
        }
    }

    /// So much was read; `all` where nothing is left to be read.
    pub(super) fn read(&mut self, stream: &TcpStream, bytes: usize, all: bool, now: Instant) {
        let soon = self.last.replace(now).is_some_and(|last| now.saturating_duration_since(last) < SOON);
        if !all {
            return;
        }
        // While pieces gather, little is what came while the much before it was being read.
        let goes_on = self.gathers || if self.moment.is_some() { bytes >= ENOUGH } else { soon && bytes >= PIECE };
        if !goes_on {
            return self.end(stream);
        }
        self.pieces = self.pieces.saturating_add(1);
        if self.pieces >= PIECES {
            let until = now + MOMENT;
            self.moment.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until))).as_mut().reset(until);
            if !self.gathers {
                self.gather(stream, true);
            }
        }
    }

    /// So much was written to the peer.
    pub(super) fn wrote(&mut self, stream: &TcpStream, bytes: usize) {
        if bytes > ROOM {
            self.end(stream);
        }
    }

    fn end(&mut self, stream: &TcpStream) {
        self.pieces = 0;
        if self.moment.take().is_some() && self.gathers {
            self.gather(stream, false);
        }
    }

    fn gather(&mut self, stream: &TcpStream, gathers: bool) {
        // It is needed for nothing but speed; what has come already wakes at once where it is enough.
        let set = setsockopt(stream, Least, &if gathers { GATHERED } else { 1 });
        self.gathers = gathers && set.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Socket;
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A peer, and the socket that listens to it.
    #[expect(clippy::disallowed_methods, reason = "a test's own client")]
    async fn pair() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        peer.set_nodelay(true).unwrap();
        (peer, Socket::new(listener.accept().await.unwrap().0))
    }

    /// What wakes the socket.
    fn least(socket: &Socket) -> i32 {
        nix::sys::socket::getsockopt(&socket.stream, Least).unwrap()
    }

    /// Pieces of so many bytes, each read as it comes.
    async fn pieces(peer: &mut TcpStream, socket: &mut Socket, bytes: usize, count: u32) {
        let (piece, mut read) = (vec![b'r'; bytes], vec![0; 256 << 10]);
        for _ in 0..count {
            peer.write_all(&piece).await.unwrap();
            let came = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut read)).await;
            assert_eq!(came.expect("nobody is woken").unwrap(), bytes);
        }
    }

    /// A socket in a rush; a machine that was busy in between begins it anew.
    async fn rush() -> (TcpStream, Socket) {
        let (mut peer, mut socket) = pair().await;
        for _ in 0..1000 {
            pieces(&mut peer, &mut socket, 4 << 10, 1).await;
            if socket.rush.moment.is_some() {
                break;
            }
        }
        assert_eq!(least(&socket), GATHERED);
        (peer, socket)
    }

    #[tokio::test]
    async fn pieces_gather_until_they_are_enough_or_a_moment_is_over() {
        let (mut peer, mut socket) = rush().await;
        let mut read = vec![0; 256 << 10];
        socket.rush.moment.as_mut().unwrap().as_mut().reset(Instant::now() + Duration::from_secs(60));
        // Too little wakes nobody before its moment is over.
        peer.write_all(&[b'r'; 32 << 10]).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), socket.read(&mut read)).await.is_err());
        peer.write_all(&[b'r'; 32 << 10]).await.unwrap();
        assert_eq!(socket.read(&mut read).await.unwrap(), 64 << 10);
        // Little that came behind is no pause.
        let Socket { stream, rush, .. } = &mut socket;
        rush.read(stream, 1, true, Instant::now());
        assert!(rush.gathers);
        // It goes on, and ends of itself.
        pieces(&mut peer, &mut socket, ENOUGH, 1).await;
        assert!(socket.rush.moment.is_some());
        for _ in 0..8 {
            pieces(&mut peer, &mut socket, ENOUGH - 1, 1).await;
        }
        assert!(socket.rush.moment.is_none());
        assert_eq!(least(&socket), 1);
    }

    #[tokio::test]
    async fn who_is_told_something_or_types_or_pauses_is_in_no_rush() {
        let (mut peer, mut socket) = rush().await;
        socket.write_all(&[b'a'; ROOM]).await.unwrap();
        assert_eq!(least(&socket), GATHERED);
        socket.write_all(&[b'a'; ROOM + 1]).await.unwrap();
        assert_eq!(least(&socket), 1, "what comes is an answer");
        pieces(&mut peer, &mut socket, 1, 1).await;

        let (mut peer, mut socket) = pair().await;
        pieces(&mut peer, &mut socket, PIECE - 1, 4 * PIECES).await;
        assert_eq!(socket.rush.pieces, 0);
        for _ in 0..2 * PIECES {
            pieces(&mut peer, &mut socket, 4 << 10, 1).await;
            socket.write_all(&[b'a'; ROOM + 1]).await.unwrap();
            assert_eq!(least(&socket), 1);
        }
        let Socket { stream, rush, .. } = &mut socket;
        let began = Instant::now();
        (1..=4 * PIECES).for_each(|n| rush.read(stream, 4 << 10, true, began + n * SOON));
        assert!(rush.moment.is_none());
        (1..=4 * PIECES).for_each(|n| rush.read(stream, 4 << 10, true, began + 4 * PIECES * SOON + n * SOON / 2));
        assert!(rush.moment.is_some(), "the pauses made the difference");
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_seen_in_a_rush() {
        for fault in [false, true] {
            let (peer, mut socket) = rush().await;
            socket.rush.moment.as_mut().unwrap().as_mut().reset(Instant::now() + Duration::from_secs(60));
            if fault {
                rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
            }
            drop(peer);
            let mut read = [0; 16];
            let seen = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut read)).await;
            assert_eq!(seen.expect("nobody is woken").is_err(), fault);
        }
    }
}
