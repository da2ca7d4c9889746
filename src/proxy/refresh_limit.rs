//! `Connector-Cache: refresh`: a caller asks for Graph's word in place of what is stored for it.
//!
//! Callers' `Cache-CacheControl` is ignored by default, because an SDK sends `no-cache` with every request. Whoever
//! has just changed a connector has this field instead. Only a token with a proof can be here, and only its
//! own entry is asked about; so many times a minute, so that nobody turns the cache off for its application's
//! share of Graph. The field goes no further than this.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use moka::sync::Cache;

use crate::auth::TokenHash;
use crate::cache::freshness::Decision;
use crate::cache::outcome::{Forward, HitReason};
use crate::http::headers::REFRESH_FIELD;
use crate::support::clock::Now;

/// What refreshes need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `limits.refreshes_per_token`: in a minute; 0 allows none.
    pub per_token: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { per_token: 6 }
    }
}

/// How often each token has asked.
#[derive(Debug)]
pub struct RefreshLimiter {
    per_minute: u64,
    /// When the requests so far will be paid for, Unix milliseconds.
    paid_by: Cache<TokenHash, Arc<Mutex<u64>>>,
}

impl RefreshLimiter {
    /// Nobody has asked yet.
    pub fn new(config: &Config) -> Self {
        let paid_by = Cache::builder().max_capacity(TOKENS).time_to_idle(FORGOTTEN_AFTER).build();
        Self { per_minute: u64::try_from(config.per_token).unwrap_or(u64::MAX), paid_by }
    }

    /// Whether a token may have its entry refreshed now. If so, that is counted: each costs its part of a minute,
    /// and a minute's worth may be owed.
    fn allow(&self, token: TokenHash, now: Now) -> bool {
        let Some(cost) = MINUTE.checked_div(self.per_minute) else { return false };
        let paid_by = self.paid_by.get_with(token, Arc::default);
        let mut paid_by = paid_by.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*paid_by).max(now.unix_millis()) + cost;
        let allowed = next <= now.unix_millis() + MINUTE;
        if allowed {
            *paid_by = next;
        }
        allowed
    }

    /// What follows for a caller that may be given something from memory and may want Graph's word instead.
    pub fn check(
        &self,
        headers: &HeaderMap,
        token: TokenHash,
        verdict: Decision,
        now: Now,
    ) -> (Decision, Option<HitReason>) {
        match verdict {
            Decision::Forward(_) => (verdict, None),
            _ if !is_wanted(headers) => (verdict, None),
            _ if self.allow(token, now) => (Decision::Forward(Forward::Request), None),
            _ => (verdict, Some(HitReason::RefreshLimit)),
        }
    }
}

/// Whether a request asks for it. Other words mean nothing.
fn is_wanted(headers: &HeaderMap) -> bool {
    let words =
        headers.get_all(&REFRESH_FIELD).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    words.map(<[u8]>::trim_ascii).any(|word| word.eq_ignore_ascii_case(b"refresh"))
}

const MINUTE: u64 = 60_000;
/// Tokens that are remembered. Past that the one longest unseen owes nothing.
const TOKENS: u64 = 100_000;
/// By then everything is paid for.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use http::{HeaderName, HeaderValue, header};

    use super::*;
    use crate::auth::{HashKeys, Identity};
    use crate::support::clock::Clock;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    fn tokens() -> [TokenHash; 2] {
        let secrets = HashKeys::random().unwrap();
        ["Bearer a", "Bearer b"].map(|text| {
            Identity::from_headers(&headers(&header::AUTHORIZATION, &[text]), &secrets).unwrap().fingerprint
        })
    }

    fn at(seconds: u64) -> Now {
        let start: SystemTime = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        Clock::manual(start).now().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_token_may_ask_so_often_in_a_minute_and_then_at_that_rate() {
        let (refresh_limiter, [a, b]) = (RefreshLimiter::new(&Config { per_token: 6 }), tokens());
        let allowed = |token, second| refresh_limiter.allow(token, at(second));
        assert_eq!((0..9).filter(|_| allowed(a, 0)).count(), 6);
        assert!(allowed(b, 0), "another token has its own");
        assert!(!allowed(a, 9));
        assert!(allowed(a, 10));
        assert!(!allowed(a, 10));
        assert_eq!((0..9).filter(|_| allowed(a, 600)).count(), 6, "nobody saves up");
    }

    #[test]
    fn none_is_allowed_where_none_are() {
        let refresh_limiter = RefreshLimiter::new(&Config { per_token: 0 });
        assert!(!refresh_limiter.allow(tokens()[0], at(0)));
    }

    #[test]
    fn the_word_is_found_in_a_list_in_any_case() {
        for lines in [&["refresh"][..], &["Refresh"], &["x, refresh "], &["x", "REFRESH"]] {
            assert!(is_wanted(&headers(&REFRESH_FIELD, lines)), "{lines:?}");
        }
        for lines in [&[][..], &[""], &["refreshing"], &["no-cache"], &["\"refresh\""]] {
            assert!(!is_wanted(&headers(&REFRESH_FIELD, lines)), "{lines:?}");
        }
    }
}
