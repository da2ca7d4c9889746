//! What comes back from a decision: the response, and what is told of it.

use std::future::Future;
use std::net::SocketAddr;

use http::HeaderMap;
use http::request::Parts;

use crate::auth::LogTag;
use crate::cache::outcome::Outcome;
use crate::http::error::{ErrorResponse, Response};
use crate::http::ids::Ids;
use crate::http::validate::RequestView;

/// An answer, with what metrics and the access log say of it.
#[derive(Debug)]
pub struct HandlerResponse {
    /// What the caller gets.
    pub response: Response,
    /// It carries what every answer carries, the ids among it, already.
    pub has_common_headers: bool,
    /// How it came about.
    pub outcome: Outcome,
    /// Why it was not a hit, or what went wrong: a word of a closed vocabulary.
    pub reason: Option<&'static str>,
    /// The first eight hex digits of the token's fingerprint under the log's own key.
    pub token_tag: Option<LogTag>,
}

/// Whoever answers requests that have passed the layers.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request that has no body, if it can be answered without waiting for anything. It may decline
    /// for any reason; then it has done nothing, and [`Handler::handle`] answers.
    fn try_handle_sync(&self, asked: &RequestView<'_>, ids: &Ids) -> Option<HandlerResponse>;

    /// Answers one request of `peer` that has no body. Never fails: every request ends in an answer.
    ///
    /// The handler owns the header fields, so that a request that waits keeps only the fields that its answer needs. The
    /// fields of `request` itself are empty.
    fn handle(
        &self,
        request: &Parts,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> impl Future<Output = HandlerResponse> + Send;

    /// The answer for a request that ended outside the handler.
    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse;
}
