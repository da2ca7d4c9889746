//! Log of the connections to Graph: why they fail, and when they work again.
//!
//! A request to Graph reports a failed connection by a label. The error behind the label, such as the name of an unknown
//! issuer, is only here. It contains no part of a request: no token, no path, and no credentials of a forward proxy.
//!
//! Only new connections count. While they fail, requests on pooled connections may go on to succeed.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::UpstreamFailure;
use super::error_chain::ErrorChain;
use crate::support::labels::Label;

/// State of the connections to Graph, as the log has it.
#[derive(Debug, Default)]
pub(super) struct ConnectionFaults(Mutex<LoggedState>);

#[derive(Debug, Default)]
struct LoggedState {
    /// Reason and time of the last warning, if no connection has succeeded since.
    fault: Option<(UpstreamFailure, Instant)>,
    /// Time of the last warning with each reason.
    warned_at: HashMap<UpstreamFailure, Instant>,
}

impl ConnectionFaults {
    /// Logs a failed connection, if its reason is not the one of the last line.
    pub(super) fn record_failure(
        &self,
        reason: UpstreamFailure,
        error: &(dyn Error + 'static),
        now: Instant,
    ) {
        let error = ErrorChain(error);
        tracing::debug!(reason = reason.as_str(), %error, "a connection to Graph failed");
        if self.is_change(reason, now) {
            tracing::warn!(reason = reason.as_str(), %error, "connections to Graph fail");
        }
    }

    /// Logs the first connection after a warning.
    pub(super) fn record_success(&self, now: Instant) {
        let ended = self.lock().fault.take();
        if let Some((reason, since)) = ended {
            let seconds = now.duration_since(since).as_secs();
            tracing::info!(ended = reason.as_str(), seconds, "connections to Graph work again");
        }
    }

    /// Registers the reason. Returns whether a warning is due: if the rate limit suppresses the warning of a change, and the
    /// fault persists, a later call returns true.
    fn is_change(&self, reason: UpstreamFailure, now: Instant) -> bool {
        let mut state = self.lock();
        if state.fault.is_some_and(|(logged, _)| logged == reason) {
            return false;
        }
        let is_recent = |at: &Instant| now.duration_since(*at) < WARNING_INTERVAL;
        if state.warned_at.get(&reason).is_some_and(is_recent) {
            return false;
        }
        state.warned_at.insert(reason, now);
        state.fault = Some((reason, now));
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LoggedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time between two warnings with the same reason.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_logged_once_at_each_change_and_at_most_once_a_minute() {
        use UpstreamFailure::{Dns, TlsExpired};
        let (faults, start) = (ConnectionFaults::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(faults.is_change(Dns, at(0)));
        assert!(!faults.is_change(Dns, at(300)), "no change");
        assert!(faults.is_change(TlsExpired, at(301)));
        faults.record_success(at(302));
        assert!(!faults.is_change(TlsExpired, at(303)), "the same reason within a minute");
        assert!(
            faults.lock().fault.is_none(),
            "no line says that connections fail: none says that they work again"
        );
        assert!(faults.is_change(TlsExpired, at(361)), "the fault persists");
        assert!(!faults.is_change(TlsExpired, at(500)));
    }
}
