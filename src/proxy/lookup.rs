//! The look-up: which entry a token has a proof for, and what the clock says of both.

use std::sync::Arc;

use super::Proxy;
use crate::auth::{Claims, TokenExpiry};
use crate::cache::entry::Entry;
use crate::cache::freshness::{Assessment, assess};
use crate::cache::grants::{Grants, Proof};
use crate::cache::key::EntryKey;
use crate::cache::outcome::ProofResult;
use crate::cache::vary::SelectingRequest;
use crate::http::cache_control::CacheControl;
use crate::resource::Resource;
use crate::support::clock::Now;

/// An entry with the bytes that its caller's token was granted, the proof of that, and what the clock says of both.
pub(super) struct Found {
    pub(super) entry: Arc<Entry>,
    pub(super) proof: Proof,
    pub(super) assessment: Assessment,
}

impl Proxy {
    /// Looks for a proof, and only then for an entry with the same digest: there is nothing to see but the bytes that
    /// Graph itself gave to this token (promise 2).
    pub(super) fn find(
        &self,
        grant: Option<&Grants>,
        claims: &Claims,
        resource: &Arc<Resource>,
        selecting_request: SelectingRequest<'_>,
        client: CacheControl,
        now: Now,
    ) -> (ProofResult, Option<Found>) {
        let fetcher = &self.0.fetcher;
        let key = EntryKey::new(claims.principal, resource);
        let Some((grant, newest)) = grant.and_then(|grant| Some((grant, grant.proof(resource)?))) else {
            return (ProofResult::Missing, None);
        };
        let live = now.since(newest.granted) < fetcher.freshness.proof_ttl.get();
        let known = fetcher.store.entry(&key, selecting_request, (grant, newest));
        let found = known.map(|(entry, proof)| {
            let assessment = self.assess(&entry, proof.granted, claims.end, client, now);
            let assessment = if entry.is_superseded() { assessment.superseded() } else { assessment };
            Found { entry, proof, assessment }
        });
        (if live { ProofResult::Live } else { ProofResult::Expired }, found)
    }

    pub(super) fn assess(
        &self,
        entry: &Entry,
        granted: Now,
        end: TokenExpiry,
        client: CacheControl,
        now: Now,
    ) -> Assessment {
        let rules = self.0.fetcher.freshness.now();
        assess(&rules, (&entry.lifetime(), entry.asked), granted, end.left(now), client, now)
    }
}
