//! Stream to a server of the store: it fails when the server sends more than the commands of the tier can return.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{FrameError, FrameLimits, FrameScanner};

/// Stream with limits on each reply, and on the number of replies.
#[derive(Debug)]
pub(super) struct BoundedStream<S> {
    inner: S,
    commands: FrameScanner,
    replies: FrameScanner,
    /// Replies that the server may still begin.
    expected: u64,
}

impl<S> BoundedStream<S> {
    pub(super) fn new(inner: S, limits: FrameLimits) -> Self {
        // The values of a command come from this process.
        let unlimited = FrameLimits { bytes: usize::MAX, elements: usize::MAX };
        Self {
            inner,
            commands: FrameScanner::new(unlimited),
            replies: FrameScanner::new(limits),
            // A server that refuses a connection, such as over `maxclients`, says so before the first command.
            expected: 1,
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        let begun = self.replies.scan(bytes)?;
        self.expected = self.expected.checked_sub(begun).ok_or(FrameError::Unsolicited)?;
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
        let received = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(this.receive(received).map_err(|reason| {
            tracing::warn!(%reason, "the connection to the store of the shared tier is closed");
            io::Error::new(io::ErrorKind::InvalidData, reason)
        }))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, bytes))?;
        let sent = bytes.get(..written).unwrap_or_default();
        let begun =
            this.commands.scan(sent).map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
        this.expected = this.expected.saturating_add(begun);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn replies_beyond_the_commands_end_the_connection() {
        let (near, mut far) = duplex(1024);
        let mut near = BoundedStream::new(near, FrameLimits { bytes: 100, elements: 10 });
        near.write_all(b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n").await.unwrap();
        far.write_all(b"+PONG\r\n+PONG\r\n-ERR max\r\n").await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(near.read(&mut buffer).await.unwrap(), 24);
        far.write_all(b"+PONG\r\n").await.unwrap();
        assert_eq!(near.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_reply_that_announces_too_much_ends_the_connection() {
        let (near, mut far) = duplex(1024);
        let mut near = BoundedStream::new(near, FrameLimits { bytes: 100, elements: 10 });
        far.write_all(b"$101\r\n").await.unwrap();
        assert_eq!(near.read(&mut [0; 64]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
