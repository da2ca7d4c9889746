//! Freshness lifetime of a response: RFC 9111, sections 3, 4.2.1 to 4.2.3, 5.1 to 5.3, or the operator's TTL.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

use super::{Config, FreshnessSource, Lifetime};
use crate::cache::conditional::Validators;
use crate::cache::outcome::NotStored;
use crate::cache::vary;
use crate::http::cache_control::CacheControl;
use crate::http::headers::single_value;
use crate::support::clock::Now;

impl Lifetime {
    /// Lifetime of a response that may not be stored.
    pub const NONE: Self = Self {
        fresh_for: Duration::ZERO,
        initial_age: Duration::ZERO,
        must_revalidate: true,
        grace_ends: Duration::ZERO,
        error_grace_ends: Duration::ZERO,
    };

    /// Returns the lifetime of a response with these fields that may not be stored. It has an age nevertheless.
    pub fn not_stored(headers: &HeaderMap) -> Self {
        Self { initial_age: age(headers), ..Self::NONE }
    }

    /// Returns the age at `now` of a response that was requested at `requested_at` (section 4.2.3).
    pub fn age(&self, requested_at: Now, now: Now) -> Duration {
        self.initial_age.saturating_add(now.since(requested_at))
    }

    /// Determines whether a response that arrived at `received` may be stored, and for how long it is fresh.
    ///
    /// In `"operator"` mode `cache.ttl` replaces `no-cache`, `max-age` and `private`: Graph sends `no-cache` with every
    /// response, and the purpose of this cache is to respond from memory for the TTL nevertheless.
    ///
    /// In `"origin"` mode Graph's directives decide and the TTL is the upper limit. With `no-cache` the freshness lifetime
    /// is zero: the response is stored, and validated before each use (section 5.2.2.4).
    ///
    /// After Graph's lifetime a stale response is used during a refresh only if Graph allows it (`stale-while-revalidate`),
    /// because section 4.2.4 forbids it otherwise. After a failure it is used unless Graph forbids it: section 4.2.4 allows a
    /// stale response of a cache that is disconnected, and a `stale-if-error` of Graph is the limit (RFC 5861, section 4). After
    /// the TTL and the lifetime of the proof the operator's windows apply, too.
    ///
    /// A response without remaining lifetime is stored only if it has a validator; otherwise it could never be used.
    pub fn from_response(headers: &HeaderMap, config: &Config, received: Now) -> Result<Self, NotStored> {
        let control = CacheControl::from_headers(headers);
        // Section 5.2.2.3: a cache that understands the status code SHOULD ignore `no-store` beside `must-understand`. Only
        // responses with status 200 reach this function.
        let understood = config.freshness == FreshnessSource::Origin && control.must_understand;
        if control.no_store && !understood {
            return Err(NotStored::NoStore);
        }
        vary::selecting_fields(headers)?;
        let (fresh_for, must_revalidate, [grace_ends, error_grace_ends]) = match config.freshness {
            FreshnessSource::Operator => (config.ttl, control.must_revalidate, [Duration::MAX; 2]),
            FreshnessSource::Origin => {
                let lifetime = origin_lifetime(headers, control, received);
                let strict = control.must_revalidate || control.no_cache;
                let ends_after = |seconds| lifetime + Duration::from_secs(seconds);
                let grace_ends = ends_after(control.stale_while_revalidate.unwrap_or(0));
                let error_grace_ends = control.stale_if_error.map_or(Duration::MAX, ends_after);
                (lifetime.min(config.ttl), strict, [grace_ends, error_grace_ends])
            }
        };
        let initial_age = age(headers);
        if initial_age >= fresh_for && Validators::from_headers(headers, received).is_none() {
            return Err(NotStored::NoLifetime);
        }
        Ok(Self { fresh_for, initial_age, must_revalidate, grace_ends, error_grace_ends })
    }
}

/// Computes the freshness lifetime in the order of RFC 9111, section 4.2.1 for a private cache, which ignores `s-maxage`;
/// without explicit lifetime by a heuristic (section 4.2.2).
fn origin_lifetime(headers: &HeaderMap, control: CacheControl, received: Now) -> Duration {
    if control.no_cache {
        return Duration::ZERO;
    }
    if let Some(seconds) = control.max_age {
        return Duration::from_secs(seconds);
    }
    // Without `Date` the time of arrival counts (RFC 9110, section 6.6.1).
    let date = |name| date(headers, name, received);
    let sent = date(&header::DATE).unwrap_or_else(|| received.wall());
    if headers.contains_key(header::EXPIRES) {
        // An invalid `Expires` means expired (section 5.3).
        let expires = date(&header::EXPIRES);
        return expires.and_then(|expires| expires.duration_since(sent).ok()).unwrap_or_default();
    }
    let modified = date(&header::LAST_MODIFIED);
    modified.and_then(|modified| sent.duration_since(modified).ok()).unwrap_or_default() / HEURISTIC_DIVISOR
}

/// Returns the date in a field that occurs once and is valid.
fn date(headers: &HeaderMap, name: &HeaderName, received: Now) -> Option<SystemTime> {
    crate::http::date::parse(single_value(headers, name)?, received.wall())
}

/// Returns the value of `Age`. RFC 9111, section 5.1: of a list "a cache [...] SHOULD use the first member of the field
/// value, discarding subsequent members"; an invalid value "a cache SHOULD ignore".
fn age(headers: &HeaderMap) -> Duration {
    let line = headers.get(header::AGE).and_then(|line| line.to_str().ok()).unwrap_or_default();
    let first = line.split(',').next().unwrap_or_default().trim();
    if first.is_empty() || !first.bytes().all(|byte| byte.is_ascii_digit()) {
        return Duration::ZERO;
    }
    Duration::from_secs(first.parse::<u64>().map_or(MAX_AGE_SECONDS, |seconds| seconds.min(MAX_AGE_SECONDS)))
}

const MAX_AGE_SECONDS: u64 = 1 << 31;
/// The heuristic lifetime is a tenth of the time since the last change, which section 4.2.2 calls typical.
const HEURISTIC_DIVISOR: u32 = 10;
