//! Tasks that run beside the listeners: the drain announced, the clock watched, suppressed log lines reported.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::admin::readiness::Readiness;
use crate::observability::logging::SuppressedLines;
use crate::observability::metrics::Metrics;
use crate::proxy::Proxy;

pub(super) async fn announce_drain(stop: CancellationToken, readiness: Readiness, metrics: Arc<Metrics>) {
    stop.cancelled().await;
    readiness.drain();
    metrics.draining.set(1);
}

/// Watches the clock, and reports log lines that were suppressed.
pub(super) async fn watch(proxy: Proxy, suppressed: Option<SuppressedLines>) {
    let reports = async {
        if let Some(suppressed) = suppressed {
            report_suppressed(suppressed).await;
        }
    };
    tokio::join!(watch_clock(proxy), reports);
}

/// Empties the cache when the wall clock was set back by more than a minute: no end of a token can be
/// trusted that was judged by the clock before.
async fn watch_clock(proxy: Proxy) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let fetcher = &proxy.inner().fetcher;
        let step = fetcher.clock.stepped_back();
        if step > CLOCK_STEP {
            tracing::warn!(seconds = step.as_secs(), "the wall clock was set back: the cache is emptied");
            fetcher.metrics.clock_steps.inc();
            fetcher.store.forget();
            fetcher.clock.resync_wall_clock();
        }
    }
}

/// Logs now and then how many lines were suppressed.
async fn report_suppressed(suppressed: SuppressedLines) {
    let mut ticks = interval(SUPPRESSED_REPORTS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        suppressed.report();
    }
}

/// Between two reports of suppressed log lines.
const SUPPRESSED_REPORTS: Duration = Duration::from_secs(10);
const CLOCK_STEP: Duration = Duration::from_secs(60);
