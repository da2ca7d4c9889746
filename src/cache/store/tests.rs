//! Stored responses and proofs: their lifetime, and the effect of a removal.

mod shared;
mod space;

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Request, header};

use super::*;
use crate::auth::{ClaimKind, HashKeys, Identity};
use crate::cache::entry::EntityTagHasher;
use crate::cache::freshness::Lifetime;
use crate::http::validate::RequestView;
use crate::observability::metrics::Metrics;
use crate::resource::ApiVersion;
use crate::scrub::{self, Scrubber};
use crate::support::clock::Clock;

const HOUR: Duration = Duration::from_secs(3600);

struct Stage {
    hash_keys: HashKeys,
    clock: Clock,
    scrubber: Scrubber,
    metrics: Arc<Metrics>,
    store: Store,
}

/// A caller with its token.
struct Caller {
    headers: HeaderMap,
    identity: Identity,
    claims: Claims,
}

impl Stage {
    fn new(config: &Config) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        Self {
            hash_keys: HashKeys::random().unwrap(),
            clock: Clock::manual(SystemTime::now()),
            scrubber: Scrubber::new(&scrub::Config::default(), 1 << 20),
            store: Store::new(config, HOUR, {
                let metrics = Arc::clone(&metrics);
                move |cause| metrics.evictions.inc(cause)
            }),
            metrics,
        }
    }

    fn caller(&self, name: &str) -> Caller {
        self.caller_with(name, 0)
    }

    /// Creates another token of the same user for each number.
    fn caller_with(&self, name: &str, number: u64) -> Caller {
        let end = self.clock.now().unix_seconds() + 3600 + number;
        let claims = format!(r#"{{"tid":"t","oid":"{name}","sub":"sub of {name}","appid":"a","exp":{end}}}"#);
        let token =
            format!("Bearer {}.{}.c2ln", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(claims));
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(token).unwrap())]);
        let identity = Identity::from_headers(&headers, &self.hash_keys).unwrap();
        let claims = identity.token.claims(&self.hash_keys, self.clock.now()).unwrap();
        Caller { headers, identity, claims }
    }

    fn entry(&self) -> Arc<Entry> {
        let body = self.scrubber.scrub(b"{}").unwrap().body;
        let entity_tags = EntityTagHasher::new(self.scrubber.policy_bytes());
        Arc::new(Entry::new(body, &entity_tags, &HeaderMap::new(), Lifetime::NONE, self.clock.now()))
    }

    /// Creates an entry with other bytes than [`Stage::entry`].
    fn view(&self, name: &str) -> Arc<Entry> {
        let body = self.scrubber.scrub(format!("{{\"view\":\"{name}\"}}").as_bytes()).unwrap().body;
        let entity_tags = EntityTagHasher::new(self.scrubber.policy_bytes());
        Arc::new(Entry::new(body, &entity_tags, &HeaderMap::new(), Lifetime::NONE, self.clock.now()))
    }

    /// Creates an entry that a cookie selected.
    fn secondary_key(&self, caller: &Caller, cookie: &'static str) -> Arc<Entry> {
        let mut request = caller.headers.clone();
        request.insert(header::COOKIE, HeaderValue::from_static(cookie));
        let request = SelectingRequest { headers: &request, token: caller.identity.token_hash };
        let vary = HeaderMap::from_iter([(header::VARY, HeaderValue::from_static("cookie"))]);
        let secondary_key = self.store.secondary_key_hasher().compute(&vary, request).unwrap();
        Arc::new(Arc::into_inner(self.entry()).unwrap().with_optional_parts(None, secondary_key))
    }

    /// Stores `entry` as Graph's response to the caller.
    fn admit(&self, caller: &Caller, resource: &Arc<Resource>, entry: &Arc<Entry>) {
        let lease = self.store.acquire_lease(caller.identity.token_hash, Some(&caller.claims), resource);
        self.store.admit(caller.identity.token_hash, &caller.claims, resource, entry, None, &lease).unwrap();
    }

    fn has_proof(&self, caller: &Caller, resource: &Resource) -> bool {
        self.store
            .grants(&caller.identity.token_hash)
            .is_some_and(|grant| grant.newest_proof(resource).is_some())
    }

    fn found(&self, caller: &Caller, resource: &Arc<Resource>) -> Option<Arc<Entry>> {
        let selecting_request =
            SelectingRequest { headers: &caller.headers, token: caller.identity.token_hash };
        let grant = self.store.grants(&caller.identity.token_hash)?;
        let newest = grant.newest_proof(resource)?;
        let key = EntryKey::new(caller.claims.principal, resource);
        self.store.find_entry(&key, selecting_request, (&grant, newest)).map(|(entry, _)| entry)
    }

    fn digest(&self, caller: &Caller) -> RequestDigest {
        let mut request = Request::get("/x").body(()).unwrap();
        request.headers_mut().clone_from(&caller.headers);
        let head = request.into_parts().0;
        let view = RequestView::new(&head);
        RequestDigest::compute(&view, &self.hash_keys).unwrap().0
    }

    fn cache_lookup(&self, caller: &Caller, entry: &Arc<Entry>) {
        let (now, entry) = (self.clock.now(), Arc::clone(entry));
        let found = CachedLookup {
            entry,
            granted_at: now,
            expiry: caller.claims.expiry,
            log_tag: caller.identity.log_tag,
        };
        self.store.thread_cache_insert(self.digest(caller), self.generation(caller), now, &found);
    }

    fn generation(&self, caller: &Caller) -> Generation {
        self.store.generation(caller.claims.principal)
    }

    fn cached(&self, caller: &Caller) -> Option<Arc<Entry>> {
        self.store.thread_cache_get(self.digest(caller), self.clock.now()).map(|found| found.entry)
    }
}

fn resource(flow: &str) -> Arc<Resource> {
    let path = format!("/beta/identity/b2xUserFlows/{flow}/apiConnectorConfiguration");
    Arc::new(Resource::parse(&path, None, &HeaderMap::new(), ApiVersion::Beta).unwrap())
}

#[test]
fn a_token_keeps_its_newest_proofs_up_to_the_limit_and_at_least_one() {
    for (allowed, kept) in [(2, 2), (1, 1), (0, 1)] {
        let stage = Stage::new(&Config { proofs_per_token: allowed, ..Config::default() });
        let (ada, flows) = (stage.caller("ada"), ["x", "y", "z"].map(resource));
        for flow in &flows {
            stage.admit(&ada, flow, &stage.entry());
        }
        let proven: Vec<_> = flows.iter().map(|flow| stage.has_proof(&ada, flow)).collect();
        assert_eq!(proven, [kept > 2, kept > 1, true], "{allowed}");
    }
}

#[test]
fn a_cached_lookup_is_valid_until_its_entry_is_replaced() {
    let stage = Stage::new(&Config::default());
    let (ada, flow) = (stage.caller("ada"), resource("x"));
    assert!(stage.cached(&ada).is_none());
    let (first, second) = (stage.entry(), stage.entry());
    stage.admit(&ada, &flow, &first);
    stage.cache_lookup(&ada, &first);
    assert!(Arc::ptr_eq(&stage.cached(&ada).unwrap(), &first));
    stage.admit(&ada, &flow, &second);
    assert!(stage.cached(&ada).is_none(), "the entry is still referenced, but not stored");
}

#[test]
fn a_second_variant_replaces_nothing() {
    let stage = Stage::new(&Config::default());
    let (ada, flow) = (stage.caller("ada"), resource("x"));
    let (first, second) = (stage.secondary_key(&ada, "a"), stage.secondary_key(&ada, "b"));
    stage.admit(&ada, &flow, &first);
    stage.admit(&ada, &flow, &second);
    assert!(first.is_kept() && second.is_kept());
}

#[test]
fn a_proof_removed_by_the_limit_advances_the_generation() {
    let stage = Stage::new(&Config { proofs_per_token: 1, ..Config::default() });
    let ada = stage.caller("ada");
    stage.admit(&ada, &resource("x"), &stage.entry());
    let before = stage.generation(&ada);
    stage.admit(&ada, &resource("y"), &stage.entry());
    assert_ne!(stage.generation(&ada), before);
}

#[test]
fn a_proof_of_other_bytes_advances_the_generation_and_one_of_the_same_does_not() {
    let stage = Stage::new(&Config::default());
    let (ada, flow) = (stage.caller("ada"), resource("x"));
    stage.admit(&ada, &flow, &stage.entry());
    let before = stage.generation(&ada);
    stage.admit(&ada, &flow, &stage.entry());
    assert_eq!(stage.generation(&ada), before);
    stage.admit(&ada, &flow, &stage.view("other"));
    assert_ne!(stage.generation(&ada), before);
}

#[test]
fn an_error_response_for_a_resource_advances_the_generation_only_if_there_was_a_proof() {
    let stage = Stage::new(&Config::default());
    let (ada, eve, flow, other) = (stage.caller("ada"), stage.caller("eve"), resource("x"), resource("y"));
    stage.admit(&ada, &flow, &stage.entry());
    let revoke = |caller: &Caller, flow| {
        let before = stage.generation(caller);
        let had = stage.store.revoke_resource(&caller.identity.token_hash, flow);
        (had, stage.generation(caller) != before)
    };
    assert_eq!(revoke(&eve, &flow), (false, false), "a token without a proof changes nothing");
    assert_eq!(revoke(&ada, &other), (false, false), "nor does a token with a proof for another resource");
    assert!(stage.has_proof(&ada, &flow) && stage.found(&ada, &flow).is_some());
    assert_eq!(revoke(&ada, &flow), (true, true));
    assert!(!stage.has_proof(&ada, &flow) && stage.found(&ada, &flow).is_none());
    stage.admit(&ada, &flow, &stage.entry());
    assert!(stage.found(&ada, &flow).is_some(), "emptied grants do not prevent a new proof");
}

/// Regression: each such response invalidated the lookups of all threads and all principals.
#[test]
fn a_404_without_a_proof_for_the_resource_keeps_all_cached_lookups() {
    let stage = Stage::new(&Config::default());
    let (ada, grace, flow) = (stage.caller("ada"), stage.caller("grace"), resource("x"));
    for caller in [&ada, &grace] {
        let entry = stage.entry();
        stage.admit(caller, &flow, &entry);
        stage.cache_lookup(caller, &entry);
    }
    for number in 0..100 {
        stage.store.revoke_resource(&ada.identity.token_hash, &resource(&format!("gone{number}")));
    }
    assert!(stage.cached(&ada).is_some() && stage.cached(&grace).is_some());
    stage.store.revoke_resource(&ada.identity.token_hash, &flow);
    assert!(stage.cached(&ada).is_none());
}

/// Two tokens of one user that receive different representations.
#[test]
fn a_token_finds_only_the_bytes_that_graph_sent_to_it() {
    let stage = Stage::new(&Config::default());
    let (ada, again, flow) = (stage.caller("ada"), stage.caller_with("ada", 1), resource("x"));
    let (first, second) = (stage.entry(), stage.view("second"));
    stage.admit(&ada, &flow, &first);
    assert!(stage.found(&again, &flow).is_none(), "no proof");
    stage.admit(&again, &flow, &second);
    assert!(stage.found(&ada, &flow).is_some_and(|found| Arc::ptr_eq(&found, &first)));
    assert!(stage.found(&again, &flow).is_some_and(|found| Arc::ptr_eq(&found, &second)));
    assert!(first.is_superseded() && !second.is_superseded());
    let renewed = stage.view("second");
    stage.admit(&ada, &flow, &renewed);
    assert!(stage.found(&again, &flow).is_some_and(|found| Arc::ptr_eq(&found, &renewed)), "the same bytes");
}

#[test]
fn b5_a_newer_response_that_may_not_be_stored_ends_the_use_of_the_stored_one() {
    let stage = Stage::new(&Config::default());
    let (ada, again, flow) = (stage.caller("ada"), stage.caller_with("ada", 1), resource("x"));
    let entry = stage.entry();
    for caller in [&ada, &again] {
        stage.admit(caller, &flow, &entry);
    }
    stage.clock.advance(Duration::from_secs(1));
    let lease = stage.store.acquire_lease(ada.identity.token_hash, Some(&ada.claims), &flow);
    let discard = |caller: &Caller, requested_at| {
        let request = SelectingRequest { headers: &caller.headers, token: caller.identity.token_hash };
        let (token, claims) = (caller.identity.token_hash, &caller.claims);
        stage.store.discard_superseded(token, claims, &flow, request, requested_at);
    };
    let eve = stage.caller("eve");
    discard(&eve, stage.clock.now());
    assert!(stage.found(&ada, &flow).is_some() && !entry.is_superseded(), "a token without a proof");
    discard(&ada, stage.clock.now());
    assert!(stage.found(&ada, &flow).is_none() && !stage.has_proof(&ada, &flow));
    assert!(stage.found(&again, &flow).is_some() && entry.is_superseded(), "the other token must ask");
    assert!(lease.commit(|| ()).is_none(), "a request in flight stores nothing");
}

#[test]
fn b5_a_response_to_an_older_request_leaves_the_stored_one() {
    let stage = Stage::new(&Config::default());
    let (ada, flow, before) = (stage.caller("ada"), resource("x"), stage.clock.now());
    stage.clock.advance(Duration::from_secs(1));
    stage.admit(&ada, &flow, &stage.entry());
    let request = SelectingRequest { headers: &ada.headers, token: ada.identity.token_hash };
    stage.store.discard_superseded(ada.identity.token_hash, &ada.claims, &flow, request, before);
    assert!(stage.found(&ada, &flow).is_some_and(|entry| !entry.is_superseded()));
}

#[test]
fn a_purge_removes_the_selected_proofs_and_entries_and_counts_the_entries() {
    let stage = Stage::new(&Config::default());
    let (ada, eve, flows) = (stage.caller("ada"), stage.caller("eve"), ["x", "y"].map(resource));
    let fill = || {
        for (caller, flow) in [(&ada, &flows[0]), (&ada, &flows[1]), (&eve, &flows[0])] {
            stage.admit(caller, flow, &stage.entry());
        }
    };
    let left = || {
        let known = |caller: &Caller, flow: &Arc<Resource>| {
            (stage.has_proof(caller, flow), stage.found(caller, flow).is_some())
        };
        [known(&ada, &flows[0]), known(&ada, &flows[1]), known(&eve, &flows[0])].map(|(proof, entry)| {
            assert_eq!(proof, entry);
            proof
        })
    };
    let label = |name| Some(stage.hash_keys.claim_hash(ClaimKind::Subject, name));
    let flow = |flow: &str| Some(flow.to_owned());
    for (flow, subject, purged, expected) in [
        (flow("x"), None, 2, [false, true, false]),
        (flow("z"), None, 0, [true; 3]),
        (None, label("ada"), 2, [false, false, true]),
        (None, label("sub of ada"), 2, [false, false, true]),
        (flow("y"), label("ada"), 1, [true, false, true]),
        (flow("y"), label("eve"), 0, [true; 3]),
        (None, None, 3, [false; 3]),
    ] {
        fill();
        let selector = PurgeSelector { flow, tenant: None, subject };
        assert_eq!((stage.store.purge(&selector), left()), (purged, expected), "{selector:?}");
    }
    stage.store.size();
    assert_eq!((stage.store.size().entries, stage.store.size().tokens), (0, 0));
}

#[test]
fn entries_and_tokens_are_counted_and_weighed() {
    let stage = Stage::new(&Config::default());
    assert_eq!((stage.store.size().entries, stage.store.size().tokens), (0, 0));
    let (ada, flow, entry) = (stage.caller("ada"), resource("x"), stage.entry());
    stage.admit(&ada, &flow, &entry);
    assert_eq!((stage.store.size().entries, stage.store.size().tokens), (1, 1));
    let grant = stage.store.grants(&ada.identity.token_hash).unwrap();
    let kept = flow.weight() + Variants::single(entry).weight();
    assert_eq!(stage.store.size().bytes, u64::from(weight(kept) + weight(grant.weight())));
    assert!(weight(kept) > u32::try_from(kept).unwrap(), "with the overhead");
    assert_eq!(weight(usize::MAX), u32::MAX);
}

#[test]
fn removals_are_counted_by_their_cause() {
    let stage = Stage::new(&Config::default());
    let (ada, flow) = (stage.caller("ada"), resource("x"));
    let counted = || {
        stage.store.size();
        [Eviction::Purge, Eviction::Invalidate].map(|cause| stage.metrics.evictions.get(cause))
    };
    stage.admit(&ada, &flow, &stage.entry());
    assert_eq!(stage.store.purge(&PurgeSelector::default()), 1);
    assert_eq!(counted(), [1, 0]);
    stage.admit(&ada, &flow, &stage.entry());
    assert!(stage.store.revoke_resource(&ada.identity.token_hash, &flow));
    assert_eq!(counted(), [1, 1]);
    stage.admit(&ada, &flow, &stage.entry());
    stage.admit(&ada, &flow, &stage.entry());
    assert_eq!(counted(), [1, 1], "a replaced entry is not counted");
}
