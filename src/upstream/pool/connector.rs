//! Connector of a pool: the preconnected connection first, then new connections, with HTTP on top.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::Uri;

use super::HttpConnection;
use crate::upstream::connector::Connector;
use crate::upstream::error::SendError;
use crate::upstream::preconnect::Preconnect;
use crate::upstream::stream_limit::StreamLimit;

/// Future of an HTTP connection.
pub(super) type HttpConnecting = Pin<Box<dyn Future<Output = Result<HttpConnection, SendError>> + Send>>;

/// Connector of a pool. Clones share the number of fields that connections accept.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct PoolConnector {
    connector: Connector,
    uri: Uri,
    preconnect: Option<Arc<Preconnect>>,
    heads: ResponseHeads,
}

/// Number of header fields that the heads of HTTP/1.1 responses may have. Clones share the number.
///
/// hyper prepares a place for each possible field: 100 places are a part of its stack frame, and 1,024 places took 10,000
/// instructions and 64 KiB of memory for each response. So connections begin with hyper's default number, and the first head
/// with more fields increases the number for all later connections. The number is also the limit of the trailers of a chunked
/// body, which do not increase it: no server of Graph sends any.
#[derive(Clone, Debug, Default)]
struct ResponseHeads(Arc<AtomicBool>);

impl ResponseHeads {
    /// Returns the number of fields, or `None` for hyper's default number.
    fn max_fields(&self) -> Option<usize> {
        self.0.load(Relaxed).then_some(MAX_FIELDS)
    }
}

impl PoolConnector {
    /// Creates a connector to the server of `uri`. Without `preconnect` each connection is new.
    pub(in crate::upstream) fn new(
        connector: Connector,
        uri: Uri,
        preconnect: Option<Arc<Preconnect>>,
    ) -> Self {
        Self { connector, uri, preconnect, heads: ResponseHeads::default() }
    }

    /// Makes later connections accept [`MAX_FIELDS`] fields.
    pub(super) fn accept_many_fields(&self) {
        self.heads.0.store(true, Relaxed);
    }

    /// Makes a connection that reports its stream limit to `limit`.
    pub(super) fn connect(&self, limit: Arc<StreamLimit>) -> HttpConnecting {
        let (preconnect, heads) = (self.preconnect.clone(), self.heads.clone());
        let ready = async move { preconnect?.take().await };
        let connecting = self.connector.connect_unless(self.uri.clone(), ready);
        Box::pin(async move {
            let mut connection = connecting.await.map_err(SendError::Connect)?;
            connection.report_stream_limit(limit);
            HttpConnection::handshake(connection, heads.max_fields()).await.map_err(SendError::Http)
        })
    }

    /// Makes a new connection for one request. Such connections are rare, so that each accepts [`MAX_FIELDS`] fields.
    pub(in crate::upstream) async fn connect_once(&self) -> Result<HttpConnection, SendError> {
        let connection = self.connector.connect(self.uri.clone()).await.map_err(SendError::Connect)?;
        HttpConnection::handshake(connection, Some(MAX_FIELDS)).await.map_err(SendError::Http)
    }
}

/// Fields of the head of one HTTP/1.1 response; hyper's default is 100.
const MAX_FIELDS: usize = 1024;
