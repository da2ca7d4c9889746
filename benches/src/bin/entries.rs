//! Memory of stored entries: bytes of an entry beside its body, with key, proof and the overhead of the store.
//!
//!     entries [COUNT [FLOWS [BODY_BYTES]]]
//!
//! Stores COUNT (100,000) responses, each with a body and a proof of its own, by the store alone. Each token has FLOWS (100)
//! of them. Prints what the entries requested from the allocator, and the same without the entries' tokens. An allocator adds
//! the rest of its size classes; `make bench SCENARIOS=memory` measures the whole process.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_cache::auth::{Claims, HashKeys, Identity, TokenHash};
use connector_cache::cache::entry::{EntityTagHasher, Entry};
use connector_cache::cache::freshness::{self, Lifetime};
use connector_cache::cache::store::{Config, Store};
use connector_cache::resource::{ApiVersion, Resource};
use connector_cache::scrub::{self, Scrubber};
use connector_cache::support::clock::Clock;
use connector_cache_benches::{body, graph_fields, path};
use http::{HeaderMap, HeaderValue, header};

fn main() -> Result<(), Box<dyn Error>> {
    let numbers = std::env::args().skip(1).map(|number| number.parse()).collect::<Result<Vec<usize>, _>>()?;
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let (count, flows, length) = (number(0, 100_000), number(1, 100), number(2, 1_200));
    let (clock, keys) =
        (Clock::manual(SystemTime::now()), HashKeys::random().map_err(|_| "no random numbers")?);
    let tokens = (0..count.div_ceil(flows))
        .map(|number| token(number, &keys, &clock))
        .collect::<Result<Vec<_>, _>>()?;
    let resources = (0..flows).map(resource).collect::<Result<Vec<_>, _>>()?;
    let store =
        Store::new(&Config { max_bytes: 64 << 30, ..Config::default() }, Duration::from_hours(2), |_| {});
    let scrubber = Scrubber::new(&scrub::Config::default(), length + 100);
    let raw = body(length);
    let mut outcome = Ok(());
    let mut stored = 0;
    let counted = allocation_counter::measure(|| {
        outcome = fill(&store, (&tokens, &resources), count, &scrubber, &raw, &clock);
        stored = store.size().entries;
    });
    outcome?;
    let each = counted.bytes_current as f64 / count as f64;
    println!("{stored} entries with bodies of {length} bytes, {flows} of each token");
    println!(
        "beside its body an entry takes {:.0} bytes in {:.1} allocations",
        each - length as f64,
        counted.count_current as f64 / count as f64
    );
    println!("the store accounts for {} bytes of each", store.size().bytes / stored.max(1) - length as u64);
    Ok(())
}

fn fill(
    store: &Store,
    (tokens, resources): (&[(TokenHash, Claims)], &[Arc<Resource>]),
    count: usize,
    scrubber: &Scrubber,
    raw: &[u8],
    clock: &Clock,
) -> Result<(), Box<dyn Error>> {
    let (fields, rules) = (graph_fields(), freshness::Config::default());
    let entity_tags = EntityTagHasher::new(scrubber.policy_bytes());
    for number in 0..count {
        let (token, claims) = &tokens[number / resources.len()];
        let resource = &resources[number % resources.len()];
        let scrubbed = scrubber.scrub(raw).map_err(|_| "the body is no JSON")?;
        let lifetime = Lifetime::from_response(&fields, &rules, clock.now()).map_err(|_| "not storable")?;
        let entry = Arc::new(Entry::new(scrubbed.body, &entity_tags, &fields, lifetime, clock.now()));
        let lease = store.acquire_lease(*token, Some(claims), resource);
        store.admit(*token, claims, resource, &entry, None, &lease).map_err(|_| "not stored")?;
    }
    Ok(())
}

fn token(number: usize, keys: &HashKeys, clock: &Clock) -> Result<(TokenHash, Claims), Box<dyn Error>> {
    let exp = clock.now().unix_seconds() + 3_600;
    let claims =
        format!(r#"{{"tid":"contoso","oid":"user-{number}","appid":"portal","scp":"a b","exp":{exp}}}"#);
    let line = format!("Bearer e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims));
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::try_from(line)?)]);
    let identity = Identity::from_headers(&headers, keys).map_err(|_| "no token")?;
    let claims = identity.token.claims(keys, clock.now()).map_err(|_| "no claims")?;
    Ok((identity.token_hash, claims))
}

fn resource(flow: usize) -> Result<Arc<Resource>, Box<dyn Error>> {
    let target = path(&format!("flow-{flow:06}"));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let resource = Resource::parse(path, Some(query), &HeaderMap::new(), ApiVersion::Beta);
    Ok(Arc::new(resource.map_err(|_| "no resource")?))
}
