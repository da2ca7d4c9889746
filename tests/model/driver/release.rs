//! Checks of requests to Graph, and delivery of Graph's responses.

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Driver, Mismatch, PATIENCE};
use crate::graph::{Event, GraphRequest, Reply};
use crate::graph_policy;
use crate::history::GraphResponse;
use crate::judge::{Observed, SentRequest};
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
        let mut answers = Vec::new();
        for _ in 0..held.waiters.len() {
            match timeout(PATIENCE, self.done.1.recv()).await {
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) | Err(_) => return Err("a caller was left waiting".to_owned()),
            }
        }
        let flights = self.held.values().filter(|held| held.flight).count();
        let settled = timeout(PATIENCE, async {
            while self.flights() > flights {
                yield_now().await;
            }
        });
        settled.await.map_err(|_| "a flight does not end".to_owned())?;
        self.step += 1;
        self.history.responses[serial].dealt = Some(self.step);
        let now = self.now();
        if kind.no() == Some(401) {
            self.refused.insert(token, (now.ms, serial));
        }
        let said_to = (serial, held.sent.directive);
        let kept = self.expected_cache.take(&self.history, &self.story.times, self.cast, said_to, now);
        self.history.responses[serial].kept = kept;
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
