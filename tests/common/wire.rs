//! A connection, plain or TLS, read message by message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// The transport below HTTP.
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// Either end of TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream, and what was read from it beyond the last message.
pub struct Wire {
    stream: Stream,
    ahead: Vec<u8>,
}

/// The first line and the header fields of a message.
#[derive(Clone, Debug)]
pub struct Head {
    pub first_line: String,
    pub fields: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &[u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(text).map_err(invalid)?;
        let mut lines = text.split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) =
                line.split_once(':').ok_or_else(|| invalid(format!("no colon in {line:?}")))?;
            Ok((name.to_owned(), value.trim().to_owned()))
        };
        let fields = lines.filter(|line| !line.is_empty()).map(field).collect::<io::Result<_>>()?;
        Ok(Self { first_line, fields })
    }

    /// The first field of this name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        first(&self.fields, name)
    }

    /// Whether this is one of the comma-separated items of the field.
    pub fn lists(&self, name: &str, item: &str) -> bool {
        let mut items = self.get(name).unwrap_or_default().split(',');
        items.any(|listed| listed.trim().eq_ignore_ascii_case(item))
    }
}

/// The first of `fields` with this name, in any case.
pub fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(held, _)| held.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

impl Wire {
    pub fn new(stream: Stream) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// The next message's head. None when the peer has closed between two messages.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                let head = self.take(end + 4);
                return Head::parse(&head).map(Some);
            }
            if self.ahead.len() > HEAD_BYTES {
                return Err(invalid("a head without an end"));
            }
            if !self.read_more().await? {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// The body that belongs to `head`, de-chunked. Without a length it is empty, or lasts until the end.
    pub async fn body(&mut self, head: &Head, until_close: bool) -> io::Result<Vec<u8>> {
        if head.lists("transfer-encoding", "chunked") {
            return self.chunks().await;
        }
        match head.get("content-length") {
            Some(length) => self.exactly(length.parse().map_err(invalid)?).await,
            None if until_close => {
                while self.read_more().await? {}
                Ok(std::mem::take(&mut self.ahead))
            }
            None => Ok(Vec::new()),
        }
    }

    /// Writes and flushes all bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Ends the connection properly: `close_notify` under TLS, then FIN.
    pub async fn close(mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Ends the connection with RST.
    pub fn reset(self) {
        // After the end of the peer there is no connection to reset.
        let _ = self.stream.tcp().set_zero_linger();
    }

    /// Waits until the peer ends the connection, by FIN or RST. Bytes until then are dropped.
    pub async fn ended(&mut self) {
        while matches!(self.read_more().await, Ok(true)) {
            self.ahead.clear();
        }
    }

    /// For a protocol other than HTTP/1.1. Nothing may have been read.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(invalid)?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let line = self.take(end + 2);
                return String::from_utf8(line).map(|line| line.trim_end().to_owned()).map_err(invalid);
            }
            self.need_more().await?;
        }
    }

    async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < count {
            self.need_more().await?;
        }
        Ok(self.take(count))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.ahead.split_off(count);
        std::mem::replace(&mut self.ahead, rest)
    }

    async fn need_more(&mut self) -> io::Result<()> {
        if self.read_more().await? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// False at the end.
    async fn read_more(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.ahead).await? > 0)
    }
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

const HEAD_BYTES: usize = 1 << 20;
