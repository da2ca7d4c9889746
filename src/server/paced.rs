//! A socket that reports what passes through it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::pulse::Pulse;
use super::wire::{Fault, Protocol, Wire};

/// Between HTTP and the socket, above TLS.
pub(super) struct Paced<IO> {
    /// Taken only by `drop`.
    io: Option<IO>,
    /// Who gets the socket when HTTP is done with it.
    back: Option<oneshot::Sender<IO>>,
    pulse: Arc<Pulse>,
    wire: Wire,
    /// Bytes that came while nobody was there to read them, seen by `wire`.
    ahead: Vec<u8>,
    /// Requests that had been served when the last bytes came.
    served: usize,
    /// A fault was answered; HTTP is told nothing more.
    faulty: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Paced<IO> {
    /// Wraps `io`, which `back` gets in the end. `wire` has seen nothing yet.
    pub(super) fn new(io: IO, back: oneshot::Sender<IO>, pulse: Arc<Pulse>, wire: Wire) -> Self {
        Self { io: Some(io), back: Some(back), pulse, wire, ahead: Vec::new(), served: 0, faulty: false }
    }

    /// What the connection speaks, as far as is known.
    pub(super) fn protocol(&self) -> Protocol {
        self.wire.protocol()
    }

    /// Whether bytes wait for whoever reads next.
    pub(super) fn holds_bytes(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Takes back bytes that were read and not used.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.ahead.splice(..0, bytes.iter().copied());
    }

    /// Waits for bytes and keeps them for whoever reads next. False: there will be none.
    pub(super) fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
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
        let before = buf.filled().len();
        ready!(self.io()?.poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        if new.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Err(fault) = self.look(new) {
            // To HTTP the connection ends here.
            buf.set_filled(before);
            self.answer(cx, fault)?;
        }
        Poll::Ready(Ok(()))
    }

    fn io(&mut self) -> io::Result<Pin<&mut IO>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn look(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let served = self.pulse.served();
        if served != self.served {
            self.served = served;
            self.wire.next_request();
        }
        let result = self.wire.see(bytes, self.pulse.is_quiet());
        self.pulse.bytes_came(self.wire.protocol());
        result
    }

    /// Answers in HTTP's place. Nothing is being written, so the socket has room for these few bytes; TLS sends
    /// on with its closure alert what it had to hold back.
    fn answer(&mut self, cx: &mut Context<'_>, fault: Fault) -> io::Result<()> {
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
            Poll::Ready(Ok(n)) => self.pulse.bytes_went(*n),
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Paced<IO> {
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

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<IO> {
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
        if this.faulty {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let written = this.io()?.poll_write_vectored(cx, bufs);
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

impl<IO> Drop for Paced<IO> {
    fn drop(&mut self) {
        if let (Some(io), Some(back)) = (self.io.take(), self.back.take()) {
            // Nobody waits for it any more when the whole connection was dropped.
            let _ = back.send(io);
        }
    }
}
