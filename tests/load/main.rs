//! The real process under load, and at the limits of its machine: memory, descriptors, processor.
//!
//! Each test is small by default. The environment makes it as large as one likes:
//!
//! | variable | default | of |
//! |---|---|---|
//! | `IDLE_CONNECTIONS` | 1000 | F52: open at one time |
//! | `DISTINCT_KEYS` | 1500 | F59: asked for under a memory limit |
//! | `OUTAGE_SECONDS` | 6 | F16: for how long Graph is away, in real time |
//! | `OUTAGE_CALLERS` | 1000 | F16: how many notice nothing |
//! | `ATTACK_SIZE` | 1 | attacks: the size in tenths of the whole; `make flood` runs the whole |
//! | `SOAK_SECONDS` | 5 | the soak; `make soak` runs it for a minute |

#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]
#![expect(
    clippy::cast_precision_loss,
    reason = "measured values are small, and for the reader of the output"
)]
#![allow(clippy::print_stdout, reason = "measured values are for the reader of the output")]

#[path = "../common/mod.rs"]
mod common;

mod attacks;
mod descriptors;
mod flood;
mod memory;
mod outage;
mod process;
mod soak;

/// A number in the environment.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
