//! Plays a story against the real proxy, and checks each response with the oracle.
//!
//! One thread, one operation at a time: the next begins when each request has its response, is held by Graph, or waits for a
//! request that Graph holds. So a story plays the same way each time.

mod release;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use connector_cache::app::App;
use connector_cache::http::ids::Ids;
use connector_cache::http::validate::RequestView;
use connector_cache::proxy::Proxy;
use connector_cache::proxy::handler::{Handler, HandlerResponse, Lookup};
use connector_cache::proxy::runtime_config::RuntimeConfig;
use connector_cache::support::clock::Clock;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use super::coverage::Coverage;
use super::expected_cache::{Expected, ExpectedCache};
use super::graph::{Event, Graph, GraphRequest};
use super::graph_policy::GraphPolicy;
use super::history::{History, Moment, Purge};
use super::judge::{Observed, SentRequest};
use super::op::{Condition, Directive, LATEST, Op, Story};
use super::resource::{self, Resource};
use super::responses::ResponseKind;
use super::setup;
use super::tokens::{START, Token};
use super::views::Views;

/// Description of a broken rule.
pub type Mismatch = String;

/// Address of all callers.
pub const CALLER: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50_000);

/// State of a story.
pub struct Driver<'a> {
    pub(super) cast: &'a [Token],
    pub(super) story: &'a Story,
    /// Whether only failures count that a caller can see, not wrong fields about the cache.
    pub(super) visible_only: bool,
    pub(super) coverage: &'a mut Coverage,
    pub(super) history: History,
    pub(super) expected_cache: ExpectedCache,
    /// Graph's last 401 to each token: arrival at the proxy, and serial of the response.
    pub(super) refused: BTreeMap<usize, (u64, usize)>,
    /// Entity tags that callers got, with the serials of the responses.
    pub(super) tags: Vec<(String, usize)>,
    proxy: Proxy,
    config: Arc<RuntimeConfig>,
    clock: Clock,
    graph: Graph,
    policy: GraphPolicy,
    views: Views,
    step: u64,
    next: u128,
    waiting: BTreeMap<u128, JoinHandle<()>>,
    held: BTreeMap<u128, HeldRequest>,
    done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
}

/// Number of a request that waited, and its response.
type Done = (u128, HandlerResponse);

/// A request that Graph holds.
struct HeldRequest {
    request: GraphRequest,
    sent: SentRequest,
    /// Response that Graph chose on arrival.
    kind: ResponseKind,
    asked: Moment,
    /// Whether it has its own task, and other callers may have joined it.
    flight: bool,
    /// Callers that wait for it.
    waiters: BTreeMap<u128, SentRequest>,
}

impl<'a> Driver<'a> {
    /// Plays a story to its end.
    pub async fn play(
        cast: &'a [Token],
        story: &'a Story,
        visible_only: bool,
        coverage: &'a mut Coverage,
    ) -> Result<(), Mismatch> {
        let graph = Graph::start().await;
        let clock = Clock::manual(UNIX_EPOCH + Duration::from_secs(START));
        let app =
            App::new(setup::config(story, &graph.url), clock.clone()).map_err(|error| error.to_string())?;
        let mut driver = Self {
            cast,
            story,
            visible_only,
            coverage,
            history: History::default(),
            expected_cache: ExpectedCache::default(),
            refused: BTreeMap::new(),
            tags: Vec::new(),
            proxy: app.proxy().clone(),
            config: app.runtime().load_full(),
            clock,
            graph,
            policy: GraphPolicy::default(),
            views: Views::default(),
            step: 0,
            next: 1,
            waiting: BTreeMap::new(),
            held: BTreeMap::new(),
            done: mpsc::unbounded_channel(),
        };
        for (number, op) in story.ops.iter().enumerate() {
            driver.act(op).await.map_err(|what| format!("operation {number}, {op:?}: {what}"))?;
        }
        driver.finish().await
    }

    async fn act(&mut self, op: &Op) -> Result<(), Mismatch> {
        self.step += 1;
        self.reset_breakers();
        match op {
            Op::Request { who, what, spelling, condition, directive, hold } => {
                self.ask((*who, what), *spelling, (*condition, *directive), *hold).await?;
            }
            Op::Release { pick, as_asked } => {
                if let Some(id) = nth(self.held.keys(), *pick) {
                    self.release(id, *as_asked).await?;
                }
            }
            Op::HangUp { pick } => {
                if let Some(id) = nth(self.waiting.keys(), *pick) {
                    self.hang_up(id).await?;
                }
            }
            Op::Wait(ms) => self.clock.advance(Duration::from_millis(*ms)),
            Op::Edge { of, pick, which, off } => {
                let (pick, times) = (usize::from(*pick), &self.story.times);
                let edge = self.expected_cache.edge(&self.history, times, of.as_ref(), pick, *which);
                self.jump(edge, *off);
            }
            Op::TokenEdge { who, off } => self.jump(self.cast[*who].usable_until, *off),
            Op::SetPolicy { who, what, kind } => {
                self.policy.change(*who, what.clone(), *kind);
            }
            Op::Heal => self.policy.heal(),
            Op::View { who, view } => self.views.set(*who, *view),
            Op::Change { what } => self.views.change(what.as_ref()),
            Op::Purge { flow, tenant, subject } => {
                let flow = flow.map(resource::flow);
                self.purge(Purge { step: self.step, flow, tenant: *tenant, subject: *subject });
            }
        }
        Ok(())
    }

    /// Sends a request, until it has a response or waits.
    async fn ask(
        &mut self,
        (who, what): (usize, &Resource),
        spelling: u16,
        (condition, directive): (Condition, Directive),
        hold: bool,
    ) -> Result<(), Mismatch> {
        let (id, now) = (self.next, self.now());
        self.next += 1;
        self.coverage.requests += 1;
        let (caller, times) = ((who, &self.cast[who]), &self.story.times);
        let expected = self.expected_cache.expect(&self.history, times, caller, what, directive, now);
        let about = self.expected_cache.about(&self.history, caller, what, now);
        let sent = SentRequest { who, what: what.clone(), began: now, expected, condition, directive, about };
        let parts = setup::request(&sent, &caller.1.text, &self.tags, (spelling, times.by_caller));
        let flights = self.flights();
        let (proxy, config) = (self.proxy.clone(), Arc::clone(&self.config));
        let ids = Ids::with_request_id(Uuid::from_u128(id));
        // As the middleware does.
        let mut answer = Box::pin(async move {
            let lookup = proxy.lookup(&RequestView::new(&parts), &ids, &config);
            match lookup {
                Lookup::Ready(answer) => answer,
                Lookup::Continue(prepared) => {
                    proxy.respond(prepared, parts.headers.clone(), &ids, CALLER).await
                }
            }
        });
        let first = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        let leads = self.flights() > flights;
        if let Poll::Ready(answer) = first {
            let observed = Observed::of(answer);
            if observed.reason == Some("token-refused") {
                return self.judge_replay(&sent, &observed);
            }
            if leads {
                self.arrive(id, &sent, true).await?;
            }
            return self.judge_at_once(&sent, &observed, leads);
        }
        if self.replayed(who).is_some() {
            return Err(format!(
                "(j) a request to Graph for {}, which Graph has just refused",
                self.name(who)
            ));
        }
        if matches!(expected, Expected::Hit(_) | Expected::Stale(_) | Expected::Accepted(_)) {
            return Err(format!(
                "(f) {} should have got a response from the cache: {expected:?}",
                self.name(who)
            ));
        }
        let done = self.done.0.clone();
        let task = tokio::spawn(async move {
            let _ = done.send((id, answer.await));
        });
        self.waiting.insert(id, task);
        if let Some(leader) = self.leader(&sent) {
            if leads {
                return Err(format!("(f) two requests to Graph for {} at one time", self.name(who)));
            }
            if let Some(held) = self.held.get_mut(&leader) {
                held.waiters.insert(id, sent);
            }
            return Ok(());
        }
        self.arrive(id, &sent, leads).await?;
        if let Some(held) = self.held.get_mut(&id) {
            held.waiters.insert(id, sent);
        }
        if hold { Ok(()) } else { self.release(id, true).await }
    }

    /// The held request that this request has to join, if any.
    fn leader(&self, sent: &SentRequest) -> Option<u128> {
        let is_forced = self.story.times.by_caller && sent.directive == Directive::NoCache;
        if sent.expected == Expected::Bypass || is_forced {
            return None;
        }
        let (who, what) = (sent.who, &sent.what);
        // The newest: a forced request never joins an older one, and those after it join the newest.
        let joined = self.held.iter().rev().find(|(_, held)| {
            held.flight
                && held.sent.who == who
                && held.sent.what == *what
                && !self.history.is_purged_since(&self.cast[who], what, held.asked.step, self.step)
                && !self.history.is_withdrawn_between(who, what, held.asked.step, self.step)
        });
        // Without wait time, or beyond the maximum of followers, a request goes alone.
        let most = if self.story.impatient { 0 } else { self.story.followers };
        let followers =
            |id: &u128, held: &HeldRequest| held.waiters.keys().filter(|waiter| *waiter != id).count();
        joined.filter(|(id, held)| followers(id, held) < most).map(|(id, _)| *id)
    }

    /// Waits until the request to Graph arrives.
    async fn arrive(&mut self, id: u128, sent: &SentRequest, flight: bool) -> Result<(), Mismatch> {
        let request = loop {
            let event = timeout(PATIENCE, self.graph.events.recv()).await;
            match event {
                Ok(Some(Event::Request(request))) => break request,
                Ok(Some(Event::Gone(_))) => {}
                Ok(None) | Err(_) => {
                    return Err(format!(
                        "(d) {} waits, and there is no request to Graph",
                        self.name(sent.who)
                    ));
                }
            }
        };
        self.coverage.graph_requests += 1;
        self.check_request(id, sent, &request)?;
        let kind = self.policy_for(sent);
        let held = HeldRequest {
            request,
            sent: sent.clone(),
            kind,
            asked: self.now(),
            flight,
            waiters: BTreeMap::new(),
        };
        self.held.insert(id, held);
        Ok(())
    }

    async fn hang_up(&mut self, id: u128) -> Result<(), Mismatch> {
        let Some(task) = self.waiting.remove(&id) else { return Ok(()) };
        task.abort();
        let _ = task.await;
        self.coverage.hang_ups += 1;
        for held in self.held.values_mut() {
            held.waiters.remove(&id);
        }
        // A request to Graph that is not coalesced belongs to the caller, and ends with it.
        if self.held.get(&id).is_none_or(|held| held.flight) {
            return Ok(());
        }
        let held = self.held.remove(&id);
        let event = timeout(PATIENCE, self.graph.events.recv()).await;
        // Graph holds the request until here.
        drop(held);
        match event {
            Ok(Some(Event::Gone(gone))) if gone == Uuid::from_u128(id).to_string() => Ok(()),
            _ => Err("(g) the request to Graph of a caller that hung up goes on".to_owned()),
        }
    }

    fn purge(&mut self, purge: Purge) {
        setup::purge(&self.proxy, &purge);
        self.expected_cache.purge(&purge, self.cast);
        self.history.purge(purge);
    }

    /// Graph's policy now for this token and resource.
    fn policy_for(&self, sent: &SentRequest) -> ResponseKind {
        let tags_count = self.story.times.by_graph || self.story.times.by_caller;
        let first = if tags_count { TAGGED } else { ResponseKind::Ok };
        self.policy.of((sent.who, &self.cast[sent.who]), &sent.what, self.now().ms, first)
    }

    /// Answers all held requests. Then no request is left.
    async fn finish(mut self) -> Result<(), Mismatch> {
        while let Some(id) = self.held.keys().next().copied() {
            self.step += 1;
            self.reset_breakers();
            self.release(id, true).await.map_err(|what| format!("at the end: {what}"))?;
        }
        let (flights, tasks) = (self.proxy.inner().coalescer.count(), self.flights());
        if flights + tasks + self.waiting.len() > 0 {
            return Err(format!(
                "{flights} flights, {tasks} tasks and {} callers are left",
                self.waiting.len()
            ));
        }
        Ok(())
    }

    fn jump(&self, to: Option<u64>, off: i8) {
        let to = to.and_then(|to| to.checked_add_signed(i64::from(off)));
        let by = to.unwrap_or_default().saturating_sub(self.now().ms);
        self.clock.advance(Duration::from_millis(by));
    }

    /// No breaker or throttle refuses a request of this model, and no entry backs off: [`super::eviction`] has the breakers.
    fn reset_breakers(&self) {
        self.proxy.inner().fetcher.breakers.reset();
        self.proxy.inner().fetcher.store.reset_backoff();
    }

    fn flights(&self) -> usize {
        self.proxy.inner().tasks.len()
    }

    pub(super) fn now(&self) -> Moment {
        Moment { step: self.step, ms: self.clock.now().unix_millis() }
    }

    pub(super) fn name(&self, who: usize) -> &'static str {
        self.cast[who].name
    }
}

fn nth<'a>(mut keys: impl ExactSizeIterator<Item = &'a u128>, pick: u16) -> Option<u128> {
    let count = keys.len();
    let at = if pick == LATEST { count.saturating_sub(1) } else { usize::from(pick) % count.max(1) };
    keys.nth(at).copied()
}

/// Time limit of one step. Only a failing run waits this long.
const PATIENCE: Duration = Duration::from_secs(3);
/// First response of Graph where its lifetimes and tags count.
const TAGGED: ResponseKind = ResponseKind::Lives { seconds: 600, tag: true, same: true };
