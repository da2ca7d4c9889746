//! The cache as an operator sees it: counts, configuration, purges. No identities.

use serde_json::{Value, json};

use crate::admin::{Cache, PurgeSelector};
use crate::auth::ClaimKind;
use crate::cache::purge;
use crate::config::Config;
use crate::observability::logging;
use crate::observability::metrics::PermitKind;
use crate::proxy::Proxy;
use crate::support::labels::Label;

/// What the admin port is given of the cache.
#[derive(Debug)]
pub struct Overview {
    proxy: Proxy,
    base_url: String,
    max_bytes: u64,
    log: Option<logging::LogHandle>,
}

impl Overview {
    /// A view of `proxy`.
    pub fn new(proxy: Proxy, config: &Config, log: Option<logging::LogHandle>) -> Self {
        let base_url = config.upstream.base_url.as_str().to_owned();
        Self { proxy, base_url, max_bytes: config.store.max_bytes, log }
    }
}

impl Overview {
    /// What holds now.
    fn configuration(&self) -> Value {
        let rules = self.proxy.inner().fetcher.freshness.now();
        let time = |duration| humantime::format_duration(duration).to_string();
        json!({
            "graph.base_url": self.base_url,
            "cache.max_bytes": self.max_bytes,
            "cache.ttl": time(rules.ttl),
            "cache.proof_ttl": time(rules.proof_ttl),
            "cache.stale_while_revalidate": time(rules.stale_while_revalidate),
            "cache.stale_if_error": time(rules.stale_if_error),
            "cache.freshness": rules.freshness.as_str(),
            "cache.client_directives": rules.client_directives.as_str(),
        })
    }
}

impl Cache for Overview {
    fn look(&self) -> Value {
        let inner = self.proxy.inner();
        let (entries, tokens) = inner.fetcher.store.counts();
        let metrics = &inner.fetcher.metrics;
        json!({
            "entries": entries,
            "tokens_with_proofs": tokens,
            "bytes": metrics.bytes.get(),
            "capacity_bytes": metrics.capacity.get(),
            "flights": inner.coalescer.count(),
            "configuration": self.configuration(),
        })
    }

    fn purge(&self, selection: &PurgeSelector) -> u64 {
        let inner = self.proxy.inner();
        if *selection == PurgeSelector::default() {
            inner.fetcher.refused.clear();
        }
        let label = |kind, name: &Option<String>| name.as_deref().map(|name| inner.secrets.label(kind, name));
        inner.fetcher.store.purge(&purge::PurgeSelector {
            flow: selection.flow.clone(),
            tenant: label(ClaimKind::Tenant, &selection.tenant),
            subject: label(ClaimKind::Subject, &selection.subject),
        })
    }

    fn refresh_gauges(&self) {
        let fetcher = &self.proxy.inner().fetcher;
        let (metrics, byte_budget) = (&fetcher.metrics, fetcher.origin.byte_budget());
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        fetcher.store.refresh_gauges();
        metrics.throttle_gates.set(count(fetcher.breakers.count_open()));
        metrics.bytes_in_flight.set(count(byte_budget.used()));
        metrics.bytes_in_flight_limit.set(count(byte_budget.limit()));
        for (of, (taken, places)) in [
            (PermitKind::All, fetcher.origin.permits().usage()),
            (PermitKind::Unproven, fetcher.origin.permits().unproven_usage()),
        ] {
            metrics.origin_places_taken.set(of, taken);
            metrics.origin_places.set(of, places);
        }
        if let Some(log) = &self.log {
            metrics.log_lines_dropped.set(i64::try_from(log.dropped.get()).unwrap_or(i64::MAX));
            // Gauges are refreshed by one scrape at a time.
            let more = log.suppressed.total().saturating_sub(metrics.log_lines_suppressed.get());
            metrics.log_lines_suppressed.inc_by(more);
        }
    }
}
