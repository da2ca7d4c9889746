//! Races of purges and revocations with writes, on real threads: nothing from before a purge remains after it.
//!
//! `PURGE_RACES` is the number of races: 1,000 by default, 100,000 in `make soak`.

#![expect(clippy::print_stdout, reason = "the number of races is for the reader of the output")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_cache::auth::{ClaimKind, Claims, HashKeys, Identity, TokenHash};
use connector_cache::cache::entry::{EntityTagHasher, Entry};
use connector_cache::cache::freshness::Lifetime;
use connector_cache::cache::store::{Config, PurgeSelector, Store};
use connector_cache::resource::{ApiVersion, Resource};
use connector_cache::scrub::{self, Scrubber};
use connector_cache::support::clock::{Clock, Now};
use http::{HeaderMap, HeaderValue, header};

struct Caller {
    token_hash: TokenHash,
    claims: Claims,
}

/// A store, and the callers that write to it: two tenants with a few tokens each, for a few flows.
struct Stage {
    store: Store,
    hash_keys: HashKeys,
    clock: Clock,
    scrubber: Scrubber,
    callers: Vec<Caller>,
    /// The last flow is never purged or revoked.
    flows: Vec<Arc<Resource>>,
    written: AtomicU64,
    done: AtomicBool,
}

impl Stage {
    fn new() -> Self {
        let (hash_keys, clock) = (HashKeys::random().unwrap(), Clock::manual(SystemTime::now()));
        let callers = (0..4).map(|number| caller(&hash_keys, clock.now(), number)).collect();
        let flows = ["x", "y", "z", "kept"].map(|flow| {
            let path = format!("/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration");
            Arc::new(Resource::parse(&path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap())
        });
        Self {
            store: Store::new(&Config::default(), Duration::from_hours(1), |_| {}),
            hash_keys,
            clock,
            scrubber: Scrubber::new(&scrub::Config::default(), 1 << 20),
            callers,
            flows: flows.into(),
            written: AtomicU64::new(0),
            done: AtomicBool::new(false),
        }
    }

    /// Stores Graph's response to one request of a token, as a fetch does.
    fn write(&self, caller: &Caller, flow: &Arc<Resource>) {
        let lease = self.store.acquire_lease(caller.token_hash, Some(&caller.claims), flow);
        let began = self.clock.now();
        let body = self.scrubber.scrub(b"{}").unwrap().body;
        let entity_tags = EntityTagHasher::new(self.scrubber.policy_bytes());
        let entry = Entry::new(body, &entity_tags, &HeaderMap::new(), Lifetime::NONE, began);
        let _ = self.store.admit(caller.token_hash, &caller.claims, flow, &Arc::new(entry), None, &lease);
        self.written.fetch_add(1, SeqCst);
    }

    /// Writes each flow of each token repeatedly, until the races are over.
    fn write_on(&self, first: usize) {
        let pairs = self.callers.iter().flat_map(|caller| self.flows.iter().map(move |flow| (caller, flow)));
        for (caller, flow) in pairs.cycle().skip(first) {
            if self.done.load(SeqCst) {
                return;
            }
            self.write(caller, flow);
        }
    }

    /// Waits until something was written, so that each race has writers.
    fn wait_for_a_write(&self) {
        let (before, mut spins) = (self.written.load(SeqCst), 0_u32);
        while self.written.load(SeqCst) == before {
            spins += 1;
            if spins % 1_000 == 0 {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }

    fn newest_proof(&self, caller: &Caller, flow: &Resource) -> Option<Now> {
        Some(self.store.grants(&caller.token_hash)?.newest_proof(flow)?.granted_at)
    }

    /// Returns whether a token has a proof for a flow from before `moment`.
    fn has_old_proof(&self, caller: &Caller, flow: &Resource, moment: Now) -> bool {
        self.newest_proof(caller, flow).is_some_and(|granted| moment.is_after(granted))
    }
}

fn caller(hash_keys: &HashKeys, now: Now, number: usize) -> Caller {
    let (tenant, end) = (number / 2, now.unix_seconds() + 3_600);
    let claims = format!(r#"{{"tid":"tenant {tenant}","oid":"user {number}","sub":"s","exp":{end}}}"#);
    let token = format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(token).unwrap())]);
    let identity = Identity::from_headers(&headers, hash_keys).unwrap();
    let claims = identity.token.claims(hash_keys, now).unwrap();
    Caller { token_hash: identity.token_hash, claims }
}

/// Lets threads write while `remove` removes a selection repeatedly. `is_removed` returns whether a race removes the proofs
/// of a caller for a flow: then no earlier proof may remain. `is_kept` returns whether a proof must exist at any time.
fn race(
    remove: impl Fn(&Stage, usize),
    is_removed: impl Fn(usize, usize, usize) -> bool,
    is_kept: impl Fn(usize, usize) -> bool,
) {
    let races = std::env::var("PURGE_RACES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let stage = Stage::new();
    let mut survivors = 0;
    let kept = |stage: &Stage| {
        let each = stage.callers.iter().enumerate();
        each.flat_map(|(caller_index, caller)| {
            stage
                .flows
                .iter()
                .enumerate()
                .map(move |(flow_index, flow)| (caller_index, caller, flow_index, flow))
        })
        .filter(|(caller_index, _, flow_index, _)| is_kept(*caller_index, *flow_index))
        .all(|(_, caller, _, flow)| stage.newest_proof(caller, flow).is_some())
    };
    for caller in &stage.callers {
        stage.flows.iter().for_each(|flow| stage.write(caller, flow));
    }
    std::thread::scope(|scope| {
        let stage = &stage;
        for first in [0, 5, 10] {
            scope.spawn(move || stage.write_on(first));
        }
        for race in 0..races {
            stage.clock.advance(Duration::from_millis(1));
            let moment = stage.clock.now();
            remove(stage, race);
            let lost = !kept(stage);
            // Afterwards a write that was in flight during the removal has ended.
            stage.wait_for_a_write();
            let survived = stage.callers.iter().enumerate().any(|(caller_index, caller)| {
                let old = |(flow_index, flow): (usize, &Arc<Resource>)| {
                    is_removed(race, caller_index, flow_index) && stage.has_old_proof(caller, flow, moment)
                };
                stage.flows.iter().enumerate().any(old)
            });
            survivors += usize::from(survived);
            if lost {
                stage.done.store(true, SeqCst);
                panic!("race {race} removed a proof outside of its selection");
            }
        }
        stage.done.store(true, SeqCst);
    });
    let written = stage.written.load(SeqCst);
    println!("{races} races with {written} writes: {survivors} survivors");
    assert_eq!(survivors, 0, "of {races}");
}

#[test]
fn a_write_in_flight_does_not_restore_what_was_purged() {
    let take = |stage: &Stage, _| {
        stage.store.purge(&PurgeSelector::default());
    };
    race(take, |_, _, _| true, |_, _| false);
}

#[test]
fn a_purge_of_one_flow_and_tenant_removes_exactly_its_selection() {
    let take = |stage: &Stage, race: usize| {
        let tenant = stage.hash_keys.claim_hash(ClaimKind::Tenant, "tenant 0");
        let flow = Some(["x", "y", "z"][race % 3].to_owned());
        stage.store.purge(&PurgeSelector { flow, tenant: Some(tenant), subject: None });
    };
    race(
        take,
        |race, caller_index, flow_index| caller_index < 2 && flow_index == race % 3,
        |caller_index, flow_index| caller_index >= 2 || flow_index == 3,
    );
}

#[test]
fn a_write_in_flight_does_not_restore_what_a_401_revoked() {
    let take = |stage: &Stage, race: usize| {
        let caller = &stage.callers[race % 2];
        stage.store.revoke_token(&caller.token_hash);
    };
    race(take, |race, caller_index, _| caller_index == race % 2, |caller_index, _| caller_index >= 2);
}

#[test]
fn a_write_in_flight_does_not_restore_what_a_403_revoked() {
    let take = |stage: &Stage, race: usize| {
        let caller = &stage.callers[race % 2];
        stage.store.revoke_resource(&caller.token_hash, &stage.flows[race % 3]);
    };
    race(
        take,
        |race, caller_index, flow_index| caller_index == race % 2 && flow_index == race % 3,
        |caller_index, flow_index| caller_index >= 2 || flow_index == 3,
    );
}
