//! Replies of the store that the reader of the log needs.

use std::time::Duration;

use redis::{Value, from_redis_value};

use crate::shared::event::LogId;

/// An entry of the log, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogEntry {
    pub(super) id: LogId,
    /// Value of the first field.
    pub(super) sealed: Vec<u8>,
}

/// Parses the reply to XREAD of one stream: entries after an id, in their order. `Nil` is an empty list.
pub(super) fn parse_read(reply: Value, after: LogId) -> Option<Vec<LogEntry>> {
    // A store that sends the same entries again would keep the reader busy without an end.
    let is_ordered = |entries: &Vec<LogEntry>| {
        entries.first().is_none_or(|first| first.id > after)
            && entries.is_sorted_by(|one, next| one.id < next.id)
    };
    parse_stream(reply).filter(is_ordered)
}

fn parse_stream(reply: Value) -> Option<Vec<LogEntry>> {
    let streams = match reply {
        Value::Nil => return Some(Vec::new()),
        Value::Array(streams) => streams,
        _ => return None,
    };
    let Some(Value::Array(stream)) = streams.into_iter().next() else { return None };
    parse_entries(stream.into_iter().nth(1)?)
}

/// Returns the first entry of a reply to XRANGE or XREVRANGE.
pub(super) fn first_entry(reply: Value) -> Option<LogEntry> {
    parse_entries(reply)?.into_iter().next()
}

/// Parses the reply to TIME.
pub(super) fn parse_time(reply: Value) -> Option<Duration> {
    let (seconds, micros) = from_redis_value::<(u64, u32)>(reply).ok()?;
    Duration::from_secs(seconds).checked_add(Duration::from_micros(micros.into()))
}

fn parse_entries(value: Value) -> Option<Vec<LogEntry>> {
    let Value::Array(entries) = value else { return None };
    entries.into_iter().map(parse_entry).collect()
}

fn parse_entry(value: Value) -> Option<LogEntry> {
    let Value::Array(entry) = value else { return None };
    let mut entry = entry.into_iter();
    let Value::BulkString(id) = entry.next()? else { return None };
    // An entry that was deleted while it was read has no fields.
    let sealed = match entry.next()? {
        Value::Array(fields) => match fields.into_iter().nth(1) {
            Some(Value::BulkString(sealed)) => sealed,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    Some(LogEntry { id: LogId::parse(&id)?, sealed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn entries_are_read_from_the_replies_of_the_store() {
        let entry = |id: &str| Value::Array(vec![text(id), Value::Array(vec![text("e"), text("sealed")])]);
        let expected = LogEntry { id: LogId { ms: 1, seq: 2 }, sealed: b"sealed".to_vec() };
        let read = |ids: &[&str]| {
            let entries = Value::Array(ids.iter().map(|id| entry(id)).collect());
            Value::Array(vec![Value::Array(vec![text("log"), entries])])
        };
        let after = LogId { ms: 1, seq: 1 };
        assert_eq!(parse_read(read(&["1-2"]), after), Some(vec![expected.clone()]));
        assert_eq!(parse_read(Value::Nil, after), Some(vec![]));
        for ids in [&["1-1"][..], &["1-2", "1-2"], &["2-0", "1-2"]] {
            assert_eq!(parse_read(read(ids), after), None, "the entries are not in order: {ids:?}");
        }
        assert_eq!(first_entry(Value::Array(vec![entry("1-2"), entry("1-3")])), Some(expected));
        assert_eq!(first_entry(Value::Array(vec![])), None);
        assert_eq!(first_entry(Value::Array(vec![entry("x")])), None);
        let time = Value::Array(vec![text("7"), text("250000")]);
        assert_eq!(parse_time(time), Some(Duration::from_millis(7250)));
        let late = Value::Array(vec![text("18446744073709551615"), text("4294967")]);
        assert_eq!(parse_time(late), None);
    }
}
