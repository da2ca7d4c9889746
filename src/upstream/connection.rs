//! Connection to Graph: the byte stream below HTTP, with the history that retries depend on.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Extensions;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::dns::AddressHistory;
use super::reuse::ReuseState;
use super::stream_limit::{SettingsReader, StreamLimit};

/// TCP stream, with or without TLS.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Connection to Graph.
pub(super) struct UpstreamConnection {
    stream: TokioIo<Stream>,
    state: ReuseState,
    /// Bytes received before the first request.
    early: Vec<u8>,
    /// Set for HTTP/2 connections of the pool.
    settings: Option<SettingsReader>,
}

impl UpstreamConnection {
    /// Wraps a new stream and registers its peer in `address_history`.
    pub(super) fn new(stream: Stream, address_history: Arc<AddressHistory>) -> Self {
        let mut extensions = Extensions::new();
        stream.connected().get_extras(&mut extensions);
        let peer = extensions.get().map(|info: &HttpInfo| info.remote_addr().ip());
        if let Some(peer) = peer {
            address_history.record_connection(peer);
        }
        let state = ReuseState::new(peer, address_history);
        Self { stream: TokioIo::new(stream), state, early: Vec::new(), settings: None }
    }

    /// Reports the stream limit of the connection to `limit` from now on. Call it before the first byte is read.
    pub(super) fn report_stream_limit(&mut self, limit: Arc<StreamLimit>) {
        if self.is_http2() {
            self.settings = Some(SettingsReader::new(limit));
        } else {
            limit.set_unlimited();
        }
    }

    /// Returns the history of the connection.
    pub(super) fn state(&self) -> &ReuseState {
        &self.state
    }

    /// Returns whether TLS negotiated HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.stream.inner().connected().is_negotiated_h2()
    }

    /// Returns whether an idle connection can be used: the peer has not closed it, and has sent at most
    /// [`MAX_EARLY_BYTES`], which the first read returns.
    pub(super) async fn is_usable_after_idle(&mut self) -> bool {
        self.state.record_idle();
        let mut chunk = [0; 1024];
        loop {
            let mut chunk = ReadBuf::new(&mut chunk);
            let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_read(cx, &mut chunk)));
            match read.await {
                Poll::Pending => return true,
                Poll::Ready(Ok(())) if !chunk.filled().is_empty() && self.early.len() < MAX_EARLY_BYTES => {
                    self.early.extend_from_slice(chunk.filled());
                }
                Poll::Ready(_) => return false,
            }
        }
    }
}

impl AsyncRead for UpstreamConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..length]);
            let early: Vec<_> = self.early.drain(..length).collect();
            self.settings.iter_mut().for_each(|settings| settings.read(&early));
            return Poll::Ready(Ok(()));
        }
        if self.state.has_too_many_interim_responses() {
            return Poll::Ready(Err(io::Error::other("too many interim responses")));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let received = buf.filled().len() - before;
        if received > 0 {
            self.state.record_read(received);
            self.settings.iter_mut().for_each(|settings| settings.read(&buf.filled()[before..]));
        }
        read
    }
}

impl AsyncWrite for UpstreamConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.state.record_write();
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
        self.state.record_write();
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

/// Size of HTTP/2 settings and window updates, bytes; before a request a server sends nothing else.
const MAX_EARLY_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::yield_now;

    use super::*;

    /// Idle connection and its other end.
    async fn pair() -> (UpstreamConnection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let connection = UpstreamConnection::new(Stream::Http(TokioIo::new(stream)), Arc::default());
        (connection, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_received_during_idle_time_are_read_first_and_once() {
        let (mut connection, mut peer) = pair().await;
        assert!(connection.is_usable_after_idle().await, "nothing was received");
        peer.write_all(b"a greeting").await.unwrap();
        while connection.early.len() < 10 {
            assert!(connection.is_usable_after_idle().await);
            yield_now().await;
        }
        peer.write_all(b", and more").await.unwrap();
        drop(peer);
        let mut first = [0; 4];
        connection.read_exact(&mut first).await.unwrap();
        let mut rest = Vec::new();
        connection.read_to_end(&mut rest).await.unwrap();
        assert_eq!((&first, &*rest), (b"a gr", &b"eeting, and more"[..]));
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_or_received_too_much_is_not_usable_after_idle_time() {
        for length in [0, 10, 2 * MAX_EARLY_BYTES] {
            let (mut connection, mut peer) = pair().await;
            peer.write_all(&vec![b'a'; length]).await.unwrap();
            let _peer = (length > MAX_EARLY_BYTES).then_some(peer);
            while connection.is_usable_after_idle().await {
                yield_now().await;
            }
        }
    }
}
