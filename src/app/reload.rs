//! Reload of the configuration, the certificates and the admin token while the proxy runs.
//!
//! The files are checked every few seconds, and at once on SIGHUP. An invalid file is refused and counted, and the old content
//! stays in use. The live settings are one snapshot, [`RuntimeConfig`](crate::proxy::runtime_config::RuntimeConfig), which a
//! reload replaces as a whole.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::admin::console::settings::ShownSettings;
use crate::config::{EffectiveConfig, Sources};
use crate::observability::logging::LogHandle;
use crate::observability::metrics::{Metrics, ReloadSource};
use crate::proxy::runtime_config::LiveConfig;
use crate::support::watched_files::{ReloadResult, ReloadTrigger, Reloadable};

/// Sources of the configuration, and the configuration of the start.
#[derive(Debug)]
pub struct LiveSources {
    /// File and environment.
    pub sources: Sources,
    /// Configuration of the start.
    pub started: EffectiveConfig,
}

/// The configuration of a process that runs: the sources, and the snapshot that a reload replaces.
#[derive(Debug)]
pub(crate) struct LiveConfiguration {
    sources: LiveSources,
    /// Configuration of the last successful load.
    current: Mutex<EffectiveConfig>,
    runtime: LiveConfig,
    /// Upper bound of `limits.connections`, by the open-file limit.
    max_connections: usize,
    log: Option<LogHandle>,
    /// Time after which entries and proofs leave the store, whatever a later configuration says.
    retention: Duration,
    metrics: Arc<Metrics>,
    shown: ShownSettings,
}

impl LiveConfiguration {
    /// Wraps the sources and the snapshot. `log` has the filter of log lines, which is the one live setting outside of the
    /// snapshot: the subscriber of `tracing` holds it. `shown`: the settings that the console shows.
    pub(crate) fn new(
        sources: LiveSources,
        (runtime, max_connections): (LiveConfig, usize),
        log: Option<LogHandle>,
        (metrics, shown): (Arc<Metrics>, ShownSettings),
    ) -> Self {
        let retention = sources.started.config.retention();
        let current = Mutex::new(sources.started.clone());
        Self { sources, current, runtime, max_connections, log, retention, metrics, shown }
    }

    /// Replaces the snapshot, and logs the keys that changed.
    fn apply(&self, new: EffectiveConfig) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let started = &self.sources.started;
        let changes = new.changes(&current, started);
        self.runtime.store(Arc::new(new.config.runtime(&started.config, self.max_connections)));
        self.log.iter().for_each(|log| log.set_filter(&new.config.logging.filter));
        self.shown.replace(new.settings_in_force(started).into());
        tracing::info!(changed = %changes.live.join(", "), "the configuration was reloaded");
        if !changes.restart.is_empty() {
            tracing::warn!(keys = %changes.restart.join(", "), "these keys require a restart");
        }
        if new.config.freshness.longest_use() > self.retention {
            tracing::warn!(
                retention = %humantime::format_duration(self.retention),
                "entries and proofs are removed after cache.keep of the start, which is shorter than cache.ttl, \
                 cache.proof_ttl and the stale_* windows need; a longer cache.keep requires a restart"
            );
        }
        *current = new;
    }
}

impl Reloadable for LiveConfiguration {
    fn reload(&self, trigger: ReloadTrigger) -> Option<ReloadResult> {
        let result = match self.sources.sources.changed(trigger)? {
            Ok(new) => {
                self.apply(new);
                ReloadResult::Success
            }
            Err(error) => {
                tracing::error!(%error, "the new configuration is refused; the old one stays in use");
                ReloadResult::Failure
            }
        };
        self.metrics.record_reload(ReloadSource::Configuration, result);
        Some(result)
    }
}

/// Reloads all of `sources` that changed: every [`INTERVAL`], and at each notification of `requests`. Never returns.
pub(crate) async fn watch(sources: Vec<Arc<dyn Reloadable>>, requests: Arc<Notify>) {
    let sources: Arc<[_]> = sources.into();
    loop {
        let trigger = tokio::select! {
            () = requests.notified() => ReloadTrigger::Requested,
            () = sleep(INTERVAL) => ReloadTrigger::Poll,
        };
        let sources = Arc::clone(&sources);
        let reload = tokio::task::spawn_blocking(move || {
            let changed = sources.iter().filter_map(|source| source.reload(trigger)).count();
            if trigger == ReloadTrigger::Requested && changed == 0 {
                tracing::info!("a reload was requested, but no file has changed");
            }
        });
        // The task fails only when the runtime ends, or with a panic that is logged.
        let _ = reload.await;
    }
}

/// Kubernetes renews mounted files within about a minute; a few seconds more do not matter.
const INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
