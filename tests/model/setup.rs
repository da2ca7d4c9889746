//! Configuration of the proxy for a story, and requests of callers.

use std::time::Duration;

use connector_cache::auth::ClaimKind;
use connector_cache::cache::freshness::{ClientDirectives, FreshnessSource};
use connector_cache::cache::store::PurgeSelector;
use connector_cache::config::Config;
use connector_cache::proxy::Proxy;
use connector_cache::upstream::unproven_limit;
use http::Request;
use http::request::Parts;
use url::Url;

use super::history::Purge;
use super::judge::SentRequest;
use super::op::{Condition, Directive, Story};

/// Configuration with long waits by the real clock: the model does not test how long a request is held.
pub fn config(story: &Story, url: &str) -> Config {
    let mut config = Config::default();
    config.upstream.base_url = Url::parse(url).unwrap();
    config.upstream.timeout = Duration::from_secs(600);
    // Limits are out of the way here; `eviction` tests them.
    config.unproven_limit = unproven_limit::Config {
        in_flight: 100_000,
        in_flight_per_address: 100_000,
        in_flight_per_token: 100_000,
        failures: 1_000_000,
        failures_per_address: 1_000_000,
        paced: 100_000,
        paced_per_address: 100_000,
    };
    config.upstream.in_flight = 100_000;
    config.coalesce.wait = Duration::from_millis(if story.impatient { 1 } else { 600_000 });
    config.coalesce.followers = story.followers;
    config.freshness.ttl = Duration::from_millis(story.times.ttl);
    config.freshness.proof_ttl = Duration::from_millis(story.times.proof_ttl);
    config.freshness.stale_while_revalidate = Duration::from_millis(story.times.while_revalidate);
    config.freshness.stale_if_error = Duration::from_millis(story.times.if_error);
    if story.times.by_graph {
        config.freshness.freshness = FreshnessSource::Origin;
    }
    if story.times.by_caller {
        config.freshness.client_directives = ClientDirectives::Honor;
    }
    config
}

/// Room for a few entries and the proofs of as many tokens; no request is refused.
pub fn forgetful(story: &Story, url: &str) -> Config {
    let mut config = config(story, url);
    config.store.max_bytes = 12 << 10;
    config
}

/// Room for all entries, breakers as in production, and a small limit for unproven tokens.
pub fn guarded(story: &Story, url: &str) -> Config {
    let mut config = config(story, url);
    config.unproven_limit.failures_per_address = 4;
    config
}

/// An operator purges.
pub fn purge(proxy: &Proxy, purge: &Purge) {
    let inner = proxy.inner();
    let label = |kind, name: Option<&str>| name.map(|name| inner.hash_keys.claim_hash(kind, name));
    inner.fetcher.store.purge(&PurgeSelector {
        flow: purge.flow.clone(),
        tenant: label(ClaimKind::Tenant, purge.tenant),
        subject: label(ClaimKind::Subject, purge.subject),
    });
}

/// A request in one of its spellings, with fields that must not reach Graph. `tags`: entity tags that callers got.
pub fn request(
    sent: &SentRequest,
    token: &str,
    tags: &[(String, usize)],
    (spelling, obeyed): (u16, bool),
) -> Parts {
    let (target, accept) = sent.what.spelled(spelling);
    let mut request = Request::get(target)
        .header("authorization", format!("Bearer {token}"))
        .header("cookie", "theirs=1")
        .header("x-forwarded-host", "elsewhere");
    request = match sent.directive {
        Directive::None if obeyed => request,
        Directive::None => request.header("cache-control", "no-cache, no-store"),
        Directive::NoCache => request.header("cache-control", "no-cache"),
        Directive::NoStore => request.header("cache-control", "no-store"),
        Directive::MaxStale => request.header("cache-control", "max-stale"),
    };
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    match sent.condition {
        Condition::None => {}
        Condition::Any => request = request.header("if-none-match", "*"),
        Condition::EntityTag(back) => {
            if let Some((tag, _)) = tags.iter().rev().nth(usize::from(back)) {
                request = request.header("if-none-match", tag);
            }
        }
    }
    request.body(()).unwrap().into_parts().0
}
