//! Wrapper of a connection's socket, between hyper and TLS or TCP.
//!
//! Reads pass through [`Preflight`] before hyper sees them, and both directions report to [`ConnState`]. The wrapper also
//! keeps bytes that arrive while no hyper connection exists, and returns the socket when hyper drops it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::preflight::{Expected, Preflight, PreflightError, Protocol};
use super::state::ConnState;

/// A socket with checks and reports.
pub(in crate::server) struct MonitoredIo<IO> {
    /// `None` only after `drop`.
    io: Option<IO>,
    /// Receives the socket at `drop`.
    io_sender: Option<oneshot::Sender<IO>>,
    conn_state: Arc<ConnState>,
    preflight: Preflight,
    /// Bytes that passed `preflight` while no reader existed.
    read_ahead: Vec<u8>,
    /// Requests of the connection at the last read.
    requests: usize,
    /// The response to an error was written. hyper reads no more bytes, and its writes are discarded.
    is_rejected: bool,
    /// Error of a pipelined request. Its response follows the response to the open request.
    deferred_error: Option<PreflightError>,
    /// The body of the open request is malformed. hyper sees the end of the input, and the service refuses the request.
    has_malformed_body: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> MonitoredIo<IO> {
    /// Wraps `io`, which `io_sender` receives at the end. `preflight` is new.
    pub(in crate::server) fn new(
        io: IO,
        io_sender: oneshot::Sender<IO>,
        conn_state: Arc<ConnState>,
        preflight: Preflight,
    ) -> Self {
        Self {
            io: Some(io),
            io_sender: Some(io_sender),
            conn_state,
            preflight,
            read_ahead: Vec::new(),
            requests: 0,
            is_rejected: false,
            deferred_error: None,
            has_malformed_body: false,
        }
    }

    /// Returns the protocol of the bytes so far.
    pub(in crate::server) fn protocol(&self) -> Protocol {
        self.preflight.protocol()
    }

    /// Returns whether bytes wait for the next reader.
    pub(in crate::server) fn has_read_ahead(&self) -> bool {
        !self.read_ahead.is_empty()
    }

    /// Puts back bytes that a reader has read and not used.
    pub(in crate::server) fn unread(&mut self, bytes: &[u8]) {
        self.read_ahead.splice(..0, bytes.iter().copied());
    }

    /// Waits for bytes, and keeps them for the next reader. Returns false at the end of the input.
    pub(in crate::server) fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(self.poll_read_checked(cx, &mut buf))?;
        self.read_ahead.extend_from_slice(buf.filled());
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }

    /// Reads new bytes from the socket and checks them.
    fn poll_read_checked(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_rejected || self.has_malformed_body {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.deferred_error {
            // hyper reads again after it has written its response.
            return if self.conn_state.is_quiet() { self.reject(cx, error).into() } else { Poll::Pending };
        }
        let before = buf.filled().len();
        ready!(self.io()?.poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        if new.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let expected = self.expected();
        if let Err((error, message_start)) = self.inspect(new, expected) {
            // hyper sees the messages before the error, and then the end of the input.
            buf.set_filled(before + message_start);
            if message_start > 0 {
                self.deferred_error = Some(error);
                return Poll::Ready(Ok(()));
            }
            if expected == Expected::NextHead && error == PreflightError::BareLineFeed {
                if self.preflight.is_in_body() {
                    self.has_malformed_body = true;
                    return Poll::Ready(Ok(()));
                }
                self.deferred_error = Some(error);
                return Poll::Pending;
            }
            self.reject(cx, error)?;
        }
        Poll::Ready(Ok(()))
    }

    fn io(&mut self) -> io::Result<Pin<&mut IO>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn expected(&self) -> Expected {
        if self.conn_state.is_quiet() { Expected::Head } else { Expected::NextHead }
    }

    fn inspect(&mut self, bytes: &[u8], expected: Expected) -> Result<(), (PreflightError, usize)> {
        let requests = self.conn_state.requests();
        if requests != self.requests {
            self.requests = requests;
            self.preflight.start_request();
        }
        let result = self.preflight.inspect(bytes, expected);
        if self.preflight.has_ambiguous_length() {
            self.conn_state.set_ambiguous_length();
        }
        self.conn_state.record_received(self.preflight.protocol());
        result
    }

    /// Writes the response to an error in place of hyper. No other write is in progress, so the socket has room for
    /// these few bytes; TLS sends the bytes that it had to hold back with its closure alert.
    fn reject(&mut self, cx: &mut Context<'_>, error: PreflightError) -> io::Result<()> {
        self.is_rejected = true;
        self.conn_state.set_preflight_error(error);
        if self.io()?.poll_write(cx, error.response())?.is_ready() {
            let _ = self.io()?.poll_flush(cx)?;
        }
        Ok(())
    }

    fn record_write(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Pending => self.conn_state.set_blocked(true),
            Poll::Ready(Ok(bytes)) => self.conn_state.record_sent(*bytes),
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for MonitoredIo<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read_ahead.is_empty() {
            return this.poll_read_checked(cx, buf);
        }
        let n = this.read_ahead.len().min(buf.remaining());
        buf.put_slice(&this.read_ahead[..n]);
        this.read_ahead.drain(..n);
        if this.read_ahead.is_empty() {
            this.read_ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MonitoredIo<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_rejected {
            // The peer has received its response. hyper's response to the bytes before the error is discarded.
            return Poll::Ready(Ok(buf.len()));
        }
        let result = this.io()?.poll_write(cx, buf);
        this.record_write(&result);
        result
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if this.is_rejected {
            return Poll::Ready(Ok(length));
        }
        let result = if length <= MAX_JOINED_WRITE_BYTES {
            // For a head and a small body a copy takes less time than the kernel needs to collect two buffers.
            let mut space = [MaybeUninit::uninit(); MAX_JOINED_WRITE_BYTES];
            let mut joined = ReadBuf::uninit(&mut space);
            for buf in bufs {
                joined.put_slice(buf);
            }
            this.io()?.poll_write(cx, joined.filled())
        } else {
            this.io()?.poll_write_vectored(cx, bufs)
        };
        this.record_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.io()?.poll_flush(cx);
        // hyper flushes when its write buffer is empty.
        this.conn_state.set_blocked(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = this.io()?.poll_shutdown(cx);
        this.conn_state.set_blocked(shut.is_pending());
        shut
    }
}

impl<IO> Drop for MonitoredIo<IO> {
    fn drop(&mut self) {
        if let (Some(io), Some(io_sender)) = (self.io.take(), self.io_sender.take()) {
            // The receiver is gone if the task of the connection was dropped.
            let _ = io_sender.send(io);
        }
    }
}

/// Size up to which several buffers are copied into one write.
const MAX_JOINED_WRITE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::IoSlice;

    use super::*;

    /// Accepts up to `at_most` bytes for each write. Records the number of buffers of each write, and the bytes.
    struct Socket {
        at_most: usize,
        pieces: Vec<usize>,
        taken: Vec<u8>,
    }

    impl AsyncRead for Socket {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Socket {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.pieces.push(bufs.len());
            let all = bufs.iter().flat_map(|buf| buf.iter().copied()).take(self.at_most).collect::<Vec<_>>();
            self.taken.extend_from_slice(&all);
            Poll::Ready(Ok(all.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes a head and a body to a socket that accepts `at_most` bytes. Returns the number of bytes that the socket
    /// accepted, the number of buffers of each write, and whether the bytes are right.
    async fn write(head: usize, body: usize, at_most: usize) -> (usize, Vec<usize>, bool) {
        let (io_sender, io_receiver) = oneshot::channel();
        let socket = Socket { at_most, pieces: Vec::new(), taken: Vec::new() };
        let mut io = MonitoredIo::new(socket, io_sender, Arc::default(), Preflight::new(8 << 10));
        let (head, body) = (vec![b'h'; head], vec![b'b'; body]);
        let bufs = [IoSlice::new(&head), IoSlice::new(&body)];
        let count = poll_fn(|cx| Pin::new(&mut io).poll_write_vectored(cx, &bufs)).await.unwrap();
        drop(io);
        let socket = io_receiver.await.unwrap();
        let whole = [head, body].concat();
        (count, socket.pieces, socket.taken == whole[..count])
    }

    #[tokio::test]
    async fn a_small_response_is_joined_into_one_buffer_and_a_large_one_is_not() {
        assert_eq!(
            write(800, MAX_JOINED_WRITE_BYTES - 800, usize::MAX).await,
            (MAX_JOINED_WRITE_BYTES, vec![1], true)
        );
        assert_eq!(
            write(800, MAX_JOINED_WRITE_BYTES - 799, usize::MAX).await,
            (MAX_JOINED_WRITE_BYTES + 1, vec![2], true)
        );
    }

    #[tokio::test]
    async fn bytes_that_the_socket_does_not_accept_do_not_count_as_written() {
        for at_most in [1, 799, 800, 801, 1_999] {
            assert_eq!(write(800, 1_200, at_most).await, (at_most, vec![1], true));
        }
    }
}
