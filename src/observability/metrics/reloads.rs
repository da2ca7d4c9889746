//! Metrics of reloads: their number, whether the files in use are the newest ones, and the time of the last success.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntGauge, Registry};

use super::family::{CounterFamily, register_gauge};
use crate::support::labels::{Label as _, labels};
use crate::support::watched_files::ReloadResult;

labels! {
    /// Source of a reload.
    pub enum ReloadSource {
        /// The configuration file.
        Configuration = "configuration",
        /// The files of `listen.tls`.
        Certificate = "certificate",
        /// `admin.token_file`.
        AdminToken = "admin-token",
    }
}

/// The families `config_reloads_total`, `config_last_reload_successful` and
/// `config_last_reload_success_timestamp_seconds`.
#[derive(Debug)]
pub(super) struct ReloadMetrics {
    total: CounterFamily<ReloadResult>,
    successful: IntGauge,
    last_success: IntGauge,
    /// One bit for each source whose last reload failed.
    failed: AtomicU8,
}

impl ReloadMetrics {
    /// Registers the families. The start of the process counts as the first success.
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            total: CounterFamily::new(
                registry,
                "config_reloads_total",
                "Reloads of certificates, admin token and configuration.",
                "result",
            )?,
            successful: register_gauge(
                registry,
                "config_last_reload_successful",
                "1 if the last reload of each file was successful, else 0.",
            )?,
            last_success: register_gauge(
                registry,
                "config_last_reload_success_timestamp_seconds",
                "Time of the last successful reload, or of the start, as Unix time.",
            )?,
            failed: AtomicU8::new(0),
        };
        metrics.successful.set(1);
        metrics.last_success.set(unix_time());
        Ok(metrics)
    }

    /// Records a reload of one source.
    pub(super) fn record(&self, source: ReloadSource, result: ReloadResult) {
        self.total.inc(result);
        let bit = 1 << source as u8;
        let failed = match result {
            ReloadResult::Success => {
                self.last_success.set(unix_time());
                self.failed.fetch_and(!bit, SeqCst) & !bit
            }
            ReloadResult::Failure => self.failed.fetch_or(bit, SeqCst) | bit,
        };
        self.successful.set(i64::from(failed == 0));
    }

    /// Returns the sources whose last reload failed.
    pub(super) fn failed(&self) -> impl Iterator<Item = ReloadSource> + use<> {
        let failed = self.failed.load(SeqCst);
        ReloadSource::ALL.iter().copied().filter(move |source| failed & (1 << *source as u8) != 0)
    }

    /// Returns the number of reloads with this result.
    pub(super) fn count(&self, result: ReloadResult) -> u64 {
        self.total.get(result)
    }
}

fn unix_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_of_one_file_does_not_hide_the_failure_of_another() {
        let metrics = ReloadMetrics::new(&Registry::new()).unwrap();
        assert_eq!(metrics.successful.get(), 1);
        metrics.record(ReloadSource::Certificate, ReloadResult::Failure);
        metrics.record(ReloadSource::Configuration, ReloadResult::Success);
        assert_eq!(metrics.successful.get(), 0);
        assert_eq!(metrics.failed().collect::<Vec<_>>(), [ReloadSource::Certificate]);
        metrics.record(ReloadSource::Certificate, ReloadResult::Success);
        assert_eq!(metrics.successful.get(), 1);
        assert_eq!((metrics.count(ReloadResult::Success), metrics.count(ReloadResult::Failure)), (2, 1));
    }
}
