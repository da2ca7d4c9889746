//! The stand-in's time.
//!
//! All parts call the same function, so a test that steps it steps tokens, throttling and `Date` together.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A function that returns the current time.
pub type NowFn = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Returns whole seconds since 1970, as in a `NumericDate` (RFC 7519, section 2). 0 for an earlier time.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
