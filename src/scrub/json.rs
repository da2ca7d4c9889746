//! A reader of JSON text, piece by piece, that hands out the source's own bytes.
//!
//! It reads text that `serde_json` has found valid (RFC 8259), so it need not judge the grammar. It is total all
//! the same: at a surprise it says [`ScrubFailure::BadJson`]. It knows no rule about what is secret.

use std::borrow::Cow;

use crate::cache::status::ScrubFailure;

/// A position in a text, and how many objects and arrays are open there. It has no `Debug`, which would print
/// the text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// A string as it stands in the source, and what it says.
pub(super) struct Literal<'a> {
    /// With its quotes and escapes.
    pub(super) raw: &'a str,
    /// Without them.
    pub(super) text: Cow<'a, str>,
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
    pub(super) fn take(&mut self, wanted: u8) -> Result<(), ScrubFailure> {
        if self.peek()? != wanted {
            return Err(ScrubFailure::BadJson);
        }
        self.at += 1;
        Ok(())
    }

    /// Consumes the bracket that opens an object or array.
    pub(super) fn open(&mut self, bracket: u8) -> Result<(), ScrubFailure> {
        self.take(bracket)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(ScrubFailure::TooDeep) } else { Ok(()) }
    }

    /// Consumes the bracket that closes what was opened last.
    pub(super) fn close(&mut self, bracket: u8) -> Result<(), ScrubFailure> {
        self.take(bracket)?;
        self.depth = self.depth.checked_sub(1).ok_or(ScrubFailure::BadJson)?;
        Ok(())
    }

    /// Consumes what stands before the next element of the object or array that `bracket` closes: nothing, or a
    /// comma. False where there is no further element.
    pub(super) fn another(&mut self, first: bool, bracket: u8) -> Result<bool, ScrubFailure> {
        if self.peek()? == bracket {
            return Ok(false);
        }
        if !first {
            self.take(b',')?;
        }
        Ok(true)
    }

    /// Consumes a string. Half a surrogate pair in an escape is [`ScrubFailure::BadText`].
    pub(super) fn string(&mut self) -> Result<Literal<'a>, ScrubFailure> {
        self.peek()?;
        let start = self.at;
        self.take(b'"')?;
        let mut escaped = false;
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
                None => return Err(ScrubFailure::BadJson),
            }
        }
        self.at += 1;
        let raw = self.since(start)?;
        let text = if escaped {
            Cow::Owned(serde_json::from_str(raw).map_err(|_| ScrubFailure::BadText)?)
        } else {
            Cow::Borrowed(&raw[1..raw.len() - 1])
        };
        Ok(Literal { raw, text })
    }

    /// Consumes a value of any kind and returns its source. It does not recurse, but it minds the depth.
    pub(super) fn skip(&mut self) -> Result<&'a str, ScrubFailure> {
        self.peek()?;
        let (start, outside) = (self.at, self.depth);
        loop {
            match self.peek()? {
                bracket @ (b'{' | b'[') => self.open(bracket)?,
                bracket @ (b'}' | b']') => self.close(bracket)?,
                mark @ (b',' | b':') => self.take(mark)?,
                b'"' => drop(self.string()?),
                _ => drop(self.scalar()?),
            }
            if self.depth <= outside {
                return self.since(start);
            }
        }
    }

    /// Consumes a number, `true`, `false` or `null`.
    pub(super) fn scalar(&mut self) -> Result<&'a str, ScrubFailure> {
        self.peek()?;
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        let length = rest.iter().take_while(|byte| plain(byte)).count();
        if length == 0 {
            return Err(ScrubFailure::BadJson);
        }
        self.at += length;
        self.since(start)
    }

    fn since(&self, start: usize) -> Result<&'a str, ScrubFailure> {
        self.text.get(start..self.at).ok_or(ScrubFailure::BadJson)
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
        assert_eq!(reader.skip(), Ok("{\"a\": [1, {}] }"));
    }

    #[test]
    fn skipping_minds_the_depth() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Reader::new(&nested(MAX_DEPTH)).skip().is_ok());
        assert_eq!(Reader::new(&nested(MAX_DEPTH + 1)).skip(), Err(ScrubFailure::TooDeep));
    }
}
