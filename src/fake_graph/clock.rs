//! The time as the sandbox sees it.
//!
//! Every part asks the same function, so a test that steps it steps tokens, throttling and `Date` together.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the sandbox takes for the present.
pub type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Whole seconds since 1970, as a `NumericDate` counts them (RFC 7519, section 2). 0 for anything earlier.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
