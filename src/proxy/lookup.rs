//! Lookups: the identity of a caller, the entry that its token has a proof for, and the freshness of both.

use std::sync::Arc;

use http::HeaderMap;

use super::Proxy;
use crate::auth::Bypass;
use crate::auth::LogTag;
use crate::auth::{Claims, Identity, RequestDigest, TokenExpiry};
use crate::cache::entry::Entry;
use crate::cache::freshness::{
    Assessment, ClientDirectives, Decision, ErrorSource, assess, is_usable_on_error,
};
use crate::cache::grants::{Grants, Proof};
use crate::cache::key::EntryKey;
use crate::cache::outcome::{ForwardReason, ProofLookup};
use crate::cache::thread_cache::{CachedLookup, Generation};
use crate::cache::vary::SelectingRequest;
use crate::http::cache_control::CacheControl;
use crate::http::cache_status::Forward;
use crate::proxy::runtime_config::RuntimeConfig;
use crate::resource::Resource;
use crate::support::clock::Now;

/// An entry, the proof that Graph gave its bytes to the caller's token, and the freshness of both.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) entry: Arc<Entry>,
    pub(super) proof: Proof,
    pub(super) assessment: Assessment,
}

impl Found {
    /// Returns whether the entry may be used after a failed request to Graph.
    pub(super) fn is_usable_on_error(
        &self,
        source: ErrorSource,
        expiry: TokenExpiry,
        rules: &RequestRules<'_>,
    ) -> bool {
        let ages = (rules.now.since(self.proof.granted_at), expiry.remaining(rules.now));
        let config = &rules.config.freshness;
        !self.entry.has_no_content_upstream()
            && is_usable_on_error(config, &self.entry.lifetime(), &self.assessment, source, ages)
    }

    /// Returns the reason why the entry does not answer the request.
    pub(super) fn forward_reason(&self, forward: Forward, rules: &RequestRules<'_>) -> ForwardReason {
        let is_fresh =
            || self.assessment.age < self.entry.lifetime().fresh_for.min(rules.config.freshness.ttl);
        match forward {
            Forward::Request => ForwardReason::Request,
            Forward::Bypass => ForwardReason::Expiring,
            Forward::UriMiss | Forward::Stale if self.entry.is_superseded() => ForwardReason::Superseded,
            Forward::UriMiss | Forward::Stale if is_fresh() => ForwardReason::ProofExpired,
            Forward::UriMiss | Forward::Stale => ForwardReason::Stale,
        }
    }
}

/// Returns the reason why a request without an entry is forwarded.
pub(super) fn reason_without_entry(proof: ProofLookup) -> ForwardReason {
    match proof {
        ProofLookup::Missing => ForwardReason::NoProof,
        ProofLookup::Expired => ForwardReason::ProofExpired,
        ProofLookup::Live => ForwardReason::NoEntry,
    }
}

impl Proxy {
    /// Returns the claims of a token. They are read once a token: after Graph's first 200 the grants hold them.
    pub(super) fn claims(
        &self,
        identity: &Identity,
        grants: Option<&Grants>,
        now: Now,
    ) -> Result<Claims, Bypass> {
        match grants {
            Some(grants) if grants.claims.expiry.remaining(now).is_zero() => Err(Bypass::Expiring),
            Some(grants) => Ok(grants.claims.clone()),
            None => identity.token.claims(&self.0.hash_keys, now),
        }
    }

    /// Returns the lookup in the thread cache for the request, if the entry and the proof are still fresh.
    pub(super) fn lookup_in_thread_cache(
        &self,
        digest: RequestDigest,
        rules: &RequestRules<'_>,
    ) -> Option<(CachedLookup, Assessment)> {
        let found = self.0.fetcher.store.thread_cache_get(digest, rules.now)?;
        let assessment = rules.assess(&found.entry, found.granted_at, found.expiry);
        (assessment.decision == Decision::Fresh).then_some((found, assessment))
    }

    /// Inserts a lookup into the thread cache, from the second hit of the entry on: many entries are used only once.
    pub(super) fn insert_into_thread_cache(
        &self,
        digest: RequestDigest,
        generation: Generation,
        now: Now,
        (found, end, tag): (Found, TokenExpiry, LogTag),
    ) {
        let Found { entry, proof, .. } = found;
        // The digest does not hold the other request fields that `Vary` may name.
        if entry.mark_accessed() && entry.secondary_key().is_none() {
            let found = CachedLookup { entry, granted_at: proof.granted_at, expiry: end, log_tag: tag };
            self.0.fetcher.store.thread_cache_insert(digest, generation, now, &found);
        }
    }

    /// Finds a proof, and only then an entry with the same digest: a caller can get only bytes that Graph itself gave to
    /// this token (promise 2).
    pub(super) fn find(
        &self,
        grants: Option<&Grants>,
        claims: &Claims,
        resource: &Arc<Resource>,
        selecting_request: SelectingRequest<'_>,
        rules: &RequestRules<'_>,
    ) -> (ProofLookup, Option<Found>) {
        let fetcher = &self.0.fetcher;
        let key = EntryKey::new(claims.principal, resource);
        let Some((grants, newest)) = grants.and_then(|grants| Some((grants, grants.newest_proof(resource)?)))
        else {
            return (ProofLookup::Missing, None);
        };
        let live = rules.now.since(newest.granted_at) < rules.config.freshness.proof_ttl;
        let known = fetcher.store.find_entry(&key, selecting_request, (grants, newest));
        let found = known.map(|(entry, proof)| {
            let assessment = rules.assess(&entry, proof.granted_at, claims.expiry);
            let assessment = if entry.is_superseded() { assessment.superseded() } else { assessment };
            Found { entry, proof, assessment }
        });
        (if live { ProofLookup::Live } else { ProofLookup::Expired }, found)
    }
}

/// Inputs of an assessment that are the same for every entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestRules<'a> {
    /// Live settings of the request.
    pub(super) config: &'a Arc<RuntimeConfig>,
    /// Directives of the caller, where they are obeyed.
    pub(super) client: CacheControl,
    pub(super) now: Now,
}

impl RequestRules<'_> {
    /// Judges the freshness of an entry and of a proof given at `granted_at`.
    pub(super) fn assess(&self, entry: &Entry, granted_at: Now, expiry: TokenExpiry) -> Assessment {
        let (config, left) = (&self.config.freshness, expiry.remaining(self.now));
        assess(config, (&entry.lifetime(), entry.requested_at), granted_at, left, self.client, self.now)
    }
}

impl RuntimeConfig {
    /// Returns the caller's directives, where they are obeyed (RFC 9111, section 5.2.1).
    pub(super) fn directives(&self, headers: &HeaderMap) -> CacheControl {
        match self.freshness.client_directives {
            ClientDirectives::Ignore => CacheControl::default(),
            ClientDirectives::Honor => CacheControl::from_request(headers),
        }
    }
}
