//! Framing of an HTTP/1 connection: which bytes belong to heads, and which of them hyper must not interpret alone.
//!
//! A line of a head that ends in a bare LF is an error. A head with both `Transfer-Encoding` and `Content-Length` is
//! ambiguous: hyper drops the second field, so only the bytes show it. A chunked body without content ends with its request;
//! any other body ends the connection, so that the bytes after its start are not inspected.

use memchr::memchr;

/// Scanner of the bytes of one connection. It finds the same messages for any split into reads.
#[derive(Debug)]
pub(super) struct FramingScanner {
    section: Section,
    position: Position,
    /// The last byte of the read before.
    last: u8,
    has_transfer_encoding: bool,
    has_content_length: bool,
    has_content: bool,
}

/// Part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Head,
    /// The line with the size of the first chunk, which may be the last one.
    Chunk,
    Trailers,
    /// Content, and everything after it.
    Content,
    /// Everything after a head with both fields that frame a body.
    Ambiguous,
}

/// Position in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Start,
    /// After the CR of an empty line.
    Empty,
    /// In a name that equals the first bytes of one of [`FIELDS`].
    Name(usize, usize),
    /// In the value of `Content-Length`, after zeros and blanks only.
    Length,
    /// In the size of the first chunk, after zeros only.
    Zeros,
    /// In the rest of the line, which does not matter.
    Rest,
}

impl FramingScanner {
    pub(super) fn new() -> Self {
        Self {
            section: Section::Head,
            position: Position::Start,
            last: 0,
            has_transfer_encoding: false,
            has_content_length: false,
            has_content: false,
        }
    }

    /// Returns whether a head had both fields that frame a body. Such a head is the last one.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.section == Section::Ambiguous
    }

    /// Returns whether the next byte belongs to a body.
    pub(super) fn is_in_body(&self) -> bool {
        self.section != Section::Head
    }

    /// Scans the next bytes. Fails at a bare LF outside of content, with the number of bytes before the message that has it.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let (mut at, mut message_start) = (0, 0);
        while let Some(&byte) = bytes.get(at) {
            match self.position {
                _ if matches!(self.section, Section::Content | Section::Ambiguous) => break,
                Position::Rest => {
                    let Some(feed) = memchr(b'\n', &bytes[at..]) else { break };
                    at += feed;
                    if at.checked_sub(1).map_or(self.last, |before| bytes[before]) != b'\r' {
                        return Err(message_start);
                    }
                    at += 1;
                    self.position = match (self.section, bytes.get(at)) {
                        // Most lines of a head: the line after the next one is found without a look at each byte.
                        (Section::Head, Some(first)) if !matters_at_start(*first) => Position::Rest,
                        _ => Position::Start,
                    };
                    if self.section == Section::Chunk {
                        self.section = Section::Trailers;
                    }
                }
                Position::Empty if byte == b'\n' => {
                    at += 1;
                    self.end_section();
                    if self.section == Section::Head {
                        message_start = at;
                    }
                }
                _ => at += self.step(byte),
            }
        }
        self.last = bytes.last().copied().unwrap_or(self.last);
        Ok(())
    }

    /// Moves to the position after `byte`. Returns 0 if the byte has to be looked at again from the new position.
    fn step(&mut self, byte: u8) -> usize {
        let next = match self.position {
            Position::Start => match byte {
                b'\r' if self.section != Section::Chunk => Some(Position::Empty),
                b'0' if self.section == Section::Chunk => Some(Position::Zeros),
                _ if self.section == Section::Chunk => {
                    self.section = Section::Content;
                    None
                }
                b't' | b'T' if self.section == Section::Head => Some(Position::Name(0, 1)),
                b'c' | b'C' if self.section == Section::Head => Some(Position::Name(1, 1)),
                _ => None,
            },
            Position::Name(field, length) => match FIELDS[field].get(length) {
                Some(expected) if byte.eq_ignore_ascii_case(expected) => {
                    Some(self.match_name(field, length + 1))
                }
                _ => None,
            },
            Position::Length => match byte {
                b'0' | b' ' | b'\t' => Some(Position::Length),
                b'\r' => None,
                _ => {
                    self.has_content = true;
                    None
                }
            },
            Position::Zeros => match byte {
                b'0' => Some(Position::Zeros),
                b';' | b' ' | b'\t' | b'\r' => None,
                _ => {
                    self.section = Section::Content;
                    None
                }
            },
            Position::Empty | Position::Rest => None,
        };
        self.position = next.unwrap_or(Position::Rest);
        usize::from(next.is_some())
    }

    fn match_name(&mut self, field: usize, length: usize) -> Position {
        if length < FIELDS[field].len() {
            return Position::Name(field, length);
        }
        if field == 0 {
            self.has_transfer_encoding = true;
            Position::Rest
        } else {
            self.has_content_length = true;
            Position::Length
        }
    }

    /// Goes on after an empty line.
    fn end_section(&mut self) {
        let is_chunked = self.section == Section::Head && self.has_transfer_encoding;
        self.section = if is_chunked && self.has_content_length {
            Section::Ambiguous
        } else if self.has_content {
            Section::Content
        } else if is_chunked {
            Section::Chunk
        } else {
            Section::Head
        };
        self.position = Position::Start;
        (self.has_transfer_encoding, self.has_content_length) = (false, false);
    }
}

/// Returns whether a line of a head that begins with `byte` may be empty or may frame a body.
fn matters_at_start(byte: u8) -> bool {
    matches!(byte, b'\r' | b'c' | b'C' | b't' | b'T')
}

/// The fields that frame a body, in lower case, with the colon.
const FIELDS: [&[u8]; 2] = [b"transfer-encoding:", b"content-length:"];

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans the text at once and byte by byte. Returns whether each scan ends in a body, and whether it is ambiguous.
    fn scan(text: &str) -> Result<(bool, bool), usize> {
        let mut scanner = FramingScanner::new();
        let at_once = scanner.scan(text.as_bytes());
        let mut slow = FramingScanner::new();
        let slowly = text.bytes().try_for_each(|byte| slow.scan(&[byte]));
        assert_eq!(at_once.is_err(), slowly.is_err(), "{text:?}");
        at_once?;
        let state = |it: &FramingScanner| (it.section, it.position, it.last);
        assert_eq!(state(&scanner), state(&slow), "{text:?}");
        Ok((scanner.is_in_body(), scanner.is_ambiguous()))
    }

    #[test]
    fn a_body_without_content_ends_with_its_request() {
        for text in [
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nTRANSFER-ENCODING:chunked\r\nte: x\r\n\r\n000;a=b\r\nx: y\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length:00 \r\nconnection: close\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\ntraceparent: 0\r\ncontent-lengthy: 5\r\n\r\n",
        ] {
            assert_eq!(scan(text), Ok((false, false)), "{text:?}");
            let bare = format!("{text}GET / HTTP/1.1\n");
            assert!(scan(&bare).is_err(), "the next head is inspected");
            assert_eq!(FramingScanner::new().scan(bare.as_bytes()), Err(text.len()));
        }
    }

    #[test]
    fn bytes_from_the_start_of_content_on_are_not_inspected() {
        for text in [
            "GET / HTTP/1.1\r\ncontent-length: 5\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: +0\r\n\r\n",
            "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\n",
            "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0a\r\n",
            "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
        ] {
            assert_eq!(scan(text), Ok((true, false)), "{text:?}");
            assert_eq!(scan(&format!("{text}\na\n\nGET / HTTP/1.1\r\n\r\n")), Ok((true, false)), "{text:?}");
        }
    }

    #[test]
    fn a_head_with_both_fields_is_ambiguous_in_any_order() {
        let (chunked, length) = ("Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n");
        for fields in [format!("{chunked}{length}"), format!("{length}x: y\r\n{chunked}")] {
            assert_eq!(scan(&format!("GET / HTTP/1.1\r\n{fields}\r\n")), Ok((true, true)), "{fields:?}");
        }
        let apart = format!("GET / HTTP/1.1\r\n{chunked}\r\n0\r\n{length}\r\nGET / HTTP/1.1\r\n{length}\r\n");
        assert_eq!(scan(&apart), Ok((false, false)), "in a trailer section, and in the next head");
    }

    #[test]
    fn a_bare_line_feed_outside_of_content_is_an_error() {
        let chunked = "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        for tail in ["0;a\n", "0\r\n\n", "0\r\nx: y\n", "0\r\n\r\n\n"] {
            assert!(scan(&format!("{chunked}{tail}")).is_err(), "{tail:?}");
        }
        for text in [
            "\n",
            "GET /\n",
            "GET /\r\n\n",
            "GET /\r\nc\n",
            "GET /\r\ncontent-length: 0\n",
            "GET /\r\n\r\r\n\n",
        ] {
            assert!(scan(text).is_err(), "{text:?}");
        }
    }
}
