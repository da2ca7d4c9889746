//! The same tokens against a proxy that must evict entries, and against a proxy that must refuse requests.
//!
//! *Forgetful*: the store has room for a few entries. The model does not predict evictions, so a miss is always right. A
//! response from the cache must still be allowed by the history, and the store must stay within its limit.
//!
//! *Guarded*: the breakers work as in production, and the limit for unproven tokens is small. The expected cache still says
//! which responses must be hits, with breakers open or closed. A caller is refused for failures in its own scope alone
//! (promise 3).
//!
//! Graph holds no request here: each request ends before the next begins.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::{Duration, UNIX_EPOCH};

use connector_cache::app::App;
use connector_cache::cache::outcome::{Eviction, Outcome};
use connector_cache::config::Config;
use connector_cache::http::ids::Ids;
use connector_cache::http::validate::RequestView;
use connector_cache::proxy::handler::{Handler as _, Lookup};
use connector_cache::support::clock::Clock;
use proptest::strategy::{Strategy as _, ValueTree as _};
use tokio::runtime::Builder;
use tokio::task::yield_now;
use uuid::Uuid;

use super::driver::{CALLER, Mismatch};
use super::expected_cache::{Expected, ExpectedCache};
use super::graph::{Event, Graph};
use super::graph_policy::{self, GraphPolicy};
use super::history::{GraphResponse, History, Moment, Purge};
use super::judge::{Observed, SentRequest};
use super::op::{Condition, Directive, Op, Settings, Story, story};
use super::resource::{self, Resource};
use super::responses::{self, ResponseKind};
use super::tokens::{START, Token, all_tokens};
use super::views::Views;
use super::{run, setup};

/// State of a story.
struct EvictionDriver<'a> {
    cast: &'a [Token],
    story: &'a Story,
    guarded: bool,
    app: App,
    clock: Clock,
    graph: Graph,
    policy: GraphPolicy,
    views: Views,
    history: History,
    expected_cache: ExpectedCache,
    step: u64,
    allowed: AllowedRefusals,
    seen: Seen,
}

/// Events that may cause refusals.
#[derive(Default)]
struct AllowedRefusals {
    /// 401s to tokens without a proof.
    failures: u32,
    /// Tokens that Graph refused with 401.
    unauthorized_tokens: BTreeSet<usize>,
    /// Failures of Graph to tokens with proofs.
    broken: Broken,
    /// Tokens that were throttled when they had no proof.
    throttled_tokens: BTreeSet<usize>,
    /// Tenants and applications whose tokens were throttled while they had proofs.
    throttled_apps: BTreeSet<(&'static str, &'static str)>,
}

/// An application in its tenant.
type OwnApp = (&'static str, &'static str);

/// Scopes whose breakers may have opened, by failures of Graph to tokens with proofs.
#[derive(Default)]
struct Broken {
    /// Failures in a row.
    rows: BTreeMap<(OwnApp, Resource), u32>,
    resources: BTreeSet<(OwnApp, Resource)>,
    /// Resources that failed since the last answer to the application.
    failed: BTreeMap<OwnApp, BTreeSet<Resource>>,
    apps: BTreeSet<OwnApp>,
    /// Tenants with failures since the last answer to any token, and the number of failures.
    tenants: BTreeMap<&'static str, u32>,
}

impl Broken {
    fn failed(&mut self, app: OwnApp, what: &Resource) {
        let row = self.rows.entry((app, what.clone())).or_default();
        *row += 1;
        if *row >= 5 {
            self.resources.insert((app, what.clone()));
        }
        *self.tenants.entry(app.0).or_default() += 1;
        let general = self.tenants.len() >= 3 && self.tenants.values().sum::<u32>() >= 5;
        let failed = self.failed.entry(app).or_default();
        failed.insert(what.clone());
        if general || failed.len() >= 3 {
            self.apps.insert(app);
        }
    }

    fn answered(&mut self, app: OwnApp, what: &Resource) {
        self.rows.remove(&(app, what.clone()));
        self.failed.remove(&app);
        self.tenants.clear();
    }

    /// Whether the application may be refused for its own failures.
    fn may_refuse(&self, app: OwnApp, what: &Resource) -> bool {
        self.apps.contains(&app) || self.resources.contains(&(app, what.clone()))
    }
}

/// Counts over all stories.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    requests: u64,
    hits: u64,
    bridged: u64,
    evicted: u64,
    by_unproven_limit: u64,
    by_throttle: u64,
    by_breaker: u64,
}

impl EvictionDriver<'_> {
    async fn act(&mut self, op: &Op) -> Result<(), Mismatch> {
        self.step += 1;
        match op {
            Op::Request { who, what, spelling, .. } => self.ask(*who, what, *spelling).await?,
            Op::Wait(ms) => self.clock.advance(Duration::from_millis(*ms)),
            Op::Edge { of, pick, which, off } => {
                let (pick, times) = (usize::from(*pick), &self.story.times);
                self.jump(self.expected_cache.edge(&self.history, times, of.as_ref(), pick, *which), *off);
            }
            Op::TokenEdge { who, off } => self.jump(self.cast[*who].usable_until, *off),
            Op::SetPolicy { who, what, kind } => self.policy.change(*who, what.clone(), *kind),
            Op::Heal => self.policy.heal(),
            Op::View { who, view } => self.views.set(*who, *view),
            Op::Change { what } => self.views.change(what.as_ref()),
            Op::Purge { flow, tenant, subject } => {
                let flow = flow.map(resource::flow);
                let purge = Purge { step: self.step, flow, tenant: *tenant, subject: *subject };
                setup::purge(self.app.proxy(), &purge);
                self.expected_cache.purge(&purge, self.cast);
                self.history.purge(purge);
            }
            // No request waits here.
            Op::Release { .. } | Op::HangUp { .. } => {}
        }
        Ok(())
    }

    /// Sends a request, and checks its response and its revalidation in the background.
    async fn ask(&mut self, who: usize, what: &Resource, spelling: u16) -> Result<(), Mismatch> {
        if !self.guarded {
            self.app.proxy().inner().fetcher.breakers.reset();
        }
        self.app.proxy().inner().fetcher.store.reset_backoff();
        self.seen.requests += 1;
        let (now, token) = (self.now(), &self.cast[who]);
        let expected = self.expected_cache.expect(
            &self.history,
            &self.story.times,
            (who, token),
            what,
            Directive::None,
            now,
        );
        let (condition, directive) = (Condition::None, Directive::None);
        let sent =
            SentRequest { who, what: what.clone(), began: now, expected, condition, directive, about: None };
        let parts = setup::request(&sent, &token.text, &[], (spelling, false));
        let id = Uuid::from_u128(u128::from(self.seen.requests));
        let ids = Ids::with_request_id(id);
        let (proxy, proven) = (self.app.proxy().clone(), self.expected_cache.is_proven(who));
        let config = self.app.runtime().load_full();
        // As the middleware does.
        let mut answer = pin!(async {
            let lookup = proxy.lookup(&RequestView::new(&parts), &ids, &config);
            match lookup {
                Lookup::Ready(answer) => answer,
                Lookup::Continue(prepared) => {
                    proxy.respond(prepared, parts.headers.clone(), &ids, CALLER).await
                }
            }
        });
        let mut said = None;
        let observed = loop {
            tokio::select! {
                biased;
                observed = &mut answer => break Observed::of(observed),
                Some(event) = self.graph.events.recv() => said = self.reply(&sent, event, id)?.or(said),
            }
        };
        let before = said;
        // A stale response starts a revalidation in the background.
        while !proxy.inner().tasks.is_empty() {
            tokio::select! {
                biased;
                Some(event) = self.graph.events.recv() => said = self.reply(&sent, event, id)?.or(said),
                () = yield_now() => {}
            }
        }
        self.step += 1;
        if let Some(serial) = said {
            self.history.responses[serial].dealt = Some(self.step);
            self.allowed((who, what), proven, self.history.responses[serial].kind);
            let now = self.now();
            let said = (serial, Directive::None);
            let kept = self.expected_cache.take(&self.history, &self.story.times, self.cast, said, now);
            self.history.responses[serial].kept = kept;
        }
        self.judge(&sent, &observed, before, proven)
            .map_err(|why| format!("{} at {what:?}, {expected:?}: {why}; {observed:?}", self.cast[who].name))
    }

    /// Sends Graph's response at once. Returns its serial.
    fn reply(&mut self, sent: &SentRequest, event: Event, id: Uuid) -> Result<Option<usize>, Mismatch> {
        let Event::Request(request) = event else { return Ok(None) };
        let (now, token) = (self.now(), &self.cast[sent.who]);
        graph_policy::check(&request, token, &sent.what, (&id.to_string(), ""))?;
        let kind = self.policy.of((sent.who, token), &sent.what, now.ms, ResponseKind::Ok);
        let serial = self.history.responses.len();
        let shows = kind.grants();
        let body = if shows { self.views.show((sent.who, token), &sent.what, serial) } else { serial };
        let response = GraphResponse {
            token: sent.who,
            resource: sent.what.clone(),
            asked: now,
            said: now.step,
            dealt: None,
            kind,
            body,
            about: None,
            renews: false,
            whole: serial,
            kept: false,
        };
        self.history.say(response);
        let _ = request.reply.send(kind.reply((serial, body), &self.whose(sent)));
        Ok(Some(serial))
    }

    fn judge(
        &mut self,
        sent: &SentRequest,
        observed: &Observed,
        said: Option<usize>,
        proven: bool,
    ) -> Result<(), Mismatch> {
        observed.keeps_secrets()?;
        let (times, now) = (self.story.times, sent.began);
        let must = matches!(sent.expected, Expected::Hit(_) | Expected::Stale(_));
        if self.guarded && must && !matches!(observed.outcome, Outcome::Hit | Outcome::Stale) {
            return Err("(f) the response should have come from the cache".to_owned());
        }
        let grace = match (observed.outcome, said) {
            (Outcome::Hit, _) => 0,
            (Outcome::Stale, None) if !observed.field("cache-status").contains("fwd=") => {
                times.while_revalidate
            }
            (Outcome::Stale, _) => times.if_error,
            (_, Some(serial)) => return self.judge_response(sent, observed, serial),
            (_, None) => return self.judge_refusal(sent, observed, proven),
        };
        self.seen.hits += u64::from(observed.outcome == Outcome::Hit);
        self.seen.bridged += u64::from(observed.outcome == Outcome::Stale);
        let token = &self.cast[sent.who];
        let Some(serial) =
            responses::serial(&observed.body).filter(|serial| *serial < self.history.responses.len())
        else {
            return Err("(b) unknown body".to_owned());
        };
        let window = times.proof_ttl + grace;
        self.history.is_given((sent.who, token), (&sent.what, serial), now, window)?;
        self.history.is_fit(serial, self.cast, sent.who, &sent.what, now, (&times, grace))?;
        if observed.body != responses::scrubbed(serial, &self.whose(sent)) {
            return Err("(b) the body is not Graph's, scrubbed".to_owned());
        }
        Ok(())
    }

    /// Rule (c): exactly Graph's response to this request.
    fn judge_response(&self, sent: &SentRequest, observed: &Observed, serial: usize) -> Result<(), Mismatch> {
        let kind = self.history.responses[serial].kind;
        let body = match kind {
            _ if kind.grants() => responses::scrubbed(self.history.responses[serial].body, &self.whose(sent)),
            ResponseKind::No(_) => responses::scrubbed_no(serial),
            _ => observed.body.clone(),
        };
        if observed.status != kind.status() || observed.body != body {
            return Err(format!("(c) Graph sent {kind:?}"));
        }
        Ok(())
    }

    /// There was no request to Graph: an event in the caller's own scope must have opened a breaker or throttle, or exhausted the
    /// limit for unproven tokens.
    fn judge_refusal(
        &mut self,
        sent: &SentRequest,
        observed: &Observed,
        proven: bool,
    ) -> Result<(), Mismatch> {
        let (token, times) = (&self.cast[sent.who], &self.story.times);
        let bridge =
            self.expected_cache.bridge(&self.history, times, (sent.who, token), &sent.what, sent.began);
        if observed.reason == Some("token-refused") && self.allowed.unauthorized_tokens.contains(&sent.who) {
            return Ok(());
        }
        let deserved = match observed.reason {
            Some("unproven-budget") => {
                self.seen.by_unproven_limit += 1;
                !proven && self.allowed.failures >= 4
            }
            Some("throttle-gate") => {
                self.seen.by_throttle += 1;
                let of_its_own = !proven && self.allowed.throttled_tokens.contains(&sent.who);
                of_its_own || self.allowed.throttled_apps.contains(&(token.tenant, token.app))
            }
            Some("breaker") => {
                self.seen.by_breaker += 1;
                self.allowed.broken.may_refuse((token.tenant, token.app), &sent.what)
            }
            _ => false,
        };
        if !self.guarded || !deserved {
            return Err(format!(
                "promise 3: refused without a cause in the caller's own scope; proven: {proven}"
            ));
        }
        if matches!(sent.expected, Expected::Forward | Expected::News) && bridge.is_some() {
            return Err("(f) no stale response while a breaker is open".to_owned());
        }
        Ok(())
    }

    /// Registers the refusals that a response of Graph may cause.
    fn allowed(&mut self, (who, what): (usize, &Resource), proven: bool, kind: ResponseKind) {
        let (allowed, token) = (&mut self.allowed, &self.cast[who]);
        match kind.no() {
            Some(401) => {
                allowed.failures += u32::from(!proven);
                allowed.unauthorized_tokens.insert(who);
            }
            Some(429) if proven => drop(allowed.throttled_apps.insert((token.tenant, token.app))),
            Some(429) => drop(allowed.throttled_tokens.insert(who)),
            _ => {}
        }
        let app = (token.tenant, token.app);
        match kind.no() {
            _ if !proven => {}
            Some(502..=504) => allowed.broken.failed(app, what),
            _ => allowed.broken.answered(app, what),
        }
    }

    /// After Graph has recovered, a proven token gets responses again.
    async fn recovers(&mut self) -> Result<(), Mismatch> {
        self.policy.heal();
        self.clock.advance(Duration::from_secs(3_700));
        let what = Resource::hot(0);
        for _ in 0..3 {
            self.step += 1;
            self.ask(LAST, &what, 0).await?;
            self.clock.advance(Duration::from_secs(2));
        }
        let mut responses = self.history.responses.iter().rev();
        let last = responses
            .find(|response| response.token == LAST && response.resource == what)
            .map_or(0, |response| response.body);
        let (caller, window) = ((LAST, &self.cast[LAST]), self.story.times.proof_ttl);
        let granted = self.history.is_given(caller, (&what, last), self.now(), window);
        granted.map_err(|why| format!("no response an hour after the outage: {why}"))
    }

    fn whose(&self, sent: &SentRequest) -> String {
        format!("P{} {:?}", self.cast[sent.who].principal, sent.what).replace('"', "'")
    }

    fn jump(&self, to: Option<u64>, off: i8) {
        let to = to.and_then(|to| to.checked_add_signed(i64::from(off)));
        self.clock.advance(Duration::from_millis(to.unwrap_or_default().saturating_sub(self.now().ms)));
    }

    fn now(&self) -> Moment {
        Moment { step: self.step, ms: self.clock.now().unix_millis() }
    }
}

async fn play(cast: &[Token], story: &Story, guarded: bool) -> Result<Seen, Mismatch> {
    let (graph, clock) = (Graph::start().await, Clock::manual(UNIX_EPOCH + Duration::from_secs(START)));
    let config: fn(&Story, &str) -> Config = if guarded { setup::guarded } else { setup::forgetful };
    let app = App::new(config(story, &graph.url), clock.clone()).map_err(|error| error.to_string())?;
    let mut driver = EvictionDriver {
        cast,
        story,
        guarded,
        app,
        clock,
        graph,
        policy: GraphPolicy::default(),
        views: Views::default(),
        history: History::default(),
        expected_cache: ExpectedCache::default(),
        step: 0,
        allowed: AllowedRefusals::default(),
        seen: Seen::default(),
    };
    for (number, op) in story.ops.iter().enumerate() {
        driver.act(op).await.map_err(|why| format!("operation {number}, {op:?}: {why}"))?;
    }
    driver.recovers().await?;
    let fetcher = &driver.app.proxy().inner().fetcher;
    fetcher.store.size();
    let (bytes, limit) = (fetcher.metrics.bytes.get(), fetcher.metrics.capacity.get());
    if bytes > limit {
        return Err(format!("{bytes} bytes are stored, the limit is {limit}"));
    }
    driver.seen.evicted = fetcher.metrics.evictions.get(Eviction::Space);
    Ok(driver.seen)
}

/// The beginning of each story. A token without a proof is throttled and fails repeatedly, which may not affect a token with
/// proofs. Then the token with proofs meets an outage of Graph and the recovery.
fn outages() -> Vec<Op> {
    let ask = |who, number| {
        let (what, condition) = (Resource::hot(number), Condition::None);
        Op::Request { who, what, spelling: 0, condition, directive: Directive::None, hold: false }
    };
    let mind = |status| Op::SetPolicy { who: None, what: None, kind: ResponseKind::No(status) };
    let mut ops = vec![ask(LAST, 0), mind(429), ask(NEW, 0), Op::Heal, ask(LAST, 1)];
    ops.extend([Op::Wait(61_000), mind(503)]);
    ops.extend((0..6).map(|number| ask(NEW, number)));
    ops.extend([ask(LAST, 2), Op::Heal, ask(LAST, 2), mind(503)]);
    ops.extend((3..6).flat_map(|number| [ask(LAST, number), ask(LAST, number), Op::Wait(300)]));
    ops.extend([Op::Heal, ask(LAST, 3), Op::Wait(2_000), ask(LAST, 6), ask(LAST, 3)]);
    ops
}

/// Plays stories with at least [`REQUESTS`] requests in all.
fn model(guarded: bool) -> Seen {
    let (tokens, seed, mut all) = (all_tokens(), run::seed(), Seen::default());
    println!("MODEL_SEED={seed}");
    for own in seed.. {
        let mut story =
            story(run::LENGTH, Settings::Operators).new_tree(&mut run::runner(own)).unwrap().current();
        story.ops.splice(..0, outages());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let played = runtime.block_on(play(&tokens, &story, guarded));
        let its = played.unwrap_or_else(|why| panic!("{why}\nMODEL_SEED={own}"));
        all.requests += its.requests;
        all.hits += its.hits;
        all.bridged += its.bridged;
        all.evicted += its.evicted;
        all.by_unproven_limit += its.by_unproven_limit;
        all.by_throttle += its.by_throttle;
        all.by_breaker += its.by_breaker;
        if all.requests >= REQUESTS {
            break;
        }
    }
    println!("{all:?}");
    all
}

#[test]
fn a_store_that_is_too_small_evicts_and_serves_no_caller_the_response_of_another() {
    let seen = model(false);
    let often = seen.requests / 100;
    assert!(seen.hits > often && seen.evicted > often && seen.bridged > 0, "too much alike: {seen:?}");
}

#[test]
fn breakers_and_limits_refuse_only_for_causes_in_the_callers_scope_and_never_a_hit() {
    let seen = model(true);
    let refusals = [seen.by_throttle, seen.by_breaker];
    assert!(seen.hits > seen.requests / 100 && refusals.iter().all(|count| *count > 0), "{seen:?}");
}

const REQUESTS: u64 = 4_000;
/// A token of the same user and application without a proof at the beginning.
const NEW: usize = 10;
/// A token that does not expire during a story.
const LAST: usize = 11;
