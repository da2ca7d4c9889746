//! The cache for the admin port: counts, configuration, purges. No identities.

use std::time::SystemTime;

use serde_json::{Value, json};
use url::Url;

use crate::admin::console::history::Sample;
use crate::admin::console::settings::ShownSettings;
use crate::admin::{CacheAdmin, PurgeQuery};
use crate::auth::ClaimKind;
use crate::cache::purge;
use crate::observability::logging;
use crate::proxy::Proxy;
use crate::proxy::runtime_config::LiveConfig;
use crate::shared::{PurgeNames, SharedPurge};
use crate::support::labels::Label;
use crate::upstream::breaker::OpenScope;
use crate::upstream::metrics::PermitKind;

/// [`CacheAdmin`] of a proxy.
#[derive(Debug)]
pub struct Overview {
    proxy: Proxy,
    runtime: LiveConfig,
    base_url: String,
    max_bytes: u64,
    log: Option<logging::LogHandle>,
    settings: ShownSettings,
}

impl Overview {
    /// A view of `proxy`.
    pub fn new(
        proxy: Proxy,
        runtime: LiveConfig,
        base_url: &Url,
        max_bytes: u64,
        log: Option<logging::LogHandle>,
    ) -> Self {
        Self {
            proxy,
            runtime,
            base_url: base_url.as_str().to_owned(),
            max_bytes,
            log,
            settings: ShownSettings::default(),
        }
    }

    /// Sets the settings in force, for the console.
    #[must_use]
    pub fn with_settings(self, settings: ShownSettings) -> Self {
        Self { settings, ..self }
    }

    fn selector(&self, query: &PurgeQuery) -> purge::PurgeSelector {
        let keys = &self.proxy.inner().hash_keys;
        let label = |kind, name: &Option<String>| name.as_deref().map(|name| keys.claim_hash(kind, name));
        purge::PurgeSelector {
            flow: query.flow.clone(),
            tenant: label(ClaimKind::Tenant, &query.tenant),
            subject: label(ClaimKind::Subject, &query.subject),
        }
    }

    /// Returns the settings of the cache that are in effect.
    fn configuration(&self) -> Value {
        let snapshot = self.runtime.load();
        let rules = &snapshot.freshness;
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

/// Returns the entry of a breaker or throttle.
fn throttled(scope: &OpenScope) -> Value {
    json!({
        "scope": scope.kind.as_str(),
        "tag": scope.tag.map(|tag| tag.to_string()),
        "cause": scope.cause.as_str(),
        "left_seconds": scope.left_seconds(),
    })
}

impl CacheAdmin for Overview {
    fn overview(&self) -> Value {
        let inner = self.proxy.inner();
        let size = inner.fetcher.store.size();
        let open = inner.fetcher.breakers.open_scopes(MAX_LISTED_SCOPES);
        json!({
            "entries": size.entries,
            "tokens_with_proofs": size.tokens,
            "bytes": size.bytes,
            "capacity_bytes": self.max_bytes,
            "flights": inner.coalescer.count(),
            "throttled_total": open.total,
            "throttled": open.longest.iter().map(throttled).collect::<Vec<_>>(),
            "shared": inner.fetcher.shared.overview(),
            "configuration": self.configuration(),
        })
    }

    fn begin_shared_purge(&self, query: &PurgeQuery) -> Option<SharedPurge> {
        let PurgeQuery { flow, tenant, subject } = query.clone();
        self.proxy.inner().fetcher.shared.begin_purge(PurgeNames { flow, tenant, subject })
    }

    fn count(&self, query: &PurgeQuery) -> u64 {
        self.proxy.inner().fetcher.store.count(&self.selector(query))
    }

    fn sample(&self) -> Sample {
        let fetcher = &self.proxy.inner().fetcher;
        let upstream = fetcher.graph_client.metrics();
        let size = fetcher.store.size();
        Sample {
            totals: fetcher.metrics.totals().with_graph(
                &upstream.requests,
                &upstream.duration,
                upstream.errors.counts(),
            ),
            entries: size.entries,
            bytes: size.bytes,
        }
    }

    fn graph_statuses(&self) -> Vec<&'static str> {
        self.proxy
            .inner()
            .fetcher
            .graph_client
            .metrics()
            .requests
            .counts()
            .map(|(status, _)| status)
            .collect()
    }

    fn settings(&self) -> ShownSettings {
        self.settings.clone()
    }

    fn wall_clock(&self) -> SystemTime {
        self.proxy.inner().fetcher.clock.now().wall()
    }

    fn purge(&self, query: &PurgeQuery) -> u64 {
        let inner = self.proxy.inner();
        if *query == PurgeQuery::default() {
            inner.fetcher.refused.clear();
        }
        let purged = inner.fetcher.store.purge(&self.selector(query));
        inner.fetcher.metrics.purged.inc_by(purged);
        purged
    }

    fn refresh_gauges(&self) {
        let fetcher = &self.proxy.inner().fetcher;
        let (metrics, byte_budget) = (&fetcher.metrics, fetcher.graph_client.byte_budget());
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (size, large) = (fetcher.store.size(), |count: u64| i64::try_from(count).unwrap_or(i64::MAX));
        metrics.entries.set(large(size.entries));
        metrics.bytes.set(large(size.bytes));
        metrics.throttle_gates.set(count(fetcher.breakers.count_open()));
        metrics.connections_limit.set(count(self.runtime.load().server.max_connections()));
        metrics.bytes_in_flight.set(count(byte_budget.used()));
        metrics.bytes_in_flight_limit.set(count(byte_budget.limit()));
        fetcher.shared.refresh_gauges();
        let upstream = fetcher.graph_client.metrics();
        for (kind, (in_use, limit)) in [
            (PermitKind::All, fetcher.graph_client.permits().usage()),
            (PermitKind::Unproven, fetcher.graph_client.permits().unproven_usage()),
        ] {
            upstream.permits_in_use.set(kind, in_use);
            upstream.permits.set(kind, limit);
        }
        if let Some(log) = &self.log {
            metrics.update_log_lines(log);
        }
    }
}

/// Breakers and throttles in the overview.
const MAX_LISTED_SCOPES: usize = 50;
