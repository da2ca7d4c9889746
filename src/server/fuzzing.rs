//! Entry point of the fuzzer: one connection over any byte stream, served as the listener serves its connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::connection::ListenerContext;
use super::{Config, ServerSettings, Service};
use crate::observability::metrics::Metrics;
use crate::server::metrics::ServerMetrics;
use crate::support::byte_budget::ByteBudget;

/// Serves one connection until it ends.
pub async fn serve_connection<S, IO>(service: Arc<S>, config: &Config, metrics: Arc<Metrics>, io: IO)
where
    S: Service,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let shared = ListenerContext::new(
        service,
        ServerSettings::new(config),
        Arc::new(ServerMetrics::new(&metrics)),
        ByteBudget::new(usize::MAX),
    );
    shared.serve_connection(io, peer.into(), CancellationToken::new(), shared.new_conn_state()).await;
}
