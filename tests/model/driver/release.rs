//! What Graph is asked, and what follows when it answers.

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Driver, Mismatch, PATIENCE};
use crate::graph::{Event, FetchRequest, Reply};
use crate::graph_policy;
use crate::history::Label;
use crate::judge::{Asking, Told};
use crate::resource::Resource;
use crate::responses::{self, Verdict};

impl Driver<'_> {
    /// Rule (g): exactly the canonical request, with this caller's token, and nothing else of the caller's.
    pub(super) fn check_question(
        &self,
        id: u128,
        asking: &Asking,
        question: &FetchRequest,
    ) -> Result<(), Mismatch> {
        let tag = asking.about.map_or_else(String::new, |word| self.tag(word));
        let id = Uuid::from_u128(id).to_string();
        graph_policy::check(question, &self.cast[asking.who], &asking.what, (&id, &tag))
    }

    /// Graph answers, and everybody who waited for it is judged.
    pub(super) async fn release(&mut self, id: u128, as_asked: bool) -> Result<(), Mismatch> {
        let Some(held) = self.held.remove(&id) else { return Ok(()) };
        let verdict = if as_asked { held.verdict } else { self.mind(&held.asking) };
        let said = if as_asked { held.asked.step } else { self.step };
        let (token, resource) = (held.asking.who, held.asking.what.clone());
        let about = held.asking.about;
        let holds = about.filter(|_| verdict.is_same()).map(|word| self.history.words[word].body);
        let (serial, asked) = (self.history.words.len(), held.asked);
        let body = self.shown((token, &held.asking.what), verdict, (about.is_some(), holds), serial);
        let renews = holds.is_some();
        let given = about.filter(|_| renews).map_or(serial, |word| self.history.words[word].whole);
        self.history.say(Label {
            token,
            resource,
            asked,
            said,
            dealt: None,
            verdict,
            body,
            about,
            renews,
            whole: given,
            kept: false,
        });
        let whose = format!("P{} {:?}", self.cast[token].principal, held.asking.what);
        let anew = || verdict.reply((serial, body), &whose.replace('"', "'"));
        let mut reply = held.question.reply;
        let other = about.filter(|_| matches!(verdict, Verdict::Other304 | Verdict::NotModified));
        if let Some(known) = other {
            let _ = reply.send(verdict.unchanged(self.history.words[known].body));
            reply = self.asked_again().await?;
        }
        let _ = reply.send(holds.map_or_else(anew, |body| verdict.unchanged(body)));
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
        self.history.words[serial].dealt = Some(self.step);
        let now = self.now();
        if verdict.no() == Some(401) {
            self.refused.insert(token, (now.ms, serial));
        }
        let said_to = (serial, held.asking.wish);
        let kept = self.mirror.take(&self.history, &self.story.times, self.cast, said_to, now);
        self.history.words[serial].kept = kept;
        for (waiter, answer) in answers {
            self.waiting.remove(&waiter);
            let Some(asking) = held.waiters.get(&waiter) else {
                return Err(format!("(d) an answer for another came to a caller of {:?}", held.asking.what));
            };
            self.judge(asking, &Told::of(answer), (serial, &whose, waiter != id, kept))
                .map_err(|what| format!("{} at {:?}: {what}", self.name(asking.who), asking.what))?;
        }
        Ok(())
    }

    /// Serial of the body that a word gives: the one that it says to hold, or the one that the token's view shows.
    /// A token that asks about what it was given, and is told that it holds no more, is given something new.
    fn shown(
        &mut self,
        (who, what): (usize, &Resource),
        verdict: Verdict,
        (asked_about, holds): (bool, Option<usize>),
        serial: usize,
    ) -> usize {
        let caller = (who, &self.cast[who]);
        match holds {
            _ if !verdict.grants() => return serial,
            None if !asked_about => return self.views.show(caller, what, serial),
            None => self.views.put(caller, what, serial),
            Some(body) => self.views.put(caller, what, body),
        }
        holds.unwrap_or(serial)
    }

    /// A 304 of something else tells the proxy nothing: it must ask for the whole.
    async fn asked_again(&mut self) -> Result<oneshot::Sender<Reply>, Mismatch> {
        match timeout(PATIENCE, self.graph.events.recv()).await {
            Ok(Some(Event::RequestView(question))) if question.field("if-none-match").is_empty() => {
                Ok(question.reply)
            }
            _ => Err("(c) a 304 of another answer was taken for this one".to_owned()),
        }
    }

    /// Graph's tag of the body that a word gave.
    fn tag(&self, word: usize) -> String {
        responses::tag(self.history.words[word].body)
    }
}
