//! Cache whose key is method, URL and `Authorization`, one for each replica: nginx with `proxy_cache_key` and
//! `proxy_cache_lock`. A response is fresh for `cache.ttl` after its arrival. Its memory is not limited.

use std::collections::HashMap;

use super::callers::Callers;
use super::{Counts, Request, Scenario, hour, millis};

/// Runs a scenario.
pub fn run(scenario: &Scenario, requests: impl Iterator<Item = Request>) -> Counts {
    let callers = Callers::new(scenario);
    let life = millis(scenario.graph_latency) + millis(scenario.rules.ttl);
    let (mut counts, mut ends) = (Counts::default(), HashMap::new());
    for Request { at_ms, caller, flow, replica } in requests {
        counts.requests[hour(at_ms)] += 1;
        let (generation, _) = callers.generation(caller, at_ms);
        let end = ends.entry((replica, caller, generation, flow)).or_insert(0);
        if *end <= at_ms {
            counts.calls[hour(at_ms)] += 1;
            *end = at_ms + life;
        }
    }
    counts
}
