//! The admin port: metrics, probes, a look into the cache, purge.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What the admin port needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `admin.address`
    pub address: SocketAddr,
    /// `admin.token_file`: holds the bearer that `/cache` asks for; without it `DELETE /cache` answers loopback peers only.
    pub token_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)), token_file: None }
    }
}
