//! Schema of the configuration: name, help text, accepted values, default and chart note of every key.
//!
//! The one place where a key is named. The functions of each section read its keys from a [`ConfigReader`] into the
//! `Config` of the module that uses them, and report values that contradict each other. `make docs` generates
//! `docs/configuration.md`, `config/default.toml` and the values of the chart from the same calls.
//!
//! [`ConfigReader`]: super::reader::ConfigReader

use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) mod admin;
pub(super) mod cache;
mod connection_limits;
pub(super) mod graph;
pub(super) mod limits;
pub(super) mod observability;
pub(super) mod scrub;
pub(super) mod server;
pub(super) mod shared;

/// Durations from one millisecond, the resolution of the clock, to `max`.
fn at_most(max: Duration) -> RangeInclusive<Duration> {
    Duration::from_millis(1)..=max
}

/// Durations from zero, which turns the function off, to `max`.
fn zero_to(max: Duration) -> RangeInclusive<Duration> {
    Duration::ZERO..=max
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const TIB: usize = 1 << 40;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
