//! Checks of requests to Graph, and delivery of Graph's responses.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Done, Driver, HeldRequest, Mismatch, PATIENCE};
use crate::expected_cache::{ExpectedCache, may_be_stored};
use crate::graph::{Event, GraphRequest, Reply};
use crate::graph_policy;
use crate::history::GraphResponse;
use crate::judge::{Observed, SentRequest};
use crate::op::Directive;
use crate::resource::Resource;
use crate::responses::{self, ResponseKind};

impl Driver<'_> {
    /// Rule (g): exactly the canonical request with this caller's token, and no other field of the caller.
    pub(super) fn check_request(
        &self,
        id: u128,
        sent: &SentRequest,
        request: &GraphRequest,
    ) -> Result<(), Mismatch> {
        let tag = sent.about.map_or_else(String::new, |response| self.tag(response));
        let id = Uuid::from_u128(id).to_string();
        graph_policy::check(request, &self.cast[sent.who], &sent.what, (&id, &tag))
    }

    /// Sends Graph's response, and checks the responses of all callers that waited for it.
    pub(super) async fn release(&mut self, id: u128, as_asked: bool) -> Result<(), Mismatch> {
        let Some(held) = self.held.remove(&id) else { return Ok(()) };
        let kind = if as_asked { held.kind } else { self.policy_for(&held.sent) };
        let said = if as_asked { held.asked.step } else { self.step };
        let (token, resource) = (held.sent.who, held.sent.what.clone());
        let about = held.sent.about;
        let holds = about.filter(|_| kind.is_same()).map(|response| self.history.responses[response].body);
        let (serial, asked) = (self.history.responses.len(), held.asked);
        let body = self.shown((token, &held.sent.what), kind, (about.is_some(), holds), serial);
        let renews = holds.is_some();
        let given =
            about.filter(|_| renews).map_or(serial, |response| self.history.responses[response].whole);
        self.history.say(GraphResponse {
            token,
            resource,
            asked,
            said,
            dealt: None,
            kind,
            body,
            about,
            renews,
            whole: given,
            kept: false,
        });
        let whose = format!("P{} {:?}", self.cast[token].principal, held.sent.what);
        let anew = || kind.reply((serial, body), &whose.replace('"', "'"));
        let mut reply = held.request.reply;
        let other = about.filter(|_| matches!(kind, ResponseKind::Other304 | ResponseKind::NotModified));
        if let Some(known) = other {
            let _ = reply.send(kind.unchanged(self.history.responses[known].body));
            reply = self.asked_again().await?;
        }
        let _ = reply.send(holds.map_or_else(anew, |body| kind.unchanged(body)));
        let kept = self.deal(serial, &held.sent);
        let alone =
            if self.is_shared(serial, &held.sent) { Vec::new() } else { followers_of(&held.waiters, id) };
        let answers = self.answers(held.waiters.len() - alone.len()).await?;
        let flights = self.held.values().filter(|held| held.flight).count();
        let settled = timeout(PATIENCE, async {
            while self.flights() > flights {
                yield_now().await;
            }
        });
        settled.await.map_err(|_| "a flight does not end".to_owned())?;
        let is_refused = !alone.is_empty() && self.replayed(token).is_some();
        for _ in 0..alone.len() {
            if is_refused {
                self.refuse_alone(&held.waiters).await?;
            } else {
                self.arrive_alone(&held.waiters).await?;
            }
        }
        for (waiter, answer) in answers {
            self.waiting.remove(&waiter);
            let Some(sent) = held.waiters.get(&waiter) else {
                return Err(format!(
                    "(d) the response of another caller came to a caller of {:?}",
                    held.sent.what
                ));
            };
            self.judge(sent, &Observed::of(answer), (serial, &whose, waiter != id, kept))
                .map_err(|what| format!("{} at {:?}: {what}", self.name(sent.who), sent.what))?;
        }
        for follower in alone.into_iter().filter(|_| !is_refused) {
            Box::pin(self.release(follower, true)).await?;
        }
        Ok(())
    }

    /// Waits for the responses to this many callers.
    async fn answers(&mut self, count: usize) -> Result<Vec<Done>, Mismatch> {
        let mut answers = Vec::new();
        for _ in 0..count {
            match timeout(PATIENCE, self.done.1.recv()).await {
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) | Err(_) => return Err("a caller was left waiting".to_owned()),
            }
        }
        Ok(answers)
    }

    /// Takes a response into the expected cache. Returns whether the proxy must store it.
    fn deal(&mut self, serial: usize, sent: &SentRequest) -> bool {
        let (token, kind, asked) = {
            let response = &self.history.responses[serial];
            (response.token, response.kind, response.asked)
        };
        let could_be_stored = self.cast[token].usable_until.is_some_and(|end| asked.ms < end);
        if kind.grants() && !may_be_stored(kind, &self.story.times) && could_be_stored {
            self.history.forbid(serial);
        }
        self.step += 1;
        self.history.responses[serial].dealt = Some(self.step);
        let now = self.now();
        if kind.no() == Some(401) {
            self.refused.insert(token, (now.ms, serial));
        }
        let said_to = (serial, sent.directive);
        let kept = self.expected_cache.take(&self.history, &self.story.times, self.cast, said_to, now);
        self.history.responses[serial].kept = kept;
        kept
    }

    /// Whether followers may use the response: an error response, or one that may be stored, is fresh and not superseded.
    fn is_shared(&self, serial: usize, leader: &SentRequest) -> bool {
        let (response, times) = (&self.history.responses[serial], &self.story.times);
        let (now, caller) = (self.now(), &self.cast[response.token]);
        let age = now.ms - response.asked.ms + response.kind.age() * 1000;
        let is_fresh = response.kind.lives(times).is_some_and(|life| age < life)
            && now.ms - response.asked.ms < times.proof_ttl
            && caller.usable_until.is_some_and(|end| now.ms < end);
        let is_forbidden = times.by_caller && leader.directive == Directive::NoStore;
        let is_current = !self.expected_cache.is_superseded(serial);
        !response.kind.grants()
            || (is_fresh && is_current && may_be_stored(response.kind, times) && !is_forbidden)
    }

    /// Waits for the response to a follower that may not use the response to the leader, and whose token Graph has refused.
    async fn refuse_alone(&mut self, joined: &BTreeMap<u128, SentRequest>) -> Result<(), Mismatch> {
        let Ok(Some((id, answer))) = timeout(PATIENCE, self.done.1.recv()).await else {
            return Err("a caller was left waiting".to_owned());
        };
        self.waiting.remove(&id);
        let sent = joined.get(&id).ok_or("(d) the response of another caller")?.clone();
        self.judge_replay(&sent, &Observed::of(answer))
    }

    /// Waits until the own request of a follower arrives, which may not use the response to the leader.
    async fn arrive_alone(&mut self, joined: &BTreeMap<u128, SentRequest>) -> Result<(), Mismatch> {
        let request = loop {
            match timeout(PATIENCE, self.graph.events.recv()).await {
                Ok(Some(Event::Request(request))) => break request,
                Ok(Some(Event::Gone(_))) => {}
                Ok(None) | Err(_) => {
                    return Err("(h) a follower shares a response that is for one request only".to_owned());
                }
            }
        };
        self.coverage.graph_requests += 1;
        let is_own = |id: &&u128| Uuid::from_u128(**id).to_string() == request.field("client-request-id");
        let Some((id, mut sent)) =
            joined.keys().find(is_own).and_then(|id| Some((*id, joined.get(id)?.clone())))
        else {
            return Err("(g) a request of no caller".to_owned());
        };
        let (kind, asked) = (self.policy_for(&sent), self.now());
        // The follower has waited: its validator may have become too old.
        sent.about = sent.about.filter(|about| ExpectedCache::is_recent(&self.history, *about, asked));
        self.check_request(id, &sent, &request)?;
        let waiters = std::iter::once((id, sent.clone())).collect();
        self.held.insert(id, HeldRequest { request, sent, kind, asked, flight: false, waiters });
        Ok(())
    }

    /// Serial of the body of a response: the body that a 304 confirms, or the body of the token's view. A conditional request
    /// without a 304 gets a new body.
    fn shown(
        &mut self,
        (who, what): (usize, &Resource),
        kind: ResponseKind,
        (asked_about, holds): (bool, Option<usize>),
        serial: usize,
    ) -> usize {
        let caller = (who, &self.cast[who]);
        match holds {
            _ if !kind.grants() => return serial,
            None if !asked_about => return self.views.show(caller, what, serial),
            None => self.views.put(caller, what, serial),
            Some(body) => self.views.put(caller, what, body),
        }
        holds.unwrap_or(serial)
    }

    /// After a 304 with another validator the proxy must request the full response.
    async fn asked_again(&mut self) -> Result<oneshot::Sender<Reply>, Mismatch> {
        match timeout(PATIENCE, self.graph.events.recv()).await {
            Ok(Some(Event::Request(request))) if request.field("if-none-match").is_empty() => {
                Ok(request.reply)
            }
            _ => Err("(c) a 304 for another entry was taken for this entry".to_owned()),
        }
    }

    /// Entity tag of the body of a response.
    fn tag(&self, response: usize) -> String {
        responses::tag(self.history.responses[response].body)
    }
}

/// Callers that wait for the request of the leader, except itself.
fn followers_of(waiters: &BTreeMap<u128, SentRequest>, leader: u128) -> Vec<u128> {
    waiters.keys().copied().filter(|waiter| *waiter != leader).collect()
}
