//! The look-up: which entry a token has a proof for, and what the clock says of both.

use std::sync::Arc;

use super::Proxy;
use crate::auth::{Claims, End};
use crate::cache::entry::Entry;
use crate::cache::freshness::{Judgement, judge};
use crate::cache::grants::{Grant, Proof};
use crate::cache::key::EntryKey;
use crate::cache::outcome::ProofResult;
use crate::cache::vary::Presented;
use crate::http::cache_control::Control;
use crate::resource::Resource;
use crate::support::clock::Now;
use crate::support::sabotage::sabotaged;

/// An entry with the bytes that its caller's token was granted, the proof of that, and what the clock says of both.
pub(super) struct Found {
    pub(super) entry: Arc<Entry>,
    pub(super) proof: Proof,
    pub(super) judgement: Judgement,
}

impl Proxy {
    /// Looks for a proof, and only then for an entry with the same digest: there is nothing to see but the bytes that
    /// Graph itself gave to this token (promise 2).
    pub(super) fn find(
        &self,
        grant: Option<&Grant>,
        claims: &Claims,
        resource: &Arc<Resource>,
        presented: Presented<'_>,
        client: Control,
        now: Now,
    ) -> (ProofResult, Option<Found>) {
        let fetcher = &self.0.fetcher;
        let key = EntryKey::new(claims.principal, resource);
        sabotaged!(ClaimsTrusted, return self.find_claimed(&key, claims, presented, client, now));
        let Some((grant, newest)) = grant.and_then(|grant| Some((grant, grant.proof(resource)?))) else {
            return (ProofResult::Missing, None);
        };
        let live = now.since(newest.granted) < fetcher.freshness.proof_ttl.get();
        let known = sabotaged!(NeverHits, None, fetcher.store.entry(&key, presented, (grant, newest)));
        let found = known.map(|(entry, proof)| {
            let judgement = self.judge(&entry, proof.granted, claims.end, client, now);
            let judgement = if entry.is_superseded() { judgement.superseded() } else { judgement };
            Found { entry, proof, judgement }
        });
        (if live { ProofResult::Live } else { ProofResult::Expired }, found)
    }

    pub(super) fn judge(
        &self,
        entry: &Entry,
        granted: Now,
        end: End,
        client: Control,
        now: Now,
    ) -> Judgement {
        let rules = self.0.fetcher.freshness.now();
        judge(&rules, (&entry.lifetime(), entry.asked), granted, end.left(now), client, now)
    }
}

#[cfg(feature = "sabotage")]
impl Proxy {
    /// Looks up what a token claims to be entitled to: the fault `claims-trusted`.
    fn find_claimed(
        &self,
        key: &EntryKey,
        claims: &Claims,
        presented: Presented<'_>,
        client: Control,
        now: Now,
    ) -> (ProofResult, Option<Found>) {
        let found = self.0.fetcher.store.claimed_entry(key, presented).map(|entry| {
            let proof = Proof { granted: now, digest: entry.digest() };
            let judgement = self.judge(&entry, now, claims.end, client, now);
            Found { entry, proof, judgement }
        });
        (ProofResult::Live, found)
    }
}
