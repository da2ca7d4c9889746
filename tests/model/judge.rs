//! The verdict on one answer: is it what Graph would have given to this caller, and does it say so?

use connector_cache::cache::outcome::Outcome;
use connector_cache::proxy::handler::HandlerResponse;
use connector_cache::upstream::refused_tokens::REPLAY;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;

use super::driver::{Driver, Mismatch};
use super::expected_cache::Expected;
use super::history::Moment;
use super::op::{Condition, Wish};
use super::resource::Resource;
use super::responses::{self, PLANTED};

/// A request, as the oracle sees it.
#[derive(Clone, Debug)]
pub struct Asking {
    pub who: usize,
    pub what: Resource,
    pub began: Moment,
    /// What must become of it.
    pub expected: Expected,
    pub condition: Condition,
    pub wish: Wish,
    /// The word that brought the entry which Graph must be asked about, if it is asked.
    pub about: Option<usize>,
}

/// An answer, as the caller sees it.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub(super) outcome: Outcome,
    /// Why it is as it is, in a word of our own.
    pub(super) reason: Option<&'static str>,
    fields: Vec<(String, String)>,
    pub(super) body: String,
}

impl Told {
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

    /// Rule (e): no credential, in whatever answer.
    pub(super) fn keeps_secrets(&self) -> Result<(), Mismatch> {
        let planted = |text: &str| text.contains(PLANTED);
        if planted(&self.body) || self.fields.iter().any(|(_, value)| planted(value)) {
            return Err(format!("(e) a credential came out: {self:?}"));
        }
        Ok(())
    }

    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// `max-age`, where the answer may be kept at all.
    fn max_age(&self) -> Option<u64> {
        self.field("cache-control").strip_prefix("private, max-age=")?.parse().ok()
    }
}

impl Driver<'_> {
    /// The word of Graph's last 401 to a token, while the proxy repeats it.
    pub(super) fn replayed(&self, who: usize) -> Option<usize> {
        let (since, serial) = *self.refused.get(&who)?;
        (self.now().ms - since < u64::try_from(REPLAY.as_millis()).unwrap()).then_some(serial)
    }

    /// Rule (j): Graph's 401 to this very token, a few seconds old, in place of another request.
    pub(super) fn judge_replay(&mut self, asking: &Asking, told: &Told) -> Result<(), Mismatch> {
        self.tally.replayed += 1;
        let Some(serial) = self.replayed(asking.who) else {
            return Err(format!("(j) {} was not refused lately: {told:?}", self.name(asking.who)));
        };
        told.keeps_secrets()?;
        self.judge_word(asking, told, serial, "")
    }

    /// An answer that came without a wait: it must be from memory, and the memory must allow it.
    pub(super) fn judge_at_once(
        &mut self,
        asking: &Asking,
        told: &Told,
        leads: bool,
    ) -> Result<(), Mismatch> {
        let times = self.story.times;
        let (expected, grace) = match (told.outcome, asking.expected) {
            (Outcome::Hit, _) if leads => return Err("(f) a hit asks Graph".to_owned()),
            (Outcome::Hit, Expected::Hit(word)) => (Some(word), (0, 0)),
            (Outcome::Stale, Expected::Accepted(_)) if leads => {
                return Err("(f) Graph is asked though the caller takes what is old".to_owned());
            }
            (Outcome::Stale, Expected::Accepted(word)) => (Some(word), (0, u64::MAX)),
            (Outcome::Stale, Expected::Stale(word)) => {
                (Some(word), (times.while_revalidate, times.while_revalidate))
            }
            (Outcome::Hit, _) => (None, (0, 0)),
            (Outcome::Stale, _) => (None, (times.while_revalidate, times.while_revalidate)),
            _ => return Err(format!("(c) refused without Graph: {told:?}")),
        };
        if told.outcome == Outcome::Hit {
            self.tally.hits += 1;
        } else {
            self.tally.stale += 1;
        }
        self.judge_memory(asking, told, grace, expected, asking.began)
            .map_err(|what| format!("{} at {:?}: {what}; {told:?}", self.name(asking.who), asking.what))
    }

    /// An answer that waited for Graph's word `serial`. `joined`: for a question of another request.
    pub(super) fn judge(
        &mut self,
        asking: &Asking,
        told: &Told,
        (serial, whose, joined, kept): (usize, &str, bool, bool),
    ) -> Result<(), Mismatch> {
        let (now, verdict) = (self.now(), self.history.words[serial].verdict);
        let (who, token, times) = (asking.who, &self.cast[asking.who], self.story.times);
        let waited = matches!(asking.expected, Expected::Forward | Expected::News);
        let bridge = if waited && verdict.is_outage() {
            self.mirror.bridge(&self.history, &times, (who, token), &asking.what, now)
        } else {
            None
        };
        if told.outcome == Outcome::Stale {
            self.tally.bridged += 1;
            if !verdict.is_outage() {
                return Err(format!("(a) Graph said {verdict:?}, and memory answers"));
            }
            return self.judge_memory(asking, told, (times.if_error, times.if_error), bridge, now);
        }
        if bridge.is_some() {
            return Err(format!("(f) an outage was not bridged: {told:?}"));
        }
        told.keeps_secrets()?;
        if self.history.is_purged_since(
            token,
            &asking.what,
            self.history.words[serial].asked.step,
            asking.began.step,
        ) {
            return Err("(a) the answer to a question from before a purge".to_owned());
        }
        let outcome = match (asking.expected, joined) {
            _ if verdict.status() == 502 && !matches!(verdict.no(), Some(502)) => Outcome::None,
            (Expected::Bypass, _) => Outcome::Bypass,
            (_, true) => Outcome::Collapsed,
            (_, false) if self.history.words[serial].renews => Outcome::Revalidated,
            (_, false) => Outcome::Miss,
        };
        if told.outcome != outcome && !self.lax {
            return Err(format!("(h) expected {outcome:?}, found {told:?}"));
        }
        self.tally.count(outcome);
        self.judge_word(asking, told, serial, whose)?;
        let stored = told.field("cache-status").contains("; stored");
        if stored != (kept && !joined) && !self.lax {
            return Err(format!("(h) kept: {kept}, and the answer says {:?}", told.field("cache-status")));
        }
        let left = token.usable_until.unwrap_or_default().saturating_sub(now.ms) / 1000;
        if told.max_age().is_some_and(|age| !kept || age > left) && !self.lax {
            return Err(format!("(h) kept: {kept}, the token has {left} s, and the answer says {told:?}"));
        }
        Ok(())
    }

    /// Rule (c): exactly what Graph said to this token, scrubbed.
    fn judge_word(
        &mut self,
        asking: &Asking,
        told: &Told,
        serial: usize,
        whose: &str,
    ) -> Result<(), Mismatch> {
        let (verdict, given) = (self.history.words[serial].verdict, self.history.words[serial].body);
        let body = match verdict.status() {
            200 => responses::scrubbed(given, &whose.replace('"', "'")),
            // An answer of our own, in place of one that cannot be passed on.
            _ if verdict.no().is_none() || matches!(verdict, responses::Verdict::NoBroken(_)) => {
                told.body.clone()
            }
            _ => responses::scrubbed_no(serial),
        };
        if told.status == 304 && verdict.grants() {
            return self.judge_unmodified(asking, told, given);
        }
        if told.status != verdict.status() {
            return Err(format!("(c) Graph said {verdict:?}, and the caller is told {told:?}"));
        }
        if told.body != body {
            return Err(format!("(c) Graph said {body}, and the caller is told {}", told.body));
        }
        if told.status == 200 {
            self.tags.push((told.field("etag").to_owned(), given));
        }
        Ok(())
    }

    /// An answer from memory: rules (a) and (b), what it says of itself, and that it is the newest there is. The
    /// proof and the answer may each be past their time by so much; `expected` is the word that last said that it
    /// holds.
    fn judge_memory(
        &mut self,
        asking: &Asking,
        told: &Told,
        (proof_grace, grace): (u64, u64),
        expected: Option<usize>,
        now: Moment,
    ) -> Result<(), Mismatch> {
        told.keeps_secrets()?;
        let (who, what, times) = (asking.who, &asking.what, self.story.times);
        let window = times.proof_ttl + proof_grace;
        self.history.is_granted((who, &self.cast[who]), what, now, window)?;
        let tagged =
            || self.tags.iter().rev().find(|(tag, _)| tag == told.field("etag")).map(|(_, word)| *word);
        let serial = responses::serial(&told.body)
            .or_else(tagged)
            .or(expected.map(|word| self.history.words[word].body));
        let Some(serial) = serial.filter(|serial| *serial < self.history.words.len()) else {
            return Err("(b) nobody knows this body".to_owned());
        };
        self.history.is_given((who, &self.cast[who]), (what, serial), now, window)?;
        self.history.is_fit(serial, self.cast, who, what, now, (&times, grace))?;
        if asking.expected == Expected::News && expected.is_none() {
            return Err("(i) another token was given other bytes, and Graph is not asked".to_owned());
        }
        if expected.map(|word| self.history.words[word].body) != Some(serial) && !self.lax {
            return Err(format!("(h) W{serial} is given from memory, and memory should have {expected:?}"));
        }
        let word = &self.history.words[expected.unwrap_or(serial)];
        let age = (now.ms - word.asked.ms) / 1000 + word.verdict.age();
        let token_left = self.cast[who].usable_until.unwrap_or_default().saturating_sub(now.ms) / 1000;
        let lives = word.verdict.lives(&times).unwrap_or_default();
        let left = (lives / 1000).saturating_sub(age).min(token_left);
        let told_right = told.field("age") == age.to_string() && told.max_age().is_some_and(|it| it <= left);
        if !told_right && !self.lax {
            return Err(format!("(h) the answer is {age} s old and good for at most {left} s"));
        }
        if told.status == 304 {
            return self.judge_unmodified(asking, told, serial);
        }
        let whose = format!("P{} {what:?}", self.cast[who].principal).replace('"', "'");
        if told.status != 200 || told.body != responses::scrubbed(serial, &whose) {
            return Err(format!("(b) the body is not Graph's, scrubbed: {}", told.body));
        }
        self.tags.push((told.field("etag").to_owned(), serial));
        Ok(())
    }

    /// A 304 is a 200 that the caller has already.
    fn judge_unmodified(&mut self, asking: &Asking, told: &Told, serial: usize) -> Result<(), Mismatch> {
        self.tally.unmodified += 1;
        let known = self.tags.iter().find(|(tag, _)| tag == told.field("etag"));
        if asking.condition == Condition::None || !told.body.is_empty() {
            return Err(format!("(h) nobody asked for a 304, or it has a body: {told:?}"));
        }
        if known.is_some_and(|(_, word)| *word != serial) {
            return Err("(b) the tag is that of another body".to_owned());
        }
        Ok(())
    }
}
