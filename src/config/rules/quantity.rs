//! Rules for quantities within bounds: integers, sizes, durations.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;

use crate::config::reference::ValueForm;
use crate::config::value::{RawValue, Rule, literal};

/// An integer within bounds.
pub(in crate::config) struct Integer<T>(pub(in crate::config) RangeInclusive<T>);

impl<T: Copy + PartialOrd + Display + TryFrom<u64>> Rule for Integer<T> {
    type Value = T;

    fn parse(&self, raw: &RawValue) -> Option<T> {
        let number = match raw {
            RawValue::Number(number) => u64::try_from(*number).ok()?,
            RawValue::Text(text) => text.parse().ok()?,
            _ => return None,
        };
        T::try_from(number).ok().filter(|number| self.0.contains(number))
    }

    fn write(&self, value: &T) -> String {
        value.to_string()
    }

    fn form(&self) -> ValueForm {
        ValueForm::Integer { min: self.0.start().to_string(), max: self.0.end().to_string() }
    }

    fn accepted(&self) -> String {
        format!("a number from {} to {}", self.0.start(), self.0.end())
    }
}

/// A number of bytes within bounds, with or without a unit.
pub(in crate::config) struct Size<T>(pub(in crate::config) RangeInclusive<T>);

impl<T: Copy + PartialOrd + TryFrom<u64> + TryInto<u64>> Rule for Size<T> {
    type Value = T;

    fn parse(&self, raw: &RawValue) -> Option<T> {
        let bytes = match raw {
            RawValue::Number(bytes) => u64::try_from(*bytes).ok()?,
            RawValue::Text(text) => text.parse::<ByteSize>().ok()?.as_u64(),
            _ => return None,
        };
        T::try_from(bytes).ok().filter(|bytes| self.0.contains(bytes))
    }

    fn write(&self, value: &T) -> String {
        literal(&spell_size(*value))
    }

    fn form(&self) -> ValueForm {
        ValueForm::Size { min: spell_size(*self.0.start()), max: spell_size(*self.0.end()) }
    }

    fn accepted(&self) -> String {
        let (min, max) = (spell_size(*self.0.start()), spell_size(*self.0.end()));
        format!("a size from {min} to {max}, in bytes or with a unit (KiB, MiB, GiB)")
    }
}

/// A duration within bounds, with its unit.
pub(in crate::config) struct BoundedDuration(pub(in crate::config) RangeInclusive<Duration>);

impl Rule for BoundedDuration {
    type Value = Duration;

    fn parse(&self, raw: &RawValue) -> Option<Duration> {
        // The parser accepts a zero without a unit.
        let RawValue::Text(text) = raw else { return None };
        text.ends_with(|c: char| c.is_ascii_alphabetic()).then_some(())?;
        humantime::parse_duration(text).ok().filter(|duration| self.0.contains(duration))
    }

    fn write(&self, value: &Duration) -> String {
        literal(&spell_duration(*value))
    }

    fn form(&self) -> ValueForm {
        ValueForm::Duration { min: spell_duration(*self.0.start()), max: spell_duration(*self.0.end()) }
    }

    fn accepted(&self) -> String {
        let (min, max) = (spell_duration(*self.0.start()), spell_duration(*self.0.end()));
        format!("a duration from {min} to {max} with its unit (ms, s, m, h)")
    }
}

fn spell_size<T: TryInto<u64>>(bytes: T) -> String {
    let bytes = bytes.try_into().unwrap_or(u64::MAX);
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit && bytes % unit == 0) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

fn spell_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds > 0 && seconds.is_multiple_of(3600) && duration.subsec_nanos() == 0 {
        return format!("{}h", seconds / 3600); // humantime writes "1day" for 24h
    }
    humantime::format_duration(duration).to_string()
}
