//! Checks of a connection's bytes before hyper parses them.
//!
//! Detects the protocol, and finds three errors that hyper accepts or reports with another status: a line that ends in a
//! bare LF, which two parsers in a row may read as two different requests; a request line that is too long for the
//! buffer; and an endless series of HTTP/2 frames without a request.

mod framing;

use memchr::memchr;

use self::framing::FramingScanner;

/// Protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Protocol {
    /// The connection has received too few bytes.
    Unknown = 0,
    /// HTTP/1.0 or HTTP/1.1.
    Http1 = 1,
    /// HTTP/2, by its preface (RFC 9113, section 3.4).
    Http2 = 2,
}

/// Error in the bytes of a connection, which ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum PreflightError {
    /// RFC 9112, section 3: "A server that receives a request-target longer than any URI it wishes to parse
    /// MUST respond with a 414 (URI Too Long) status code." hyper would respond with 431 once its buffer is full.
    TargetTooLong = 1,
    /// RFC 9112, section 2.2: a recipient "MAY recognize a single LF as a line terminator". This server does not.
    BareLineFeed = 2,
    /// An endless series of HTTP/2 frames without a request: SETTINGS, PING, empty DATA and others. Each frame costs
    /// time, and h2 does not limit their number (RFC 9113, section 10.5).
    Flood = 3,
}

impl PreflightError {
    /// Returns the whole response.
    pub(in crate::server) fn response(self) -> &'static [u8] {
        match self {
            Self::TargetTooLong => {
                b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            }
            Self::BareLineFeed => {
                b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            }
            // A GOAWAY frame could interrupt a frame that h2 is writing.
            Self::Flood => b"",
        }
    }
}

/// Meaning of the next bytes of an HTTP/1 connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Expected {
    /// A request; no other request is open.
    Head,
    /// The rest of the open request, or the next pipelined request.
    NextHead,
}

/// Checks of one connection.
#[derive(Debug)]
pub(in crate::server) struct Preflight {
    protocol: Protocol,
    /// Bytes of the HTTP/2 preface so far.
    preface: usize,
    /// Bytes of the request line so far; `None` after its end.
    line: Option<usize>,
    max_line_bytes: usize,
    /// Bytes of HTTP/2 since the last request.
    bytes_without_request: usize,
    framing: FramingScanner,
}

impl Preflight {
    /// Creates the checks of a new connection, whose request lines have fewer than `max_line_bytes`.
    pub(in crate::server) fn new(max_line_bytes: usize) -> Self {
        Self {
            protocol: Protocol::Unknown,
            preface: 0,
            line: Some(0),
            max_line_bytes,
            bytes_without_request: 0,
            framing: FramingScanner::new(),
        }
    }

    /// Returns the protocol of the bytes so far.
    pub(in crate::server) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Records that the bytes so far have become a request, and the next bytes begin another.
    pub(in crate::server) fn start_request(&mut self) {
        self.line = Some(0);
        self.bytes_without_request = 0;
    }

    /// Returns whether a head had both fields that frame a body.
    pub(in crate::server) fn has_ambiguous_length(&self) -> bool {
        self.framing.is_ambiguous()
    }

    /// Returns whether the next byte belongs to the body of the open request.
    pub(in crate::server) fn is_in_body(&self) -> bool {
        self.framing.is_in_body()
    }

    /// Inspects bytes that were just received. An error comes with the number of bytes before the message that has it.
    pub(in crate::server) fn inspect(
        &mut self,
        bytes: &[u8],
        expected: Expected,
    ) -> Result<(), (PreflightError, usize)> {
        if self.protocol == Protocol::Unknown {
            self.detect_protocol(bytes);
        }
        match self.protocol {
            Protocol::Unknown => return Ok(()),
            Protocol::Http2 => return self.count_h2_bytes(bytes).map_err(|error| (error, 0)),
            Protocol::Http1 => {}
        }
        self.framing.scan(bytes).map_err(|start| (PreflightError::BareLineFeed, start))?;
        // The length of a pipelined request line counts only after the open request has ended.
        if expected == Expected::Head {
            self.count_line_bytes(bytes).map_err(|error| (error, 0))
        } else {
            Ok(())
        }
    }

    fn detect_protocol(&mut self, bytes: &[u8]) {
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

    fn count_h2_bytes(&mut self, bytes: &[u8]) -> Result<(), PreflightError> {
        self.bytes_without_request = self.bytes_without_request.saturating_add(bytes.len());
        if self.bytes_without_request > MAX_H2_BYTES_WITHOUT_REQUEST {
            Err(PreflightError::Flood)
        } else {
            Ok(())
        }
    }

    fn count_line_bytes(&mut self, bytes: &[u8]) -> Result<(), PreflightError> {
        let Some(line) = &mut self.line else { return Ok(()) };
        if memchr(b'\n', bytes).is_some() {
            self.line = None;
            return Ok(());
        }
        *line += bytes.len();
        if *line >= self.max_line_bytes { Err(PreflightError::TargetTooLong) } else { Ok(()) }
    }
}

/// Limit of HTTP/2 bytes without a request. A peer that takes a hundred responses of one megabyte each at the same time
/// sends a tenth of this number in `WINDOW_UPDATE` frames.
const MAX_H2_BYTES_WITHOUT_REQUEST: usize = 1 << 20;
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn all_at_once_and_byte_by_byte(text: &[u8]) -> [Result<(), PreflightError>; 2] {
        let mut slow = Preflight::new(100);
        let slowly = text.iter().try_for_each(|byte| slow.inspect(&[*byte], Expected::Head));
        [Preflight::new(100).inspect(text, Expected::Head), slowly]
            .map(|result| result.map_err(|(error, _)| error))
    }

    #[test]
    fn a_preface_is_distinguished_from_a_request_line_for_any_split() {
        for cut in 1..PREFACE.len() {
            let mut preflight = Preflight::new(100);
            preflight.inspect(&PREFACE[..cut], Expected::Head).unwrap();
            assert_eq!(preflight.protocol(), Protocol::Unknown);
            preflight.inspect(&PREFACE[cut..], Expected::Head).unwrap();
            assert_eq!(preflight.protocol(), Protocol::Http2);
        }
        let mut preflight = Preflight::new(100);
        preflight.inspect(b"PRI * HTTP/1.1\r\n", Expected::Head).unwrap();
        assert_eq!(preflight.protocol(), Protocol::Http1);
    }

    #[test]
    fn a_line_that_ends_in_a_bare_feed_is_an_error() {
        for text in
            [&b"GET / HTTP/1.1\nhost: a\r\n\r\n"[..], b"GET / HTTP/1.1\r\nx: a\n\nGET / HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(all_at_once_and_byte_by_byte(text), [Err(PreflightError::BareLineFeed); 2]);
        }
    }

    #[test]
    fn lines_that_end_in_crlf_pass() {
        let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(all_at_once_and_byte_by_byte(text), [Ok(()); 2]);
    }

    proptest::proptest! {
        #[test]
        fn valid_requests_pass_for_any_split(
            cuts in proptest::collection::vec((1usize..60, proptest::bool::ANY, proptest::bool::ANY), 1..20),
        ) {
            let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(10);
            let mut preflight = Preflight::new(100);
            let mut rest = &text[..];
            for (length, in_head, served) in cuts {
                let (bytes, next) = rest.split_at(length.min(rest.len()));
                proptest::prop_assert_eq!(preflight.inspect(bytes, if in_head { Expected::Head } else { Expected::NextHead }), Ok(()));
                if served {
                    preflight.start_request();
                }
                rest = next;
            }
        }
    }

    #[test]
    fn a_bare_feed_in_a_pipelined_request_is_an_error() {
        let (good, bad) = (&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], &b"GET / HTTP/1.1\nhost: a\n\n"[..]);
        for text in [[good, bad].concat(), [good, good, bad, good].concat(), [good, b"\n", good].concat()] {
            assert_eq!(all_at_once_and_byte_by_byte(&text), [Err(PreflightError::BareLineFeed); 2]);
        }
        let mut preflight = Preflight::new(100);
        preflight.inspect(good, Expected::Head).unwrap();
        assert_eq!(
            preflight.inspect(&[good, bad].concat(), Expected::NextHead),
            Err((PreflightError::BareLineFeed, good.len())),
            "while the first request is open"
        );
    }

    #[test]
    fn a_body_may_have_any_lines() {
        let text = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na\nb";
        assert_eq!(Preflight::new(100).inspect(text, Expected::Head), Ok(()));
        let mut preflight = Preflight::new(100);
        preflight.inspect(&text[..text.len() - 3], Expected::Head).unwrap();
        assert_eq!(preflight.inspect(b"a\nb", Expected::NextHead), Ok(()), "the body of the open request");
    }

    #[test]
    fn frames_without_end_are_an_error_unless_they_contain_requests() {
        let mut preflight = Preflight::new(100);
        preflight.inspect(PREFACE, Expected::Head).unwrap();
        for _ in 0..4 {
            assert_eq!(preflight.inspect(&vec![0; MAX_H2_BYTES_WITHOUT_REQUEST / 2], Expected::Head), Ok(()));
            preflight.start_request();
        }
        assert_eq!(preflight.inspect(&vec![0; MAX_H2_BYTES_WITHOUT_REQUEST], Expected::Head), Ok(()));
        assert_eq!(preflight.inspect(&[0], Expected::Head), Err((PreflightError::Flood, 0)));
    }

    #[test]
    fn a_request_line_that_fills_the_buffer_is_an_error() {
        let text = [&b"GET /"[..], &[b'a'; 95]].concat();
        assert_eq!(all_at_once_and_byte_by_byte(&text), [Err(PreflightError::TargetTooLong); 2]);
        assert_eq!(Preflight::new(100).inspect(&text[..99], Expected::Head), Ok(()));
    }
}
