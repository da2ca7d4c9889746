//! The plainest clients: they write a request and read an answer whose head names its length.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection of HTTP/1.1.
pub struct Talk {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Talk {
    /// Connects.
    pub async fn with(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: vec![0; ROOM] })
    }

    /// Asks, and reads the whole answer, which is text.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<&str> {
        std::str::from_utf8(self.ask_bytes(request).await?).map_err(io::Error::other)
    }

    /// Asks, and reads the whole answer.
    pub async fn ask_bytes(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.stream.write_all(request).await?;
        let (mut come, mut length) = (0, None);
        while length.is_none_or(|length| come < length) {
            come += some(self.stream.read(&mut self.answer[come..]).await?)?;
            length = room(&mut self.answer, come, length);
        }
        Ok(&self.answer[..come])
    }

    /// Asks, and reads as many bytes as the answer before had.
    pub async fn ask_again(&mut self, request: &[u8], length: usize) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.read_exact(&mut self.answer[..length]).await.map(|_| ())
    }
}

/// The same without a runtime, for measurements of time.
pub struct PlainTalk {
    stream: std::net::TcpStream,
    answer: Vec<u8>,
}

impl PlainTalk {
    /// Connects.
    pub fn with(address: SocketAddr) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: vec![0; ROOM] })
    }

    /// Asks, and reads the whole answer.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.stream.write_all(request)?;
        let (mut come, mut length) = (0, None);
        while length.is_none_or(|length| come < length) {
            come += some(self.stream.read(&mut self.answer[come..])?)?;
            length = room(&mut self.answer, come, length);
        }
        Ok(&self.answer[..come])
    }
}

fn some(read: usize) -> io::Result<usize> {
    if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
}

/// The answer's length, as soon as its head has come, and room for all of it.
fn room(answer: &mut Vec<u8>, come: usize, known: Option<usize>) -> Option<usize> {
    let length = known.or_else(|| length(&answer[..come]))?;
    if answer.len() < length {
        answer.resize(length, 0);
    }
    Some(length)
}

fn length(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some(end + 4 + length.trim().parse::<usize>().ok()?)
}

/// Bytes for a head and a usual body. Longer answers get more.
const ROOM: usize = 64 << 10;
