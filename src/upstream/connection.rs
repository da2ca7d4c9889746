//! A connection to Graph and its past.
//!
//! A connection remembers whether it has answered before, and whether it has said anything since it was last
//! written to. One that came from the pool and ends without a word had gone stale there; of no other can it be
//! known that the request was not looked at.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use http::{Extensions, Request};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{
    CaptureConnection, Connected, Connection, HttpInfo, capture_connection,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::dns::LastGoodAddress;

/// The bytes below HTTP, in clear.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A connection to Graph.
pub(super) struct Conn {
    stream: TokioIo<Stream>,
    past: ReuseState,
    /// What came while nobody used it.
    early: Vec<u8>,
}

/// What has come over a connection so far.
#[derive(Clone, Debug)]
struct ReuseState(Arc<Heard>);

#[derive(Debug)]
struct Heard {
    /// Whom it leads to, and who wants to know that this is a good address.
    peer: Option<IpAddr>,
    memory: Arc<LastGoodAddress>,
    /// It has brought an answer, or was kept for a question to come: it may have gone stale since.
    answered: AtomicBool,
    /// Bytes have come since the last were sent. TLS's own are not among them.
    speaks: AtomicBool,
}

/// Tells whether a request went out on a connection that had gone stale in the pool. Dropped without an answer
/// when the answer was due, it takes the connection out of the pool: one that died without a word would keep
/// every further question waiting as long, until HTTP/2's pings or TCP's give it up. Whether it came from the pool,
/// and so died there, is told in `dead`.
pub(super) struct ReuseGuard<'a> {
    connection: CaptureConnection,
    deadline: Instant,
    dead: &'a AtomicBool,
    answered: bool,
}

impl<'a> ReuseGuard<'a> {
    /// To be called before the request is sent, which is to be answered by the deadline.
    pub(super) fn watch<B>(request: &mut Request<B>, deadline: Instant, dead: &'a AtomicBool) -> Self {
        Self { connection: capture_connection(request), deadline, dead, answered: false }
    }

    /// To be called after the request failed: the connection had answered before, and was silent this time.
    pub(super) fn was_stale(&self) -> bool {
        self.past().is_some_and(|past| past.0.answered.load(Relaxed) && !past.0.speaks.load(Relaxed))
    }

    /// To be called when the request was answered, with what came with the answer: the next on this connection finds
    /// it used.
    pub(super) fn answered(&mut self, with: &Extensions) {
        self.answered = true;
        // The pool puts there what the connection says of itself.
        if let Some(past) = with.get::<ReuseState>() {
            past.0.answered.store(true, Relaxed);
            if let Some(peer) = past.0.peer {
                past.0.memory.confirm(peer);
            }
        }
    }

    /// Takes the connection out of the pool once it is idle: Graph asks that whoever comes back after a 503
    /// comes on a new one.
    pub(super) fn discard(&self) {
        if let Some(connected) = self.connection.connection_metadata().as_ref() {
            connected.poison();
        }
    }

    fn past(&self) -> Option<ReuseState> {
        let metadata = self.connection.connection_metadata();
        let mut extensions = Extensions::new();
        metadata.as_ref()?.get_extras(&mut extensions);
        extensions.remove()
    }
}

impl Drop for ReuseGuard<'_> {
    fn drop(&mut self) {
        if !self.answered && Instant::now() >= self.deadline {
            self.discard();
            self.dead.store(self.was_stale(), Relaxed);
        }
    }
}

impl Conn {
    /// A connection that was just made. Its address goes into `memory`.
    pub(super) fn new(stream: Stream, memory: Arc<LastGoodAddress>) -> Self {
        let mut extensions = Extensions::new();
        stream.connected().get_extras(&mut extensions);
        let peer = extensions.get().map(|info: &HttpInfo| info.remote_addr().ip());
        if let Some(peer) = peer {
            memory.reached(peer);
        }
        let heard = Heard { peer, memory, answered: AtomicBool::default(), speaks: AtomicBool::default() };
        Self { stream: TokioIo::new(stream), past: ReuseState(Arc::new(heard)), early: Vec::new() }
    }

    /// Whether it can still be used after a time in which nobody did: the peer has not closed it, and has said no
    /// more than a greeting, which is kept for whoever does.
    pub(super) async fn has_rested_well(&mut self) -> bool {
        self.past.0.answered.store(true, Relaxed);
        let mut piece = [0; 1024];
        loop {
            let mut piece = ReadBuf::new(&mut piece);
            let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_read(cx, &mut piece)));
            match read.await {
                Poll::Pending => return true,
                Poll::Ready(Ok(())) if !piece.filled().is_empty() && self.early.len() < GREETING => {
                    self.early.extend_from_slice(piece.filled());
                }
                Poll::Ready(_) => return false,
            }
        }
    }
}

impl Connection for Conn {
    fn connected(&self) -> Connected {
        self.stream.inner().connected().extra(self.past.clone())
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..length]);
            self.early.drain(..length);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.past.0.speaks.store(true, Relaxed);
        }
        read
    }
}

impl AsyncWrite for Conn {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.past.0.speaks.store(false, Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.past.0.speaks.store(false, Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

/// Of HTTP/2's settings, bytes; a server that waits to be asked says nothing more.
const GREETING: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::yield_now;

    use super::*;

    /// A connection that rests, and its other end.
    async fn pair() -> (Conn, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let conn = Conn::new(Stream::Http(TokioIo::new(stream)), Arc::default());
        (conn, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_came_while_it_rested_is_read_first_and_once() {
        let (mut conn, mut peer) = pair().await;
        assert!(conn.has_rested_well().await, "nothing came");
        peer.write_all(b"a greeting").await.unwrap();
        while conn.early.len() < 10 {
            assert!(conn.has_rested_well().await);
            yield_now().await;
        }
        peer.write_all(b", and more").await.unwrap();
        drop(peer);
        let mut first = [0; 4];
        conn.read_exact(&mut first).await.unwrap();
        let mut rest = Vec::new();
        conn.read_to_end(&mut rest).await.unwrap();
        assert_eq!((&first, &*rest), (b"a gr", &b"eeting, and more"[..]));
    }

    #[tokio::test]
    async fn one_that_was_closed_or_is_talked_over_has_not_rested_well() {
        for length in [0, 10, 2 * GREETING] {
            let (mut conn, mut peer) = pair().await;
            peer.write_all(&vec![b'a'; length]).await.unwrap();
            let _peer = (length > GREETING).then_some(peer);
            while conn.has_rested_well().await {
                yield_now().await;
            }
        }
    }
}
