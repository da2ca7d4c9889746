//! May this answer be used for this caller now? Judgements of RFC 9111 and RFC 5861, pure, `now` passed in.

mod dials;

use std::time::Duration;

use http::{HeaderMap, header};

pub use self::dials::Dials;
use super::control::Control;
use super::status::{Forward, NotStored};
use crate::clock::Now;
use crate::sabotage::sabotaged;
use crate::words::words;

/// What judgements need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `cache.ttl`
    pub ttl: Duration,
    /// `cache.proof_ttl`: at most an hour.
    pub proof_ttl: Duration,
    /// `cache.stale_while_revalidate`; zero turns it off.
    pub stale_while_revalidate: Duration,
    /// `cache.stale_if_error`; zero turns it off.
    pub stale_if_error: Duration,
    /// `cache.freshness`
    pub freshness: Freshness,
    /// `cache.client_directives`
    pub client_directives: ClientDirectives,
}

words! {
    /// Whose word decides how long an answer is fresh.
    pub enum Freshness {
        /// The operator's: `cache.ttl` replaces what Graph says.
        Operator = "operator",
        /// Graph's, as RFC 9111 has it, with `cache.ttl` as the cap.
        Origin = "origin",
    }
}

words! {
    /// What becomes of a caller's `Cache-Control`.
    pub enum ClientDirectives {
        /// Ignored: the .NET SDK sends `no-store, no-cache` with every request.
        Ignore = "ignore",
        /// Obeyed, as RFC 9111, section 5.2.1 has it.
        Honor = "honor",
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: Duration::from_mins(5),
            proof_ttl: Duration::from_mins(5),
            stale_while_revalidate: Duration::from_secs(30),
            stale_if_error: Duration::from_mins(10),
            freshness: Freshness::Operator,
            client_directives: ClientDirectives::Ignore,
        }
    }
}

impl Config {
    /// The longest that anything stored can be of use.
    pub fn longest_use(&self) -> Duration {
        self.ttl.max(self.proof_ttl) + self.stale_while_revalidate.max(self.stale_if_error)
    }
}

/// How long an answer may be used, as it was judged when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// From the moment the question left.
    pub fresh_for: Duration,
    /// How old the answer already was, by its `Age`.
    pub initial_age: Duration,
    /// It may not be used past that without Graph's word.
    pub must_revalidate: bool,
}

/// A proof: Graph said 200 to one token for one resource.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// When Graph was asked.
    pub granted: Now,
}

/// What the clock says of an entry and a proof, for one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// How old the answer is (RFC 9111, section 4.2.3).
    pub age: Duration,
    /// How long it may still be used by this caller; zero when it is past that.
    pub left: Duration,
    /// How far it, or the proof, is past its time.
    pub overdue: Duration,
    /// What follows.
    pub verdict: Verdict,
}

/// What may be done with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer with it.
    Fresh,
    /// Answer with it, and ask Graph meanwhile (RFC 5861, section 3).
    StaleUsable,
    /// Ask Graph. The entry may serve if that fails: see [`usable_on_error`].
    Forward(Forward),
}

impl Lifetime {
    /// That of an answer which may not be stored.
    pub const NONE: Self =
        Self { fresh_for: Duration::ZERO, initial_age: Duration::ZERO, must_revalidate: true };

    /// Judges whether an answer may be stored, and for how long.
    ///
    /// In `"operator"` mode `cache.ttl` replaces `no-cache`, `max-age` and `private`: Graph says `no-cache` on
    /// everything, and whoever installs this cache wants that answered for the time of the TTL.
    pub fn of(headers: &HeaderMap, config: &Config) -> Result<Self, NotStored> {
        let control = Control::of(headers);
        if sabotaged!(NoStoreStored, false, control.no_store) {
            return Err(NotStored::NoStore);
        }
        if !vary_is_keyed(headers) {
            return Err(NotStored::Vary);
        }
        let fresh_for = match config.freshness {
            Freshness::Operator => config.ttl,
            Freshness::Origin => {
                origin_lifetime(headers, control).ok_or(NotStored::NoLifetime)?.min(config.ttl)
            }
        };
        let initial_age = age(headers);
        if initial_age >= fresh_for {
            return Err(NotStored::NoLifetime);
        }
        Ok(Self { fresh_for, initial_age, must_revalidate: control.must_revalidate })
    }
}

/// Judges an entry and a proof for a caller whose token is usable for `token_left`.
///
/// `client` holds the caller's directives where they are obeyed. A caller whose token is at its end gets
/// nothing from memory, fresh or stale.
pub fn judge(
    config: &Config,
    (lifetime, asked): (&Lifetime, Now),
    proof: Proof,
    token_left: Duration,
    client: Control,
    now: Now,
) -> Judgement {
    let age = lifetime.initial_age.saturating_add(now.since(asked));
    let proof_age = sabotaged!(ProofForever, Duration::ZERO, now.since(proof.granted));
    // A shorter `cache.ttl` holds for what is stored already; a longer one for answers to come.
    let fresh_for = lifetime.fresh_for.min(config.ttl);
    let fresh_for = sabotaged!(EntryForever, Duration::from_hours(9_000), fresh_for);
    let left = fresh_for.saturating_sub(age).min(config.proof_ttl.saturating_sub(proof_age)).min(token_left);
    let overdue = age.saturating_sub(fresh_for).max(proof_age.saturating_sub(config.proof_ttl));
    let asks_graph = client.no_cache
        || client.max_age.is_some_and(|limit| age > Duration::from_secs(limit) || limit == 0)
        || client.min_fresh.is_some_and(|wanted| left < Duration::from_secs(wanted));
    let grace = sabotaged!(StalePastGrace, Duration::MAX, config.stale_while_revalidate);
    let verdict = if token_left.is_zero() {
        Verdict::Forward(Forward::Bypass)
    } else if asks_graph {
        Verdict::Forward(Forward::Request)
    } else if !left.is_zero() {
        Verdict::Fresh
    } else if overdue < grace && !lifetime.must_revalidate {
        Verdict::StaleUsable
    } else {
        Verdict::Forward(Forward::Stale)
    };
    Judgement { age, left, overdue, verdict }
}

/// Whether a stale entry may serve because Graph could not be asked (RFC 5861, section 4): within
/// `cache.stale_if_error` past its time and the proof's, never past the token's, never against `must-revalidate`.
pub fn usable_on_error(
    config: &Config,
    lifetime: &Lifetime,
    judgement: &Judgement,
    token_left: Duration,
) -> bool {
    let fresh = !judgement.left.is_zero();
    !token_left.is_zero()
        && (fresh || (judgement.overdue < config.stale_if_error && !lifetime.must_revalidate))
}

/// `Vary` may name what is part of the key, and what is the same in every request of ours.
fn vary_is_keyed(headers: &HeaderMap) -> bool {
    let mut names =
        headers.get_all(header::VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    names.all(|name| {
        let name = name.trim_ascii();
        name.is_empty() || KEYED.iter().any(|keyed| name.eq_ignore_ascii_case(keyed.as_bytes()))
    })
}

/// Explicit freshness, as RFC 9111, section 4.2.1 ranks it for a cache of one caller's answers. Without a
/// validator of Graph's, `no-cache` leaves nothing to reuse.
fn origin_lifetime(headers: &HeaderMap, control: Control) -> Option<Duration> {
    if control.no_cache {
        return None;
    }
    if let Some(seconds) = control.max_age {
        return Some(Duration::from_secs(seconds));
    }
    let date = |name| {
        let mut lines = headers.get_all(name).iter();
        let one = lines.next().filter(|_| lines.next().is_none())?;
        httpdate::parse_http_date(one.to_str().ok()?).ok()
    };
    // An Expires that cannot be read means expired (section 5.3).
    date(header::EXPIRES)?.duration_since(date(header::DATE)?).ok()
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
/// `Accept-Encoding` is the same in every request to Graph; the other two are in the key.
const KEYED: [&str; 3] = ["accept-encoding", "authorization", "accept"];

#[cfg(test)]
mod tests;
