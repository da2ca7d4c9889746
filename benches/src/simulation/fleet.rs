//! Replicas with their stores, and the fetches in flight. The decision is that of `src/proxy.rs`, `src/proxy/lookup.rs` and
//! `src/proxy/fetch/shared.rs`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, UNIX_EPOCH};

use connector_cache::auth::{HashKeys, TokenHash};
use connector_cache::cache::entry::{EntityTagHasher, Entry};
use connector_cache::cache::freshness::{Assessment, Decision, Lifetime, assess};
use connector_cache::cache::key::EntryKey;
use connector_cache::cache::lease::Lease;
use connector_cache::cache::store::{self, Store};
use connector_cache::cache::vary::SelectingRequest;
use connector_cache::http::cache_control::CacheControl;
use connector_cache::observability::metrics::Metrics;
use connector_cache::resource::{ApiVersion, Resource};
use connector_cache::scrub::{self, ScrubbedBody, Scrubber};
use connector_cache::shared::simulation::MemoryStore;
use connector_cache::shared::{
    Address, Config, Endpoint, FillResult, Scope, SharedFetch, SharedHit, SharedMetrics, SharedTier, Topology,
};
use connector_cache::support::clock::{Clock, Now};
use http::HeaderMap;

use super::callers::{CallerToken, Callers};
use super::{Cache, Counts, Request, Scenario, hour, millis};
use crate::{connectors, graph_fields, path};

/// A fleet before Graph.
pub struct Fleet<'a> {
    scenario: &'a Scenario,
    clock: Clock,
    at_ms: u64,
    keys: HashKeys,
    callers: Callers,
    resources: Vec<Arc<Resource>>,
    body: ScrubbedBody,
    graph_fields: HeaderMap,
    entity_tags: EntityTagHasher,
    replicas: Vec<Replica>,
    memory: MemoryStore,
    /// Fetches that continue at a time, in the order of time and number.
    due: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: HashMap<u64, (Fetch, Step)>,
    started: u64,
    rollout_ms: Option<u64>,
    counts: Counts,
}

struct Replica {
    store: Store,
    shared: Option<SharedTier>,
    in_flight: HashSet<(TokenHash, usize)>,
}

/// A fetch of one token for one resource.
struct Fetch {
    replica: usize,
    token: Arc<CallerToken>,
    flow: usize,
    lease: Lease,
    shared: Option<SharedFetch>,
}

/// What a fetch waits for.
#[derive(Clone, Copy)]
enum Step {
    /// The response to a call to Graph that was sent at a time.
    Response(Now),
    /// The next read of a value that another replica fetches.
    Poll { since_ms: u64, interval_ms: u64 },
}

impl<'a> Fleet<'a> {
    /// Creates a fleet with empty stores.
    pub fn new(scenario: &'a Scenario) -> Self {
        let clock = Clock::manual(UNIX_EPOCH + START);
        let scrubber = Scrubber::new(&scrub::Config::default(), 1 << 20);
        let Ok(scrubbed) = scrubber.scrub(&connectors(BODY)) else { unreachable!("the body is JSON") };
        let entity_tags = EntityTagHasher::new(scrubber.policy_bytes());
        let (mut replicas, Ok(mut keys)) = (Vec::new(), HashKeys::random()) else {
            unreachable!("the system has random bytes")
        };
        for number in 0..scenario.replicas {
            let shared =
                (scenario.cache == Cache::Shared).then(|| tier(&scrubber, entity_tags.clone(), &clock));
            if let (0, Some(shared)) = (number, &shared) {
                keys = shared.hash_keys(keys);
            }
            replicas.push(Replica { store: empty_store(scenario), shared, in_flight: HashSet::new() });
        }
        Self {
            scenario,
            clock,
            at_ms: 0,
            keys,
            callers: Callers::new(scenario),
            resources: (0..scenario.flows).map(resource).collect(),
            body: scrubbed.body,
            graph_fields: graph_fields(),
            entity_tags,
            replicas,
            memory: MemoryStore::default(),
            due: BinaryHeap::new(),
            waiting: HashMap::new(),
            started: 0,
            rollout_ms: scenario.rollout_at.map(millis),
            counts: Counts::default(),
        }
    }

    /// Handles a request, after all that is due before it.
    pub fn handle(&mut self, request: Request) {
        self.run_until(request.at_ms);
        if self.rollout_ms.is_some_and(|at_ms| at_ms <= request.at_ms) {
            self.rollout_ms = None;
            self.replace_replicas();
        }
        let now = self.clock.now();
        self.counts.requests[hour(self.at_ms)] += 1;
        let token = self.callers.token(request.caller, self.at_ms, &self.keys, now);
        let (replica, flow) = (request.replica, request.flow);
        let is_usable = match self.find(replica, &token, flow, now) {
            Some((_, assessment)) if assessment.decision == Decision::Fresh => true,
            Some((entry, assessment)) if assessment.decision == Decision::StaleUsable => {
                entry.try_start_revalidation(token.identity.token_hash, now).is_err()
            }
            _ => false,
        };
        if !is_usable {
            self.begin(replica, token, flow);
        }
    }

    /// Returns the counts. Fetches in flight have been counted.
    pub fn finish(self) -> Counts {
        self.counts
    }

    /// Finds the proof, then the entry of the same content, and judges both.
    fn find(
        &self,
        replica: usize,
        token: &CallerToken,
        flow: usize,
        now: Now,
    ) -> Option<(Arc<Entry>, Assessment)> {
        let (store, resource) = (&self.replicas[replica].store, &self.resources[flow]);
        let grants = store.grants(&token.identity.token_hash)?;
        let newest = grants.newest_proof(resource)?;
        let key = EntryKey::new(grants.claims.principal, resource);
        let (entry, proof) = store.find_entry(&key, selecting_request(token), (&grants, newest))?;
        let assessment = self.assess(&entry, proof.granted_at, token, now);
        let assessment = if entry.is_superseded() { assessment.superseded() } else { assessment };
        Some((entry, assessment))
    }

    fn assess(&self, entry: &Entry, granted_at: Now, token: &CallerToken, now: Now) -> Assessment {
        let (lifetime, left) = (entry.lifetime(), token.claims.expiry.remaining(now));
        let entry = (&lifetime, entry.requested_at);
        assess(&self.scenario.rules, entry, granted_at, left, CacheControl::default(), now)
    }

    /// Begins a fetch, unless the token has one for the resource in flight on this replica.
    fn begin(&mut self, replica: usize, token: Arc<CallerToken>, flow: usize) {
        let resource = &self.resources[flow];
        let (hash, own) = (token.identity.token_hash, &mut self.replicas[replica]);
        if !own.in_flight.insert((hash, flow)) {
            return;
        }
        let lease = own.store.acquire_lease(hash, Some(&token.claims), resource);
        let shared = own
            .shared
            .as_ref()
            .and_then(|shared| shared.begin_in_memory(&token.claims, resource, &token.identity.token));
        let mut fetch = Fetch { replica, token, flow, lease, shared };
        if self.read(&mut fetch) {
            return;
        }
        if let Some(shared) = &mut fetch.shared
            && shared.take_fill_lease_in(&mut self.memory) == FillResult::Taken
        {
            let step = Step::Poll { since_ms: self.at_ms, interval_ms: FIRST_POLL_MS };
            return self.wait(fetch, step, FIRST_POLL_MS);
        }
        self.call(fetch);
    }

    /// Reads the shared tier. Returns whether the fetch ends with its value.
    fn read(&mut self, fetch: &mut Fetch) -> bool {
        let Some(mut shared) = fetch.shared.take() else { return false };
        let now = self.clock.now();
        let mut memory = std::mem::take(&mut self.memory);
        let found = shared.read_from(&mut memory, |hit| {
            self.assess(&hit.entry, hit.granted_at, &fetch.token, now).decision == Decision::Fresh
        });
        self.memory = memory;
        fetch.shared = Some(shared);
        let Some(SharedHit { entry, granted_at }) = found else { return false };
        let (hash, resource) = (fetch.token.identity.token_hash, &self.resources[fetch.flow]);
        let own = &mut self.replicas[fetch.replica];
        let entry = Arc::new(entry);
        let is_admitted =
            own.store.admit_shared(hash, &fetch.token.claims, resource, (&entry, granted_at), &fetch.lease);
        if is_admitted {
            own.in_flight.remove(&(hash, fetch.flow));
            self.counts.shared_hits[hour(self.at_ms)] += 1;
        }
        is_admitted
    }

    fn replace_replicas(&mut self) {
        // Fetches in flight end with their replicas.
        self.waiting.clear();
        for replica in &mut self.replicas {
            replica.store = empty_store(self.scenario);
            replica.in_flight.clear();
            if let Some(shared) = &replica.shared {
                shared.write_to(&mut self.memory);
            }
        }
    }

    fn call(&mut self, fetch: Fetch) {
        self.counts.calls[hour(self.at_ms)] += 1;
        let since_rollout = self.scenario.rollout_at.map(|at| self.at_ms.checked_sub(millis(at)));
        if since_rollout.flatten().is_some_and(|since_ms| since_ms < 300_000) {
            self.counts.after_rollout += 1;
        }
        let step = Step::Response(self.clock.now());
        self.wait(fetch, step, millis(self.scenario.graph_latency));
    }

    fn wait(&mut self, fetch: Fetch, step: Step, wait_ms: u64) {
        self.started += 1;
        self.waiting.insert(self.started, (fetch, step));
        self.due.push(Reverse((self.at_ms + wait_ms, self.started)));
    }

    /// Continues all fetches that are due at a time, and sets the clock.
    fn run_until(&mut self, at_ms: u64) {
        while let Some(Reverse((due_ms, number))) = self.due.peek().copied()
            && due_ms <= at_ms
        {
            self.due.pop();
            self.set_time(due_ms);
            match self.waiting.remove(&number) {
                Some((fetch, Step::Response(requested_at))) => self.admit(fetch, requested_at),
                Some((fetch, Step::Poll { since_ms, interval_ms })) => {
                    self.poll(fetch, since_ms, interval_ms);
                }
                None => {}
            }
        }
        self.set_time(at_ms);
    }

    fn set_time(&mut self, at_ms: u64) {
        if at_ms / EXPIRY_INTERVAL_MS != self.at_ms / EXPIRY_INTERVAL_MS {
            self.memory.expire(self.clock.now());
        }
        self.clock.advance(Duration::from_millis(at_ms - self.at_ms));
        self.at_ms = at_ms;
    }

    /// Reads the value that another replica fetches. After a second, or if that replica has no value, calls Graph.
    fn poll(&mut self, mut fetch: Fetch, since_ms: u64, interval_ms: u64) {
        if self.read(&mut fetch) {
            return;
        }
        let is_taken = fetch.shared.as_ref().is_some_and(SharedFetch::is_fill_lease_taken);
        if !is_taken || self.at_ms - since_ms >= MAX_POLL_TIME_MS {
            return self.call(fetch);
        }
        let interval_ms = (interval_ms * 2).min(MAX_POLL_MS);
        self.wait(fetch, Step::Poll { since_ms, interval_ms }, interval_ms);
    }

    /// Stores a response of Graph.
    fn admit(&mut self, fetch: Fetch, requested_at: Now) {
        let (now, resource) = (self.clock.now(), &self.resources[fetch.flow]);
        let own = &mut self.replicas[fetch.replica];
        let hash = fetch.token.identity.token_hash;
        own.in_flight.remove(&(hash, fetch.flow));
        let Ok(lifetime) = Lifetime::from_response(&self.graph_fields, &self.scenario.rules, now) else {
            unreachable!("the response may be stored")
        };
        let body = self.body.clone();
        let entry = Entry::new(body, &self.entity_tags, &self.graph_fields, lifetime, requested_at);
        let hasher = own.store.secondary_key_hasher();
        let Ok(key) = hasher.compute(&self.graph_fields, selecting_request(&fetch.token)) else {
            unreachable!("`Vary` has no asterisk")
        };
        let entry = Arc::new(entry.with_optional_parts(None, key));
        let stored = own.store.admit(hash, &fetch.token.claims, resource, &entry, None, &fetch.lease);
        if let (Ok(()), Some(shared), Some(tier)) = (stored, fetch.shared, &own.shared) {
            shared.write(&entry, &self.scenario.rules, now);
            tier.write_to(&mut self.memory);
        }
    }
}

fn empty_store(scenario: &Scenario) -> Store {
    let config = store::Config { max_bytes: scenario.max_bytes, ..store::Config::default() };
    Store::new(&config, scenario.rules.longest_use(), |_| {})
}

fn selecting_request(token: &CallerToken) -> SelectingRequest<'_> {
    SelectingRequest { headers: &token.headers, token: token.identity.token_hash }
}

fn resource(flow: usize) -> Arc<Resource> {
    let target = path(&format!("flow-{flow:06}"));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let Ok(resource) = Resource::parse(path, Some(query), &HeaderMap::new(), ApiVersion::Beta) else {
        unreachable!("the path is one")
    };
    Arc::new(resource)
}

/// Returns the tier of one replica, which never connects.
fn tier(scrubber: &Scrubber, entity_tags: EntityTagHasher, clock: &Clock) -> SharedTier {
    // Scenarios run in parallel.
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let name = format!("connector-cache-simulation-{}-{number}", std::process::id());
    let secret = std::env::temp_dir().join(name);
    let tier = (|| {
        std::fs::write(&secret, "simulation".repeat(4))?;
        let address = Address { host: "127.0.0.1".to_owned(), port: 6379 };
        let endpoint = Endpoint { topology: Topology::Single(0), addresses: vec![address], tls: false };
        let config =
            Config { endpoint: Some(endpoint), secret_file: Some(secret.clone()), ..Config::default() };
        let scope = Scope {
            base_url: "https://graph.microsoft.com",
            policy: scrubber.policy_bytes(),
            entity_tags,
            clock: clock.clone(),
        };
        let metrics = Arc::new(SharedMetrics::register(&Metrics::new()?)?);
        Ok::<_, Box<dyn std::error::Error>>(SharedTier::new(&config, scope, metrics)?)
    })();
    // A file that stays does no harm: the secret is not one.
    let _ = std::fs::remove_file(&secret);
    match tier {
        Ok(tier) => {
            tier.begin_log();
            tier
        }
        Err(error) => unreachable!("the tier is built without a connection: {error}"),
    }
}

/// Wall-clock time of the start.
const START: Duration = Duration::from_secs(1_800_000_000);
/// Bytes of a body.
const BODY: usize = 1_200;
/// Waits of `src/shared/fill.rs`.
const FIRST_POLL_MS: u64 = 10;
const MAX_POLL_MS: u64 = 80;
const MAX_POLL_TIME_MS: u64 = 1_000;
/// Time between two removals of ended values.
const EXPIRY_INTERVAL_MS: u64 = 60_000;
