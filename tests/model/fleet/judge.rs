//! Judge of responses: what each replica may give after purges, refreshes and refusals.

use std::collections::BTreeSet;

use super::history::{FLOWS, History, Tick};
use crate::common::client::Response;

/// Number of a replica. A new replica has a new number.
pub type Id = usize;

/// A caller's request.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    pub replica: Id,
    pub token: &'a str,
    pub user: &'a str,
    pub flow: usize,
    /// Time of the proxies' clock.
    pub now_ms: u64,
}

/// Content that callers must not get any more.
#[derive(Clone, Debug)]
pub enum Rule {
    /// A purge or a newer response: for this user and this flow, or for all, content before these versions.
    Replaced { user: Option<String>, flow: Option<usize>, versions: [u64; FLOWS] },
    /// A refusal to a token, for this flow or for all: proofs from before.
    Withdrawn { token: String, flow: Option<usize> },
}

/// A rule, and the replicas at which it holds.
#[derive(Debug)]
struct Known {
    rule: Rule,
    since: Tick,
    /// The replica that received the purge or the refusal.
    by: Id,
    /// Replicas that have not read the event; `None` if no replica has confirmed an event since.
    unconfirmed: Option<BTreeSet<Id>>,
}

/// All rules so far.
#[derive(Debug, Default)]
pub struct Judge(Vec<Known>);

impl Judge {
    /// Adds a rule, which holds at one replica for now.
    pub fn add(&mut self, by: Id, since: Tick, rule: Rule) {
        self.0.push(Known { rule, since, by, unconfirmed: None });
    }

    /// All replicas but these have read the events that `by` has added before the time.
    pub fn confirm(&mut self, by: Id, until: Tick, unconfirmed: &BTreeSet<Id>) {
        for known in self.0.iter_mut().filter(|known| known.by == by && known.since <= until) {
            let both = known.unconfirmed.as_ref().map(|before| before & unconfirmed);
            known.unconfirmed = Some(both.unwrap_or_else(|| unconfirmed.clone()));
        }
    }

    /// Rules that held at the replica when the request began.
    pub fn rules_of(&self, sent: &Sent<'_>) -> Rules {
        let (mut least, mut withdrawn) = (0, 0);
        let knows = |known: &Known| {
            known.by == sent.replica
                || known.unconfirmed.as_ref().is_some_and(|lacking| !lacking.contains(&sent.replica))
        };
        for Known { rule, since, .. } in self.0.iter().filter(|known| knows(known)) {
            match rule {
                Rule::Replaced { user, flow, versions }
                    if user.as_ref().is_none_or(|user| user == sent.user)
                        && flow.is_none_or(|flow| flow == sent.flow) =>
                {
                    least = versions[sent.flow].max(least);
                }
                Rule::Withdrawn { token, flow }
                    if token == sent.token && flow.is_none_or(|flow| flow == sent.flow) =>
                {
                    withdrawn = withdrawn.max(*since);
                }
                _ => {}
            }
        }
        Rules { least, withdrawn }
    }
}

/// Rules for one request.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Least version.
    least: u64,
    /// Time of the last refusal.
    withdrawn: Tick,
}

impl Rules {
    /// Judges a 200.
    pub fn judge(self, sent: &Sent<'_>, response: &Response, history: &History) -> Result<(), String> {
        let status = cache_status(response);
        let context = || format!("{status}: {} to {sent:?}, {self:?}", response.text());
        let version = response.json()["version"].as_u64().unwrap_or_default();
        if version < self.least {
            return Err(format!("(k) content from before a purge, {}", context()));
        }
        let grants = history.grants(sent.token, sent.flow, version);
        if grants.is_empty() {
            return Err(format!("(l) bytes that Graph did not send to the token, {}", context()));
        }
        if is_hit(response) {
            let mut live = grants.iter().filter(|grant| grant.asked_ms + LIFE_MS > sent.now_ms).peekable();
            if live.peek().is_none() {
                return Err(format!("(l) the proof has expired, {}", context()));
            }
            if !live.any(|grant| grant.tick > self.withdrawn) {
                return Err(format!("(m) Graph has refused the token since, {}", context()));
            }
        }
        Ok(())
    }
}

pub fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

pub fn is_hit(response: &Response) -> bool {
    cache_status(response).contains("; hit")
}

pub fn is_shared_hit(response: &Response) -> bool {
    is_hit(response) && cache_status(response).ends_with("; detail=shared")
}

/// Lifetime of entries and proofs.
pub const LIFE_MS: u64 = 300_000;
