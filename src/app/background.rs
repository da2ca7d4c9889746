//! Background tasks of a run: the announcement of the drain, the check of the wall clock, reports of suppressed log lines, huge
//! pages for the growth of a large store.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::huge_pages::HugePages;
use crate::admin::readiness::Readiness;
use crate::observability::hardening;
use crate::observability::logging::SuppressedLines;
use crate::observability::metrics::Metrics;
use crate::proxy::Proxy;
use crate::proxy::fetch::Fetcher;

/// Makes the proxy not ready as soon as `stop` is cancelled.
pub(super) async fn announce_drain(stop: CancellationToken, readiness: Readiness, metrics: Arc<Metrics>) {
    stop.cancelled().await;
    readiness.set_draining();
    metrics.draining.set(1);
}

/// Checks the wall clock, reports suppressed log lines and allows huge pages, until it is aborted.
pub(super) async fn watch(proxy: Proxy, huge_pages: HugePages, suppressed: Option<SuppressedLines>) {
    let reports = async {
        if let Some(suppressed) = suppressed {
            report_suppressed(suppressed).await;
        }
    };
    tokio::join!(watch_proxy(proxy, huge_pages), reports);
}

/// Checks the wall clock and the size of the store each second.
async fn watch_proxy(proxy: Proxy, mut huge_pages: HugePages) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let fetcher = &proxy.inner().fetcher;
        check_clock(fetcher);
        if let Some(allowed) = huge_pages.update(fetcher.store.recent_bytes()) {
            // The call fails only on a kernel without huge pages.
            let _ = hardening::allow_huge_pages(allowed);
        }
    }
}

/// Empties the cache when the wall clock was set back by more than [`MAX_CLOCK_STEP`]: the expiry times of stored tokens were
/// computed from the earlier clock and are no longer reliable.
fn check_clock(fetcher: &Fetcher) {
    let step = fetcher.clock.stepped_back();
    if step > MAX_CLOCK_STEP {
        tracing::warn!(seconds = step.as_secs(), "the wall clock was set back: the cache is emptied");
        fetcher.metrics.clock_steps.inc();
        fetcher.metrics.purged.inc_by(fetcher.store.clear());
        fetcher.clock.resync_wall_clock();
    }
}

/// Logs the number of suppressed lines at each [`SUPPRESSED_REPORT_INTERVAL`].
async fn report_suppressed(suppressed: SuppressedLines) {
    let mut ticks = interval(SUPPRESSED_REPORT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        suppressed.report();
    }
}

/// Time between two reports of suppressed log lines.
const SUPPRESSED_REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// Largest correction of the wall clock that keeps the cache.
const MAX_CLOCK_STEP: Duration = Duration::from_secs(60);
