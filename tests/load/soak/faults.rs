//! Faults of Graph and of the network, one after the other, with pauses without a fault.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use connector_cache::fake_graph::RetryAfterForm;
use http::StatusCode;

use super::Soak;

/// Injects one fault after the other until the test ends.
pub(super) async fn inject_in_turn(soak: Arc<Soak>) {
    let (graph, link) = (&soak.graph, &soak.link);
    for round in 0_usize.. {
        let name = match round % KINDS {
            0 => {
                graph.fail_all(StatusCode::SERVICE_UNAVAILABLE);
                "503"
            }
            1 => {
                link.latency(Duration::from_millis(100));
                "high latency"
            }
            2 => {
                link.refuse();
                link.break_off();
                "connections refused"
            }
            3 => {
                graph.set_retry_after_form(RetryAfterForm::Fractional);
                graph.set_fault_retry_after(Duration::from_secs(2));
                graph.fail_all(StatusCode::TOO_MANY_REQUESTS);
                "429"
            }
            4 => {
                link.go_silent();
                "dead connections"
            }
            5 => {
                graph.set_latency(Duration::from_millis(1_500));
                "Graph too slow"
            }
            6 => {
                link.break_off();
                "connections reset"
            }
            7 => {
                graph.fail_all(StatusCode::INTERNAL_SERVER_ERROR);
                "500"
            }
            8 => {
                link.trickle(512, Duration::from_millis(5));
                "low bandwidth"
            }
            9 => {
                link.drop_bytes();
                link.go_silent();
                "bytes dropped"
            }
            _ => {
                graph.fail_next(20, StatusCode::TOO_MANY_REQUESTS);
                graph.set_fault_retry_after(Duration::from_secs(1));
                "some 429"
            }
        };
        soak.results.faults(name);
        if wait(&soak, Duration::from_millis(700)).await {
            return;
        }
        link.mend();
        graph.heal();
        graph.set_retry_after_form(RetryAfterForm::Whole);
        soak.tokens.revoke_one(graph);
        if wait(&soak, Duration::from_millis(1_500)).await {
            return;
        }
    }
}

/// Waits. Returns whether the test is over.
async fn wait(soak: &Soak, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end && !soak.is_over.load(Relaxed) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    soak.is_over.load(Relaxed)
}

const KINDS: usize = 11;
