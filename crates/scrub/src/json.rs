//! A reader of JSON text that returns spans of the source.
//!
//! The text has been validated by `serde_json` (RFC 8259), so the reader does not check the grammar again. On any
//! other text it returns [`ScrubFailure::BadJson`] and does not panic. It has no rules about credentials.

use std::borrow::Cow;

use memchr::memchr2;

use crate::ScrubFailure;

/// A position in a text, and the number of open objects and arrays. Without `Debug`, which would print the text.
pub(super) struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// The first strings of the text, for a second pass.
    strings: Vec<KnownString>,
    /// Number of the strings that this pass has read.
    read: usize,
}

/// A span of the text: start and end, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceSpan {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A string of the source, with its quotes and escapes.
#[derive(Clone, Copy)]
pub(super) struct StringLiteral {
    pub(super) piece: SourceSpan,
    escaped: bool,
}

/// A string that a pass has read. Positions have 32 bits, so that the strings of most bodies take less than a kilobyte: larger
/// pieces of memory take the allocator several times as long.
#[derive(Clone, Copy)]
struct KnownString {
    start: u32,
    end: u32,
    escaped: bool,
}

impl KnownString {
    /// Returns `None` for a string beyond 4 GiB.
    fn new(StringLiteral { piece, escaped }: StringLiteral) -> Option<Self> {
        Some(Self { start: piece.start.try_into().ok()?, end: piece.end.try_into().ok()?, escaped })
    }

    /// Returns the string, if it begins at `start`.
    fn starting_at(self, start: usize) -> Option<StringLiteral> {
        let piece = SourceSpan { start: self.start.try_into().ok()?, end: self.end.try_into().ok()? };
        (piece.start == start).then_some(StringLiteral { piece, escaped: self.escaped })
    }
}

impl<'a> JsonReader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let strings = Vec::with_capacity((text.len() / 16).min(MAX_KNOWN_STRINGS));
        Self { text, at: 0, depth: 0, strings, read: 0 }
    }

    /// Returns a reader at the start of the text, for a second pass that reads the same strings in the same order.
    pub(super) fn rewound(self) -> Self {
        Self { at: 0, depth: 0, read: 0, ..self }
    }

    /// Returns the next byte that is not white space, without consuming it.
    pub(super) fn peek(&mut self) -> Result<u8, ScrubFailure> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(ScrubFailure::BadJson)
    }

    /// Consumes the byte `wanted`, which must be next.
    pub(super) fn expect_byte(&mut self, wanted: u8) -> Result<SourceSpan, ScrubFailure> {
        if self.peek()? != wanted {
            return Err(ScrubFailure::BadJson);
        }
        self.at += 1;
        Ok(self.span_from(self.at - 1))
    }

    /// Consumes the bracket that opens an object or array.
    pub(super) fn open(&mut self, bracket: u8) -> Result<SourceSpan, ScrubFailure> {
        let piece = self.expect_byte(bracket)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(ScrubFailure::TooDeep) } else { Ok(piece) }
    }

    /// Consumes the closing bracket of the innermost object or array.
    pub(super) fn close(&mut self, bracket: u8) -> Result<SourceSpan, ScrubFailure> {
        let piece = self.expect_byte(bracket)?;
        self.depth = self.depth.checked_sub(1).ok_or(ScrubFailure::BadJson)?;
        Ok(piece)
    }

    /// Consumes the comma before the next element of the object or array that `bracket` closes, if there is one.
    /// Returns `None` if there is no further element.
    pub(super) fn next_element(
        &mut self,
        first: bool,
        bracket: u8,
    ) -> Result<Option<SourceSpan>, ScrubFailure> {
        if self.peek()? == bracket {
            return Ok(None);
        }
        let comma = if first { self.span_from(self.at) } else { self.expect_byte(b',')? };
        Ok(Some(comma))
    }

    /// Consumes a string. Half a surrogate pair in an escape is [`ScrubFailure::BadText`].
    pub(super) fn read_string(&mut self) -> Result<StringLiteral, ScrubFailure> {
        let start = self.expect_byte(b'"')?.start;
        if let Some(known) = self.strings.get(self.read).and_then(|known| known.starting_at(start)) {
            (self.at, self.read) = (known.piece.end, self.read + 1);
            return Ok(known);
        }
        let (mut escaped, mut surrogates) = (false, false);
        loop {
            let rest = self.text.as_bytes().get(self.at..).ok_or(ScrubFailure::BadJson)?;
            let length = memchr2(b'"', b'\\', rest).ok_or(ScrubFailure::BadJson)?;
            self.at += length + 1;
            match &rest[length..] {
                [b'"', ..] => break,
                [_, b'u', b'd' | b'D', ..] => surrogates = true,
                _ => {}
            }
            escaped = true;
            self.at += 1;
        }
        let literal = StringLiteral { piece: self.span_from(start), escaped };
        // Only a surrogate escape can be incomplete.
        if surrogates {
            self.unescape(&literal)?;
        }
        if self.strings.len() < MAX_KNOWN_STRINGS {
            self.strings.extend(KnownString::new(literal));
        }
        self.read = self.strings.len();
        Ok(literal)
    }

    /// Returns a string without its quotes and escapes. Half a surrogate pair is an error.
    pub(super) fn unescape(&self, literal: &StringLiteral) -> Result<Cow<'a, str>, ScrubFailure> {
        let raw = self.source(literal.piece);
        if literal.escaped {
            return serde_json::from_str(raw).map(Cow::Owned).map_err(|_| ScrubFailure::BadText);
        }
        Ok(Cow::Borrowed(&raw[1..raw.len() - 1]))
    }

    /// Returns false if a string without its quotes and escapes does not begin with the byte `first`.
    pub(super) fn may_begin_with(&self, literal: &StringLiteral, first: u8) -> bool {
        literal.escaped || self.text.as_bytes().get(literal.piece.start + 1) == Some(&first)
    }

    /// Consumes a value of any kind and returns its span. Does not recurse, but checks the depth.
    pub(super) fn skip_value(&mut self) -> Result<SourceSpan, ScrubFailure> {
        if self.peek()? == b'"' {
            return Ok(self.read_string()?.piece);
        }
        let (start, outside) = (self.at, self.depth);
        loop {
            match self.peek()? {
                b'"' => self.read_string()?.piece,
                bracket @ (b'{' | b'[') => self.open(bracket)?,
                bracket @ (b'}' | b']') => self.close(bracket)?,
                mark @ (b',' | b':') => self.expect_byte(mark)?,
                _ => self.read_scalar()?,
            };
            if self.depth <= outside {
                return Ok(self.span_from(start));
            }
        }
    }

    /// Consumes a number, `true`, `false` or `null`.
    pub(super) fn read_scalar(&mut self) -> Result<SourceSpan, ScrubFailure> {
        self.peek()?;
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let length = rest.iter().take_while(|byte| plain(byte)).count();
        if length == 0 {
            return Err(ScrubFailure::BadJson);
        }
        self.at += length;
        Ok(self.span_from(start))
    }

    /// Returns the source text of a span.
    pub(super) fn source(&self, piece: SourceSpan) -> &'a str {
        &self.text[piece.start..piece.end]
    }

    fn span_from(&self, start: usize) -> SourceSpan {
        SourceSpan { start, end: self.at }
    }
}

/// Maximum number of open objects and arrays. Graph's own responses need four or five.
pub(super) const MAX_DEPTH: usize = 64;
/// Strings that a second pass does not search again: 12 KiB at most. Graph's responses have about fifty.
const MAX_KNOWN_STRINGS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_text_gives_an_error_and_not_a_panic() {
        for text in ["", " ", "\"", "\"\\", "\"\\u12", "{", "{\"a\"", "[1", "}", "]", ",", "\\", "\u{e9}"] {
            let mut reader = JsonReader::new(text);
            let outcome = reader.skip_value().and_then(|_| reader.skip_value());
            assert!(outcome.is_err(), "{text}");
        }
    }

    #[test]
    fn a_skipped_value_is_returned_unchanged() {
        let mut reader = JsonReader::new(" {\"a\": [1, {}] } ,");
        let piece = reader.skip_value().unwrap();
        assert_eq!(reader.source(piece), "{\"a\": [1, {}] }");
    }

    #[test]
    fn skipping_checks_the_depth() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(JsonReader::new(&nested(MAX_DEPTH)).skip_value().is_ok());
        assert_eq!(JsonReader::new(&nested(MAX_DEPTH + 1)).skip_value(), Err(ScrubFailure::TooDeep));
    }

    #[test]
    fn a_string_is_returned_as_source_and_unescaped() {
        for (raw, says) in [
            (r#""""#, ""),
            (r#""a b""#, "a b"),
            (r#""\\""#, "\\"),
            (r#""\"""#, "\""),
            (r#""a\u0041\"\/b""#, "aA\"/b"),
            (r#""\\ud800""#, "\\ud800"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\uD83D\uDE00""#, "\u{1f600}"),
            ("\"\u{e9}\"", "\u{e9}"),
        ] {
            let text = format!(" {raw} \"");
            let mut reader = JsonReader::new(&text);
            let literal = reader.read_string().ok().unwrap();
            assert_eq!((reader.source(literal.piece), &*reader.unescape(&literal).unwrap()), (raw, says));
            assert_eq!(reader.expect_byte(b'"').map(|piece| piece.start), Ok(raw.len() + 2));
        }
    }

    #[test]
    fn a_second_pass_reads_the_same_strings() {
        let few = r#"{"a":"\"b","\u0063":["d","",{"e":1}]}"#.to_owned();
        let many = format!("[{}]", vec![r#""x\\""#; MAX_KNOWN_STRINGS + 3].join(","));
        for text in [few, many] {
            let mut reader = JsonReader::new(&text);
            let read = |reader: &mut JsonReader<'_>| {
                let mut strings = Vec::new();
                while let Ok(byte) = reader.peek() {
                    if byte == b'"' {
                        strings.push(reader.read_string().ok().unwrap().piece);
                    } else {
                        reader.at += 1;
                    }
                }
                strings
            };
            let first = read(&mut reader);
            let mut reader = reader.rewound();
            assert_eq!(read(&mut reader), first);
            assert!(reader.strings.len() <= MAX_KNOWN_STRINGS);
            // A pass that skips a string finds the others nevertheless.
            let mut reader = reader.rewound();
            reader.at = first[0].end;
            assert_eq!(read(&mut reader), first[1..]);
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_found_in_any_position() {
        for half in ["ud800", "uD800", "udFFF", "uDfff", "ud83dx", "ud83d\\n", "udc00\\ud83d", "u0041\\udbff"]
        {
            for raw in [format!("\"\\{half}\""), format!("[0,{{\"a\":\"b\\{half}\"}}]")] {
                assert_eq!(JsonReader::new(&raw).skip_value(), Err(ScrubFailure::BadText), "{raw}");
            }
        }
    }
}
