//! The rules for values: numbers, sizes, durations, words, names.
//!
//! Each states its bounds, and its `accepted` is what an operator reads when a value is refused.

use std::fmt::Display;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use toml::de::DeValue;

use super::value::{Raw, Rule, is_secret, literal};
use crate::observability::logging;
use crate::support::labels::Label;
use crate::support::watched_files::DisplayPath;

/// A plain number.
pub(super) struct Count<T>(pub(super) RangeInclusive<T>);

impl<T: Copy + PartialOrd + Display + TryFrom<u64>> Rule for Count<T> {
    type Value = T;

    fn read(&self, raw: &Raw) -> Option<T> {
        let number = match raw {
            Raw::Number(number) => u64::try_from(*number).ok()?,
            Raw::Text(text) => text.parse().ok()?,
            _ => return None,
        };
        T::try_from(number).ok().filter(|number| self.0.contains(number))
    }

    fn write(&self, value: &T) -> String {
        value.to_string()
    }

    fn accepted(&self) -> String {
        format!("a number from {} to {}", self.0.start(), self.0.end())
    }
}

/// A number of bytes.
pub(super) struct Size<T>(pub(super) RangeInclusive<T>);

impl<T: Copy + PartialOrd + TryFrom<u64> + TryInto<u64>> Rule for Size<T> {
    type Value = T;

    fn read(&self, raw: &Raw) -> Option<T> {
        let bytes = match raw {
            Raw::Number(bytes) => u64::try_from(*bytes).ok()?,
            Raw::Text(text) => text.parse::<ByteSize>().ok()?.as_u64(),
            _ => return None,
        };
        T::try_from(bytes).ok().filter(|bytes| self.0.contains(bytes))
    }

    fn write(&self, value: &T) -> String {
        literal(&spell_size(*value))
    }

    fn accepted(&self) -> String {
        let (min, max) = (spell_size(*self.0.start()), spell_size(*self.0.end()));
        format!("a size from {min} to {max}, such as \"32KiB\" or \"64MiB\", or a number of bytes")
    }
}

/// A duration, with its unit.
pub(super) struct Span(pub(super) RangeInclusive<Duration>);

impl Rule for Span {
    type Value = Duration;

    fn read(&self, raw: &Raw) -> Option<Duration> {
        // A bare zero is the one number that the parser takes without a unit.
        let Raw::Text(text) = raw else { return None };
        text.ends_with(|c: char| c.is_ascii_alphabetic()).then_some(())?;
        humantime::parse_duration(text).ok().filter(|duration| self.0.contains(duration))
    }

    fn write(&self, value: &Duration) -> String {
        literal(&spell_duration(*value))
    }

    fn accepted(&self) -> String {
        let (min, max) = (spell_duration(*self.0.start()), spell_duration(*self.0.end()));
        format!("a duration from {min} to {max} with its unit, such as \"250ms\", \"5m\" or \"1h\"")
    }
}

/// A word of a closed vocabulary.
pub(super) struct OneOf<W>(PhantomData<W>);

impl<W> OneOf<W> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<W: Label> Rule for OneOf<W> {
    type Value = W;

    fn read(&self, raw: &Raw) -> Option<W> {
        let Raw::Text(text) = raw else { return None };
        W::ALL.iter().copied().find(|word| word.as_str() == text)
    }

    fn write(&self, value: &W) -> String {
        literal(value.as_str())
    }

    fn accepted(&self) -> String {
        W::ALL.iter().map(|word| literal(word.as_str())).collect::<Vec<_>>().join(" or ")
    }
}

/// An address to listen on.
pub(super) struct Address;

impl Rule for Address {
    type Value = SocketAddr;

    fn read(&self, raw: &Raw) -> Option<SocketAddr> {
        let Raw::Text(text) = raw else { return None };
        text.parse().ok()
    }

    fn write(&self, value: &SocketAddr) -> String {
        literal(&value.to_string())
    }

    fn accepted(&self) -> String {
        "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"".to_owned()
    }
}

/// The name of a file. Whether it is there is seen by whoever opens it.
pub(super) struct FilePath;

impl Rule for FilePath {
    type Value = PathBuf;

    fn read(&self, raw: &Raw) -> Option<PathBuf> {
        let Raw::Text(text) = raw else { return None };
        (is_plain(text, MAX_PATH) && !is_secret(text)).then(|| PathBuf::from(text))
    }

    fn write(&self, value: &PathBuf) -> String {
        literal(&value.to_string_lossy())
    }

    fn hide(&self, value: &PathBuf) -> Option<String> {
        let path = DisplayPath(value);
        path.is_hidden().then(|| path.to_string())
    }

    fn echo(&self, raw: &Raw) -> String {
        match raw {
            Raw::Text(text) if !text.is_empty() && !is_secret(text) => {
                self.hide(&PathBuf::from(text)).unwrap_or_else(|| raw.echo())
            }
            Raw::Text(_) => raw.echo(),
            // The content of the file may have been put here in any form.
            _ => raw.echo_hidden(),
        }
    }

    fn accepted(&self) -> String {
        "the path of a file (the path, not what is in it)".to_owned()
    }
}

/// A short text.
pub(super) struct Text;

impl Rule for Text {
    type Value = String;

    fn read(&self, raw: &Raw) -> Option<String> {
        let Raw::Text(text) = raw else { return None };
        is_plain(text, MAX_TEXT).then(|| text.clone())
    }

    fn write(&self, value: &String) -> String {
        literal(value)
    }

    fn accepted(&self) -> String {
        format!("1 to {MAX_TEXT} characters, none of them a control character")
    }
}

/// A list of names: an array, or names with commas between them.
pub(super) struct NameList;

impl Rule for NameList {
    type Value = Vec<String>;

    fn read(&self, raw: &Raw) -> Option<Vec<String>> {
        let names = match raw {
            Raw::List(names) => names.clone(),
            Raw::Text(text) if text.starts_with('[') => {
                let Raw::List(names) = Raw::of(DeValue::parse(text).ok()?.get_ref()) else { return None };
                names
            }
            Raw::Text(text) if text.is_empty() => Vec::new(),
            Raw::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            _ => return None,
        };
        let good = names.len() <= MAX_NAMES && names.iter().all(|name| is_plain(name, MAX_TEXT));
        good.then_some(names)
    }

    fn write(&self, value: &Vec<String>) -> String {
        format!("[{}]", value.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", "))
    }

    fn accepted(&self) -> String {
        format!("an array of at most {MAX_NAMES} names of 1 to {MAX_TEXT} characters, such as [\"a\", \"b\"]")
    }
}

/// A filter for log lines.
pub(super) struct Filter;

impl Rule for Filter {
    type Value = String;

    fn read(&self, raw: &Raw) -> Option<String> {
        let Raw::Text(text) = raw else { return None };
        (is_plain(text, MAX_PATH) && logging::filter(text).is_some()).then(|| text.clone())
    }

    fn write(&self, value: &String) -> String {
        literal(value)
    }

    fn accepted(&self) -> String {
        "a level (error, warn, info, debug, trace, off) or directives such as \
         \"info,connector_cache::origin=debug\""
            .to_owned()
    }
}

fn is_plain(text: &str, max_chars: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max_chars && !text.chars().any(char::is_control)
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
        return format!("{}h", seconds / 3600); // not "1day"
    }
    humantime::format_duration(duration).to_string()
}

/// As long as a path may be on Linux.
const MAX_PATH: usize = 4096;
/// A mask or a name of a member is a word or two.
const MAX_TEXT: usize = 128;
/// Each is compared with every member of every answer.
const MAX_NAMES: usize = 256;
