//! Rules for values: numbers, sizes, durations, words, paths, names.
//!
//! Each rule has its bounds. Its `accepted` is the message for an operator whose value is refused.

use std::fmt::Display;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use toml::de::DeValue;

use super::reference::ValueForm;
use super::value::{RawValue, Rule, is_secret, literal};
use crate::observability::logging;
use crate::support::labels::Label;
use crate::support::watched_files::ShownPath;

/// An integer within bounds.
pub(super) struct Count<T>(pub(super) RangeInclusive<T>);

impl<T: Copy + PartialOrd + Display + TryFrom<u64>> Rule for Count<T> {
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
pub(super) struct Size<T>(pub(super) RangeInclusive<T>);

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
        format!("a size from {min} to {max}, such as \"32KiB\" or \"64MiB\", or a number of bytes")
    }
}

/// A duration within bounds, with its unit.
pub(super) struct Span(pub(super) RangeInclusive<Duration>);

impl Rule for Span {
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
        format!("a duration from {min} to {max} with its unit, such as \"250ms\", \"5m\" or \"1h\"")
    }
}

/// One spelling of a closed set of labels.
pub(super) struct OneOf<L>(PhantomData<L>);

impl<L> OneOf<L> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<L: Label> Rule for OneOf<L> {
    type Value = L;

    fn parse(&self, raw: &RawValue) -> Option<L> {
        let RawValue::Text(text) = raw else { return None };
        L::ALL.iter().copied().find(|label| label.as_str() == text)
    }

    fn write(&self, value: &L) -> String {
        literal(value.as_str())
    }

    fn form(&self) -> ValueForm {
        ValueForm::OneOf(L::ALL.iter().map(|label| label.as_str()).collect())
    }

    fn accepted(&self) -> String {
        L::ALL.iter().map(|label| literal(label.as_str())).collect::<Vec<_>>().join(" or ")
    }
}

/// An IP address and a port to listen on.
pub(super) struct Address;

impl Rule for Address {
    type Value = SocketAddr;

    fn parse(&self, raw: &RawValue) -> Option<SocketAddr> {
        let RawValue::Text(text) = raw else { return None };
        text.parse().ok()
    }

    fn write(&self, value: &SocketAddr) -> String {
        literal(&value.to_string())
    }

    fn form(&self) -> ValueForm {
        ValueForm::SocketAddress
    }

    fn accepted(&self) -> String {
        "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"".to_owned()
    }
}

/// The path of a file. The rule does not open the file.
pub(super) struct FilePath;

impl Rule for FilePath {
    type Value = PathBuf;

    fn parse(&self, raw: &RawValue) -> Option<PathBuf> {
        let RawValue::Text(text) = raw else { return None };
        (is_plain(text, MAX_PATH_CHARS) && !is_secret(text)).then(|| PathBuf::from(text))
    }

    fn write(&self, value: &PathBuf) -> String {
        literal(&value.to_string_lossy())
    }

    fn redact(&self, value: &PathBuf) -> Option<String> {
        let path = ShownPath(value);
        path.is_hidden().then(|| path.to_string())
    }

    fn echo(&self, raw: &RawValue) -> String {
        match raw {
            RawValue::Text(text) if !text.is_empty() && !is_secret(text) => {
                self.redact(&PathBuf::from(text)).unwrap_or_else(|| raw.echo())
            }
            RawValue::Text(_) => raw.echo(),
            // The value may be the content of the file, in any form.
            _ => raw.echo_length(),
        }
    }

    fn form(&self) -> ValueForm {
        ValueForm::Path
    }

    fn accepted(&self) -> String {
        "the path of a file (the path, not its content)".to_owned()
    }
}

/// A short text.
pub(super) struct Text;

impl Rule for Text {
    type Value = String;

    fn parse(&self, raw: &RawValue) -> Option<String> {
        let RawValue::Text(text) = raw else { return None };
        is_plain(text, MAX_TEXT_CHARS).then(|| text.clone())
    }

    fn write(&self, value: &String) -> String {
        literal(value)
    }

    fn form(&self) -> ValueForm {
        ValueForm::Text { max_chars: MAX_TEXT_CHARS }
    }

    fn accepted(&self) -> String {
        format!("1 to {MAX_TEXT_CHARS} characters, none of them a control character")
    }
}

/// A list of names: an array, or a text with commas between the names.
pub(super) struct NameList;

impl Rule for NameList {
    type Value = Vec<String>;

    fn parse(&self, raw: &RawValue) -> Option<Vec<String>> {
        let names = match raw {
            RawValue::List(names) => names.clone(),
            RawValue::Text(text) if text.starts_with('[') => {
                let RawValue::List(names) = RawValue::from_toml(DeValue::parse(text).ok()?.get_ref()) else {
                    return None;
                };
                names
            }
            RawValue::Text(text) if text.is_empty() => Vec::new(),
            RawValue::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            _ => return None,
        };
        let good = names.len() <= MAX_NAMES && names.iter().all(|name| is_plain(name, MAX_TEXT_CHARS));
        good.then_some(names)
    }

    fn write(&self, value: &Vec<String>) -> String {
        format!("[{}]", value.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", "))
    }

    fn form(&self) -> ValueForm {
        ValueForm::Names { max_names: MAX_NAMES, max_chars: MAX_TEXT_CHARS }
    }

    fn accepted(&self) -> String {
        format!(
            "an array of at most {MAX_NAMES} names of 1 to {MAX_TEXT_CHARS} characters, such as [\"a\", \"b\"]"
        )
    }
}

/// A filter of log lines.
pub(super) struct Filter;

impl Rule for Filter {
    type Value = String;

    fn parse(&self, raw: &RawValue) -> Option<String> {
        let RawValue::Text(text) = raw else { return None };
        (is_plain(text, MAX_PATH_CHARS) && logging::filter(text).is_some()).then(|| text.clone())
    }

    fn write(&self, value: &String) -> String {
        literal(value)
    }

    fn form(&self) -> ValueForm {
        ValueForm::LogFilter
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
        return format!("{}h", seconds / 3600); // humantime writes "1day" for 24h
    }
    humantime::format_duration(duration).to_string()
}

/// Length of the longest path on Linux.
const MAX_PATH_CHARS: usize = 4096;
/// Length of a mask, or of the name of a JSON member.
const MAX_TEXT_CHARS: usize = 128;
/// Number of names in a list. The scrubber compares each with every member of every response.
const MAX_NAMES: usize = 256;
