//! Rate limit for forced refreshes: `Connector-Cache: refresh`.
//!
//! `Cache-Control` of callers is ignored by default, because an SDK sends `no-cache` with every request. A caller that has
//! just changed a connector sends this field instead. It holds for tokens with a proof, and for their own entry. The limit
//! by token and minute keeps a caller from turning the cache off and using up its application's share of Graph. The field
//! is not forwarded to Graph.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use moka::sync::Cache;

use crate::auth::TokenHash;
use crate::cache::freshness::Decision;
use crate::cache::outcome::HitReason;
use crate::http::cache_control::CacheControl;
use crate::http::cache_status::Forward;
use crate::http::headers::REFRESH_FIELD;
use crate::support::clock::Now;

/// Configuration of forced refreshes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `limits.refreshes_per_token`: refreshes of one token in a minute; 0 allows none.
    pub per_token: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { per_token: 6 }
    }
}

/// Demand of a caller for a response to a request that begins after its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshDemand {
    /// None: the fetch in flight may have begun before.
    None,
    /// A refresh that needs the permission of the limiter, if a fetch is in flight.
    Limited,
    /// A refresh that is permitted, or a directive that is obeyed.
    Permitted,
}

/// Rate limiter (GCRA) of forced refreshes by token.
#[derive(Debug)]
pub struct RefreshLimiter {
    per_minute: u64,
    /// Time until which the rate is used up, by token, in Unix milliseconds.
    used_until: Cache<TokenHash, Arc<Mutex<u64>>>,
}

impl RefreshLimiter {
    /// Creates a limiter without a history.
    pub fn new(config: &Config) -> Self {
        let used_until =
            Cache::builder().max_capacity(MAX_TRACKED_TOKENS).time_to_idle(TOKEN_IDLE_TIMEOUT).build();
        Self { per_minute: u64::try_from(config.per_token).unwrap_or(u64::MAX), used_until }
    }

    /// Counts a refresh, if the token may refresh now. Each refresh uses its part of a minute, and a burst may use up one
    /// minute in advance.
    pub fn allow(&self, token: TokenHash, now: Now) -> bool {
        let Some(cost) = MINUTE_MS.checked_div(self.per_minute) else { return false };
        let used_until = self.used_until.get_with(token, Arc::default);
        let mut used_until = used_until.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*used_until).max(now.unix_millis()) + cost;
        let allowed = next <= now.unix_millis() + MINUTE_MS;
        if allowed {
            *used_until = next;
        }
        allowed
    }

    /// Returns the decision for a caller that may use an entry: forward if it requests a refresh and the limit allows it.
    pub fn check(
        &self,
        headers: &HeaderMap,
        token: TokenHash,
        verdict: Decision,
        now: Now,
    ) -> (Decision, Option<HitReason>) {
        match verdict {
            Decision::Forward(_) => (verdict, None),
            _ if !wants_refresh(headers) => (verdict, None),
            _ if self.allow(token, now) => (Decision::Forward(Forward::Request), None),
            _ => (verdict, Some(HitReason::RefreshLimit)),
        }
    }
}

impl RefreshDemand {
    /// Returns the demand of a request whose refresh was not counted. A token without a proof must not change the limiter,
    /// which all tokens share (promise 3); the limits for such tokens apply to each of its fetches.
    pub fn from_request(headers: &HeaderMap, client: CacheControl, is_proven: bool) -> Self {
        if client.no_cache || client.max_age == Some(0) {
            Self::Permitted
        } else if !wants_refresh(headers) {
            Self::None
        } else if is_proven {
            Self::Limited
        } else {
            Self::Permitted
        }
    }
}

/// Returns whether a request has the field with the member `refresh`. Other members are ignored.
fn wants_refresh(headers: &HeaderMap) -> bool {
    let members =
        headers.get_all(&REFRESH_FIELD).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members.map(<[u8]>::trim_ascii).any(|member| member.eq_ignore_ascii_case(b"refresh"))
}

const MINUTE_MS: u64 = 60_000;
/// Tokens with a history. Past that, the least recently used token loses its history.
const MAX_TRACKED_TOKENS: u64 = 100_000;
/// Idle time after which a history is dropped. It has ended after one minute.
const TOKEN_IDLE_TIMEOUT: Duration = Duration::from_mins(2);

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
        let hash_keys = HashKeys::random().unwrap();
        ["Bearer a", "Bearer b"].map(|text| {
            Identity::from_headers(&headers(&header::AUTHORIZATION, &[text]), &hash_keys).unwrap().token_hash
        })
    }

    fn at(seconds: u64) -> Now {
        let start: SystemTime = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        Clock::manual(start).now().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_token_may_refresh_in_a_burst_and_then_at_that_rate() {
        let (refresh_limiter, [a, b]) = (RefreshLimiter::new(&Config { per_token: 6 }), tokens());
        let allowed = |token, second| refresh_limiter.allow(token, at(second));
        assert_eq!((0..9).filter(|_| allowed(a, 0)).count(), 6);
        assert!(allowed(b, 0), "another token has its own");
        assert!(!allowed(a, 9));
        assert!(allowed(a, 10));
        assert!(!allowed(a, 10));
        assert_eq!((0..9).filter(|_| allowed(a, 600)).count(), 6, "idle time adds no more than a minute");
    }

    #[test]
    fn a_limit_of_zero_allows_no_refresh() {
        let refresh_limiter = RefreshLimiter::new(&Config { per_token: 0 });
        assert!(!refresh_limiter.allow(tokens()[0], at(0)));
    }

    #[test]
    fn a10_a_refresh_of_a_proven_token_needs_permission_and_an_obeyed_directive_does_not() {
        let (none, refresh) = (HeaderMap::new(), headers(&REFRESH_FIELD, &["refresh"]));
        let ignored = CacheControl::default();
        let demand = RefreshDemand::from_request;
        assert_eq!(demand(&none, ignored, true), RefreshDemand::None);
        assert_eq!(demand(&refresh, ignored, true), RefreshDemand::Limited);
        assert_eq!(demand(&refresh, ignored, false), RefreshDemand::Permitted);
        for obeyed in
            [CacheControl { no_cache: true, ..ignored }, CacheControl { max_age: Some(0), ..ignored }]
        {
            assert_eq!(demand(&none, obeyed, true), RefreshDemand::Permitted, "{obeyed:?}");
        }
        assert_eq!(demand(&none, CacheControl { max_age: Some(9), ..ignored }, true), RefreshDemand::None);
    }

    #[test]
    fn the_member_refresh_is_found_in_a_list_in_any_case() {
        for lines in [&["refresh"][..], &["Refresh"], &["x, refresh "], &["x", "REFRESH"]] {
            assert!(wants_refresh(&headers(&REFRESH_FIELD, lines)), "{lines:?}");
        }
        for lines in [&[][..], &[""], &["refreshing"], &["no-cache"], &["\"refresh\""]] {
            assert!(!wants_refresh(&headers(&REFRESH_FIELD, lines)), "{lines:?}");
        }
    }
}
