//! Connector of a pool: the preconnected connection first, then new connections.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::upstream::connection::UpstreamConnection;
use crate::upstream::connector::{BoxError, Connecting, Connector};
use crate::upstream::preconnect::Preconnect;
use crate::upstream::stream_limit::StreamLimit;

/// Connector of a pool.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct PoolConnector {
    connector: Connector,
    preconnect: Option<Arc<Preconnect>>,
    limit: Option<Arc<StreamLimit>>,
}

impl PoolConnector {
    /// Creates a connector. Without `preconnect` each connection is new.
    pub(in crate::upstream) fn new(connector: Connector, preconnect: Option<Arc<Preconnect>>) -> Self {
        Self { connector, preconnect, limit: None }
    }

    /// Keeps `limit` up to date with the last connection.
    pub(super) fn with_limit(self, limit: Arc<StreamLimit>) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

impl Service<Uri> for PoolConnector {
    type Response = TokioIo<UpstreamConnection>;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let (preconnect, limit) = (self.preconnect.clone(), self.limit.clone());
        let connecting = self.connector.connect_unless(uri, async move { preconnect?.take().await });
        Box::pin(async move {
            let mut connection = connecting.await?;
            if let Some(limit) = limit {
                connection.inner_mut().report_stream_limit(limit);
            }
            Ok(connection)
        })
    }
}
