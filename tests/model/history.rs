//! Everything that Graph has said, to whom and when, and the rules that follow from it.
//!
//! The history knows nothing of how the proxy stores: it only answers whether Graph's own words allow that
//! this caller is given this body now.

use std::collections::HashMap;

use super::resource::Resource;
use super::responses::Verdict;
use super::tokens::Token;

/// A point in the story: in what order, and what the clock says.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Grows with everything that happens.
    pub step: u64,
    /// Unix milliseconds.
    pub ms: u64,
}

/// The times that the proxy was configured with, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub ttl: u64,
    pub proof_ttl: u64,
    pub while_revalidate: u64,
    pub if_error: u64,
    /// `cache.freshness = "origin"`
    pub by_graph: bool,
    /// `cache.client_directives = "honor"`
    pub by_caller: bool,
}

/// One answer of Graph's.
#[derive(Debug)]
pub struct Label {
    pub token: usize,
    pub resource: Resource,
    /// When the question was there.
    pub asked: Moment,
    /// The step at which Graph made up its mind.
    pub said: u64,
    /// The step at which the proxy had dealt with it.
    pub dealt: Option<u64>,
    pub verdict: Verdict,
    /// The serial of the body that it gave, or said to hold still: that of the first word that gave it.
    pub body: usize,
    /// The word that brought the entry which it was asked about, if it was.
    pub about: Option<usize>,
    /// It is a 304 about that.
    pub renews: bool,
    /// The word that gave the whole body: itself, unless it is a 304.
    pub whole: usize,
    /// It had to be kept, with a proof.
    pub kept: bool,
}

/// A purge, at a step.
#[derive(Clone, Debug)]
pub struct Purge {
    pub step: u64,
    pub flow: Option<String>,
    pub tenant: Option<&'static str>,
    pub subject: Option<&'static str>,
}

impl Purge {
    /// Whether it takes what belongs to this token and resource.
    pub fn covers(&self, token: &Token, resource: &Resource) -> bool {
        self.whose(token) && self.flow.as_ref().is_none_or(|flow| *flow == resource.flow())
    }

    pub fn whose(&self, token: &Token) -> bool {
        self.tenant.is_none_or(|tenant| tenant == token.tenant)
            && self.subject.is_none_or(|subject| token.subjects.contains(&subject))
    }
}

/// The record.
#[derive(Debug, Default)]
pub struct History {
    pub words: Vec<Label>,
    by_caller: HashMap<(usize, Resource), Vec<usize>>,
    /// Words that say no, by token.
    refusals: HashMap<usize, Vec<usize>>,
    purges: Vec<Purge>,
}

impl History {
    /// Graph makes up its mind. Returns the word's serial.
    pub fn say(&mut self, word: Label) -> usize {
        let serial = self.words.len();
        self.by_caller.entry((word.token, word.resource.clone())).or_default().push(serial);
        if matches!(word.verdict.no(), Some(401 | 403 | 404 | 410)) {
            self.refusals.entry(word.token).or_default().push(serial);
        }
        self.words.push(word);
        serial
    }

    pub fn purge(&mut self, purge: Purge) {
        self.purges.push(purge);
    }

    /// Rule (a): Graph itself gave these bytes to exactly this token for exactly this resource, by a 200 or a 304 not
    /// longer ago than the proof's time and grace; it has not said no or given the token other bytes since, and nobody
    /// has purged since. `token` is `cast[who]`.
    pub fn is_given(
        &self,
        (who, token): (usize, &Token),
        (resource, body): (&Resource, usize),
        now: Moment,
        window: u64,
    ) -> Result<(), String> {
        if token.usable_until.is_none_or(|end| now.ms >= end) {
            return Err("(a) the token is at its end, or may never use the cache".to_owned());
        }
        let words = self.by_caller.get(&(who, resource.clone())).map_or(&[][..], Vec::as_slice);
        let mut why = "(a) Graph never said 200 to this token for this resource";
        let words = || words.iter().map(|serial| &self.words[*serial]);
        for word in words() {
            if !word.verdict.grants() || word.dealt.is_none_or(|dealt| dealt > now.step) {
                continue;
            }
            let known = |other: &Label| other.kept && other.dealt.is_some_and(|dealt| dealt <= now.step);
            let is_later = |other: &Label| known(other) && other.asked.ms > word.asked.ms;
            if word.body != body {
                why = "(a) Graph never gave these bytes to this token";
            } else if words().any(|other| is_later(other) && other.body != body) {
                why = "(a) Graph has given this token other bytes since";
            } else if now.ms - word.asked.ms >= window {
                why = "(a) Graph's 200 to this token is too long ago";
            } else if self.is_refused_since(who, resource, word.said, now.step) {
                why = "(a) Graph has said no since";
            } else if self.is_purged_since(token, resource, word.asked.step, now.step) {
                why = "(a) it was purged since";
            } else {
                return Ok(());
            }
        }
        Err(why.to_owned())
    }

    /// The same, whatever the bytes.
    pub fn is_granted(
        &self,
        caller: (usize, &Token),
        resource: &Resource,
        now: Moment,
        window: u64,
    ) -> Result<(), String> {
        let words = self.by_caller.get(&(caller.0, resource.clone())).map_or(&[][..], Vec::as_slice);
        let mut why = self.is_given(caller, (resource, usize::MAX), now, window);
        for word in words.iter().map(|serial| &self.words[*serial]).filter(|word| word.verdict.grants()) {
            why = self.is_given(caller, (resource, word.body), now, window);
            if why.is_ok() {
                break;
            }
        }
        why
    }

    /// Rule (b): a body that Graph gave to this principal for this resource, that might be kept, not longer past
    /// its time than `grace`, and asked for after the last purge; or of which Graph has said so since.
    pub fn is_fit(
        &self,
        serial: usize,
        cast: &[Token],
        who: usize,
        resource: &Resource,
        now: Moment,
        (times, grace): (&Times, u64),
    ) -> Result<(), String> {
        let mut why = Err("(b) Graph never gave this body".to_owned());
        for word in self.words.iter().filter(|word| word.body == serial && word.verdict.grants()) {
            why = self.is_word_fit(word, cast, who, resource, now, (times, grace));
            if why.is_ok() {
                break;
            }
        }
        why
    }

    fn is_word_fit(
        &self,
        word: &Label,
        cast: &[Token],
        who: usize,
        resource: &Resource,
        now: Moment,
        (times, grace): (&Times, u64),
    ) -> Result<(), String> {
        let lives = word.verdict.lives(times);
        let window = if word.verdict.is_strict(times) { 0 } else { grace }.saturating_add(lives.unwrap_or(0));
        let why = if cast[word.token].principal != cast[who].principal {
            format!("(b) the body is that of {}", cast[word.token].name)
        } else if word.resource != *resource {
            format!("(b) the body answers {:?}", word.resource)
        } else if lives.is_none() {
            "(b) the body might not be kept".to_owned()
        } else if word.verdict.age() * 1000 + now.ms - word.asked.ms >= window {
            "(b) the body is too old".to_owned()
        } else if self.is_purged_since(&cast[word.token], resource, word.asked.step, now.step) {
            "(b) the body was purged".to_owned()
        } else {
            return Ok(());
        };
        Err(why)
    }

    /// Whether a word that was said after `said` told the token no, and the proxy knew by `until`.
    pub fn is_refused_since(&self, who: usize, resource: &Resource, said: u64, until: u64) -> bool {
        let refusals = self.refusals.get(&who).map_or(&[][..], Vec::as_slice);
        refusals.iter().map(|serial| &self.words[*serial]).any(|no| {
            let meant = no.verdict.no() == Some(401) || no.resource == *resource;
            meant && no.said > said && no.dealt.is_some_and(|dealt| dealt <= until)
        })
    }

    /// Whether a "no" to this token and resource was dealt with between two steps.
    pub fn is_withdrawn_between(&self, who: usize, resource: &Resource, from: u64, until: u64) -> bool {
        let refusals = self.refusals.get(&who).map_or(&[][..], Vec::as_slice);
        refusals.iter().map(|serial| &self.words[*serial]).any(|no| {
            let meant = no.verdict.no() == Some(401) || no.resource == *resource;
            meant && no.dealt.is_some_and(|dealt| dealt > from && dealt < until)
        })
    }

    pub fn is_purged_since(&self, token: &Token, resource: &Resource, from: u64, until: u64) -> bool {
        self.purges
            .iter()
            .any(|purge| purge.step > from && purge.step <= until && purge.covers(token, resource))
    }
}
