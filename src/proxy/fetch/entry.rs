//! Successful responses of Graph: from a scrubbed body to a stored entry.

use std::ops::ControlFlow;
use std::sync::Arc;

use http::{HeaderMap, header};

use super::{FetchRequest, Fetched, Fetcher};
use crate::cache::conditional::RevalidationState;
use crate::cache::entry::Entry;
use crate::cache::freshness::Lifetime;
use crate::cache::lease::Lease;
use crate::cache::outcome::NotStored;
use crate::cache::vary::SecondaryKey;
use crate::http::headers;
use crate::http::negotiation::ContentCoding;
use crate::proxy::error_response::ErrorResponse;
use crate::scrub::{GzippedBody, Notice, ScrubFailure, Scrubbed, ScrubbedBody};
use crate::support::clock::Now;
use crate::upstream::UpstreamFailure;
use crate::upstream::{RawBody, UpstreamResponse};

/// Decision about a response by its header fields.
struct Storability {
    /// Error if the header fields do not allow to store the response.
    allowed: Result<(), NotStored>,
    lifetime: Lifetime,
    secondary_key: Option<SecondaryKey>,
    /// The response may be stored, and its first caller prefers gzip. It is compressed once: the same client is likely to
    /// repeat the request.
    prefers_gzip: bool,
}

impl Fetcher {
    /// Handles a 200: if its body is JSON by its media type and passes the scrubber, it becomes an entry.
    pub(super) async fn handle_ok(
        &self,
        request: &FetchRequest,
        response: UpstreamResponse,
        lease: &Lease,
        (requested_at, received_at): (Now, Now),
    ) -> Fetched {
        if !response.headers.get(header::CONTENT_TYPE).is_some_and(headers::is_json) {
            self.graph_client.metrics().errors.inc(UpstreamFailure::ContentType);
            return Fetched::Failed(ErrorResponse::Upstream(UpstreamFailure::ContentType));
        }
        let body = match response.body {
            Ok(body) => body,
            Err(error) => return Fetched::Failed(error.into()),
        };
        let storability = self.storability(request, &response.headers, received_at);
        let (scrubbed, scrubbed_at) = match body.scrub_small(&self.scrubber, storability.prefers_gzip) {
            ControlFlow::Break(scrubbed) => (self.record_scrub(scrubbed), received_at),
            // A large body may have waited for a thread.
            ControlFlow::Continue(large) => {
                (self.scrub(large, storability.prefers_gzip).await, self.clock.now())
            }
        };
        let (scrubbed, gzip) = match scrubbed {
            Ok(scrubbed) => scrubbed,
            Err(error_response) => {
                self.graph_client.metrics().errors.inc(UpstreamFailure::Unscrubbable);
                return Fetched::Failed(error_response);
            }
        };
        let token = request.identity.token_hash;
        let validation = RevalidationState::from_response(&response.headers, token, requested_at);
        let allowed = storability.allowed;
        let body = (scrubbed.body, gzip);
        let entry = self.build_entry(body, &response.headers, storability, validation, requested_at);
        let stored = self.store_entry(request, &entry, allowed, None, (lease, scrubbed_at));
        Fetched::Full(entry, stored)
    }

    /// Handles a 304: the stored response is valid, with the header fields of the 304 (RFC 9111, section 4.3.4).
    pub(super) fn handle_not_modified(
        &self,
        request: &FetchRequest,
        known: Option<(&Arc<Entry>, &RevalidationState)>,
        response: &UpstreamResponse,
        lease: &Lease,
        (requested_at, received_at): (Now, Now),
    ) -> Fetched {
        let Some((old, known)) = known else {
            return Fetched::Failed(ErrorResponse::Upstream(UpstreamFailure::Status));
        };
        let headers = known.merge(old.headers(), &response.headers);
        let validation = known.renew(&headers, requested_at);
        let storability = self.storability(request, &headers, received_at);
        let allowed = storability.allowed;
        let compress = || if storability.prefers_gzip { GzippedBody::compress(&old.body) } else { None };
        let body = (old.body.clone(), old.gzip().cloned().or_else(compress));
        let entry = self.build_entry(body, &headers, storability, validation, requested_at);
        let stored = self.store_entry(request, &entry, allowed, Some(old), (lease, received_at));
        Fetched::Revalidated(entry, stored)
    }

    /// Decides about a response by its header fields, once and before its body is scrubbed.
    fn storability(&self, request: &FetchRequest, headers: &HeaderMap, received_at: Now) -> Storability {
        let selecting_request = request.selecting_request();
        let lifetime = Lifetime::from_response(headers, &request.config.freshness, received_at);
        let secondary_key = self.store.secondary_key_hasher().compute(headers, selecting_request);
        let can_match = secondary_key.as_ref().map_err(|reason| *reason);
        let allowed = lifetime.and(can_match.map(|_| ()));
        let is_storable = allowed.is_ok() && is_storable(request, received_at).is_ok();
        Storability {
            allowed,
            lifetime: lifetime.unwrap_or_else(|_| Lifetime::not_stored(headers)),
            secondary_key: secondary_key.ok().flatten(),
            prefers_gzip: is_storable
                && ContentCoding::preferred(selecting_request.headers) == ContentCoding::Gzip,
        }
    }

    /// Builds an entry from a body and the header fields of Graph's response.
    fn build_entry(
        &self,
        (body, gzip): (ScrubbedBody, Option<GzippedBody>),
        headers: &HeaderMap,
        storability: Storability,
        validation: Option<RevalidationState>,
        requested_at: Now,
    ) -> Arc<Entry> {
        let Storability { lifetime, secondary_key, .. } = storability;
        let entry = Entry::new(body, &self.entity_tags, headers, lifetime, requested_at);
        Arc::new(entry.with_optional_parts(validation, secondary_key).with_gzip(gzip))
    }

    /// Stores an entry and its proof while `lease` is valid, if Graph's response and the request allow it at `now`. A response that
    /// may not be stored, or does not fit, supersedes the stored one nevertheless.
    fn store_entry(
        &self,
        request: &FetchRequest,
        entry: &Arc<Entry>,
        allowed: Result<(), NotStored>,
        old: Option<&Arc<Entry>>,
        (lease, now): (&Lease, Now),
    ) -> Result<(), NotStored> {
        let stored = allowed
            .and_then(|()| is_storable(request, now))
            .and_then(|()| self.admit(request, entry, old, lease));
        if (allowed.is_err() || stored == Err(NotStored::TooLarge))
            && let Ok(claims) = &request.claims
        {
            self.publish_supersession(request);
            let (token, selecting_request) = (request.identity.token_hash, request.selecting_request());
            let (resource, at) = (&request.resource, entry.requested_at);
            self.store.discard_superseded(token, claims, resource, selecting_request, at);
        }
        stored
    }

    /// Stores an entry and its proof while `lease` is valid.
    pub(super) fn admit(
        &self,
        request: &FetchRequest,
        entry: &Arc<Entry>,
        old: Option<&Arc<Entry>>,
        lease: &Lease,
    ) -> Result<(), NotStored> {
        let claims = request.claims.as_ref().map_err(|_| NotStored::Bypass)?;
        self.store.admit(request.identity.token_hash, claims, &request.resource, entry, old, lease)
    }

    /// Logs the name of a JSON member that the schema does not have: Graph may have changed.
    fn log_unknown_member(&self, scrubbed: &Scrubbed) {
        if scrubbed.unknown.iter().next().is_some()
            && let Some(Notice { member, suppressed }) =
                self.unknown_members.next_notice(&scrubbed.unknown, self.clock.now())
        {
            tracing::warn!(
                %member,
                suppressed,
                "Graph sent a JSON member that its schema does not have: its text is masked; \
                 if it holds no credential, add its name to scrub.allow_fields"
            );
        }
    }

    /// Removes the credentials of a body of any size, and counts them, and compresses the result if `compress`.
    pub(super) async fn scrub(
        &self,
        body: RawBody,
        compress: bool,
    ) -> Result<(Scrubbed, Option<GzippedBody>), ErrorResponse> {
        self.record_scrub(body.scrub(Arc::clone(&self.scrubber), compress).await)
    }

    /// Counts the credentials that were removed from a body, or the failure.
    fn record_scrub(
        &self,
        scrubbed: Result<(Scrubbed, Option<GzippedBody>), ScrubFailure>,
    ) -> Result<(Scrubbed, Option<GzippedBody>), ErrorResponse> {
        match scrubbed {
            Ok((scrubbed, gzip)) => {
                for (field, count) in scrubbed.removed.iter() {
                    self.metrics.scrubbed.add(field, count);
                }
                self.log_unknown_member(&scrubbed);
                Ok((scrubbed, gzip))
            }
            Err(failure) => {
                self.metrics.scrub_failures.inc(failure);
                Err(ErrorResponse::Unscrubbable(failure))
            }
        }
    }
}

/// Returns an error if no response to this request may be stored.
fn is_storable(request: &FetchRequest, now: Now) -> Result<(), NotStored> {
    let claims = request.claims.as_ref().map_err(|_| NotStored::Bypass)?;
    if request.no_store {
        return Err(NotStored::NoStore);
    }
    // The token may have expired while the request was in flight.
    if claims.expiry.remaining(now).is_zero() {
        return Err(NotStored::Expiring);
    }
    Ok(())
}
