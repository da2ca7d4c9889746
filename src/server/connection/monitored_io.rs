//! A socket that reports what passes through it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::preflight::{Expected, Preflight, PreflightError, Protocol};
use super::state::ConnState;

/// Between HTTP and the socket, above TLS.
pub(in crate::server) struct MonitoredIo<IO> {
    /// Taken only by `drop`.
    io: Option<IO>,
    /// Who gets the socket when HTTP is done with it.
    back: Option<oneshot::Sender<IO>>,
    pulse: Arc<ConnState>,
    wire: Preflight,
    /// Bytes that came while nobody was there to read them, seen by `wire`.
    ahead: Vec<u8>,
    /// Requests that had been served when the last bytes came.
    served: usize,
    /// A fault was answered; HTTP is told nothing more.
    faulty: bool,
    /// A fault of a request that is pipelined. It is answered after the request that is being answered.
    later: Option<PreflightError>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> MonitoredIo<IO> {
    /// Wraps `io`, which `back` gets in the end. `wire` has seen nothing yet.
    pub(in crate::server) fn new(
        io: IO,
        back: oneshot::Sender<IO>,
        pulse: Arc<ConnState>,
        wire: Preflight,
    ) -> Self {
        Self {
            io: Some(io),
            back: Some(back),
            pulse,
            wire,
            ahead: Vec::new(),
            served: 0,
            faulty: false,
            later: None,
        }
    }

    /// What the connection speaks, as far as is known.
    pub(in crate::server) fn protocol(&self) -> Protocol {
        self.wire.protocol()
    }

    /// Whether bytes wait for whoever reads next.
    pub(in crate::server) fn holds_bytes(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Takes back bytes that were read and not used.
    pub(in crate::server) fn put_back(&mut self, bytes: &[u8]) {
        self.ahead.splice(..0, bytes.iter().copied());
    }

    /// Waits for bytes and keeps them for whoever reads next. False: there will be none.
    pub(in crate::server) fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut buf = ReadBuf::uninit(&mut space);
        ready!(self.poll_new(cx, &mut buf))?;
        self.ahead.extend_from_slice(buf.filled());
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }

    /// Reads what nobody has seen yet.
    fn poll_new(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.faulty {
            return Poll::Ready(Ok(()));
        }
        if let Some(fault) = self.later {
            // HTTP reads again once it has written its answer.
            return if self.pulse.is_quiet() { self.answer(cx, fault).into() } else { Poll::Pending };
        }
        let before = buf.filled().len();
        ready!(self.io()?.poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        if new.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let expected = self.expected();
        if let Err(fault) = self.look(new, expected) {
            // To HTTP the connection ends here.
            buf.set_filled(before);
            if expected == Expected::NextHead && fault == PreflightError::BareLineFeed {
                self.later = Some(fault);
                return Poll::Pending;
            }
            self.answer(cx, fault)?;
        }
        Poll::Ready(Ok(()))
    }

    fn io(&mut self) -> io::Result<Pin<&mut IO>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn expected(&self) -> Expected {
        if self.pulse.is_quiet() {
            Expected::Head
        } else if self.pulse.has_body() {
            Expected::Body
        } else {
            Expected::NextHead
        }
    }

    fn look(&mut self, bytes: &[u8], expected: Expected) -> Result<(), PreflightError> {
        let served = self.pulse.served();
        if served != self.served {
            self.served = served;
            self.wire.next_request();
        }
        let result = self.wire.see(bytes, expected);
        self.pulse.record_received(self.wire.protocol());
        result
    }

    /// Answers in HTTP's place. Nothing is being written, so the socket has room for these few bytes; TLS sends
    /// on with its closure alert what it had to hold back.
    fn answer(&mut self, cx: &mut Context<'_>, fault: PreflightError) -> io::Result<()> {
        self.faulty = true;
        self.pulse.set_fault(fault);
        if self.io()?.poll_write(cx, fault.reply())?.is_ready() {
            let _ = self.io()?.poll_flush(cx)?;
        }
        Ok(())
    }

    fn report(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.pulse.set_blocked(true),
            Poll::Ready(Ok(n)) => self.pulse.record_sent(*n),
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for MonitoredIo<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return this.poll_new(cx, buf);
        }
        let n = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..n]);
        this.ahead.drain(..n);
        if this.ahead.is_empty() {
            this.ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MonitoredIo<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.faulty {
            // The peer has its answer. HTTP's own, to what came before the fault, is for nobody.
            return Poll::Ready(Ok(buf.len()));
        }
        let written = this.io()?.poll_write(cx, buf);
        this.report(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if this.faulty {
            return Poll::Ready(Ok(length));
        }
        let written = if length <= SMALL {
            // A head and a small body: to copy them takes less time than the kernel takes to find two pieces.
            let mut space = [MaybeUninit::uninit(); SMALL];
            let mut joined = ReadBuf::uninit(&mut space);
            for buf in bufs {
                joined.put_slice(buf);
            }
            this.io()?.poll_write(cx, joined.filled())
        } else {
            this.io()?.poll_write_vectored(cx, bufs)
        };
        this.report(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.io()?.poll_flush(cx);
        // HTTP flushes when it has nothing left to write.
        this.pulse.set_blocked(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = this.io()?.poll_shutdown(cx);
        this.pulse.set_blocked(shut.is_pending());
        shut
    }
}

impl<IO> Drop for MonitoredIo<IO> {
    fn drop(&mut self) {
        if let (Some(io), Some(back)) = (self.io.take(), self.back.take()) {
            // Nobody waits for it any more when the whole connection was dropped.
            let _ = back.send(io);
        }
    }
}

/// What is written as one piece, bytes.
const SMALL: usize = 4096;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::IoSlice;

    use super::*;

    /// Takes so many bytes at a time, and tells what it was given.
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

    /// Writes a head and a body of so many bytes to a socket that takes so many; how many it took, in which pieces.
    async fn written(head: usize, body: usize, at_most: usize) -> (usize, Vec<usize>, bool) {
        let (back, returned) = oneshot::channel();
        let socket = Socket { at_most, pieces: Vec::new(), taken: Vec::new() };
        let mut io = MonitoredIo::new(socket, back, Arc::default(), Preflight::new(8 << 10));
        let (head, body) = (vec![b'h'; head], vec![b'b'; body]);
        let bufs = [IoSlice::new(&head), IoSlice::new(&body)];
        let count = poll_fn(|cx| Pin::new(&mut io).poll_write_vectored(cx, &bufs)).await.unwrap();
        drop(io);
        let socket = returned.await.unwrap();
        let whole = [head, body].concat();
        (count, socket.pieces, socket.taken == whole[..count])
    }

    #[tokio::test]
    async fn a_small_answer_goes_out_as_one_piece_and_a_large_one_as_it_is() {
        assert_eq!(written(800, SMALL - 800, usize::MAX).await, (SMALL, vec![1], true));
        assert_eq!(written(800, SMALL - 799, usize::MAX).await, (SMALL + 1, vec![2], true));
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_is_not_said_to_be_written() {
        for at_most in [1, 799, 800, 801, 1_999] {
            assert_eq!(written(800, 1_200, at_most).await, (at_most, vec![1], true));
        }
    }
}
