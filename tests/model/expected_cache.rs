//! The expected contents of the cache: the promises in the simplest code that keeps them.
//!
//! The history says what is allowed; the expected cache says what must happen. Without it a cache that never hits would
//! pass. It also shows promise 3: requests of a token without a 200 do not change it.

use std::collections::BTreeMap;

use super::history::{History, Moment, Purge, Times};
use super::op::Directive;
use super::resource::Resource;
use super::responses::ResponseKind;
use super::tokens::Token;

/// Serials of responses: the newest proof of each token and the bodies of each principal, by resource.
#[derive(Debug, Default)]
pub struct ExpectedCache {
    proofs: BTreeMap<(usize, Resource), usize>,
    bodies: BTreeMap<(usize, Resource), Vec<Kept>>,
}

/// A body of a principal. The newest is first.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Response that sent or confirmed it last.
    response: usize,
    /// Whether another token got other bytes since.
    superseded: bool,
}

/// Expected source of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The cache, with the body of this response.
    Hit(usize),
    /// The same, stale, with a request to Graph in the background.
    Stale(usize),
    /// The same, stale: the caller accepts that by `max-stale`.
    Accepted(usize),
    /// Graph; a stale entry may be served in an outage.
    Forward,
    /// The same, because another token got other bytes.
    News,
    /// Graph alone.
    Miss,
    /// The same, for a token that may not use the cache.
    Bypass,
}

/// Default of `cache.keep`.
const CACHE_KEEP_MS: u64 = 2 * 3_600_000;

impl ExpectedCache {
    /// Returns the expected source of the response to a request that begins now.
    pub fn expect(
        &self,
        history: &History,
        times: &Times,
        (who, token): (usize, &Token),
        resource: &Resource,
        directive: Directive,
        now: Moment,
    ) -> Expected {
        if token.usable_until.is_none_or(|end| now.ms >= end) {
            return Expected::Bypass;
        }
        let Some((proof, Kept { response: body, superseded })) = self.found(history, (who, token), resource)
        else {
            return Expected::Miss;
        };
        if times.by_caller && directive == Directive::NoCache {
            return Expected::Miss;
        }
        if superseded {
            return Expected::News;
        }
        let overdue = overdue(history, times, proof, body, now);
        let strict = history.responses[body].kind.is_strict(times);
        let response = &history.responses[body];
        let graced =
            now.ms - response.asked.ms + response.kind.age() * 1000 < response.kind.grace_ends(times);
        let proven = now.ms - history.responses[proof].asked.ms < times.proof_ttl;
        match overdue {
            None => Expected::Hit(body),
            Some(_) if times.by_caller && directive == Directive::MaxStale && proven && !strict => {
                Expected::Accepted(body)
            }
            Some(overdue) if overdue < times.while_revalidate && !strict && graced => Expected::Stale(body),
            Some(_) => Expected::Forward,
        }
    }

    /// Response that may be served stale to this token in an outage.
    pub fn bridge(
        &self,
        history: &History,
        times: &Times,
        (who, token): (usize, &Token),
        resource: &Resource,
        now: Moment,
    ) -> Option<usize> {
        let (proof, Kept { response: body, superseded }) = self.found(history, (who, token), resource)?;
        let strict = history.responses[body].kind.is_strict(times);
        let usable = match overdue(history, times, proof, body, now) {
            None => !superseded || (times.if_error > 0 && !strict),
            Some(overdue) => overdue < times.if_error && !strict,
        };
        (usable && token.usable_until.is_some_and(|end| now.ms < end)).then_some(body)
    }

    /// Response that is the token's proof, and the body with the same bytes.
    fn found(
        &self,
        history: &History,
        (who, token): (usize, &Token),
        resource: &Resource,
    ) -> Option<(usize, Kept)> {
        let proof = *self.proofs.get(&(who, resource.clone()))?;
        let given = history.responses[proof].body;
        let bodies = self.bodies.get(&(token.principal, resource.clone()))?;
        let kept = bodies.iter().find(|kept| history.responses[kept.response].body == given)?;
        Some((proof, *kept))
    }

    /// Whether the token has a proof for any resource.
    pub fn is_proven(&self, who: usize) -> bool {
        self.proofs.keys().any(|(known, _)| *known == who)
    }

    /// Response whose validator a request of this token to Graph must have: sent to the token itself, with a tag, and with a
    /// body that the token got within the last hour.
    pub fn about(
        &self,
        history: &History,
        (who, token): (usize, &Token),
        resource: &Resource,
        now: Moment,
    ) -> Option<usize> {
        let (_, Kept { response: entry, .. }) = self.found(history, (who, token), resource)?;
        let response = &history.responses[entry];
        let own = response.token == who && response.kind.has_tag();
        (own && Self::is_recent(history, entry, now) && token.usable_until.is_some_and(|end| now.ms < end))
            .then_some(entry)
    }

    /// Whether the token got the body of a response within the last hour.
    pub fn is_recent(history: &History, response: usize, now: Moment) -> bool {
        now.ms - history.responses[history.responses[response].whole].asked.ms < 3_600_000
    }

    /// Takes a response that the proxy has processed at `now`, for a caller with this directive. Returns whether the proxy must
    /// store it.
    pub fn take(
        &mut self,
        history: &History,
        times: &Times,
        cast: &[Token],
        (serial, directive): (usize, Directive),
        now: Moment,
    ) -> bool {
        let response = &history.responses[serial];
        let (who, token) = (response.token, &cast[response.token]);
        let (own, shared) = ((who, response.resource.clone()), (token.principal, response.resource.clone()));
        match response.kind.no() {
            Some(401) if self.proofs.keys().any(|(known, _)| *known == who) => {
                self.proofs.retain(|(known, _), _| *known != who);
                self.bodies.retain(|(principal, _), _| *principal != token.principal);
            }
            Some(403 | 404 | 410) if self.proofs.remove(&own).is_some() => {
                self.bodies.remove(&shared);
            }
            _ => {}
        }
        if response.kind.grants()
            && !may_be_stored(response.kind, times)
            && token.usable_until.is_some_and(|end| response.asked.ms < end)
        {
            self.discard(history, (own, shared), response.asked.ms);
            return false;
        }
        let kept = may_be_stored(response.kind, times)
            && !(times.by_caller && directive == Directive::NoStore)
            // The entry that a 304 renews must still be stored.
            && (!response.renews || self.has(&shared, response.about))
            && token.usable_until.is_some_and(|end| now.ms < end)
            && !history.is_purged_since(token, &response.resource, response.asked.step, now.step)
            && !history.is_withdrawn_between(who, &response.resource, response.asked.step, now.step);
        if kept {
            // The newest stays: the response to an older request may arrive later.
            let newest = |known: &mut usize| {
                if history.responses[*known].asked.ms <= response.asked.ms {
                    *known = serial;
                }
            };
            let before = self.proofs.get(&own).copied();
            self.keep(history, times, shared, (serial, before));
            self.proofs.entry(own).and_modify(newest).or_insert(serial);
        }
        kept
    }

    /// A response to a request of `asked_ms` that may not be stored: older bytes of the token are gone, and other tokens with
    /// the same bytes must ask.
    fn discard(
        &mut self,
        history: &History,
        (own, shared): ((usize, Resource), (usize, Resource)),
        asked_ms: u64,
    ) {
        let asked = |serial: usize| history.responses[serial].asked.ms;
        let Some(proof) = self.proofs.get(&own).copied().filter(|proof| asked(*proof) <= asked_ms) else {
            return;
        };
        let given = history.responses[proof].body;
        let bodies = self.bodies.get_mut(&shared).map_or(&mut [][..], Vec::as_mut_slice);
        let Some(kept) = bodies.iter_mut().find(|kept| history.responses[kept.response].body == given) else {
            return;
        };
        kept.superseded |= asked(kept.response) <= asked_ms;
        self.proofs.remove(&own);
    }

    /// Whether the body of a response is superseded.
    pub fn is_superseded(&self, response: usize) -> bool {
        self.bodies.values().flatten().any(|kept| kept.response == response && kept.superseded)
    }

    fn has(&self, shared: &(usize, Resource), response: Option<usize>) -> bool {
        self.bodies
            .get(shared)
            .is_some_and(|bodies| bodies.iter().any(|kept| Some(kept.response) == response))
    }

    /// Adds a body to the others of its principal. `before` is the previous proof of its token.
    fn keep(
        &mut self,
        history: &History,
        times: &Times,
        shared: (usize, Resource),
        (serial, before): (usize, Option<usize>),
    ) {
        let (responses, response) = (&history.responses, &history.responses[serial]);
        let asked = |serial: usize| responses[serial].asked.ms;
        let bodies = self.bodies.entry(shared).or_default();
        let same = |kept: &Kept| responses[kept.response].body == response.body;
        let is_current = bodies.iter().any(|kept| same(kept) && !kept.superseded);
        if bodies.iter().any(|kept| same(kept) && asked(kept.response) > response.asked.ms) {
            return;
        }
        bodies.retain(|kept| !same(kept));
        let is_news = match before {
            Some(before) if asked(before) > response.asked.ms => false,
            Some(before) => responses[before].body != response.body,
            None => !is_current,
        };
        let superseded = !is_current && bodies.iter().any(|kept| asked(kept.response) > response.asked.ms);
        for kept in bodies.iter_mut().filter(|kept| asked(kept.response) <= response.asked.ms) {
            kept.superseded |= is_news;
        }
        let longest = times.ttl.max(times.proof_ttl) + times.while_revalidate.max(times.if_error);
        let longest = longest.max(CACHE_KEEP_MS);
        bodies.retain(|kept| response.asked.ms.saturating_sub(asked(kept.response)) < longest);
        bodies.truncate(7);
        let place =
            bodies.iter().position(|kept| asked(kept.response) <= response.asked.ms).unwrap_or(bodies.len());
        bodies.insert(place, Kept { response: serial, superseded });
    }

    /// An operator purges.
    pub fn purge(&mut self, purge: &Purge, cast: &[Token]) {
        self.proofs.retain(|(who, resource), _| !purge.covers(&cast[*who], resource));
        self.bodies.retain(|(principal, resource), _| {
            !cast.iter().any(|token| token.principal == *principal && purge.covers(token, resource))
        });
    }

    /// Time at which an entry or proof passes a boundary, for jumps of the clock.
    pub fn edge(
        &self,
        history: &History,
        times: &Times,
        of: Option<&(usize, Resource)>,
        pick: usize,
        which: u8,
    ) -> Option<u64> {
        let any = || self.proofs.iter().nth(pick % self.proofs.len().max(1));
        let ((_, resource), proof) = of.and_then(|of| self.proofs.get_key_value(of)).or_else(any)?;
        let body = self.bodies.iter().find(|((_, known), _)| known == resource);
        let body = body.and_then(|(_, bodies)| bodies.first()).map_or(proof, |kept| &kept.response);
        let (proof, body) = (&history.responses[*proof], &history.responses[*body]);
        let proof = proof.asked.ms + times.proof_ttl;
        let lives = body.kind.lives(times).unwrap_or(times.ttl);
        let fresh = body.asked.ms + lives - (body.kind.age() * 1000).min(lives);
        Some(match which % 6 {
            0 => proof,
            1 => fresh,
            2 => proof + times.while_revalidate,
            3 => fresh + times.while_revalidate,
            4 => proof + times.if_error,
            _ => fresh + times.if_error,
        })
    }
}

/// Whether a 200 may be stored by its fields.
pub fn may_be_stored(kind: ResponseKind, times: &Times) -> bool {
    kind.lives(times).is_some_and(|life| kind.age() * 1000 < life || kind.has_tag())
}

/// Staleness of the body or the proof in milliseconds, the larger. `None`: both are fresh.
fn overdue(history: &History, times: &Times, proof: usize, body: usize, now: Moment) -> Option<u64> {
    let (proof, body) = (&history.responses[proof], &history.responses[body]);
    let proof_age = now.ms - proof.asked.ms;
    let age = now.ms - body.asked.ms + body.kind.age() * 1000;
    let lives = body.kind.lives(times).unwrap_or(times.ttl);
    (age >= lives || proof_age >= times.proof_ttl)
        .then(|| age.saturating_sub(lives).max(proof_age.saturating_sub(times.proof_ttl)))
}
