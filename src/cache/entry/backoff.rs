//! Backoff of an entry after a failed revalidation.
//!
//! While a stale entry is served, each request for it would start a revalidation. If Graph fails quickly, that is a request
//! to Graph for nearly every request of a caller. The circuit breakers do not prevent this: they count only failures of
//! availability, in the scope of a token, and a response such as 400, 302 or broken JSON is none.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crate::auth::TokenHash;
use crate::support::clock::Now;

/// Last failed revalidation of an entry, or the start of the one after it.
///
/// After a failure all tokens together start two revalidations in a second at most, and the token whose revalidation failed
/// last starts one. So a token for which Graph always fails leaves half of the time to the other tokens.
#[derive(Debug, Default)]
pub(super) struct RevalidationBackoff(AtomicU32);

/// Kind of a failed revalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevalidationFailure {
    /// Graph failed: the entry may be used instead (RFC 5861, section 4).
    Outage,
    /// Graph responded with an error that goes to the caller, or the proxy has dropped the response.
    Other,
    /// Graph responded 204: the property is null now. The entry may still be served while it is revalidated, but not because
    /// of a later failure.
    NoContent,
}

impl RevalidationBackoff {
    /// Records a failed revalidation of a token.
    pub(super) fn record_failure(&self, failure: RevalidationFailure, token: TokenHash, now: Now) {
        let flag = match failure {
            RevalidationFailure::Outage => OUTAGE,
            RevalidationFailure::Other => 0,
            RevalidationFailure::NoContent => NO_CONTENT,
        };
        // A later failure does not bring the content back.
        let no_content = self.0.load(Relaxed) & NO_CONTENT;
        self.0.store(time_bits(now) | token_bits(token) | flag | no_content | FAILED, Relaxed);
    }

    /// Returns whether a revalidation has shown that Graph has no content any more.
    pub(super) fn has_no_content_upstream(&self) -> bool {
        self.0.load(Relaxed) & NO_CONTENT != 0
    }

    /// Ends the backoff.
    pub(super) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    /// Starts a revalidation.
    ///
    /// # Errors
    /// The kind of the last failure, if it is too recent, or if another revalidation started since.
    pub(super) fn try_start(&self, token: TokenHash, now: Now) -> Result<(), RevalidationFailure> {
        let known = self.0.load(Relaxed);
        if known & FAILED == 0 {
            return Ok(());
        }
        let wait = if known & TOKEN_MASK == token_bits(token) { OWN_WAIT } else { WAIT };
        let elapsed = time_bits(now).wrapping_sub(known & TIME_MASK) / TIME_UNIT;
        let started = time_bits(now) | token_bits(token) | (known & (OUTAGE | NO_CONTENT | FAILED));
        let is_due = elapsed >= ticks(wait);
        if is_due && self.0.compare_exchange(known, started, Relaxed, Relaxed).is_ok() {
            return Ok(());
        }
        Err(if known & OUTAGE == 0 { RevalidationFailure::Other } else { RevalidationFailure::Outage })
    }
}

/// Returns the time in units of an eighth of a second, modulo 36 hours: an entry has 32 bits for its backoff.
fn time_bits(now: Now) -> u32 {
    (now.monotonic_millis_u32() / TICK_MS).wrapping_mul(TIME_UNIT)
}

/// Returns a few bits of a token hash. Two tokens with equal bits count as one.
fn token_bits(token: TokenHash) -> u32 {
    u32::try_from(token.share_key() & u128::from(TOKEN_MASK)).unwrap_or(0)
}

/// Returns a duration in units of the time, rounded up, so that no request is early.
fn ticks(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(u128::from(TICK_MS))).unwrap_or(u32::MAX) + 1
}

/// The lowest three bits.
const FAILED: u32 = 1;
const OUTAGE: u32 = 1 << 1;
const NO_CONTENT: u32 = 1 << 2;
/// The next nine bits.
const TOKEN_MASK: u32 = 0b1_1111_1111 << 3;
/// The highest 20 bits.
const TIME_MASK: u32 = !0 << 12;
const TIME_UNIT: u32 = 1 << 12;
const TICK_MS: u32 = 125;
/// Time from the failed revalidation of one token to the next one of another token.
const WAIT: Duration = Duration::from_millis(500);
/// Time from the failed revalidation of a token to its next one.
const OWN_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::auth::{HashKeys, Identity};
    use crate::support::clock::Clock;

    fn tokens() -> [TokenHash; 2] {
        let hash_keys = HashKeys::random().unwrap();
        let hash = |number: u32| {
            let value = HeaderValue::try_from(format!("Bearer {number}")).unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            Identity::from_headers(&headers, &hash_keys).unwrap().token_hash
        };
        let first = hash(0);
        let second = (1..9).map(hash).find(|token| token_bits(*token) != token_bits(first)).unwrap();
        [first, second]
    }

    /// Plays requests of `tokens` for ten seconds, each of which fails at once. Returns the calls of each token.
    fn calls(tokens: &[TokenHash]) -> Vec<usize> {
        let (backoff, clock) = (RevalidationBackoff::default(), Clock::manual(SystemTime::now()));
        let mut calls = vec![0; tokens.len()];
        for _ in 0..2_000 {
            clock.advance(Duration::from_millis(5));
            for (token, calls) in tokens.iter().zip(&mut calls) {
                if backoff.try_start(*token, clock.now()).is_ok() {
                    *calls += 1;
                    backoff.record_failure(RevalidationFailure::Outage, *token, clock.now());
                }
            }
        }
        calls
    }

    #[test]
    fn b3_failed_revalidations_are_at_most_two_in_a_second() {
        let [a, b] = tokens();
        assert!((8..=10).contains(&calls(&[a])[0]));
        let both = calls(&[a, b]);
        assert!(both.iter().sum::<usize>() <= 20 && both.iter().all(|calls| *calls >= 5), "{both:?}");
    }

    #[test]
    fn b3_one_request_starts_the_next_revalidation() {
        let (backoff, clock, [a, b]) =
            (RevalidationBackoff::default(), Clock::manual(SystemTime::now()), tokens());
        assert_eq!(backoff.try_start(a, clock.now()), Ok(()), "nothing failed");
        assert_eq!(backoff.try_start(a, clock.now()), Ok(()));
        backoff.record_failure(RevalidationFailure::Other, a, clock.now());
        assert_eq!(backoff.try_start(b, clock.now()), Err(RevalidationFailure::Other));
        clock.advance(Duration::from_secs(3));
        assert_eq!(backoff.try_start(b, clock.now()), Ok(()));
        for token in [a, b] {
            assert_eq!(backoff.try_start(token, clock.now()), Err(RevalidationFailure::Other));
        }
        backoff.record_failure(RevalidationFailure::Outage, b, clock.now());
        assert_eq!(backoff.try_start(a, clock.now()), Err(RevalidationFailure::Outage));
    }
}
