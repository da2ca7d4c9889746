//! The output of a walk: spans of the source and replacements.

use std::sync::Arc;

use serde_json::Value;

use super::json::SourceSpan;
use crate::ScrubFailure;

/// The output so far. Adjacent spans of the source are copied together. Without `Debug`, which would print the text.
pub(super) struct Output<'a> {
    source: &'a str,
    /// Without memory until something is copied: the output of compact JSON without credentials is one span.
    bytes: Vec<u8>,
    /// The kept span that is not yet copied.
    pending: SourceSpan,
    /// Remaining bytes of the limit. Spans count when they are kept, not when they are copied, so that a too large
    /// body fails at the span that exceeds the limit.
    remaining: usize,
}

impl<'a> Output<'a> {
    /// Creates an empty output. `max`: maximum length, bytes.
    pub(super) fn new(source: &'a str, max: usize) -> Self {
        Self { source, bytes: Vec::new(), pending: SourceSpan { start: 0, end: 0 }, remaining: max }
    }

    /// Writes a span of the source unchanged.
    #[inline]
    pub(super) fn keep(&mut self, piece: SourceSpan) -> Result<(), ScrubFailure> {
        self.reserve(piece.end - piece.start)?;
        if piece.start != self.pending.end {
            self.flush();
            self.pending.start = piece.start;
        }
        self.pending.end = piece.end;
        Ok(())
    }

    /// Writes text that is not in the source.
    pub(super) fn push(&mut self, text: &str) -> Result<(), ScrubFailure> {
        self.reserve(text.len())?;
        self.flush();
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Writes a text as a JSON string.
    pub(super) fn push_json_string(&mut self, text: &str) -> Result<(), ScrubFailure> {
        // Few texts need an escape. A check of all bytes without an early exit is vectorized and faster.
        if text.bytes().fold(false, |found, byte| found | is_escaped(byte)) {
            return self.push(&Value::from(text).to_string());
        }
        self.push("\"")?;
        self.push(text)?;
        self.push("\"")
    }

    /// Returns the whole output, in memory of exactly its length.
    pub(super) fn into_bytes(mut self) -> Arc<[u8]> {
        if self.bytes.is_empty() {
            return self.source.as_bytes()[self.pending.start..self.pending.end].into();
        }
        self.flush();
        self.bytes.into()
    }

    fn reserve(&mut self, length: usize) -> Result<(), ScrubFailure> {
        self.remaining = self.remaining.checked_sub(length).ok_or(ScrubFailure::TooLarge)?;
        Ok(())
    }

    fn flush(&mut self) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(self.source.len().min(self.remaining));
        }
        self.bytes.extend_from_slice(&self.source.as_bytes()[self.pending.start..self.pending.end]);
        self.pending.start = self.pending.end;
    }
}

/// Returns whether JSON requires an escape for a byte in a string.
fn is_escaped(byte: u8) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "0123456789";

    fn piece(start: usize, end: usize) -> SourceSpan {
        SourceSpan { start, end }
    }

    fn text(output: Output<'_>) -> String {
        String::from_utf8(output.into_bytes().to_vec()).unwrap()
    }

    #[test]
    fn spans_are_written_in_the_order_in_which_they_were_kept() {
        let mut output = Output::new(SOURCE, 99);
        for (start, end) in [(0, 0), (0, 2), (2, 3), (3, 3), (5, 6), (6, 8), (1, 3), (9, 10)] {
            output.keep(piece(start, end)).unwrap();
        }
        assert_eq!(text(output), "012567129");
    }

    #[test]
    fn pushed_text_stands_between_the_spans() {
        let mut output = Output::new(SOURCE, 99);
        output.push("a").unwrap();
        output.keep(piece(0, 2)).unwrap();
        output.push("b").unwrap();
        output.push("c").unwrap();
        output.keep(piece(2, 3)).unwrap();
        output.keep(piece(3, 4)).unwrap();
        output.push("d").unwrap();
        output.keep(piece(8, 10)).unwrap();
        assert_eq!(text(output), "a01bc23d89");
    }

    #[test]
    fn the_limit_counts_kept_spans_before_they_are_copied() {
        let mut output = Output::new(SOURCE, 6);
        output.keep(piece(0, 2)).unwrap();
        output.keep(piece(2, 4)).unwrap();
        output.push("ab").unwrap();
        output.keep(piece(4, 4)).unwrap();
        output.push("").unwrap();
        assert_eq!(output.keep(piece(4, 5)), Err(ScrubFailure::TooLarge));
        assert_eq!(output.push("c"), Err(ScrubFailure::TooLarge));
        assert_eq!(text(output), "0123ab");
    }

    #[test]
    fn a_string_is_escaped_as_in_json() {
        for byte in 0..128_u8 {
            let one = String::from(char::from(byte));
            for string in [format!("a{one}b\u{e9}"), one.repeat(2), one] {
                let mut output = Output::new("", 99);
                output.push_json_string(&string).unwrap();
                assert_eq!(text(output), Value::from(string).to_string());
            }
        }
    }

    #[test]
    fn a_string_fits_with_its_quotes_or_not_at_all() {
        let add = |max| Output::new("", max).push_json_string("abc");
        assert_eq!(add(5), Ok(()));
        for max in 0..5 {
            assert_eq!(add(max), Err(ScrubFailure::TooLarge));
        }
    }
}
