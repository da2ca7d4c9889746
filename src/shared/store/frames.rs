//! Frames of RESP 2 in a stream of bytes: counted, and bounded in size, number of elements and depth.
//!
//! The library buffers and parses a reply without a limit, so a broken store could exhaust the memory. The scanner reads only the
//! headers of the frames, and refuses a frame as soon as its header announces too much.

use std::fmt;

/// Limits of one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameLimits {
    pub(super) bytes: usize,
    pub(super) elements: usize,
}

/// Scanner of one direction of a connection.
#[derive(Debug)]
pub(super) struct FrameScanner {
    limits: FrameLimits,
    state: State,
    /// Elements that each open array still lacks.
    open: Vec<usize>,
    /// Bytes and elements of the current frame.
    bytes: usize,
    elements: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The next byte is the type of a value.
    Kind,
    /// In the line after the type.
    Line { kind: u8, number: Number, length: usize, ends: bool },
    /// In a bulk string, with so many bytes left.
    Body(usize),
}

/// Number that a line has so far.
#[derive(Clone, Copy, Debug, Default)]
struct Number {
    is_negative: bool,
    value: usize,
}

/// Frame beyond a limit, or bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// The frame is not RESP 2.
    Invalid,
    /// The frame has too many bytes.
    Bytes,
    /// The frame has too many elements.
    Elements,
    /// The arrays of the frame are nested too deeply.
    Depth,
    /// A reply without a command.
    Unsolicited,
}

impl FrameScanner {
    pub(super) fn new(limits: FrameLimits) -> Self {
        Self { limits, state: State::Kind, open: Vec::new(), bytes: 0, elements: 0 }
    }

    /// Scans the next bytes. Returns the number of frames that begin in them.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) -> Result<u64, FrameError> {
        let mut begun = 0;
        while let Some((first, rest)) = bytes.split_first() {
            if matches!(self.state, State::Kind) && self.open.is_empty() {
                begun += 1;
                (self.bytes, self.elements) = (0, 0);
            }
            let before = bytes.len();
            bytes = match self.state {
                State::Kind => {
                    let number = Number::default();
                    self.state = State::Line { kind: *first, number, length: 0, ends: false };
                    rest
                }
                State::Line { kind, number, length, ends } => {
                    self.read_line((kind, number, length, ends), *first)?;
                    rest
                }
                State::Body(left) => {
                    let (taken, rest) = bytes.split_at(left.min(bytes.len()));
                    self.state = State::Body(left - taken.len());
                    if taken.len() == left {
                        self.end_value();
                    }
                    rest
                }
            };
            self.bytes += before - bytes.len();
            if self.bytes > self.limits.bytes {
                return Err(FrameError::Bytes);
            }
        }
        Ok(begun)
    }

    /// Reads one byte of a line.
    fn read_line(
        &mut self,
        (kind, mut number, length, ends): (u8, Number, usize, bool),
        byte: u8,
    ) -> Result<(), FrameError> {
        if ends && byte == b'\n' {
            return self.end_line(kind, number);
        }
        match (kind, byte) {
            (b'+' | b'-', _) | (b':' | b'$' | b'*', b'\r') => {}
            (b':' | b'$' | b'*', b'-') if length == 0 => number.is_negative = true,
            (b':' | b'$' | b'*', b'0'..=b'9') if !ends => {
                let value = number.value.checked_mul(10).and_then(|it| it.checked_add((byte - b'0').into()));
                number.value = value.ok_or(FrameError::Invalid)?;
            }
            _ => return Err(FrameError::Invalid),
        }
        if length >= MAX_LINE_BYTES {
            return Err(FrameError::Bytes);
        }
        self.state = State::Line { kind, number, length: length + 1, ends: byte == b'\r' };
        Ok(())
    }

    fn end_line(&mut self, kind: u8, number: Number) -> Result<(), FrameError> {
        match (kind, number) {
            (b'$', Number { is_negative: false, value }) => {
                if value > self.limits.bytes {
                    return Err(FrameError::Bytes);
                }
                self.state = State::Body(value.saturating_add(2));
            }
            (b'*', Number { is_negative: false, value }) if value > 0 => {
                self.elements = self.elements.saturating_add(value);
                if self.elements > self.limits.elements {
                    return Err(FrameError::Elements);
                }
                if self.open.len() >= MAX_DEPTH {
                    return Err(FrameError::Depth);
                }
                self.open.push(value);
                self.state = State::Kind;
            }
            _ => self.end_value(),
        }
        Ok(())
    }

    fn end_value(&mut self) {
        self.state = State::Kind;
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.open.pop();
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "a reply is not RESP 2",
            Self::Bytes => "a reply has too many bytes",
            Self::Elements => "a reply has too many elements",
            Self::Depth => "a reply is nested too deeply",
            Self::Unsolicited => "a reply has no command",
        })
    }
}

impl std::error::Error for FrameError {}

/// Longest line: a status, an error, or a number. The library searches for the end of a line again after each read.
const MAX_LINE_BYTES: usize = 4096;
/// Deepest array. The reply to XREAD has five levels.
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<u64, FrameError> {
        FrameScanner::new(FrameLimits { bytes: 10_000, elements: 20 }).scan(bytes)
    }

    #[test]
    fn frames_are_counted_wherever_the_bytes_are_cut() {
        let bytes = b"+OK\r\n-ERR a\rb\r\n:-5\r\n$3\r\n\r\n*\r\n$-1\r\n$0\r\n\r\n*-1\r\n*0\r\n\
            *2\r\n*1\r\n:1\r\n*2\r\n$2\r\nab\r\n$-1\r\n+PONG\r\n";
        assert_eq!(scan(bytes), Ok(10));
        for size in 1..bytes.len() {
            let mut scanner = FrameScanner::new(FrameLimits { bytes: 10_000, elements: 20 });
            let begun: u64 = bytes.chunks(size).map(|chunk| scanner.scan(chunk).unwrap()).sum();
            assert_eq!(begun, 10, "{size}");
            assert!(scanner.open.is_empty() && matches!(scanner.state, State::Kind));
        }
    }

    #[test]
    fn a_frame_is_refused_as_soon_as_its_header_announces_too_much() {
        assert_eq!(scan(b"$10001\r\n"), Err(FrameError::Bytes));
        assert_eq!(scan(b"*21\r\n"), Err(FrameError::Elements));
        assert_eq!(scan(b"*2\r\n*10\r\n+\r\n"), Ok(1));
        assert_eq!(scan(b"*9223372036854775807\r\n"), Err(FrameError::Elements));
        assert_eq!(scan(b"$18446744073709551616\r\n"), Err(FrameError::Invalid));
        assert_eq!(scan(&b"*1\r\n".repeat(9)), Err(FrameError::Depth));
        assert_eq!(scan(&b"*1\r\n".repeat(8)), Ok(1));
    }

    #[test]
    fn a_frame_is_refused_when_its_parts_together_are_too_large() {
        let part = [&b"$6000\r\n"[..], &[b'x'; 6000], b"\r\n"].concat();
        assert_eq!(scan(&[&b"*2\r\n"[..], &part].concat()), Ok(1));
        assert_eq!(scan(&[&b"*2\r\n"[..], &part, &part].concat()), Err(FrameError::Bytes));
        assert_eq!(scan(&[&part[..], &part].concat()), Ok(2), "each frame has its own limit");
        assert_eq!(scan(&b"*3\r\n".repeat(7)), Err(FrameError::Elements));
    }

    #[test]
    fn a_line_without_an_end_and_other_types_are_refused() {
        assert_eq!(scan(&[&b"-"[..], &[b'x'; 5000]].concat()), Err(FrameError::Bytes));
        assert_eq!(scan(&[&b":"[..], &[b'0'; 5000]].concat()), Err(FrameError::Bytes));
        for bytes in
            [&b"%1\r\n"[..], b">3\r\n", b"!5\r\n", b"HTTP/1.1 400", b"$+1\r\n", b"$1x\r\n", b"*1-\r\n"]
        {
            assert_eq!(scan(bytes), Err(FrameError::Invalid), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
