//! What should be in memory: the promises again, as the plainest code that keeps them.
//!
//! The history says what is allowed; the mirror says what must happen. Without it a cache that never hits
//! would pass. It also shows promise 3: whatever a token does that never got a 200 is not in here.

use std::collections::BTreeMap;

use super::history::{History, Moment, Purge, Times};
use super::op::Wish;
use super::resource::Resource;
use super::tokens::Token;

/// Serials of words: the newest proof of each token, and the bodies of each principal, by resource.
#[derive(Debug, Default)]
pub struct Mirror {
    proofs: BTreeMap<(usize, Resource), usize>,
    bodies: BTreeMap<(usize, Resource), Vec<Kept>>,
}

/// A body of a principal's. The newest is first.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// The word that last said so.
    word: usize,
    /// Another token was given other bytes since.
    superseded: bool,
}

/// How a request must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// From memory, with this word.
    Hit(usize),
    /// From memory with this word, while Graph is asked.
    Stale(usize),
    /// From memory with this word, past its time: the caller takes it so.
    Accepted(usize),
    /// By Graph; what is in memory may stand in for an outage.
    Forward,
    /// The same, because another token was given other bytes.
    News,
    /// By Graph, and by it alone.
    Miss,
    /// The same, for a token that may not use the cache.
    Bypass,
}

impl Mirror {
    /// What a request that begins now must get.
    pub fn expect(
        &self,
        history: &History,
        times: &Times,
        (who, token): (usize, &Token),
        resource: &Resource,
        wish: Wish,
        now: Moment,
    ) -> Expected {
        if token.usable_until.is_none_or(|end| now.ms >= end) {
            return Expected::Bypass;
        }
        let Some((proof, Kept { word: body, superseded })) = self.found(history, (who, token), resource)
        else {
            return Expected::Miss;
        };
        if times.by_caller && wish == Wish::NoCache {
            return Expected::Miss;
        }
        if superseded {
            return Expected::News;
        }
        let overdue = overdue(history, times, proof, body, now);
        let strict = history.words[body].verdict.is_strict(times);
        let word = &history.words[body];
        let graced = now.ms - word.asked.ms + word.verdict.age() * 1000 < word.verdict.grace_ends(times);
        let proven = now.ms - history.words[proof].asked.ms < times.proof_ttl;
        match overdue {
            None => Expected::Hit(body),
            Some(_) if times.by_caller && wish == Wish::MaxStale && proven && !strict => {
                Expected::Accepted(body)
            }
            Some(overdue) if overdue < times.while_revalidate && !strict && graced => Expected::Stale(body),
            Some(_) => Expected::Forward,
        }
    }

    /// The word that an outage may be bridged with, for this token.
    pub fn bridge(
        &self,
        history: &History,
        times: &Times,
        (who, token): (usize, &Token),
        resource: &Resource,
        now: Moment,
    ) -> Option<usize> {
        let (proof, Kept { word: body, superseded }) = self.found(history, (who, token), resource)?;
        let strict = history.words[body].verdict.is_strict(times);
        let usable = match overdue(history, times, proof, body, now) {
            None => !superseded || (times.if_error > 0 && !strict),
            Some(overdue) => overdue < times.if_error && !strict,
        };
        (usable && token.usable_until.is_some_and(|end| now.ms < end)).then_some(body)
    }

    /// The word that is the token's proof, and the body with the bytes that it gave.
    fn found(
        &self,
        history: &History,
        (who, token): (usize, &Token),
        resource: &Resource,
    ) -> Option<(usize, Kept)> {
        let proof = *self.proofs.get(&(who, resource.clone()))?;
        let given = history.words[proof].body;
        let bodies = self.bodies.get(&(token.principal, resource.clone()))?;
        let kept = bodies.iter().find(|kept| history.words[kept.word].body == given)?;
        Some((proof, *kept))
    }

    /// Whether Graph's 200 to this token counts still, for whatever it was.
    pub fn is_proven(&self, who: usize) -> bool {
        self.proofs.keys().any(|(known, _)| *known == who)
    }

    /// The word that brought the entry which a question of this token's must be about: the token's own, with a
    /// tag, and with a body that it got within the hour.
    pub fn about(
        &self,
        history: &History,
        (who, token): (usize, &Token),
        resource: &Resource,
        now: Moment,
    ) -> Option<usize> {
        let (_, Kept { word: entry, .. }) = self.found(history, (who, token), resource)?;
        let word = &history.words[entry];
        let own = word.token == who && word.verdict.has_tag();
        let recent = now.ms - history.words[word.whole].asked.ms < 3_600_000;
        (own && recent && token.usable_until.is_some_and(|end| now.ms < end)).then_some(entry)
    }

    /// A word that the proxy has dealt with at `now`, for a caller with this wish. Returns whether it had to be
    /// kept.
    pub fn take(
        &mut self,
        history: &History,
        times: &Times,
        cast: &[Token],
        (serial, wish): (usize, Wish),
        now: Moment,
    ) -> bool {
        let word = &history.words[serial];
        let (who, token) = (word.token, &cast[word.token]);
        let (own, shared) = ((who, word.resource.clone()), (token.principal, word.resource.clone()));
        match word.verdict.no() {
            Some(401) if self.proofs.keys().any(|(known, _)| *known == who) => {
                self.proofs.retain(|(known, _), _| *known != who);
                self.bodies.retain(|(principal, _), _| *principal != token.principal);
            }
            Some(403 | 404 | 410) if self.proofs.remove(&own).is_some() => {
                self.bodies.remove(&shared);
            }
            _ => {}
        }
        let lives = word.verdict.lives(times);
        let kept = lives.is_some_and(|life| word.verdict.age() * 1000 < life || word.verdict.has_tag())
            && !(times.by_caller && wish == Wish::NoStore)
            // What a 304 renews must still be there.
            && (!word.renews || self.has(&shared, word.about))
            && token.usable_until.is_some_and(|end| now.ms < end)
            && !history.is_purged_since(token, &word.resource, word.asked.step, now.step)
            && !history.is_withdrawn_between(who, &word.resource, word.asked.step, now.step);
        if kept {
            // The newest stays: an older question may be answered later.
            let newest = |known: &mut usize| {
                if history.words[*known].asked.ms <= word.asked.ms {
                    *known = serial;
                }
            };
            let before = self.proofs.get(&own).copied();
            self.keep(history, times, shared, (serial, before));
            self.proofs.entry(own).and_modify(newest).or_insert(serial);
        }
        kept
    }

    fn has(&self, shared: &(usize, Resource), word: Option<usize>) -> bool {
        self.bodies.get(shared).is_some_and(|bodies| bodies.iter().any(|kept| Some(kept.word) == word))
    }

    /// Puts a body beside the others of its principal. `before` is the proof that its token had until now.
    fn keep(
        &mut self,
        history: &History,
        times: &Times,
        shared: (usize, Resource),
        (serial, before): (usize, Option<usize>),
    ) {
        let (words, word) = (&history.words, &history.words[serial]);
        let asked = |serial: usize| words[serial].asked.ms;
        let bodies = self.bodies.entry(shared).or_default();
        let same = |kept: &Kept| words[kept.word].body == word.body;
        let is_current = bodies.iter().any(|kept| same(kept) && !kept.superseded);
        if bodies.iter().any(|kept| same(kept) && asked(kept.word) > word.asked.ms) {
            return;
        }
        bodies.retain(|kept| !same(kept));
        let is_news = match before {
            Some(before) if asked(before) > word.asked.ms => false,
            Some(before) => words[before].body != word.body,
            None => !is_current,
        };
        let superseded = !is_current && bodies.iter().any(|kept| asked(kept.word) > word.asked.ms);
        for kept in bodies.iter_mut().filter(|kept| asked(kept.word) <= word.asked.ms) {
            kept.superseded |= is_news;
        }
        let longest = times.ttl.max(times.proof_ttl) + times.while_revalidate.max(times.if_error);
        bodies.retain(|kept| word.asked.ms.saturating_sub(asked(kept.word)) < longest);
        bodies.truncate(7);
        let place = bodies.iter().position(|kept| asked(kept.word) <= word.asked.ms).unwrap_or(bodies.len());
        bodies.insert(place, Kept { word: serial, superseded });
    }

    /// An operator purges.
    pub fn purge(&mut self, purge: &Purge, cast: &[Token]) {
        self.proofs.retain(|(who, resource), _| !purge.covers(&cast[*who], resource));
        self.bodies.retain(|(principal, resource), _| {
            !cast.iter().any(|token| token.principal == *principal && purge.covers(token, resource))
        });
    }

    /// A moment at which something in memory passes a boundary, for the clock to jump to.
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
        let body = body.and_then(|(_, bodies)| bodies.first()).map_or(proof, |kept| &kept.word);
        let (proof, body) = (&history.words[*proof], &history.words[*body]);
        let proof = proof.asked.ms + times.proof_ttl;
        let lives = body.verdict.lives(times).unwrap_or(times.ttl);
        let fresh = body.asked.ms + lives - (body.verdict.age() * 1000).min(lives);
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

/// How far the body or the proof is past its time. `None`: both are within it.
fn overdue(history: &History, times: &Times, proof: usize, body: usize, now: Moment) -> Option<u64> {
    let (proof, body) = (&history.words[proof], &history.words[body]);
    let proof_age = now.ms - proof.asked.ms;
    let age = now.ms - body.asked.ms + body.verdict.age() * 1000;
    let lives = body.verdict.lives(times).unwrap_or(times.ttl);
    (age >= lives || proof_age >= times.proof_ttl)
        .then(|| age.saturating_sub(lives).max(proof_age.saturating_sub(times.proof_ttl)))
}
