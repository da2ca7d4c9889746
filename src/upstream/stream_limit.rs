//! Stream limit of HTTP/2: `SETTINGS_MAX_CONCURRENT_STREAMS` of a connection (RFC 9113, section 6.5.2).
//!
//! hyper queues requests above the limit without a bound and without a report (hyper#3623). Its
//! `Connection::current_max_send_streams` does not say whether the server has announced a limit yet, and nothing wakes a task
//! when the limit changes, so that the limit is read from the received frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;

/// Number of concurrent streams of the present connection of a set.
#[derive(Debug)]
pub(super) struct StreamLimit {
    max: AtomicUsize,
    /// The present connection has announced its limit, or the attempt to connect has ended.
    is_settled: AtomicBool,
    /// Number of connections that sent SETTINGS.
    connections: AtomicUsize,
    /// Last value of any connection, for connections without one.
    last: Arc<LastStreamLimit>,
    changed: Arc<Notify>,
}

/// Last stream limit of any connection to Graph.
#[derive(Debug, Default)]
pub(super) struct LastStreamLimit(AtomicUsize);

impl LastStreamLimit {
    /// Creates the value for connections that are known to have no streams.
    pub(super) fn unlimited() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl StreamLimit {
    /// Creates the limit of a set without a connection: that of the last connection of any set. Each change notifies the
    /// waiters of `changed`.
    pub(super) fn new(last: &Arc<LastStreamLimit>, changed: &Arc<Notify>) -> Self {
        let max = AtomicUsize::new(last.0.load(Relaxed));
        let (is_settled, connections) = Default::default();
        Self { max, is_settled, connections, last: Arc::clone(last), changed: Arc::clone(changed) }
    }

    /// Returns the limit, if it is known.
    pub(super) fn get(&self) -> Option<usize> {
        Some(self.max.load(Relaxed)).filter(|max| *max != UNKNOWN)
    }

    /// Returns whether the set has a connection whose limit is known, or its attempt to connect has ended.
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.load(Relaxed)
    }

    /// Registers a connection without streams (HTTP/1.1).
    pub(super) fn set_unlimited(&self) {
        self.set(usize::MAX);
    }

    /// Ends the wait for a connection that has not announced its limit. An unknown limit becomes the one that RFC 9113,
    /// section 6.5.2, recommends as a minimum.
    pub(super) fn settle(&self) {
        // A known limit stays unchanged.
        let _ = self.max.compare_exchange(UNKNOWN, RECOMMENDED_MIN, Relaxed, Relaxed);
        if !self.is_settled.swap(true, Relaxed) {
            self.changed.notify_waiters();
        }
    }

    /// Registers the end of a request. If the first request of a connection failed before its connection announced a limit,
    /// the others do not wait any longer.
    pub(super) fn record_stream_end(&self, is_first: bool) {
        if is_first && !self.is_settled() {
            self.settle();
        }
        if self.max.load(Relaxed) != usize::MAX {
            self.changed.notify_waiters();
        }
    }

    fn set(&self, max: usize) {
        // A server may allow no stream for a moment. Requests then wait on the connection instead of on further ones.
        let max = max.max(1);
        self.max.store(max, Relaxed);
        self.last.0.store(max, Relaxed);
        self.is_settled.store(true, Relaxed);
        self.changed.notify_waiters();
    }
}

/// Reader of SETTINGS frames in the bytes that a connection receives. It keeps at most one frame head and one entry.
#[derive(Debug)]
pub(super) struct SettingsReader {
    limit: Arc<StreamLimit>,
    /// Number of the connection among those that sent SETTINGS; 0 before its first SETTINGS frame.
    number: usize,
    /// Bytes of an incomplete frame head or entry.
    partial: [u8; FRAME_HEAD],
    partial_len: usize,
    /// Rest of the payload of the present frame.
    payload: usize,
    is_settings: bool,
    found: Option<usize>,
}

impl SettingsReader {
    /// Creates a reader at the first byte of a connection.
    pub(super) fn new(limit: Arc<StreamLimit>) -> Self {
        let (number, partial, partial_len, payload, is_settings, found) = Default::default();
        Self { limit, number, partial, partial_len, payload, is_settings, found }
    }

    /// Reads received bytes.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 && !self.is_settings {
                let skipped = self.payload.min(bytes.len());
                (self.payload, bytes) = (self.payload - skipped, &bytes[skipped..]);
                continue;
            }
            let size = if self.payload == 0 { FRAME_HEAD } else { SETTINGS_ENTRY.min(self.payload) };
            // A payload may shrink to less than the bytes that are buffered only in an invalid frame, which h2 refuses.
            let count = size.saturating_sub(self.partial_len).min(bytes.len());
            self.partial[self.partial_len..self.partial_len + count].copy_from_slice(&bytes[..count]);
            (self.partial_len, bytes) = (self.partial_len + count, &bytes[count..]);
            if self.partial_len < size {
                return;
            }
            self.partial_len = 0;
            if self.payload == 0 { self.read_head() } else { self.read_entry(size) }
        }
    }

    fn read_head(&mut self) {
        let [a, b, c, kind, flags, ..] = self.partial;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.is_settings = kind == SETTINGS && flags & ACK == 0;
        self.finish_frame();
    }

    fn read_entry(&mut self, size: usize) {
        let [high, low, a, b, c, d, ..] = self.partial;
        if size == SETTINGS_ENTRY && u16::from_be_bytes([high, low]) == MAX_CONCURRENT_STREAMS {
            self.found = Some(usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX));
        }
        self.payload -= size;
        self.finish_frame();
    }

    /// Applies the limit at the end of a SETTINGS frame. The first one without the entry means no limit.
    fn finish_frame(&mut self) {
        if self.payload > 0 || !self.is_settings {
            return;
        }
        let is_first = self.number == 0;
        if is_first {
            self.number = self.limit.connections.fetch_add(1, Relaxed) + 1;
        }
        match self.found.take() {
            Some(max) => self.limit.set(max),
            None if is_first => self.limit.set_unlimited(),
            None => {}
        }
    }
}

impl Drop for SettingsReader {
    /// Registers the end of the connection, unless the set has a newer one.
    fn drop(&mut self) {
        if self.number > 0 && self.limit.connections.load(Relaxed) == self.number {
            self.limit.is_settled.store(false, Relaxed);
        }
    }
}

/// Value of a limit that no connection has announced.
const UNKNOWN: usize = 0;
const RECOMMENDED_MIN: usize = 100;
const FRAME_HEAD: usize = 9;
const SETTINGS_ENTRY: usize = 6;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const MAX_CONCURRENT_STREAMS: u16 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
        let entries: Vec<_> = entries
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        frame(SETTINGS, 0, &entries)
    }

    /// Limit after each of the received frames, which arrive in pieces of `size` bytes.
    fn limits(frames: &[Vec<u8>], size: usize) -> Vec<Option<usize>> {
        let limit = Arc::new(StreamLimit::new(&Arc::default(), &Arc::default()));
        let mut reader = SettingsReader::new(Arc::clone(&limit));
        let after = |frame: &Vec<u8>| {
            frame.chunks(size).for_each(|piece| reader.read(piece));
            limit.get()
        };
        frames.iter().map(after).collect()
    }

    #[test]
    fn the_limit_follows_each_settings_frame_however_the_bytes_arrive() {
        let frames = [
            settings(&[(1, 3), (3, 100), (4, 3)]),
            frame(SETTINGS, ACK, &[]),
            frame(0, 0, &settings(&[(3, 7)])),
            settings(&[(4, 3)]),
            settings(&[(3, 1)]),
            settings(&[(3, 0)]),
            settings(&[(3, 5), (3, 250)]),
        ];
        for size in [1, 2, 5, 9, 64] {
            let expected = [100, 100, 100, 100, 1, 1, 250].map(Some);
            assert_eq!(limits(&frames, size), expected, "{size}");
        }
    }

    #[test]
    fn the_first_settings_frame_without_the_entry_means_no_limit() {
        assert_eq!(limits(&[settings(&[])], 3), [Some(usize::MAX)]);
        assert_eq!(limits(&[settings(&[(2, 0)])], 3), [Some(usize::MAX)]);
    }

    #[test]
    fn invalid_frames_do_not_panic() {
        for size in 1..20 {
            limits(&[frame(SETTINGS, 0, &[0, 3, 0]), frame(SETTINGS, 0, &[1; 13]), vec![255; 40]], size);
        }
    }
}
