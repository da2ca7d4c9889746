//! Open breakers and throttles, for metrics and the admin port.

use std::cmp::Reverse;
use std::time::Duration;

use super::{BreakerKind, Breakers, RejectionCause, lock};
use crate::auth::LogTag;
use crate::http::rejection::Rejection;
use crate::http::retry_after::whole_seconds;

/// Breakers and throttles that reject all requests now.
#[derive(Debug, Default)]
pub struct OpenScopes {
    /// Number of all.
    pub total: usize,
    /// Scopes with the longest time left, the longest first.
    pub longest: Vec<OpenScope>,
}

/// One breaker or throttle that rejects all requests. Identifies its callers by a tag of the log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenScope {
    /// Scope.
    pub kind: BreakerKind,
    /// Tag of the token for a token, of the application for an application or a resource of one.
    pub tag: Option<LogTag>,
    /// Reason of the rejections.
    pub cause: Rejection,
    /// Time until the next attempt.
    pub left: Duration,
}

impl OpenScope {
    /// Returns the time until the next attempt, rounded up to seconds.
    pub fn left_seconds(&self) -> u64 {
        whole_seconds(self.left)
    }
}

impl Breakers {
    /// Returns the number of breakers and throttles that reject all requests now. A breaker in its ramp, or whose wait is
    /// over, admits requests and does not count.
    pub fn count_open(&self) -> usize {
        self.open_scopes(0).total
    }

    /// Returns the breakers and throttles that reject all requests now, at most `max` of them one by one.
    pub fn open_scopes(&self, max: usize) -> OpenScopes {
        let (now, tags) = (self.clock.now(), &self.log_tags);
        let mut open = OpenScopes::default();
        if let Err(left) = lock(&self.host).peek(now) {
            open.add(max, BreakerKind::Host, None, RejectionCause::Breaker(BreakerKind::Host), left);
        }
        for (application, own) in self.applications.iter() {
            for (cause, token, left) in lock(&own).open(now) {
                let kind = match cause {
                    RejectionCause::Throttled => BreakerKind::Application,
                    RejectionCause::Breaker(kind) => kind,
                };
                let tag = token.map_or_else(|| tags.application(*application), |key| tags.token_share(key));
                open.add(max, kind, Some(tag), cause, left);
            }
        }
        for (token, own) in self.tokens.iter() {
            if let Some(left) = lock(&own).time_left(now) {
                open.add(max, BreakerKind::Token, Some(tags.token(*token)), RejectionCause::Throttled, left);
            }
        }
        open.trim(max);
        open
    }
}

impl OpenScopes {
    fn add(
        &mut self,
        max: usize,
        kind: BreakerKind,
        tag: Option<LogTag>,
        cause: RejectionCause,
        left: Duration,
    ) {
        self.total += 1;
        if max == 0 {
            return;
        }
        // The list stays short while there are many scopes.
        if self.longest.len() >= 2 * max {
            self.trim(max);
        }
        self.longest.push(OpenScope { kind, tag, cause: cause.reason(), left });
    }

    fn trim(&mut self, max: usize) {
        self.longest.sort_by_key(|scope| Reverse(scope.left));
        self.longest.truncate(max);
    }
}
