//! Request in flight: its outcome changes the breakers that it passed.

use std::time::Duration;

use super::scope::BreakerScope;
use super::{
    BreakerCaller, BreakerKind, Breakers, CallFailure, CallOutcome, CallerScope, RejectionCause, lock,
};
use crate::auth::{ClaimHash, LogTag};
use crate::http::retry_after::whole_seconds;
use crate::support::clock::Now;
use crate::support::labels::Label;

/// Request on its way to Graph. [`Self::record_outcome`] records its outcome; dropped without one, the request counts as
/// cancelled.
#[derive(Debug)]
pub struct InFlight<'a> {
    pub(super) breakers: &'a Breakers,
    pub(super) scope: CallerScope,
    pub(super) started: StartNumbers,
    pub(super) is_recorded: bool,
}

/// Numbers of the operations in which a request started. Zero: the scope had no state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StartNumbers {
    /// Operation of the application, or of the unproven token.
    pub(super) own: u64,
    pub(super) host: u64,
}

impl InFlight<'_> {
    /// Records the outcome of the request, at the time `now`.
    pub fn record_outcome(mut self, outcome: CallOutcome, now: Now) {
        self.is_recorded = true;
        match self.scope.caller {
            BreakerCaller::Proven { tenant, application, user, token } => {
                self.record_proven_outcome(
                    tenant,
                    application,
                    self.scope.breaker_scope(user, token),
                    (outcome, now),
                );
            }
            BreakerCaller::Unproven { token, .. } => {
                let tokens = &self.breakers.tokens;
                let own = match outcome {
                    CallOutcome::Throttled(_) => Some(tokens.get_or_default(token)),
                    CallOutcome::Answered | CallOutcome::Failed(_) => tokens.get(&token),
                };
                if let Some(own) = own {
                    lock(&own).record_outcome(self.started.own, outcome, now);
                }
            }
        }
    }

    /// Records the outcome of a proven token. An application has state from its first failure or throttle on.
    fn record_proven_outcome(
        &self,
        tenant: ClaimHash,
        application: ClaimHash,
        scope: BreakerScope,
        (outcome, now): (CallOutcome, Now),
    ) {
        let Self { breakers, started, .. } = *self;
        let applications = &breakers.applications;
        let host_is_suspect = {
            let mut host = lock(&breakers.host);
            host.record_outcome(tenant, started.host, outcome, now);
            host.is_suspect(now)
        };
        let own = match outcome {
            CallOutcome::Answered | CallOutcome::Failed(CallFailure::Connection) => {
                applications.get(&application)
            }
            CallOutcome::Throttled(_) | CallOutcome::Failed(_) => {
                Some(applications.get_or_default(application))
            }
        };
        let Some(own) = own else { return };
        let mut own = lock(&own);
        let before = own.are_open(scope);
        match outcome {
            CallOutcome::Answered => own.record_success(scope, started.own, now),
            CallOutcome::Throttled(wait) => own.record_throttled(scope, started.own, now, wait),
            CallOutcome::Failed(CallFailure::Connection) => own.record_cancelled(scope, started.own),
            CallOutcome::Failed(_) => own.record_failure(scope, started.own, now, host_is_suspect),
        }
        let opened = own.opened(scope, before, now);
        drop(own);
        for (cause, wait) in opened.into_iter().flatten() {
            log_opened(breakers.log_tags.application(application), cause, wait);
        }
    }
}

/// Logs that a throttle or breaker of an application has opened.
fn log_opened(application: LogTag, cause: RejectionCause, wait: Duration) {
    let scope = match cause {
        RejectionCause::Throttled => BreakerKind::Application,
        RejectionCause::Breaker(kind) => kind,
    };
    tracing::warn!(
        %application,
        scope = scope.as_str(),
        cause = cause.reason().as_str(),
        seconds = whole_seconds(wait),
        "requests of an application to Graph are refused for a time"
    );
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.is_recorded {
            return;
        }
        match self.scope.caller {
            BreakerCaller::Proven { application, user, token, .. } => {
                if let Some(own) = self.breakers.applications.get(&application) {
                    lock(&own).record_cancelled(self.scope.breaker_scope(user, token), self.started.own);
                }
                lock(&self.breakers.host).record_cancelled(self.started.host);
            }
            BreakerCaller::Unproven { token, .. } => {
                if let Some(own) = self.breakers.tokens.get(&token) {
                    lock(&own).record_cancelled(self.started.own);
                }
            }
        }
    }
}
