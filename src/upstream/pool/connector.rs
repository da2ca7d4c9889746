//! Connector of a pool: the preconnected connection first, then new connections.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::upstream::connection::UpstreamConnection;
use crate::upstream::connector::{BoxError, Connecting, Connector};
use crate::upstream::preconnect::Preconnect;

/// Connector of a pool.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct PoolConnector {
    connector: Connector,
    preconnect: Option<Arc<Preconnect>>,
}

impl PoolConnector {
    /// Creates a connector. Without `preconnect` each connection is new.
    pub(in crate::upstream) fn new(connector: Connector, preconnect: Option<Arc<Preconnect>>) -> Self {
        Self { connector, preconnect }
    }
}

impl Service<Uri> for PoolConnector {
    type Response = TokioIo<UpstreamConnection>;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let preconnect = self.preconnect.clone();
        self.connector.connect_unless(uri, async move { preconnect?.take().await })
    }
}
