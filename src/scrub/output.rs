//! What a walk writes: pieces of the source, and what stands in the place of others.

use serde_json::Value;

use super::json::Piece;
use crate::scrub::ScrubFailure;

/// The output so far. Pieces that stand side by side in the source are copied in one run. It has no `Debug`, which
/// would print the text.
pub(super) struct Output<'a> {
    source: &'a str,
    bytes: Vec<u8>,
    /// What is kept and not yet copied.
    run: Piece,
    /// How many bytes more there may be, counted as they are kept and not as they are copied: a body that is too
    /// large ends at the piece that makes it so.
    room: usize,
}

impl<'a> Output<'a> {
    /// `max` is the most bytes that there may be.
    pub(super) fn new(source: &'a str, max: usize) -> Self {
        Self {
            source,
            bytes: Vec::with_capacity(source.len().min(max)),
            run: Piece { start: 0, end: 0 },
            room: max,
        }
    }

    /// Writes a piece of the source as it is.
    #[inline]
    pub(super) fn keep(&mut self, piece: Piece) -> Result<(), ScrubFailure> {
        self.reserve(piece.end - piece.start)?;
        if piece.start != self.run.end {
            self.copy();
            self.run.start = piece.start;
        }
        self.run.end = piece.end;
        Ok(())
    }

    /// Writes what does not stand in the source.
    pub(super) fn add(&mut self, text: &str) -> Result<(), ScrubFailure> {
        self.reserve(text.len())?;
        self.copy();
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Writes a text as a JSON string.
    pub(super) fn add_string(&mut self, text: &str) -> Result<(), ScrubFailure> {
        // Hardly any text has such a byte: to look at all of them, many at a time, is quicker than to stop at one.
        if text.bytes().fold(false, |found, byte| found | is_escaped(byte)) {
            return self.add(&Value::from(text).to_string());
        }
        self.add("\"")?;
        self.add(text)?;
        self.add("\"")
    }

    /// All that was written.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.copy();
        self.bytes
    }

    fn reserve(&mut self, length: usize) -> Result<(), ScrubFailure> {
        self.room = self.room.checked_sub(length).ok_or(ScrubFailure::TooLarge)?;
        Ok(())
    }

    fn copy(&mut self) {
        self.bytes.extend_from_slice(&self.source.as_bytes()[self.run.start..self.run.end]);
        self.run.start = self.run.end;
    }
}

/// Whether a byte may not stand in a JSON string as it is.
fn is_escaped(byte: u8) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "0123456789";

    fn piece(start: usize, end: usize) -> Piece {
        Piece { start, end }
    }

    fn text(output: Output<'_>) -> String {
        String::from_utf8(output.into_bytes()).unwrap()
    }

    #[test]
    fn pieces_come_out_in_the_order_in_which_they_were_kept() {
        let mut output = Output::new(SOURCE, 99);
        for (start, end) in [(0, 0), (0, 2), (2, 3), (3, 3), (5, 6), (6, 8), (1, 3), (9, 10)] {
            output.keep(piece(start, end)).unwrap();
        }
        assert_eq!(text(output), "012567129");
    }

    #[test]
    fn what_is_added_stands_between_the_pieces() {
        let mut output = Output::new(SOURCE, 99);
        output.add("a").unwrap();
        output.keep(piece(0, 2)).unwrap();
        output.add("b").unwrap();
        output.add("c").unwrap();
        output.keep(piece(2, 3)).unwrap();
        output.keep(piece(3, 4)).unwrap();
        output.add("d").unwrap();
        output.keep(piece(8, 10)).unwrap();
        assert_eq!(text(output), "a01bc23d89");
    }

    #[test]
    fn the_limit_counts_what_is_kept_before_it_is_copied() {
        let mut output = Output::new(SOURCE, 6);
        output.keep(piece(0, 2)).unwrap();
        output.keep(piece(2, 4)).unwrap();
        output.add("ab").unwrap();
        output.keep(piece(4, 4)).unwrap();
        output.add("").unwrap();
        assert_eq!(output.keep(piece(4, 5)), Err(ScrubFailure::TooLarge));
        assert_eq!(output.add("c"), Err(ScrubFailure::TooLarge));
        assert_eq!(text(output), "0123ab");
    }

    #[test]
    fn a_string_is_escaped_as_json_has_it() {
        for byte in 0..128_u8 {
            let one = String::from(char::from(byte));
            for string in [format!("a{one}b\u{e9}"), one.repeat(2), one] {
                let mut output = Output::new("", 99);
                output.add_string(&string).unwrap();
                assert_eq!(text(output), Value::from(string).to_string());
            }
        }
    }

    #[test]
    fn a_string_fits_with_its_quotes_or_not_at_all() {
        let add = |max| Output::new("", max).add_string("abc");
        assert_eq!(add(5), Ok(()));
        for max in 0..5 {
            assert_eq!(add(max), Err(ScrubFailure::TooLarge));
        }
    }
}
