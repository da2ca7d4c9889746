//! How long an answer is fresh: RFC 9111, sections 3, 4.2.1 to 4.2.3, 5.1 to 5.3, or the operator's word.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

use super::{Config, FreshnessSource, Lifetime};
use crate::cache::conditional::Validators;
use crate::cache::outcome::NotStored;
use crate::cache::vary;
use crate::http::cache_control::CacheControl;
use crate::http::headers::only;
use crate::support::clock::Now;

impl Lifetime {
    /// That of an answer which may not be stored.
    pub const NONE: Self = Self {
        fresh_for: Duration::ZERO,
        initial_age: Duration::ZERO,
        must_revalidate: true,
        grace_ends: Duration::ZERO,
    };

    /// Judges whether an answer that came at `received` may be stored, and for how long it is fresh.
    ///
    /// In `"operator"` mode `cache.ttl` replaces `no-cache`, `max-age` and `private`: Graph says `no-cache` on
    /// everything, and whoever installs this cache wants that answered for the time of the TTL.
    ///
    /// In `"origin"` mode Graph's word decides and the TTL is the cap. `no-cache` leaves no time at all: the
    /// answer is kept, and asked about before each use (section 5.2.2.4).
    ///
    /// Past Graph's time it is used while Graph is asked where Graph allows that (`stale-while-revalidate`), since
    /// section 4.2.4 forbids it otherwise. The TTL and the proof's time are the operator's, and so is the grace
    /// past them.
    ///
    /// What has no time left is stored only where Graph can be asked about it; otherwise nobody could ever use it.
    pub fn of(headers: &HeaderMap, config: &Config, received: Now) -> Result<Self, NotStored> {
        let control = CacheControl::from_headers(headers);
        // Section 5.2.2.3: a cache that knows the rules of the status SHOULD ignore the `no-store` beside
        // `must-understand`. A 200's are all that comes here.
        let understood = config.freshness == FreshnessSource::GraphClient && control.must_understand;
        if control.no_store && !understood {
            return Err(NotStored::NoStore);
        }
        vary::selecting_fields(headers)?;
        let (fresh_for, must_revalidate, grace_ends) = match config.freshness {
            FreshnessSource::Operator => (config.ttl, control.must_revalidate, Duration::MAX),
            FreshnessSource::GraphClient => {
                let told = origin_lifetime(headers, control, received);
                let strict = control.must_revalidate || control.no_cache;
                let grace = Duration::from_secs(control.stale_while_revalidate.unwrap_or(0));
                (told.min(config.ttl), strict, told + grace)
            }
        };
        let initial_age = age(headers);
        if initial_age >= fresh_for && Validators::of(headers, received).is_none() {
            return Err(NotStored::NoLifetime);
        }
        Ok(Self { fresh_for, initial_age, must_revalidate, grace_ends })
    }
}

/// The freshness lifetime as RFC 9111, section 4.2.1 ranks its sources for a cache of one caller's answers, so
/// without `s-maxage`; by heuristics where Graph says nothing (section 4.2.2).
fn origin_lifetime(headers: &HeaderMap, control: CacheControl, received: Now) -> Duration {
    if control.no_cache {
        return Duration::ZERO;
    }
    if let Some(seconds) = control.max_age {
        return Duration::from_secs(seconds);
    }
    // An answer without a date is one of the moment it came (RFC 9110, section 6.6.1).
    let date = date(headers, &header::DATE).unwrap_or_else(|| received.wall());
    if headers.contains_key(header::EXPIRES) {
        // One that cannot be read means expired (section 5.3).
        let expires = self::date(headers, &header::EXPIRES);
        return expires.and_then(|expires| expires.duration_since(date).ok()).unwrap_or_default();
    }
    // What has not changed for ten days will hardly change within one.
    let modified = self::date(headers, &header::LAST_MODIFIED);
    modified.and_then(|modified| date.duration_since(modified).ok()).unwrap_or_default() / HEURISTIC
}

/// The date in a field that is there once, and readable.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    crate::http::date::read(only(headers, name)?)
}

/// RFC 9111, section 5.1: `Age` is a number, and where it is a list "a cache [...] SHOULD use the first member of the
/// field value, discarding subsequent members". What is not a number "a cache SHOULD ignore".
fn age(headers: &HeaderMap) -> Duration {
    let line = headers.get(header::AGE).and_then(|line| line.to_str().ok()).unwrap_or_default();
    let first = line.split(',').next().unwrap_or_default().trim();
    if first.is_empty() || !first.bytes().all(|byte| byte.is_ascii_digit()) {
        return Duration::ZERO;
    }
    Duration::from_secs(first.parse::<u64>().map_or(AGE_CLAMP, |seconds| seconds.min(AGE_CLAMP)))
}

const AGE_CLAMP: u64 = 1 << 31;
/// A tenth of the time since the last change: what section 4.2.2 calls typical.
const HEURISTIC: u32 = 10;
