//! An open console: a client of the admin port's stream.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A reader of `/console/stream`, as an open page has. It counts the frames after the first line.
#[derive(Debug)]
pub struct OpenConsole(Arc<AtomicUsize>);

impl OpenConsole {
    /// Opens the stream, reads its first line, and reads all later lines in a task.
    ///
    /// # Errors
    ///
    /// The admin port does not accept the request, or ends the stream before a full line.
    pub async fn open(admin: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(format!("GET /console/stream HTTP/1.1\r\nHost: {admin}\r\n\r\n").as_bytes()).await?;
        let frames = Arc::new(AtomicUsize::new(0));
        let mut buffer = vec![0; 16 << 10];
        let head = stream.read(&mut buffer).await?;
        if !buffer[..head].starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other("the admin port refuses the stream of the console"));
        }
        let count = Arc::clone(&frames);
        tokio::spawn(async move {
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                // A frame is one line of JSON, and JSON has no line end inside.
                count.fetch_add(
                    buffer[..length].windows(2).filter(|two| two == b"}\n").count(),
                    Ordering::Relaxed,
                );
            }
        });
        Ok(Self(frames))
    }

    /// Returns the number of lines until now.
    pub fn frames(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
