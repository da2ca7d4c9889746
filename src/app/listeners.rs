//! The two bound ports.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::StartError;
use crate::server;

/// The bound ports.
#[derive(Debug)]
pub struct Listeners {
    /// Data port, for callers.
    pub data: TcpListener,
    /// Admin port, for operators.
    pub admin: TcpListener,
}

/// Binds the address of the configuration key `key`.
pub fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    server::bind(address).map_err(|reason| StartError::Bind { key, address, reason })
}
