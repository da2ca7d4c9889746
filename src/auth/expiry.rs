//! Expiry of a token.

use std::time::Duration;

use crate::support::clock::Now;

/// A token's `exp`, seconds since the Unix epoch. From the year 2106 on every token counts as expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenExpiry(u32);

impl TokenExpiry {
    pub(super) fn from_exp(exp: u64) -> Self {
        Self(u32::try_from(exp).unwrap_or(u32::MAX))
    }

    /// Creates the expiry of a token that expires an hour after `now`.
    #[cfg(test)]
    pub fn after(now: Now) -> Self {
        Self::from_exp(now.unix_seconds() + 3600)
    }

    /// Returns the token's own `exp`, seconds since the Unix epoch.
    pub fn unix_seconds(self) -> u64 {
        self.0.into()
    }

    /// Returns how long the token may still use the cache: until 30 seconds before `exp`.
    pub fn remaining(self, now: Now) -> Duration {
        let end = self.unix_seconds().saturating_sub(EXP_MARGIN.as_secs()).saturating_mul(1000);
        Duration::from_millis(end.saturating_sub(now.token_millis()))
    }
}

/// Margin for clocks that differ and for the time that a response takes to arrive.
pub const EXP_MARGIN: Duration = Duration::from_secs(30);
