//! What changes while the proxy runs: certificates, the admin token, some of the configuration.
//!
//! The files are looked at every few seconds, and at once when somebody says so (SIGHUP). What is broken is
//! refused and counted, and what was in use stays.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::config::{Config, EffectiveConfig, Sources};
use crate::observability::logging;
use crate::observability::metrics::Metrics;
use crate::proxy::Proxy;
use crate::proxy::middleware;
use crate::server::ServerSettings;
use crate::support::watched_files::ReloadResult;
use crate::support::watched_files::{ReloadTrigger, Reloadable};

/// The configuration of a process that runs.
#[derive(Debug)]
pub struct LiveSources {
    /// Where it comes from.
    pub sources: Sources,
    /// What it was at the start.
    pub started: EffectiveConfig,
}

/// The parts that can be told anew.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) proxy: Proxy,
    pub(crate) layers: Arc<middleware::Dials>,
    pub(crate) server_settings: ServerSettings,
    pub(crate) log: Option<logging::LogHandle>,
}

/// The configuration and whom it is told.
#[derive(Debug)]
pub(crate) struct Running {
    settings: LiveSources,
    present: Mutex<EffectiveConfig>,
    parts: Parts,
    /// What leaves the store after that cannot be kept for longer.
    keep: Duration,
    metrics: Arc<Metrics>,
}

impl Running {
    pub(crate) fn new(settings: LiveSources, parts: Parts, metrics: Arc<Metrics>) -> Self {
        let keep = settings.started.config.freshness.longest_use();
        Self { present: Mutex::new(settings.started.clone()), settings, parts, keep, metrics }
    }

    /// Tells what changed, once it holds.
    fn adopt(&self, new: EffectiveConfig) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = new.changes(&present, &self.settings.started);
        self.parts.set(&new.config);
        tracing::info!(changed = %changes.live.join(", "), "the configuration was read again");
        if !changes.restart.is_empty() {
            tracing::warn!(keys = %changes.restart.join(", "), "needs a restart");
        }
        if new.config.freshness.longest_use() > self.keep {
            tracing::warn!(
                kept = %humantime::format_duration(self.keep),
                "answers and proofs are kept no longer than the configuration at the start needed; \
                 to keep them longer needs a restart"
            );
        }
        *present = new;
    }
}

impl Reloadable for Running {
    fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult> {
        let result = match self.settings.sources.changed(trigger)? {
            Ok(new) => {
                self.adopt(new);
                ReloadResult::Success
            }
            Err(error) => {
                tracing::error!(%error, "the new configuration is refused; the old one stays in use");
                ReloadResult::Failure
            }
        };
        self.metrics.reloads.inc(result);
        Some(result)
    }
}

impl Parts {
    /// From now on `config` holds, as far as it can.
    fn set(&self, config: &Config) {
        let inner = self.proxy.inner();
        inner.fetcher.freshness.set(&config.freshness);
        inner.fetcher.graph_client.set_deadlines(&config.upstream);
        inner.fetcher.graph_client.byte_budget().set_limit(config.bytes_in_flight);
        inner.coalescer.set_followers(config.coalesce.followers);
        inner.follower_wait.set(config.coalesce.wait);
        self.layers.set(config.logging.access, &config.server.limits);
        self.server_settings.set(&config.server);
        self.log.iter().for_each(|log| log.set_filter(&config.logging.filter));
    }
}

/// Looks at all of `sources` every few seconds, and whenever `told`, for ever.
pub(crate) async fn watch(sources: Vec<Arc<dyn Reloadable>>, told: Arc<Notify>) {
    let sources: Arc<[_]> = sources.into();
    loop {
        let trigger = tokio::select! {
            () = told.notified() => ReloadTrigger::Requested,
            () = sleep(INTERVAL) => ReloadTrigger::Poll,
        };
        let sources = Arc::clone(&sources);
        let looking = tokio::task::spawn_blocking(move || {
            let found = sources.iter().filter_map(|source| source.reload(trigger)).count();
            if trigger == ReloadTrigger::Requested && found == 0 {
                tracing::info!("told to reload: nothing has changed");
            }
        });
        // It fails only when the runtime ends, or with a panic that is logged.
        let _ = looking.await;
    }
}

/// Kubernetes renews mounted files within about a minute; a few seconds more do not matter.
const INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
