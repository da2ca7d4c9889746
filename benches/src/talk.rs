//! The plainest client: it writes a request and reads an answer of known length.

use std::io;
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
        Ok(Self { stream, answer: vec![0; 64 << 10] })
    }

    /// Asks, and reads the whole answer: its head names its length.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<&str> {
        self.stream.write_all(request).await?;
        let mut come = 0;
        loop {
            match self.stream.read(&mut self.answer[come..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => come += n,
            }
            if let Some(length) = length(&self.answer[..come])
                && come >= length
            {
                return std::str::from_utf8(&self.answer[..come]).map_err(io::Error::other);
            }
        }
    }

    /// Asks, and reads as many bytes as the answer before had.
    pub async fn ask_again(&mut self, request: &[u8], length: usize) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.read_exact(&mut self.answer[..length]).await.map(|_| ())
    }
}

fn length(answer: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some(head.len() + 4 + length.trim().parse::<usize>().ok()?)
}
