//! Checks of one response: its body and status are those that Graph would have sent, and its fields are true.

use connector_cache::cache::outcome::Outcome;
use connector_cache::proxy::handler::HandlerResponse;
use connector_cache::upstream::unauthorized_tokens::UNAUTHORIZED_RESPONSE_TTL;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;

use super::driver::{Driver, Mismatch};
use super::expected_cache::Expected;
use super::history::Moment;
use super::op::{Condition, Directive};
use super::resource::Resource;
use super::responses::{self, PLANTED};

/// A request and its expected result.
#[derive(Clone, Debug)]
pub struct SentRequest {
    pub who: usize,
    pub what: Resource,
    pub began: Moment,
    /// Expected result.
    pub expected: Expected,
    pub condition: Condition,
    pub directive: Directive,
    /// Response that brought the entry whose validator the request to Graph must have.
    pub about: Option<usize>,
}

/// A response as the caller sees it.
#[derive(Debug)]
pub struct Observed {
    pub status: u16,
    pub(super) outcome: Outcome,
    /// Reason of the proxy for a refusal.
    pub(super) reason: Option<&'static str>,
    fields: Vec<(String, String)>,
    pub(super) body: String,
}

impl Observed {
    pub fn of(answer: HandlerResponse) -> Self {
        let (head, body) = answer.response.into_parts();
        let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
        let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        Self {
            status: head.status.as_u16(),
            outcome: answer.outcome,
            reason: answer.reason,
            fields: head.headers.iter().map(field).collect(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Rule (e): no response contains a credential.
    pub(super) fn keeps_secrets(&self) -> Result<(), Mismatch> {
        let planted = |text: &str| text.contains(PLANTED);
        if planted(&self.body) || self.fields.iter().any(|(_, value)| planted(value)) {
            return Err(format!("(e) the response contains a credential: {self:?}"));
        }
        Ok(())
    }

    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Time for which a cache downstream may use the response: `max-age` without `Age`.
    fn left(&self) -> Option<u64> {
        let max_age: u64 = self.field("cache-control").strip_prefix("private, max-age=")?.parse().ok()?;
        max_age.checked_sub(self.field("age").parse().unwrap_or(0))
    }
}

impl Driver<'_> {
    /// Graph's last 401 to a token, as long as the proxy repeats it.
    pub(super) fn replayed(&self, who: usize) -> Option<usize> {
        let (since, serial) = *self.refused.get(&who)?;
        (self.now().ms - since < u64::try_from(UNAUTHORIZED_RESPONSE_TTL.as_millis()).unwrap())
            .then_some(serial)
    }

    /// Rule (j): a repeated 401 is Graph's 401 to exactly this token, at most five seconds old.
    pub(super) fn judge_replay(&mut self, sent: &SentRequest, observed: &Observed) -> Result<(), Mismatch> {
        self.coverage.replayed += 1;
        let Some(serial) = self.replayed(sent.who) else {
            return Err(format!("(j) {} was not refused lately: {observed:?}", self.name(sent.who)));
        };
        observed.keeps_secrets()?;
        self.judge_response(sent, observed, serial, "")
    }

    /// A response without a wait must come from the cache, and the history must allow it.
    pub(super) fn judge_at_once(
        &mut self,
        sent: &SentRequest,
        observed: &Observed,
        leads: bool,
    ) -> Result<(), Mismatch> {
        let times = self.story.times;
        let (expected, grace) = match (observed.outcome, sent.expected) {
            (Outcome::Hit, _) if leads => return Err("(f) a hit sends a request to Graph".to_owned()),
            (Outcome::Hit, Expected::Hit(response)) => (Some(response), (0, 0)),
            (Outcome::Stale, Expected::Accepted(_)) if leads => {
                return Err("(f) a request to Graph although the caller accepts a stale response".to_owned());
            }
            (Outcome::Stale, Expected::Accepted(response)) => (Some(response), (0, u64::MAX)),
            (Outcome::Stale, Expected::Stale(response)) => {
                (Some(response), (times.while_revalidate, times.while_revalidate))
            }
            (Outcome::Hit, _) => (None, (0, 0)),
            (Outcome::Stale, _) => (None, (times.while_revalidate, times.while_revalidate)),
            _ => return Err(format!("(c) refused without Graph: {observed:?}")),
        };
        if observed.outcome == Outcome::Hit {
            self.coverage.hits += 1;
        } else {
            self.coverage.stale += 1;
        }
        self.judge_memory(sent, observed, grace, expected, sent.began)
            .map_err(|what| format!("{} at {:?}: {what}; {observed:?}", self.name(sent.who), sent.what))
    }

    /// A response that waited for Graph's response `serial`. `joined`: the request to Graph belongs to another caller.
    pub(super) fn judge(
        &mut self,
        sent: &SentRequest,
        observed: &Observed,
        (serial, whose, joined, kept): (usize, &str, bool, bool),
    ) -> Result<(), Mismatch> {
        let (now, kind) = (self.now(), self.history.responses[serial].kind);
        let (who, token, times) = (sent.who, &self.cast[sent.who], self.story.times);
        let waited = matches!(sent.expected, Expected::Forward | Expected::News);
        let bridge = if waited && kind.is_outage() {
            self.expected_cache.bridge(&self.history, &times, (who, token), &sent.what, now)
        } else {
            None
        };
        if observed.outcome == Outcome::Stale {
            self.coverage.bridged += 1;
            if !kind.is_outage() {
                return Err(format!("(a) Graph sent {kind:?}, and the cache answers"));
            }
            return self.judge_memory(sent, observed, (times.if_error, times.if_error), bridge, now);
        }
        if bridge.is_some() {
            return Err(format!("(f) no stale response in an outage: {observed:?}"));
        }
        observed.keeps_secrets()?;
        if self.history.is_purged_since(
            token,
            &sent.what,
            self.history.responses[serial].asked.step,
            sent.began.step,
        ) {
            return Err("(a) the response to a request from before a purge".to_owned());
        }
        let outcome = match (sent.expected, joined) {
            _ if kind.status() == 502 && !matches!(kind.no(), Some(502)) => Outcome::None,
            (Expected::Bypass, _) => Outcome::Bypass,
            (_, true) => Outcome::Collapsed,
            (_, false) if self.history.responses[serial].renews => Outcome::Revalidated,
            (_, false) => Outcome::Miss,
        };
        if observed.outcome != outcome && !self.visible_only {
            return Err(format!("(h) expected {outcome:?}, found {observed:?}"));
        }
        self.coverage.count(outcome);
        self.judge_response(sent, observed, serial, whose)?;
        let stored = observed.field("cache-status").contains("; stored");
        if stored != (kept && !joined) && !self.visible_only {
            return Err(format!(
                "(h) kept: {kept}, and the response says {:?}",
                observed.field("cache-status")
            ));
        }
        let left = token.usable_until.unwrap_or_default().saturating_sub(now.ms) / 1000;
        if observed.left().is_some_and(|age| !kept || age > left) && !self.visible_only {
            return Err(format!(
                "(h) kept: {kept}, the token has {left} s, and the response says {observed:?}"
            ));
        }
        Ok(())
    }

    /// Rule (c): exactly Graph's response to this token, scrubbed.
    fn judge_response(
        &mut self,
        sent: &SentRequest,
        observed: &Observed,
        serial: usize,
        whose: &str,
    ) -> Result<(), Mismatch> {
        let (kind, given) = (self.history.responses[serial].kind, self.history.responses[serial].body);
        let body = match kind.status() {
            200 => responses::scrubbed(given, &whose.replace('"', "'")),
            // The proxy's own response, in place of a response that cannot be passed on.
            _ if kind.no().is_none() || matches!(kind, responses::ResponseKind::NoBroken(_)) => {
                observed.body.clone()
            }
            _ => responses::scrubbed_no(serial),
        };
        if observed.status == 304 && kind.grants() {
            return self.judge_unmodified(sent, observed, given);
        }
        if observed.status != kind.status() {
            return Err(format!("(c) Graph sent {kind:?}, and the caller got {observed:?}"));
        }
        if observed.body != body {
            return Err(format!("(c) Graph sent {body}, and the caller got {}", observed.body));
        }
        if observed.status == 200 {
            self.tags.push((observed.field("etag").to_owned(), given));
        }
        Ok(())
    }

    /// A response from the cache: rules (a) and (b), its fields are true, and it is the newest entry. Proof and entry may each
    /// be stale by so much; `expected` is the response that confirmed the entry last.
    fn judge_memory(
        &mut self,
        sent: &SentRequest,
        observed: &Observed,
        (proof_grace, grace): (u64, u64),
        expected: Option<usize>,
        now: Moment,
    ) -> Result<(), Mismatch> {
        observed.keeps_secrets()?;
        let (who, what, times) = (sent.who, &sent.what, self.story.times);
        let window = times.proof_ttl + proof_grace;
        self.history.is_granted((who, &self.cast[who]), what, now, window)?;
        let tagged = || {
            self.tags
                .iter()
                .rev()
                .find(|(tag, _)| tag == observed.field("etag"))
                .map(|(_, response)| *response)
        };
        let serial = responses::serial(&observed.body)
            .or_else(tagged)
            .or(expected.map(|response| self.history.responses[response].body));
        let Some(serial) = serial.filter(|serial| *serial < self.history.responses.len()) else {
            return Err("(b) unknown body".to_owned());
        };
        self.history.is_given((who, &self.cast[who]), (what, serial), now, window)?;
        self.history.is_fit(serial, self.cast, who, what, now, (&times, grace))?;
        if sent.expected == Expected::News && expected.is_none() {
            return Err("(i) another token got other bytes, and there is no request to Graph".to_owned());
        }
        if expected.map(|response| self.history.responses[response].body) != Some(serial)
            && !self.visible_only
        {
            return Err(format!("(h) the cache serves W{serial} and should serve {expected:?}"));
        }
        let response = &self.history.responses[expected.unwrap_or(serial)];
        let age = (now.ms - response.asked.ms) / 1000 + response.kind.age();
        let token_left = self.cast[who].usable_until.unwrap_or_default().saturating_sub(now.ms) / 1000;
        let lives = response.kind.lives(&times).unwrap_or_default();
        let left = (lives / 1000).saturating_sub(age).min(token_left);
        let is_correct =
            observed.field("age") == age.to_string() && observed.left().is_some_and(|it| it <= left);
        if !is_correct && !self.visible_only {
            return Err(format!("(h) the response has an age of {age} s and a lifetime of at most {left} s"));
        }
        if observed.status == 304 {
            return self.judge_unmodified(sent, observed, serial);
        }
        let whose = format!("P{} {what:?}", self.cast[who].principal).replace('"', "'");
        if observed.status != 200 || observed.body != responses::scrubbed(serial, &whose) {
            return Err(format!("(b) the body is not Graph's, scrubbed: {}", observed.body));
        }
        self.tags.push((observed.field("etag").to_owned(), serial));
        Ok(())
    }

    /// A 304 to the caller stands for a 200 that the caller has.
    fn judge_unmodified(
        &mut self,
        sent: &SentRequest,
        observed: &Observed,
        serial: usize,
    ) -> Result<(), Mismatch> {
        self.coverage.unmodified += 1;
        let known = self.tags.iter().find(|(tag, _)| tag == observed.field("etag"));
        if sent.condition == Condition::None || !observed.body.is_empty() {
            return Err(format!("(h) a 304 to a request without a validator, or with a body: {observed:?}"));
        }
        if known.is_some_and(|(_, response)| *response != serial) {
            return Err("(b) the tag of another body".to_owned());
        }
        Ok(())
    }
}
