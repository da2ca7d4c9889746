//! Tokens to which Graph responded with 401.
//!
//! A 401 depends on the token alone, whatever the resource. A client that repeats such a token gets the same response, with
//! its claims challenge, for [`UNAUTHORIZED_RESPONSE_TTL`] without another request to Graph. A token that had proofs before
//! its 401 is a revoked token and not a forgery: the limits of unproven tokens do not apply to it.
//!
//! Entries are found by the hash of the token, so no token affects another.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use moka::sync::Cache;

use crate::auth::TokenHash;
use crate::support::clock::{Clock, Now};

/// Recent 401 responses, and tokens that had proofs before their 401.
#[derive(Debug)]
pub struct UnauthorizedTokens<R: Clone + Send + Sync + 'static> {
    responses: Cache<TokenHash, (R, Now, u32)>,
    /// Only tokens that had proofs are inserted, so a flood of forged tokens evicts none.
    revoked: Cache<TokenHash, ()>,
    clock: Clock,
    /// Time of the last response, milliseconds since the Unix epoch; 0 before the first one.
    newest_ms: AtomicU64,
}

impl<R: Clone + Send + Sync + 'static> UnauthorizedTokens<R> {
    /// Creates an empty cache.
    pub fn new(clock: Clock) -> Self {
        let responses = Cache::builder()
            .max_capacity(MAX_TOTAL_BYTES)
            .weigher(|_, (_, _, bytes): &(R, Now, u32)| bytes.saturating_add(ENTRY_OVERHEAD_BYTES))
            .time_to_live(UNAUTHORIZED_RESPONSE_TTL)
            .build();
        let revoked =
            Cache::builder().max_capacity(MAX_REVOKED_TOKENS).time_to_live(REVOKED_TOKEN_TTL).build();
        Self { responses, revoked, clock, newest_ms: AtomicU64::new(0) }
    }

    /// Stores Graph's 401 to a token, a response of `bytes` of memory. A response above [`MAX_RESPONSE_BYTES`] is not stored.
    pub fn insert(&self, token: TokenHash, response: R, bytes: usize, had_proofs: bool) {
        if had_proofs {
            self.revoked.insert(token, ());
        }
        if let Some(bytes) = u32::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_RESPONSE_BYTES) {
            let now = self.clock.now();
            self.newest_ms.fetch_max(now.unix_millis(), Relaxed);
            self.responses.insert(token, (response, now, bytes));
        }
    }

    /// Returns Graph's 401 to a token, if it is younger than [`UNAUTHORIZED_RESPONSE_TTL`].
    pub fn recent(&self, token: &TokenHash) -> Option<R> {
        // Most of the time Graph has refused no token in the last seconds, and each fetch looks more than once.
        let newest_ms = self.newest_ms.load(Relaxed);
        if newest_ms == 0 {
            return None;
        }
        let now = self.clock.now();
        if now.unix_millis().saturating_sub(newest_ms) >= RESPONSE_TTL_MS {
            return None;
        }
        let (response, since, _) = self.responses.get(token)?;
        (now.since(since) < UNAUTHORIZED_RESPONSE_TTL).then_some(response)
    }

    /// Returns whether a token got a 401 within the last ten minutes and had proofs before.
    pub fn was_proven(&self, token: &TokenHash) -> bool {
        self.revoked.contains_key(token)
    }

    /// Removes all responses.
    pub fn clear(&self) {
        self.responses.invalidate_all();
    }
}

/// Time for which a 401 is repeated without a request to Graph. Shorter than the time that a client needs to fetch a new
/// token, so a permission that is granted again takes effect without a visible delay.
pub const UNAUTHORIZED_RESPONSE_TTL: Duration = Duration::from_millis(RESPONSE_TTL_MS);
const RESPONSE_TTL_MS: u64 = 5_000;
/// Time for which a token counts as revoked: longer than the minutes that Entra takes to revoke all sessions of a user.
const REVOKED_TOKEN_TTL: Duration = Duration::from_mins(10);
/// Memory of all responses, bytes.
const MAX_TOTAL_BYTES: u64 = 4 << 20;
/// Memory of one response, bytes. A claims challenge has about 2 KiB.
const MAX_RESPONSE_BYTES: u32 = 16 << 10;
/// Memory of one entry in addition to the response, bytes.
const ENTRY_OVERHEAD_BYTES: u32 = 320;
const MAX_REVOKED_TOKENS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::auth::{HashKeys, Identity};

    fn token(name: &'static str, hash_keys: &HashKeys) -> TokenHash {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(name))]);
        Identity::from_headers(&headers, hash_keys).unwrap().token_hash
    }

    #[test]
    fn a_401_is_repeated_to_its_own_token_for_five_seconds() {
        let (clock, hash_keys) = (Clock::manual(SystemTime::now()), HashKeys::random().unwrap());
        let (refused, a) = (UnauthorizedTokens::new(clock.clone()), token("Bearer a", &hash_keys));
        refused.insert(a, "challenge", 100, false);
        assert_eq!(refused.recent(&a), Some("challenge"));
        assert_eq!(refused.recent(&token("Bearer b", &hash_keys)), None);
        clock.advance(UNAUTHORIZED_RESPONSE_TTL);
        assert_eq!(refused.recent(&a), None);
        refused.insert(a, "challenge", 100, false);
        refused.clear();
        assert_eq!(refused.recent(&a), None);
    }

    #[test]
    fn a_large_response_is_not_stored_and_all_responses_have_a_bound() {
        let (clock, hash_keys) = (Clock::manual(SystemTime::now()), HashKeys::random().unwrap());
        let (refused, a) = (UnauthorizedTokens::new(clock), token("Bearer a", &hash_keys));
        refused.insert(a, "large", 1 << 20, true);
        assert_eq!((refused.recent(&a), refused.was_proven(&a)), (None, true));
        for number in 0..2000_u32 {
            let value = HeaderValue::try_from(format!("Bearer {number}")).unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            let token = Identity::from_headers(&headers, &hash_keys).unwrap().token_hash;
            refused.insert(token, "x", 16 << 10, false);
        }
        refused.responses.run_pending_tasks();
        assert!(refused.responses.weighted_size() <= MAX_TOTAL_BYTES);
    }
}
