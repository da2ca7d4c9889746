//! Interface between the middleware and the cache decision.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;

use crate::auth::LogTag;
use crate::cache::outcome::Outcome;
use crate::http::error::Response;
use crate::http::ids::Ids;
use crate::http::validate::RequestView;
use crate::proxy::error_response::ErrorResponse;
use crate::proxy::runtime_config::RuntimeConfig;

/// A response, with the outcome for metrics and the access log.
#[derive(Debug)]
pub struct HandlerResponse {
    /// Response to the caller.
    pub response: Response,
    /// The response has the header fields that all responses have, the ids among them.
    pub has_common_headers: bool,
    /// Outcome of the cache lookup.
    pub outcome: Outcome,
    /// Reason why the request was no hit, or why it failed: a label of a closed set.
    pub reason: Option<&'static str>,
    /// Tag of the token in the access log.
    pub token_tag: Option<LogTag>,
}

/// Result of the part of a request that waits for nothing.
#[derive(Debug)]
pub enum Lookup<P> {
    /// The response: an entry that may be used, or an error.
    Ready(HandlerResponse),
    /// The response needs more than a lookup. Holds the results so far, for [`Handler::respond`].
    Continue(P),
}

impl<P> Lookup<P> {
    /// Converts what the rest of the request needs.
    pub fn map<Q>(self, convert: impl FnOnce(P) -> Q) -> Lookup<Q> {
        match self {
            Self::Ready(response) => Lookup::Ready(response),
            Self::Continue(prepared) => Lookup::Continue(convert(prepared)),
        }
    }
}

/// Handles the requests that have passed the middleware's checks. None has a body.
///
/// Each request is one call of [`Handler::lookup`], and one of [`Handler::respond`] if the lookup returns
/// [`Lookup::Continue`]. Neither fails: every request ends in a response.
pub trait Handler: Send + Sync + 'static {
    /// Results of a lookup that [`Handler::respond`] needs.
    type Prepared: Send + 'static;

    /// Responds to a request if that needs no waiting. Otherwise returns the results so far.
    fn lookup(
        &self,
        request: &RequestView<'_>,
        ids: &Ids,
        config: &Arc<RuntimeConfig>,
    ) -> Lookup<Self::Prepared>;

    /// Returns the tag of the application in the access log, for a request that waits for Graph. The log has the tag also if the
    /// request ends without a response of the handler.
    fn application_tag(&self, _prepared: &Self::Prepared) -> Option<LogTag> {
        None
    }

    /// Responds to a request of `peer` after its lookup.
    ///
    /// The handler owns `headers`, so that a request that waits keeps only the fields that its response depends on.
    fn respond(
        &self,
        prepared: Self::Prepared,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> impl Future<Output = HandlerResponse> + Send;

    /// Builds the response for a request that failed outside the handler.
    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse;
}
