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

/// Name and descriptions of a key. Its rule and its default are arguments of the reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Dotted name.
    pub(super) name: &'static str,
    /// One or more sentences: effect, unit, and what happens at the limit.
    pub(super) help: &'static str,
    /// Example value, as TOML, of a key without a default.
    pub(super) sample: Option<&'static str>,
    /// Sentences that hold only in the Helm chart.
    pub(super) chart_note: &'static str,
    /// Default of the Helm chart, as TOML, where it differs from the built-in one.
    pub(super) chart_default: Option<&'static str>,
}

/// Describes a key.
pub(super) const fn key(name: &'static str, help: &'static str) -> Key {
    Key { name, help, sample: None, chart_note: "", chart_default: None }
}

impl Key {
    /// Adds an example value, as TOML, for a key without a default.
    const fn sample(self, toml: &'static str) -> Self {
        Self { sample: Some(toml), ..self }
    }

    /// Adds sentences that hold only in the Helm chart.
    const fn chart_note(self, note: &'static str) -> Self {
        Self { chart_note: note, ..self }
    }

    /// Sets a default for the Helm chart, as TOML, that differs from the built-in one.
    const fn chart_default(self, toml: &'static str) -> Self {
        Self { chart_default: Some(toml), ..self }
    }
}

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
