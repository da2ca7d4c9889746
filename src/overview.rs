//! The cache as an operator sees it: counts, configuration, purges. No identities.

use serde_json::{Value, json};

use crate::admin::{Cache, Selection};
use crate::cache::store;
use crate::config::Config;
use crate::identity::LabelKind;
use crate::proxy::Proxy;
use crate::telemetry::DroppedLines;
use crate::words::Word;

/// What the admin port is given of the cache.
#[derive(Debug)]
pub struct Overview {
    proxy: Proxy,
    configuration: Value,
    dropped: Option<DroppedLines>,
}

impl Overview {
    /// A view of `proxy`.
    pub fn new(proxy: Proxy, config: &Config, dropped: Option<DroppedLines>) -> Self {
        let (freshness, time) =
            (&config.freshness, |duration| humantime::format_duration(duration).to_string());
        let configuration = json!({
            "graph.base_url": config.origin.base_url.as_str(),
            "cache.max_bytes": config.store.max_bytes,
            "cache.ttl": time(freshness.ttl),
            "cache.proof_ttl": time(freshness.proof_ttl),
            "cache.stale_while_revalidate": time(freshness.stale_while_revalidate),
            "cache.stale_if_error": time(freshness.stale_if_error),
            "cache.freshness": freshness.freshness.as_str(),
            "cache.client_directives": freshness.client_directives.as_str(),
        });
        Self { proxy, configuration, dropped }
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
            "flights": inner.flights.count(),
            "configuration": self.configuration,
        })
    }

    fn purge(&self, selection: &Selection) -> u64 {
        let inner = self.proxy.inner();
        let label = |kind, name: &Option<String>| name.as_deref().map(|name| inner.secrets.label(kind, name));
        inner.fetcher.store.purge(&store::Selection {
            flow: selection.flow.clone(),
            tenant: label(LabelKind::Tenant, &selection.tenant),
            subject: label(LabelKind::Subject, &selection.subject),
        })
    }

    fn refresh_gauges(&self) {
        let fetcher = &self.proxy.inner().fetcher;
        fetcher.store.refresh_gauges();
        fetcher.metrics.throttle_gates.set(i64::try_from(fetcher.gates.closed()).unwrap_or(i64::MAX));
        if let Some(dropped) = &self.dropped {
            fetcher.metrics.log_lines_dropped.set(i64::try_from(dropped.get()).unwrap_or(i64::MAX));
        }
    }
}
