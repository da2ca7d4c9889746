//! Plays stories until enough requests were sent, and shrinks the first story that fails.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::Builder;

use super::coverage::Coverage;
use super::driver::Driver;
use super::op::{Op, Settings, Story, story};
use super::tokens::{TOKENS, Token, all_tokens};

/// Plays stories with at least `requests` requests in all. Fails with the smallest failing story, or, if `visible_only`, with
/// the first failure that a caller can see.
pub fn model(requests: u64, seed: u64, settings: Settings, visible_only: bool) -> Result<Coverage, String> {
    println!("MODEL_SEED={seed} MODEL_REQUESTS={requests}");
    let (cast, started) = (all_tokens(), Instant::now());
    assert_eq!(cast.len(), TOKENS);
    let mut all = Coverage::default();
    while all.requests < requests {
        // Each story has its own seed, so that a failing story can be replayed alone.
        let own = seed.wrapping_add(all.stories);
        let story = story(LENGTH, settings)
            .new_tree(&mut runner(own))
            .map_err(|reason| reason.to_string())?
            .current();
        let mut coverage = Coverage { stories: 1, ..Coverage::default() };
        if let Err(reason) = play(&cast, &story, visible_only, &mut coverage) {
            all += coverage;
            if visible_only {
                return Err(format!("{reason}\nafter {} requests; MODEL_SEED={own}", all.requests));
            }
            let (reason, ops) = shrink(&cast, story.clone(), reason);
            let ops = ops.iter().map(|op| format!("  {op:?}")).collect::<Vec<_>>().join("\n");
            let setup =
                format!("{:?}, {} followers, impatient: {}", story.times, story.followers, story.impatient);
            return Err(format!(
                "{reason}\nafter {} requests; MODEL_SEED={own}\n{setup}\n{ops}",
                all.requests
            ));
        }
        all += coverage;
    }
    let seconds = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    let rate = all.requests as f64 / seconds;
    println!("{} requests in {seconds:.1} s: {rate:.0} a second", all.requests);
    Ok(all)
}

fn play(cast: &[Token], story: &Story, visible_only: bool, coverage: &mut Coverage) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(Driver::play(cast, story, visible_only, coverage))
}

/// Removes the operations that the failure does not need: halves first, then smaller pieces.
fn shrink(cast: &[Token], mut story: Story, mut reason: String) -> (String, Vec<Op>) {
    let (started, mut size) = (Instant::now(), story.ops.len() / 2);
    while size > 0 && started.elapsed() < SHRINKING {
        let mut at = story.ops.len().saturating_sub(size);
        loop {
            let mut less = story.clone();
            less.ops.drain(at..(at + size).min(story.ops.len()));
            if let Err(why) = play(cast, &less, false, &mut Coverage::default()) {
                (story, reason) = (less, why);
            }
            if at == 0 || started.elapsed() > SHRINKING {
                break;
            }
            at = at.saturating_sub(size);
        }
        size /= 2;
    }
    (reason, story.ops)
}

pub fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// `MODEL_SEED`, or a seed from the clock.
pub fn seed() -> u64 {
    number("MODEL_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) << 20 ^ now.as_secs()
    })
}

/// Number in an environment variable.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Time limit for shrinking a story.
const SHRINKING: Duration = Duration::from_secs(60);
/// Maximum number of operations in a story.
pub const LENGTH: usize = 250;
