//! The real process under load, and at the limits of its machine: memory, descriptors, processor.
//!
//! Each test is small by default. Environment variables set its size:
//!
//! | variable | default | size |
//! |---|---|---|
//! | `IDLE_CONNECTIONS` | 1000 | F52: connections open at one time |
//! | `DISTINCT_KEYS` | 1500 | F59: keys requested under a memory limit |
//! | `OUTAGE_SECONDS` | 6 | F16: duration of the outage, in real time |
//! | `OUTAGE_CALLERS` | 1000 | F16: callers with a proof |
//! | `ATTACK_SIZE` | 1 | attacks: size in tenths of the full size; `make flood` runs the full size |
//! | `SOAK_SECONDS` | 5 | duration of the soak test; `make soak` runs it for a minute |

#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test fails at the first unexpected value")]
#![expect(
    clippy::cast_precision_loss,
    reason = "measured values are small, and are for the reader of the output"
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

/// Returns a number from the environment.
fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
