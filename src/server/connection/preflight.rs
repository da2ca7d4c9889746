//! What the bytes of a connection say before HTTP parses them.
//!
//! Two things that the parser below us lets pass or names otherwise: a line that ends in a bare LF, which two
//! parsers in a row may read as two different requests, and a request line too long for any buffer.

use memchr::{memchr_iter, memmem};

/// The protocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Protocol {
    /// Not enough bytes yet.
    Unknown = 0,
    /// HTTP/1.0 or HTTP/1.1.
    Http1 = 1,
    /// HTTP/2, by its preface (RFC 9113, section 3.4).
    Http2 = 2,
}

/// Why a connection is not listened to any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum PreflightError {
    /// RFC 9112, section 3: "A server that receives a request-target longer than any URI it wishes to parse
    /// MUST respond with a 414 (URI Too Long) status code." The parser would say 431 once its buffer is full.
    TargetTooLong = 1,
    /// RFC 9112, section 2.2: a recipient "MAY recognize a single LF as a line terminator". We do not.
    BareLineFeed = 2,
    /// Frames of HTTP/2 without end that no request comes of: SETTINGS, PING, empty DATA and the like each cost us
    /// something, and the library below answers them for ever (RFC 9113, section 10.5).
    Flood = 3,
}

impl PreflightError {
    /// The whole answer.
    pub(in crate::server) fn reply(self) -> &'static [u8] {
        match self {
            Self::TargetTooLong => {
                b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            }
            Self::BareLineFeed => {
                b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            }
            // A frame of ours might fall into the middle of one that is being written.
            Self::Flood => b"",
        }
    }
}

/// What bytes that come are expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Expected {
    /// A request: none is being answered.
    Head,
    /// The next request, pipelined: one is being answered that has no body.
    NextHead,
    /// The body of the request that is being answered. The connection ends with its answer.
    Body,
}

/// Looks at the bytes of one connection as they come.
#[derive(Debug)]
pub(in crate::server) struct Preflight {
    protocol: Protocol,
    /// Bytes of the HTTP/2 preface that came so far.
    preface: usize,
    /// Bytes of the request line so far; `None` once it has ended.
    line: Option<usize>,
    line_max: usize,
    /// Bytes of HTTP/2 since the last request.
    unasked: usize,
    /// The end of what came before: enough to see a line or a head end across two reads.
    tail: [u8; 3],
}

impl Preflight {
    /// A new connection, on which no request line may fill `line_max` bytes.
    pub(in crate::server) fn new(line_max: usize) -> Self {
        Self { protocol: Protocol::Unknown, preface: 0, line: Some(0), line_max, unasked: 0, tail: [0; 3] }
    }

    /// What the connection speaks, as far as is known.
    pub(in crate::server) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What came before has become a request; the next bytes begin another.
    pub(in crate::server) fn next_request(&mut self) {
        self.line = Some(0);
        self.unasked = 0;
    }

    /// Looks at bytes that just came.
    pub(in crate::server) fn see(&mut self, bytes: &[u8], expected: Expected) -> Result<(), PreflightError> {
        if self.protocol == Protocol::Unknown {
            self.detect(bytes);
        }
        match self.protocol {
            Protocol::Unknown => return Ok(()),
            Protocol::Http2 => return self.count(bytes),
            Protocol::Http1 => {}
        }
        let result = match expected {
            Expected::Head => self.assess(bytes),
            Expected::NextHead => self.judge_next(bytes),
            Expected::Body => Ok(()),
        };
        for &byte in bytes.iter().skip(bytes.len().saturating_sub(3)) {
            self.tail = [self.tail[1], self.tail[2], byte];
        }
        result
    }

    fn detect(&mut self, bytes: &[u8]) {
        let expected = &PREFACE[self.preface..];
        let n = expected.len().min(bytes.len());
        if expected[..n] != bytes[..n] {
            self.protocol = Protocol::Http1;
        } else if n == expected.len() {
            self.protocol = Protocol::Http2;
        } else {
            self.preface += n;
        }
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), PreflightError> {
        self.unasked = self.unasked.saturating_add(bytes.len());
        if self.unasked > UNASKED { Err(PreflightError::Flood) } else { Ok(()) }
    }

    fn assess(&mut self, bytes: &[u8]) -> Result<(), PreflightError> {
        let mut feeds = memchr_iter(b'\n', bytes).peekable();
        if feeds.peek().is_some() {
            self.line = None;
        }
        let before = |at: usize| at.checked_sub(1).map_or(self.tail[2], |at| bytes[at]);
        if feeds.any(|at| before(at) != b'\r') && self.has_bare_feed_in_a_head(bytes) {
            return Err(PreflightError::BareLineFeed);
        }
        if let Some(line) = &mut self.line {
            *line += bytes.len();
            if *line >= self.line_max {
                return Err(PreflightError::TargetTooLong);
            }
        }
        Ok(())
    }

    /// The same for what is pipelined. How long its request line is counts from when it is its turn.
    fn judge_next(&self, bytes: &[u8]) -> Result<(), PreflightError> {
        let before = |at: usize| at.checked_sub(1).map_or(self.tail[2], |at| bytes[at]);
        let has_bare_feed = memchr_iter(b'\n', bytes).any(|at| before(at) != b'\r');
        if has_bare_feed && self.has_bare_feed_in_a_head(bytes) {
            Err(PreflightError::BareLineFeed)
        } else {
            Ok(())
        }
    }

    /// Whether a head has a bare line feed, the first or one that is pipelined behind it. What follows a head that
    /// announces a body is its own affair: such a request ends the connection.
    fn has_bare_feed_in_a_head(&self, bytes: &[u8]) -> bool {
        let text = [&self.tail[..], bytes].concat();
        let bare = (3..text.len()).find(|&i| text[i] == b'\n' && text[i - 1] != b'\r');
        let Some(bare) = bare else { return false };
        let mut begin = 0;
        while let Some(length) = memmem::find(&text[begin..], b"\r\n\r\n") {
            let end = begin + length;
            if bare < end {
                return true;
            }
            if announces_body(&text[begin..end]) {
                return false;
            }
            begin = end + 4;
        }
        true
    }
}

/// Whether a head, as far as it came with the last bytes, has a field that announces a body.
fn announces_body(head: &[u8]) -> bool {
    let is = |line: &[u8], name: &[u8]| {
        line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && line.get(name.len()) == Some(&b':')
    };
    head.split(|byte| *byte == b'\n')
        .any(|line| is(line, b"content-length") || is(line, b"transfer-encoding"))
}

/// Without a request. Whoever takes a hundred answers of a megabyte at once sends a tenth of it in window updates.
const UNASKED: usize = 1 << 20;
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn all_at_once_and_byte_by_byte(text: &[u8]) -> [Result<(), PreflightError>; 2] {
        let mut slow = Preflight::new(100);
        let slowly = text.iter().try_for_each(|byte| slow.see(&[*byte], Expected::Head));
        [Preflight::new(100).see(text, Expected::Head), slowly]
    }

    #[test]
    fn a_preface_is_told_from_a_request_line_however_it_is_cut() {
        for cut in 1..PREFACE.len() {
            let mut wire = Preflight::new(100);
            wire.see(&PREFACE[..cut], Expected::Head).unwrap();
            assert_eq!(wire.protocol(), Protocol::Unknown);
            wire.see(&PREFACE[cut..], Expected::Head).unwrap();
            assert_eq!(wire.protocol(), Protocol::Http2);
        }
        let mut wire = Preflight::new(100);
        wire.see(b"PRI * HTTP/1.1\r\n", Expected::Head).unwrap();
        assert_eq!(wire.protocol(), Protocol::Http1);
    }

    #[test]
    fn a_line_that_ends_in_a_bare_feed_is_a_fault() {
        for text in
            [&b"GET / HTTP/1.1\nhost: a\r\n\r\n"[..], b"GET / HTTP/1.1\r\nx: a\n\nGET / HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(all_at_once_and_byte_by_byte(text), [Err(PreflightError::BareLineFeed); 2]);
        }
    }

    #[test]
    fn lines_that_end_as_they_should_pass() {
        let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(all_at_once_and_byte_by_byte(text), [Ok(()); 2]);
    }

    proptest::proptest! {
        #[test]
        fn good_requests_pass_however_they_are_cut(
            cuts in proptest::collection::vec((1usize..60, proptest::bool::ANY, proptest::bool::ANY), 1..20),
        ) {
            let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(10);
            let mut wire = Preflight::new(100);
            let mut rest = &text[..];
            for (length, in_head, served) in cuts {
                let (bytes, next) = rest.split_at(length.min(rest.len()));
                proptest::prop_assert_eq!(wire.see(bytes, if in_head { Expected::Head } else { Expected::NextHead }), Ok(()));
                if served {
                    wire.next_request();
                }
                rest = next;
            }
        }
    }

    #[test]
    fn a_bare_feed_in_a_request_that_is_pipelined_is_a_fault() {
        let (good, bad) = (&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], &b"GET / HTTP/1.1\nhost: a\n\n"[..]);
        for text in [[good, bad].concat(), [good, good, bad, good].concat(), [good, b"\n", good].concat()] {
            assert_eq!(all_at_once_and_byte_by_byte(&text), [Err(PreflightError::BareLineFeed); 2]);
        }
        let mut wire = Preflight::new(100);
        wire.see(good, Expected::Head).unwrap();
        assert_eq!(
            wire.see(bad, Expected::NextHead),
            Err(PreflightError::BareLineFeed),
            "while the first is answered"
        );
    }

    #[test]
    fn a_body_may_have_any_lines() {
        let text = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na\nb";
        assert_eq!(Preflight::new(100).see(text, Expected::Head), Ok(()));
        let mut wire = Preflight::new(100);
        wire.see(&text[..text.len() - 3], Expected::Head).unwrap();
        assert_eq!(wire.see(b"a\nb", Expected::Body), Ok(()), "a request is being answered");
    }

    #[test]
    fn frames_without_end_are_a_fault_unless_requests_come_of_them() {
        let mut wire = Preflight::new(100);
        wire.see(PREFACE, Expected::Head).unwrap();
        for _ in 0..4 {
            assert_eq!(wire.see(&vec![0; UNASKED / 2], Expected::Head), Ok(()));
            wire.next_request();
        }
        assert_eq!(wire.see(&vec![0; UNASKED], Expected::Head), Ok(()));
        assert_eq!(wire.see(&[0], Expected::Head), Err(PreflightError::Flood));
    }

    #[test]
    fn a_request_line_that_fills_the_buffer_is_a_fault() {
        let text = [&b"GET /"[..], &[b'a'; 95]].concat();
        assert_eq!(all_at_once_and_byte_by_byte(&text), [Err(PreflightError::TargetTooLong); 2]);
        assert_eq!(Preflight::new(100).see(&text[..99], Expected::Head), Ok(()));
    }
}
