//! A forward proxy that supports CONNECT alone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::wire::{Head, Stream, Wire};

/// A running proxy. It connects each authority to that port of this machine.
pub struct Tunnel {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Head>>>,
    accepting: JoinHandle<()>,
}

impl Tunnel {
    /// Listens, and opens a tunnel for each client.
    pub async fn start() -> Self {
        Self::answering(200).await
    }

    /// Listens, and answers CONNECT with this status.
    pub async fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Head>>> = Arc::default();
        let seen = Arc::clone(&requests);
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(connect(stream, status, Arc::clone(&seen)));
            }
        });
        Self { address, requests, accepting }
    }

    /// Address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requested authorities, oldest first.
    pub fn requests(&self) -> Vec<Head> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connect(stream: TcpStream, status: u16, requests: Arc<Mutex<Vec<Head>>>) {
    let mut wire = Wire::new(Stream::Plain(stream));
    let Ok(Some(head)) = wire.head().await else { return };
    let authority = head.first_line.split(' ').nth(1).unwrap_or_default().to_owned();
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let is_open = (200..300).contains(&status);
    let length = if is_open { "" } else { "content-length: 0\r\n" };
    if wire.write(format!("HTTP/1.1 {status} Scripted\r\n{length}\r\n").as_bytes()).await.is_err() || !is_open
    {
        return;
    }
    let port: u16 = authority.rsplit(':').next().unwrap_or_default().parse().unwrap();
    let Ok(mut there) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let mut here = wire.into_stream();
    // Either side may leave in any way.
    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
    let _ = there.shutdown().await;
}
