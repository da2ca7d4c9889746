//! All responses of Graph, with token and time, and the rules that follow from them.
//!
//! The history does not know how the proxy stores entries. It decides whether Graph's responses allow this body for this
//! caller at this time.

use std::collections::HashMap;

use super::resource::Resource;
use super::responses::ResponseKind;
use super::tokens::Token;

/// A point in the story: its number and its time.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Grows with each event.
    pub step: u64,
    /// Unix milliseconds.
    pub ms: u64,
}

/// Configured times of the proxy, in milliseconds.
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

/// A response of Graph.
#[derive(Debug)]
pub struct GraphResponse {
    pub token: usize,
    pub resource: Resource,
    /// Arrival of the request at Graph.
    pub asked: Moment,
    /// Step at which Graph chose the response.
    pub said: u64,
    /// Step at which the proxy had processed the response.
    pub dealt: Option<u64>,
    pub kind: ResponseKind,
    /// Serial of the body that it has, or confirms by 304: the serial of the first response with that body.
    pub body: usize,
    /// Response that brought the entry whose validator the request had. `None`: the request had no validator.
    pub about: Option<usize>,
    /// Whether it is a 304 for that entry.
    pub renews: bool,
    /// Response that brought the full body: itself, unless it is a 304.
    pub whole: usize,
    /// Whether the proxy must store it, with a proof.
    pub kept: bool,
}

/// A purge and its step.
#[derive(Clone, Debug)]
pub struct Purge {
    pub step: u64,
    pub flow: Option<String>,
    pub tenant: Option<&'static str>,
    pub subject: Option<&'static str>,
}

impl Purge {
    /// Whether it selects the entries and proofs of this token and resource.
    pub fn covers(&self, token: &Token, resource: &Resource) -> bool {
        self.whose(token) && self.flow.as_ref().is_none_or(|flow| *flow == resource.flow())
    }

    pub fn whose(&self, token: &Token) -> bool {
        self.tenant.is_none_or(|tenant| tenant == token.tenant)
            && self.subject.is_none_or(|subject| token.subjects.contains(&subject))
    }
}

/// All responses and purges of a story.
#[derive(Debug, Default)]
pub struct History {
    pub responses: Vec<GraphResponse>,
    by_caller: HashMap<(usize, Resource), Vec<usize>>,
    /// Error responses by token.
    refusals: HashMap<usize, Vec<usize>>,
    /// Responses that may not be stored, by token: they supersede what is stored.
    forbidden: HashMap<usize, Vec<usize>>,
    purges: Vec<Purge>,
}

impl History {
    /// Adds a response of Graph. Returns its serial.
    pub fn say(&mut self, response: GraphResponse) -> usize {
        let serial = self.responses.len();
        self.by_caller.entry((response.token, response.resource.clone())).or_default().push(serial);
        if matches!(response.kind.no(), Some(401 | 403 | 404 | 410)) {
            self.refusals.entry(response.token).or_default().push(serial);
        }
        self.responses.push(response);
        serial
    }

    /// Records that a response of Graph may not be stored.
    pub fn forbid(&mut self, serial: usize) {
        self.forbidden.entry(self.responses[serial].token).or_default().push(serial);
    }

    pub fn purge(&mut self, purge: Purge) {
        self.purges.push(purge);
    }

    /// Rule (a): Graph sent these bytes to exactly this token for exactly this resource, by a 200 or a 304 within the lifetime
    /// of the proof and its grace. Since then there was no error response and no response with other bytes to the token, and
    /// no purge. `token` is `cast[who]`.
    pub fn is_given(
        &self,
        (who, token): (usize, &Token),
        (resource, body): (&Resource, usize),
        now: Moment,
        window: u64,
    ) -> Result<(), String> {
        if token.usable_until.is_none_or(|end| now.ms >= end) {
            return Err("(a) the token has expired, or may never use the cache".to_owned());
        }
        let responses = self.by_caller.get(&(who, resource.clone())).map_or(&[][..], Vec::as_slice);
        let mut why = "(a) Graph sent no 200 to this token for this resource";
        let responses = || responses.iter().map(|serial| &self.responses[*serial]);
        for response in responses() {
            if !response.kind.grants() || response.dealt.is_none_or(|dealt| dealt > now.step) {
                continue;
            }
            let known =
                |other: &GraphResponse| other.kept && other.dealt.is_some_and(|dealt| dealt <= now.step);
            let is_later = |other: &GraphResponse| known(other) && other.asked.ms > response.asked.ms;
            if response.body != body {
                why = "(a) Graph never sent these bytes to this token";
            } else if responses().any(|other| is_later(other) && other.body != body) {
                why = "(a) Graph has sent other bytes to this token since";
            } else if now.ms - response.asked.ms >= window {
                why = "(a) Graph's 200 to this token is too old";
            } else if self.is_forbidden_since(who, resource, response.asked, now.step) {
                why = "(a) Graph has sent a response since that may not be stored";
            } else if self.is_refused_since(who, resource, response.said, now.step) {
                why = "(a) Graph has sent an error response since";
            } else if self.is_purged_since(token, resource, response.asked.step, now.step) {
                why = "(a) it was purged since";
            } else {
                return Ok(());
            }
        }
        Err(why.to_owned())
    }

    /// The same for any bytes.
    pub fn is_granted(
        &self,
        caller: (usize, &Token),
        resource: &Resource,
        now: Moment,
        window: u64,
    ) -> Result<(), String> {
        let responses = self.by_caller.get(&(caller.0, resource.clone())).map_or(&[][..], Vec::as_slice);
        let mut why = self.is_given(caller, (resource, usize::MAX), now, window);
        for response in
            responses.iter().map(|serial| &self.responses[*serial]).filter(|response| response.kind.grants())
        {
            why = self.is_given(caller, (resource, response.body), now, window);
            if why.is_ok() {
                break;
            }
        }
        why
    }

    /// Rule (b): Graph sent this body to this principal for this resource, the body may be stored, it is stale for at most
    /// `grace`, and its request is newer than the last purge; or a later response has confirmed that.
    pub fn is_fit(
        &self,
        serial: usize,
        cast: &[Token],
        who: usize,
        resource: &Resource,
        now: Moment,
        (times, grace): (&Times, u64),
    ) -> Result<(), String> {
        let mut why = Err("(b) Graph never sent this body".to_owned());
        for response in
            self.responses.iter().filter(|response| response.body == serial && response.kind.grants())
        {
            why = self.is_response_fit(response, cast, who, resource, now, (times, grace));
            if why.is_ok() {
                break;
            }
        }
        why
    }

    fn is_response_fit(
        &self,
        response: &GraphResponse,
        cast: &[Token],
        who: usize,
        resource: &Resource,
        now: Moment,
        (times, grace): (&Times, u64),
    ) -> Result<(), String> {
        let lives = response.kind.lives(times);
        let window =
            if response.kind.is_strict(times) { 0 } else { grace }.saturating_add(lives.unwrap_or(0));
        let why = if cast[response.token].principal != cast[who].principal {
            format!("(b) the body is that of {}", cast[response.token].name)
        } else if response.resource != *resource {
            format!("(b) the body answers {:?}", response.resource)
        } else if lives.is_none() {
            "(b) the body may not be stored".to_owned()
        } else if response.kind.age() * 1000 + now.ms - response.asked.ms >= window {
            "(b) the body is too old".to_owned()
        } else if self.is_purged_since(&cast[response.token], resource, response.asked.step, now.step) {
            "(b) the body was purged".to_owned()
        } else {
            return Ok(());
        };
        Err(why)
    }

    /// Whether Graph sent a response to the token that may not be stored, to a request of this time or later, and the proxy
    /// had processed it by `until`.
    fn is_forbidden_since(&self, who: usize, resource: &Resource, asked: Moment, until: u64) -> bool {
        let forbidden = self.forbidden.get(&who).map_or(&[][..], Vec::as_slice);
        forbidden.iter().map(|serial| &self.responses[*serial]).any(|no| {
            let is_later = no.asked.ms >= asked.ms && no.asked.step >= asked.step;
            let is_later = is_later && no.resource == *resource;
            is_later && no.dealt.is_some_and(|dealt| dealt <= until)
        })
    }

    /// Whether Graph sent an error response to the token after `said` that the proxy had processed by `until`.
    pub fn is_refused_since(&self, who: usize, resource: &Resource, said: u64, until: u64) -> bool {
        let refusals = self.refusals.get(&who).map_or(&[][..], Vec::as_slice);
        refusals.iter().map(|serial| &self.responses[*serial]).any(|no| {
            let meant = no.kind.no() == Some(401) || no.resource == *resource;
            meant && no.said > said && no.dealt.is_some_and(|dealt| dealt <= until)
        })
    }

    /// Whether an error response to this token and resource, or one that may not be stored, was processed between two steps.
    pub fn is_withdrawn_between(&self, who: usize, resource: &Resource, from: u64, until: u64) -> bool {
        let of_token = [&self.refusals, &self.forbidden].map(|known| known.get(&who));
        of_token.into_iter().flatten().flatten().map(|serial| &self.responses[*serial]).any(|no| {
            let meant = no.kind.no() == Some(401) || no.resource == *resource;
            meant && no.dealt.is_some_and(|dealt| dealt > from && dealt < until)
        })
    }

    pub fn is_purged_since(&self, token: &Token, resource: &Resource, from: u64, until: u64) -> bool {
        self.purges
            .iter()
            .any(|purge| purge.step > from && purge.step <= until && purge.covers(token, resource))
    }
}
