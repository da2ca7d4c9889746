//! The fuzzer's way in: one connection over any stream, driven as the listener drives its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::connection::Shared;
use super::{Config, ServerSettings, Service};
use crate::observability::metrics::Metrics;
use crate::server::metrics::ServerMetrics;
use crate::support::byte_budget::ByteBudget;

/// Serves one connection until it ends.
pub async fn drive<S, IO>(service: Arc<S>, config: &Config, metrics: Arc<Metrics>, io: IO)
where
    S: Service,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let shared = Shared::new(
        service,
        ServerSettings::new(config),
        Arc::new(ServerMetrics::new(&metrics)),
        ByteBudget::new(usize::MAX),
    );
    shared.drive(io, peer, CancellationToken::new(), shared.pulse()).await;
}
