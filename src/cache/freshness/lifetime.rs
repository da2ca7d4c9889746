//! How long an answer is fresh: RFC 9111, sections 3, 4.2.1 to 4.2.3, 5.1 to 5.3, or the operator's word.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

use super::{Config, Freshness, Lifetime};
use crate::cache::control::Control;
use crate::cache::status::NotStored;
use crate::cache::validation::Validators;
use crate::cache::vary;
use crate::clock::Now;
use crate::sabotage::sabotaged;

impl Lifetime {
    /// That of an answer which may not be stored.
    pub const NONE: Self =
        Self { fresh_for: Duration::ZERO, initial_age: Duration::ZERO, must_revalidate: true };

    /// Judges whether an answer that came at `received` may be stored, and for how long it is fresh.
    ///
    /// In `"operator"` mode `cache.ttl` replaces `no-cache`, `max-age` and `private`: Graph says `no-cache` on
    /// everything, and whoever installs this cache wants that answered for the time of the TTL.
    ///
    /// In `"origin"` mode Graph's word decides and the TTL is the cap. `no-cache` leaves no time at all: the
    /// answer is kept, and asked about before each use (section 5.2.2.4).
    ///
    /// What has no time left is stored only where Graph can be asked about it; otherwise nobody could ever use it.
    pub fn of(headers: &HeaderMap, config: &Config, received: Now) -> Result<Self, NotStored> {
        let control = Control::of(headers);
        if sabotaged!(NoStoreStored, false, control.no_store) {
            return Err(NotStored::NoStore);
        }
        vary::named(headers)?;
        let (fresh_for, must_revalidate) = match config.freshness {
            Freshness::Operator => (config.ttl, control.must_revalidate),
            Freshness::Origin => (
                origin_lifetime(headers, control, received).min(config.ttl),
                control.must_revalidate || sabotaged!(NoCacheReused, false, control.no_cache),
            ),
        };
        let initial_age = age(headers);
        if initial_age >= fresh_for && Validators::of(headers, received).is_none() {
            return Err(NotStored::NoLifetime);
        }
        Ok(Self { fresh_for, initial_age, must_revalidate })
    }
}

/// The freshness lifetime as RFC 9111, section 4.2.1 ranks its sources for a cache of one caller's answers, so
/// without `s-maxage`; by heuristics where Graph says nothing (section 4.2.2).
fn origin_lifetime(headers: &HeaderMap, control: Control, received: Now) -> Duration {
    if sabotaged!(NoCacheReused, false, control.no_cache) {
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
    let mut lines = headers.get_all(name).iter();
    let one = lines.next().filter(|_| lines.next().is_none())?;
    httpdate::parse_http_date(one.to_str().ok()?).ok()
}

/// `Age`: the first line only; what is not a number is as old as can be (RFC 9111, section 5.1).
fn age(headers: &HeaderMap) -> Duration {
    let Some(line) = headers.get(header::AGE) else { return Duration::ZERO };
    let text = line.to_str().unwrap_or_default().trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if digits { text.parse::<u64>().unwrap_or(AGE_CLAMP) } else { AGE_CLAMP };
    Duration::from_secs(seconds.min(AGE_CLAMP))
}

const AGE_CLAMP: u64 = 1 << 31;
/// A tenth of the time since the last change: what section 4.2.2 calls typical.
const HEURISTIC: u32 = 10;
