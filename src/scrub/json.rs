//! A reader of JSON text, piece by piece, that hands out the source's own bytes.
//!
//! It reads text that `serde_json` has found valid (RFC 8259), so it need not judge the grammar. It is total all
//! the same: at a surprise it says [`ScrubFailure::BadJson`]. It knows no rule about what is secret.

use std::borrow::Cow;

use memchr::memchr2;

use crate::scrub::ScrubFailure;

/// A position in a text, and how many objects and arrays are open there. It has no `Debug`, which would print
/// the text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// A piece of the text: where it begins there, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A string as it stands in the source, with its quotes and escapes.
#[derive(Clone, Copy)]
pub(super) struct Literal {
    pub(super) piece: Piece,
    escaped: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The next byte that is not white space; it is not consumed.
    pub(super) fn peek(&mut self) -> Result<u8, ScrubFailure> {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(ScrubFailure::BadJson)
    }

    /// Consumes `wanted`, which must be next.
    pub(super) fn take(&mut self, wanted: u8) -> Result<Piece, ScrubFailure> {
        if self.peek()? != wanted {
            return Err(ScrubFailure::BadJson);
        }
        self.at += 1;
        Ok(self.since(self.at - 1))
    }

    /// Consumes the bracket that opens an object or array.
    pub(super) fn open(&mut self, bracket: u8) -> Result<Piece, ScrubFailure> {
        let piece = self.take(bracket)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(ScrubFailure::TooDeep) } else { Ok(piece) }
    }

    /// Consumes the bracket that closes what was opened last.
    pub(super) fn close(&mut self, bracket: u8) -> Result<Piece, ScrubFailure> {
        let piece = self.take(bracket)?;
        self.depth = self.depth.checked_sub(1).ok_or(ScrubFailure::BadJson)?;
        Ok(piece)
    }

    /// Consumes what stands before the next element of the object or array that `bracket` closes: nothing, or a
    /// comma. None where there is no further element.
    pub(super) fn another(&mut self, first: bool, bracket: u8) -> Result<Option<Piece>, ScrubFailure> {
        if self.peek()? == bracket {
            return Ok(None);
        }
        let comma = if first { self.since(self.at) } else { self.take(b',')? };
        Ok(Some(comma))
    }

    /// Consumes a string. Half a surrogate pair in an escape is [`ScrubFailure::BadText`].
    pub(super) fn string(&mut self) -> Result<Literal, ScrubFailure> {
        let start = self.take(b'"')?.start;
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
        let literal = Literal { piece: self.since(start), escaped };
        // Of all that an escape can say only a surrogate can be half of something.
        if surrogates {
            self.text(&literal)?;
        }
        Ok(literal)
    }

    /// What a string says, without its quotes and escapes. Half a surrogate pair says nothing.
    pub(super) fn text(&self, literal: &Literal) -> Result<Cow<'a, str>, ScrubFailure> {
        let raw = self.raw(literal.piece);
        if literal.escaped {
            return serde_json::from_str(raw).map(Cow::Owned).map_err(|_| ScrubFailure::BadText);
        }
        Ok(Cow::Borrowed(&raw[1..raw.len() - 1]))
    }

    /// Consumes a value of any kind and returns its source. It does not recurse, but it minds the depth.
    pub(super) fn skip(&mut self) -> Result<Piece, ScrubFailure> {
        if self.peek()? == b'"' {
            return Ok(self.string()?.piece);
        }
        let (start, outside) = (self.at, self.depth);
        loop {
            match self.peek()? {
                b'"' => self.string()?.piece,
                bracket @ (b'{' | b'[') => self.open(bracket)?,
                bracket @ (b'}' | b']') => self.close(bracket)?,
                mark @ (b',' | b':') => self.take(mark)?,
                _ => self.scalar()?,
            };
            if self.depth <= outside {
                return Ok(self.since(start));
            }
        }
    }

    /// Consumes a number, `true`, `false` or `null`.
    pub(super) fn scalar(&mut self) -> Result<Piece, ScrubFailure> {
        self.peek()?;
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let length = rest.iter().take_while(|byte| plain(byte)).count();
        if length == 0 {
            return Err(ScrubFailure::BadJson);
        }
        self.at += length;
        Ok(self.since(start))
    }

    /// The source of a piece.
    pub(super) fn raw(&self, piece: Piece) -> &'a str {
        &self.text[piece.start..piece.end]
    }

    fn since(&self, start: usize) -> Piece {
        Piece { start, end: self.at }
    }
}

/// How many objects and arrays may be open at once. Graph's own answers need four or five.
pub(super) const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_nobody_checked_ends_in_an_error_and_not_in_a_panic() {
        for text in ["", " ", "\"", "\"\\", "\"\\u12", "{", "{\"a\"", "[1", "}", "]", ",", "\\", "\u{e9}"] {
            let mut reader = Reader::new(text);
            let outcome = reader.skip().and_then(|_| reader.skip());
            assert!(outcome.is_err(), "{text}");
        }
    }

    #[test]
    fn a_skipped_value_is_returned_as_it_stands() {
        let mut reader = Reader::new(" {\"a\": [1, {}] } ,");
        let piece = reader.skip().unwrap();
        assert_eq!(reader.raw(piece), "{\"a\": [1, {}] }");
    }

    #[test]
    fn skipping_minds_the_depth() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Reader::new(&nested(MAX_DEPTH)).skip().is_ok());
        assert_eq!(Reader::new(&nested(MAX_DEPTH + 1)).skip(), Err(ScrubFailure::TooDeep));
    }

    #[test]
    fn a_string_is_handed_out_as_it_stands_and_as_it_reads() {
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
            let mut reader = Reader::new(&text);
            let literal = reader.string().ok().unwrap();
            assert_eq!((reader.raw(literal.piece), &*reader.text(&literal).unwrap()), (raw, says));
            assert_eq!(reader.take(b'"').map(|piece| piece.start), Ok(raw.len() + 2));
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_found_wherever_it_is() {
        for half in ["ud800", "uD800", "udFFF", "uDfff", "ud83dx", "ud83d\\n", "udc00\\ud83d", "u0041\\udbff"]
        {
            for raw in [format!("\"\\{half}\""), format!("[0,{{\"a\":\"b\\{half}\"}}]")] {
                assert_eq!(Reader::new(&raw).skip(), Err(ScrubFailure::BadText), "{raw}");
            }
        }
    }
}
