//! What goes wrong, one thing after another, with good times between.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use connector_cache::fake_graph::RetryAfterForm;
use http::StatusCode;

use super::World;

/// Turns from one to the next until it is over.
pub(super) async fn turn(world: Arc<World>) {
    let (graph, link) = (&world.graph, &world.link);
    for round in 0_usize.. {
        let name = match round % KINDS {
            0 => {
                graph.fail_all(StatusCode::SERVICE_UNAVAILABLE);
                "503"
            }
            1 => {
                link.latency(Duration::from_millis(100));
                "a slow road"
            }
            2 => {
                link.refuse();
                link.break_off();
                "nobody there"
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
                "a Graph too slow"
            }
            6 => {
                link.break_off();
                "a broken road"
            }
            7 => {
                graph.fail_all(StatusCode::INTERNAL_SERVER_ERROR);
                "500"
            }
            8 => {
                link.trickle(512, Duration::from_millis(5));
                "a narrow road"
            }
            9 => {
                link.drop_bytes();
                link.go_silent();
                "a road that swallows"
            }
            _ => {
                graph.fail_next(20, StatusCode::TOO_MANY_REQUESTS);
                graph.set_fault_retry_after(Duration::from_secs(1));
                "some 429"
            }
        };
        world.tally.weather(name);
        if wait(&world, Duration::from_millis(700)).await {
            return;
        }
        link.mend();
        graph.heal();
        graph.set_retry_after_form(RetryAfterForm::Whole);
        world.cast.revoke_one(graph);
        if wait(&world, Duration::from_millis(1_500)).await {
            return;
        }
    }
}

/// Waits, and says whether it is over.
async fn wait(world: &World, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end && !world.over.load(Relaxed) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.over.load(Relaxed)
}

const KINDS: usize = 11;
