//! Replicas that share a store give no caller a response that Graph would not send to that caller.
//!
//! Three replicas of the real proxy share one real Redis. A random story reads, changes the content, purges at any replica,
//! refuses tokens, forces refreshes, cuts the connection of one replica to the store, shortens or loses the log, ends all
//! connections of the store, writes old values late, and lets cold replicas join. A judge checks each response:
//!
//! | rule | |
//! |---|---|
//! | (k) | After a purge, or the response to a forced refresh, no confirmed replica gives content from before. The replica that received the request never does. |
//! | (l) | A hit has only bytes that Graph sent to exactly this token for exactly this flow within the lifetime of the proof. |
//! | (m) | After 401, 403 or 404 to a proven token, a hit needs a later 200 of Graph to this token, at each replica that has read the event. |
//! | (n) | No request fails because of the store: the status is Graph's. |
//! | (o) | In a quiet phase all replicas count each other, confirm a purge, and find the responses of the others; so does a cold one. |
//!
//! A replica has read all events of another one that were added before a purge that it confirmed, because each replica
//! numbers its events. So a purge that selects nothing is the barrier after which (m) holds.
//!
//! The clock stands still until the story moves it. Operations and their order follow from the seed; the network and the
//! store run in real time. `FLEET_STEPS` is the number of operations, `MODEL_SEED` the seed.

mod coverage;
mod driver;
mod faults;
mod history;
mod judge;
mod members;
mod story;

use std::time::Instant;

use tokio::runtime::Builder;

use self::coverage::Coverage;
use self::driver::Driver;
use self::story::story;
use super::run;

/// Plays one story. Fails with the broken rule, the seed and the last operations.
pub fn model(steps: usize, seed: u64) -> Result<Coverage, String> {
    println!("MODEL_SEED={seed} FLEET_STEPS={steps}");
    let started = Instant::now();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let coverage = runtime.map_err(|error| error.to_string())?.block_on(async {
        let mut driver = Driver::start(seed).await;
        let story = story(steps, seed);
        for (step, op) in story.iter().enumerate() {
            if let Err(reason) = driver.play(*op).await {
                let last = story[step.saturating_sub(SHOWN)..=step].iter().map(|op| format!("  {op:?}"));
                let last = last.collect::<Vec<_>>().join("\n");
                let reads = driver.coverage().reads;
                return Err(format!(
                    "{reason}\nafter {reads} requests; MODEL_SEED={seed} FLEET_STEPS={steps}, step {step}\n{last}"
                ));
            }
        }
        Ok(driver.finish().await)
    })?;
    println!("{steps} operations in {:.1} s", started.elapsed().as_secs_f64());
    Ok(coverage)
}

#[test]
fn replicas_that_share_a_store_give_nothing_that_graph_would_not_send() {
    let steps = run::number("FLEET_STEPS").and_then(|steps| usize::try_from(steps).ok()).unwrap_or(STEPS);
    let coverage = model(steps, run::seed()).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{coverage:#?}");
    if steps >= STEPS {
        let missing = coverage.missing();
        assert!(missing.is_empty(), "the story covered too little: {missing:?}");
    }
}

/// Operations of a story.
pub const STEPS: usize = 150;
/// Operations in the message of a failure.
const SHOWN: usize = 20;
