//! Tokens that Graph refused with 401.
//!
//! Graph's 401 is about the token, whatever the resource. A client that repeats a refused token receives the same answer,
//! with its claims challenge, for [`REPLAY`] without another request to Graph. A refused token that had proofs is a real
//! token that was revoked, and no forgery: the limits of unproven tokens do not count it.
//!
//! An entry is found by the hash of the token that Graph refused, so no token affects another.

use std::time::Duration;

use moka::sync::Cache;

use crate::auth::TokenHash;
use crate::support::clock::{Clock, Now};

/// Recent 401 answers, and tokens that had proofs before.
#[derive(Debug)]
pub struct RefusedTokens<A: Clone + Send + Sync + 'static> {
    answers: Cache<TokenHash, (A, Now, u32)>,
    /// Only a token with proofs can enter, so a flood of forged tokens removes none.
    formerly_proven: Cache<TokenHash, ()>,
    clock: Clock,
}

impl<A: Clone + Send + Sync + 'static> RefusedTokens<A> {
    /// Creates an empty memory.
    pub fn new(clock: Clock) -> Self {
        let answers = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|_, (_, _, bytes): &(A, Now, u32)| bytes.saturating_add(OVERHEAD))
            .time_to_live(REPLAY)
            .build();
        let formerly_proven =
            Cache::builder().max_capacity(MAX_FORMERLY_PROVEN).time_to_live(FORMERLY_PROVEN).build();
        Self { answers, formerly_proven, clock }
    }

    /// Keeps Graph's 401 to a token, which takes `bytes` of memory. A larger answer than [`MAX_ANSWER`] is not kept.
    pub fn insert(&self, token: TokenHash, answer: A, bytes: usize, had_proofs: bool) {
        if had_proofs {
            self.formerly_proven.insert(token, ());
        }
        if let Some(bytes) = u32::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_ANSWER) {
            self.answers.insert(token, (answer, self.clock.now(), bytes));
        }
    }

    /// Returns Graph's 401 to a token, if Graph refused the token within the last [`REPLAY`].
    pub fn recent(&self, token: &TokenHash) -> Option<A> {
        let (answer, since, _) = self.answers.get(token)?;
        (self.clock.now().since(since) < REPLAY).then_some(answer)
    }

    /// Returns whether a refused token had proofs within the last ten minutes.
    pub fn was_proven(&self, token: &TokenHash) -> bool {
        self.formerly_proven.contains_key(token)
    }

    /// Forgets all answers.
    pub fn clear(&self) {
        self.answers.invalidate_all();
    }
}

/// Time for which a 401 is repeated without a request to Graph. Shorter than the time in which a client fetches a new
/// token and comes back with it, so nobody notices a permission that is given back.
pub const REPLAY: Duration = Duration::from_secs(5);
/// Longest time that Entra needs to revoke all sessions of a user is minutes; a revoked token is retried for less.
const FORMERLY_PROVEN: Duration = Duration::from_mins(10);
/// Memory of all answers.
const MAX_BYTES: u64 = 4 << 20;
/// Memory of one answer: a claims challenge has about 2 KiB.
const MAX_ANSWER: u32 = 16 << 10;
/// Memory of one entry beside the answer.
const OVERHEAD: u32 = 320;
const MAX_FORMERLY_PROVEN: u64 = 10_000;

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::auth::{HashKeys, Identity};

    fn token(name: &'static str, secrets: &HashKeys) -> TokenHash {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(name))]);
        Identity::from_headers(&headers, secrets).unwrap().token_hash
    }

    #[test]
    fn a_401_is_repeated_to_its_own_token_for_five_seconds() {
        let (clock, secrets) = (Clock::manual(SystemTime::now()), HashKeys::random().unwrap());
        let (refused, a) = (RefusedTokens::new(clock.clone()), token("Bearer a", &secrets));
        refused.insert(a, "challenge", 100, false);
        assert_eq!(refused.recent(&a), Some("challenge"));
        assert_eq!(refused.recent(&token("Bearer b", &secrets)), None);
        clock.advance(REPLAY);
        assert_eq!(refused.recent(&a), None);
        refused.insert(a, "challenge", 100, false);
        refused.clear();
        assert_eq!(refused.recent(&a), None);
    }

    #[test]
    fn a_large_answer_is_not_kept_and_all_answers_have_a_bound() {
        let (clock, secrets) = (Clock::manual(SystemTime::now()), HashKeys::random().unwrap());
        let (refused, a) = (RefusedTokens::new(clock), token("Bearer a", &secrets));
        refused.insert(a, "large", 1 << 20, true);
        assert_eq!((refused.recent(&a), refused.was_proven(&a)), (None, true));
        for number in 0..2000_u32 {
            let value = HeaderValue::try_from(format!("Bearer {number}")).unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            let token = Identity::from_headers(&headers, &secrets).unwrap().token_hash;
            refused.insert(token, "x", 16 << 10, false);
        }
        refused.answers.run_pending_tasks();
        assert!(refused.answers.weighted_size() <= MAX_BYTES);
    }
}
