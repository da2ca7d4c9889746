//! Live lines of the demo: one for each request, with the requests to Graph that were sent and saved.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::auth::LogTag;
use crate::cache::outcome::{HitReason, Outcome};
use crate::http::ids::Ids;
use crate::http::validate::RequestView;
use crate::proxy::Proxy;
use crate::proxy::error_response::ErrorResponse;
use crate::proxy::handler::{Handler, HandlerResponse, Lookup};
use crate::proxy::runtime_config::RuntimeConfig;
use crate::support::labels::Label as _;

/// Counts of all replicas of the demo. Clones share them.
#[derive(Clone)]
pub(super) struct Counts(Arc<Shared>);

struct Shared {
    proxies: Arc<[Proxy]>,
    /// Requests without a request to Graph, by replica.
    saved: Vec<AtomicU64>,
    is_fleet: bool,
}

impl Counts {
    /// Creates the counts. `is_fleet`: lines name the replica.
    pub(super) fn new(proxies: Arc<[Proxy]>, is_fleet: bool) -> Self {
        let saved = proxies.iter().map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Shared { proxies, saved, is_fleet }))
    }

    fn of(&self, replica: usize) -> Count {
        let sent = |proxy: &Proxy| proxy.inner().fetcher.graph_client.metrics().requests.total();
        Count {
            sent: self.0.proxies.get(replica).map_or(0, sent),
            saved: self.0.saved.get(replica).map_or(0, |saved| saved.load(Relaxed)),
        }
    }

    fn total(&self) -> Count {
        (0..self.0.proxies.len()).map(|replica| self.of(replica)).fold(Count::default(), |sum, one| Count {
            sent: sum.sent + one.sent,
            saved: sum.saved + one.saved,
        })
    }
}

/// Requests to Graph.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: u64,
    saved: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent, {} saved", self.sent, self.saved)
    }
}

/// Handler that prints a line for each request. With one proxy, only to a terminal.
pub(super) struct RequestPrinter {
    proxy: Proxy,
    index: usize,
    counts: Counts,
}

impl RequestPrinter {
    /// Wraps the proxy of the replica at `index`.
    pub(super) fn new(proxy: Proxy, index: usize, counts: Counts) -> Self {
        Self { proxy, index, counts }
    }

    fn print(&self, response: &HandlerResponse, took: Duration) {
        let is_saved = matches!(response.outcome, Outcome::Hit | Outcome::Stale | Outcome::Collapsed);
        if let Some(saved) = self.counts.0.saved.get(self.index)
            && is_saved
        {
            saved.fetch_add(1, Relaxed);
        }
        let mut out = io::stdout();
        if !self.counts.0.is_fleet && !out.is_terminal() {
            return;
        }
        let total = self.counts.0.is_fleet.then(|| self.counts.total());
        let line = Line {
            status: response.response.status().as_u16(),
            outcome: response.outcome,
            is_shared: response.reason == Some(HitReason::Shared.as_str()),
            took,
            number: self.index + 1,
            own: self.counts.of(self.index),
            total,
        };
        // The demo continues without a terminal.
        let _ = writeln!(out, "{line}");
    }
}

impl Handler for RequestPrinter {
    type Prepared = (Instant, <Proxy as Handler>::Prepared);

    fn lookup(
        &self,
        request: &RequestView<'_>,
        ids: &Ids,
        config: &Arc<RuntimeConfig>,
    ) -> Lookup<Self::Prepared> {
        let started = Instant::now();
        let lookup = self.proxy.lookup(request, ids, config);
        if let Lookup::Ready(response) = &lookup {
            self.print(response, started.elapsed());
        }
        lookup.map(|prepared| (started, prepared))
    }

    fn application_tag(&self, (_, prepared): &Self::Prepared) -> Option<LogTag> {
        self.proxy.application_tag(prepared)
    }

    async fn respond(
        &self,
        (started, prepared): Self::Prepared,
        headers: HeaderMap,
        ids: &Ids,
        peer: SocketAddr,
    ) -> HandlerResponse {
        let response = self.proxy.respond(prepared, headers, ids, peer).await;
        self.print(&response, started.elapsed());
        response
    }

    fn error_response(&self, error_response: ErrorResponse, ids: &Ids) -> HandlerResponse {
        self.proxy.error_response(error_response, ids)
    }
}

/// Line of a request.
struct Line {
    status: u16,
    outcome: Outcome,
    /// The response came from the store.
    is_shared: bool,
    took: Duration,
    number: usize,
    own: Count,
    /// Counts of all replicas; `None` with one proxy.
    total: Option<Count>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, number, own, .. } = self;
        let (outcome, took) = (self.outcome.to_string(), self.took.as_secs_f64() * 1000.0);
        let Some(total) = &self.total else {
            return write!(f, "{status}  {outcome:<10} {took:>8.2} ms   requests to Graph: {own}");
        };
        let outcome = if self.is_shared { format!("{outcome}, shared") } else { outcome };
        write!(
            f,
            "replica {number:<2}  {status}  {outcome:<12} {took:>8.2} ms   \
             requests to Graph: {own}; all replicas: {total}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_replica_only_if_there_are_several() {
        let took = Duration::from_micros(940);
        let own = Count { sent: 0, saved: 1 };
        let line =
            Line { status: 200, outcome: Outcome::Hit, is_shared: true, took, number: 2, own, total: None };
        assert_eq!(line.to_string(), "200  hit            0.94 ms   requests to Graph: 0 sent, 1 saved");
        let line = Line { total: Some(Count { sent: 1, saved: 1 }), ..line };
        assert_eq!(
            line.to_string(),
            "replica 2   200  hit, shared      0.94 ms   \
             requests to Graph: 0 sent, 1 saved; all replicas: 1 sent, 1 saved"
        );
    }
}
