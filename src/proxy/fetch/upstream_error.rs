//! Responses of Graph without a body to store, errors and 204: the proofs that they revoke, and their form for callers.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{FetchRequest, Fetched, Fetcher};
use crate::cache::outcome::ProofChange;
use crate::http::headers;
use crate::http::headers::ORIGIN_REQUEST_ID;
use crate::http::ids::{REQUEST_ID, parse_guid};
use crate::http::retry_after::{self, whole_seconds};
use crate::scrub::ScrubbedBody;
use crate::shared::SharedFetch;
use crate::upstream::UpstreamResponse;

/// Error response of Graph without credentials.
#[derive(Debug)]
pub struct UpstreamErrorResponse {
    /// Graph's status.
    pub status: StatusCode,
    /// Header fields that go to the caller.
    pub headers: HeaderMap,
    /// Scrubbed body. `None` if it could not be scrubbed.
    pub body: Option<ScrubbedBody>,
}

impl UpstreamErrorResponse {
    /// Returns the memory of the response in bytes, approximately.
    pub(super) fn weight(&self) -> usize {
        let fields =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        size_of::<Self>() + fields + self.body.as_ref().map_or(0, ScrubbedBody::len)
    }
}

impl Fetcher {
    /// Handles an error response: it revokes proofs of the token, and goes to the caller. Only a 401 is stored, for a few
    /// seconds and for the token that received it.
    pub(super) async fn handle_error(
        &self,
        request: &FetchRequest,
        response: UpstreamResponse,
        shared: Option<&mut SharedFetch>,
    ) -> Fetched {
        let token = &request.identity.token_hash;
        if matches!(response.status.as_u16(), 401 | 403 | 404 | 410) {
            self.publish_withdrawal(request, shared, response.status == StatusCode::UNAUTHORIZED).await;
        }
        let withdrawn = match response.status.as_u16() {
            401 => self.store.revoke_token(token),
            403 | 404 | 410 => self.store.revoke_resource(token, &request.resource),
            _ => false,
        };
        if withdrawn {
            self.metrics.local().proof_changes.inc(ProofChange::Revoked);
        }
        // A body that is not JSON or cannot be scrubbed is replaced by the proxy's own error with the same status.
        let is_json = response.headers.get(header::CONTENT_TYPE).is_some_and(headers::is_json);
        let headers = self.forwarded_headers(&response);
        let body = match response.body {
            Ok(body) if is_json => self.scrub(body, false).await.ok().map(|(scrubbed, _)| scrubbed.body),
            _ => None,
        };
        let upstream_error = Arc::new(UpstreamErrorResponse { status: response.status, headers, body });
        if response.status == StatusCode::UNAUTHORIZED {
            self.refused.insert(
                *token,
                Arc::clone(&upstream_error),
                upstream_error.weight(),
                withdrawn || request.is_proven,
            );
        }
        Fetched::UpstreamError(upstream_error)
    }

    /// Handles a 204: it goes to the caller without being stored, and replaces what the token could use before. In the
    /// background it counts as a failed revalidation, so that a stale entry bounds the calls to Graph while it is served.
    pub(super) async fn handle_no_content(
        &self,
        request: &FetchRequest,
        response: &UpstreamResponse,
        shared: Option<&mut SharedFetch>,
    ) -> Fetched {
        if !request.is_background {
            self.publish_withdrawal(request, shared, false).await;
        }
        if !request.is_background
            && self.store.revoke_resource(&request.identity.token_hash, &request.resource)
        {
            self.metrics.local().proof_changes.inc(ProofChange::Revoked);
        }
        Fetched::NoContent(Arc::new(self.forwarded_headers(response)))
    }

    /// Returns the header fields that go to the caller: `WWW-Authenticate`, `Retry-After`, and Graph's request id.
    fn forwarded_headers(&self, response: &UpstreamResponse) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for challenge in headers::challenges(&response.headers) {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = retry_after::from_headers(&response.headers, response.status, self.clock.now()) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        let id = response.headers.get(REQUEST_ID).and_then(parse_guid);
        if let Some(id) = id.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
            headers.insert(ORIGIN_REQUEST_ID, id);
        }
        headers
    }
}
