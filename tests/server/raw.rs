//! Client that sends arbitrary bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::stub::PATIENCE;

/// One connection.
pub(crate) struct Raw<IO = TcpStream> {
    io: IO,
    buffer: Vec<u8>,
}

/// One response of HTTP/1.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// Connects from another address of this machine.
    pub(crate) async fn connect_from(own: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(own.parse().unwrap(), 0)).unwrap();
        Self::over(socket.connect(address).await.unwrap())
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Raw<IO> {
    pub(crate) fn over(io: IO) -> Self {
        Self { io, buffer: Vec::new() }
    }

    /// Sends all bytes, unless the server closes the connection before.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = timeout(PATIENCE, self.io.write_all(bytes.as_ref())).await.expect("the server reads");
        let _ = self.io.flush().await;
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.send(get(path)).await;
        self.reply(true).await.expect("a response")
    }

    /// Reads the next response; `None` at the end of the connection. `with_body`: reads the body by `Content-Length`.
    pub(crate) async fn reply(&mut self, with_body: bool) -> Option<Reply> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.more().await == 0 {
                assert!(self.buffer.is_empty(), "half a response: {}", String::from_utf8_lossy(&self.buffer));
                return None;
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let mut reply = Reply { head, body: String::new() };
        if with_body {
            let length = reply.field("content-length").expect("a length").parse().unwrap();
            while self.buffer.len() < length {
                assert!(self.more().await > 0, "half a body");
            }
            reply.body = String::from_utf8(self.buffer.drain(..length).collect()).unwrap();
        }
        Some(reply)
    }

    /// Reads until `found` returns true for the bytes so far.
    pub(crate) async fn wait(&mut self, found: impl Fn(&[u8]) -> bool) {
        while !found(&self.buffer) {
            assert!(self.more().await > 0, "the server closed the connection before");
        }
    }

    /// Reads all bytes until the server closes the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads all bytes until the server closes the connection, as text.
    pub(crate) async fn rest_text(&mut self) -> String {
        String::from_utf8_lossy(&self.rest().await).into_owned()
    }

    async fn more(&mut self) -> usize {
        let read = timeout(PATIENCE, self.io.read_buf(&mut self.buffer)).await;
        // A reset also ends the connection; the expected bytes arrived before it.
        read.expect("the server neither responds nor closes the connection").unwrap_or(0)
    }
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: cache\r\n\r\n")
}
