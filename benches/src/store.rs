//! A Redis of its own for one measurement.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// A server of Redis, without files. It ends with this value.
#[derive(Debug)]
pub struct Store {
    child: Child,
    address: SocketAddr,
}

impl Store {
    /// Starts `redis-server`.
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &address.port().to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child
            .map_err(|error| format!("redis-server does not start (`make setup` installs it): {error}"))?;
        Ok(Self { child, address })
    }

    /// Returns the URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Waits until a replica has acknowledged the log.
    pub async fn wait_for_a_replica(&self) -> Result<(), Box<dyn Error>> {
        for _ in 0..1000 {
            if self.has_acknowledgement().await.unwrap_or(false) {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err("the replica does not reach its store".into())
    }

    async fn has_acknowledgement(&self) -> std::io::Result<bool> {
        let mut connection = TcpStream::connect(self.address).await?;
        connection.write_all(b"KEYS *{log}:*\r\n").await?;
        let mut reply = [0; 2];
        connection.read_exact(&mut reply).await?;
        Ok(reply != *b"*0")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
