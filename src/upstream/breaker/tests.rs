//! Breakers of several scopes: the common test setup, and the tests of throttles.

mod isolation;
mod open_scopes;
mod outage;

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::auth::{ClaimKind, HashKeys, Identity};
use crate::http::rejection::Rejection;

/// Breakers with a manual clock. An application `a/x` is the application x of tenant a; `a/x/u` is its user u, and
/// `a/x/u/t` the token t of that user.
pub(super) struct TestBreakers {
    pub(super) breakers: Breakers,
    pub(super) clock: Clock,
    hash_keys: HashKeys,
}

impl InFlight<'_> {
    /// Records the outcome at the present time of the clock.
    pub(super) fn record_now(self, outcome: CallOutcome) {
        let now = self.breakers.clock.now();
        self.record_outcome(outcome, now);
    }
}

impl TestBreakers {
    pub(super) fn new() -> Self {
        let clock = Clock::manual(SystemTime::now());
        Self { breakers: Breakers::new(clock.clone()), clock, hash_keys: HashKeys::random().unwrap() }
    }

    pub(super) fn app(&self, name: &str) -> ClaimHash {
        let end = name.match_indices('/').nth(1).map_or(name.len(), |(end, _)| end);
        self.hash_keys.claim_hash(ClaimKind::Application, &name[..end])
    }

    fn token(&self, name: &str) -> TokenHash {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {name}")).unwrap());
        Identity::from_headers(&headers, &self.hash_keys).unwrap().token_hash
    }

    fn scope_of_proven(&self, app: &str, resource: u64) -> CallerScope {
        let tenant = self.hash_keys.claim_hash(ClaimKind::Tenant, app.split('/').next().unwrap());
        let user = self.hash_keys.claim_hash(ClaimKind::Subject, app.split('/').nth(2).unwrap_or_default());
        let (application, token) = (self.app(app), self.token(app));
        CallerScope { resource, caller: BreakerCaller::Proven { tenant, application, user, token } }
    }

    fn scope_of_unproven(&self, token: &str, app: &str, resource: u64) -> CallerScope {
        let claimed = Some(self.app(app));
        CallerScope { resource, caller: BreakerCaller::Unproven { token: self.token(token), claimed } }
    }

    /// Starts a request of a proven token of an application.
    pub(super) fn proven(&self, app: &str, resource: u64) -> Result<InFlight<'_>, BreakerRejection> {
        self.breakers.try_start(&self.scope_of_proven(app, resource))
    }

    /// Checks a request of a proven token of an application.
    pub(super) fn check(&self, app: &str, resource: u64) -> Result<(), BreakerRejection> {
        self.breakers.check(&self.scope_of_proven(app, resource))
    }

    /// Starts a request of an unproven token that claims an application.
    pub(super) fn unproven(
        &self,
        token: &str,
        app: &str,
        resource: u64,
    ) -> Result<InFlight<'_>, BreakerRejection> {
        self.breakers.try_start(&self.scope_of_unproven(token, app, resource))
    }

    fn results(&self, app: &str, resource: u64, outcome: CallOutcome, count: u32) {
        (0..count).for_each(|_| self.proven(app, resource).unwrap().record_now(outcome));
    }

    fn pass(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    /// Returns the number of requests of an application that may start at one time, up to 200.
    fn capacity(&self, app: &str, resource: u64) -> usize {
        std::iter::from_fn(|| self.proven(app, resource).ok()).take(200).collect::<Vec<_>>().len()
    }
}

/// Creates breakers of which the host's has opened, and its wait is over.
fn host_is_due() -> TestBreakers {
    let test = TestBreakers::new();
    test.results("a/x", 1, CONNECTION, 5);
    test.pass(1_000);
    test
}

const STATUS: CallOutcome = CallOutcome::Failed(CallFailure::Status);
const TRANSPORT: CallOutcome = CallOutcome::Failed(CallFailure::Transport);
const CONNECTION: CallOutcome = CallOutcome::Failed(CallFailure::Connection);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn rejection<T>(result: Result<T, BreakerRejection>) -> Option<(RejectionCause, Duration)> {
    result.err().map(|rejected| (rejected.cause, rejected.retry_after))
}

#[expect(clippy::unnecessary_wraps, reason = "the result is compared with an Option")]
fn throttled(left: u64) -> Option<(RejectionCause, Duration)> {
    Some((RejectionCause::Throttled, seconds(left)))
}

#[expect(clippy::unnecessary_wraps, reason = "the result is compared with an Option")]
fn broken(scope: BreakerKind, left: u64) -> Option<(RejectionCause, Duration)> {
    Some((RejectionCause::Breaker(scope), seconds(left)))
}

#[test]
fn a_throttled_application_waits_for_the_time_of_retry_after() {
    let test = TestBreakers::new();
    test.results("a/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    test.pass(10_000);
    assert_eq!(rejection(test.proven("a/x", 2)), throttled(20));
    assert!(test.proven("a/y", 1).is_ok(), "another application is not throttled");
    assert_eq!(test.breakers.count_open(), 1);
}

#[test]
fn when_the_wait_is_over_one_request_starts_and_then_a_growing_number() {
    let test = TestBreakers::new();
    test.results("a/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    test.pass(30_000);
    let probe = test.proven("a/x", 1).unwrap();
    assert_eq!(rejection(test.proven("a/x", 1)), throttled(1), "the probe is in flight");
    probe.record_now(CallOutcome::Answered);
    let eight: Vec<_> = (0..8).map(|_| test.proven("a/x", 1).unwrap()).collect();
    assert_eq!(rejection(test.proven("a/x", 1)), throttled(1), "eight at once");
    for request in eight {
        request.record_now(CallOutcome::Answered);
    }
    assert_eq!(test.capacity("a/x", 1), 32);
    test.results("a/x", 1, CallOutcome::Answered, 200);
    assert_eq!(test.capacity("a/x", 1), 200, "it is closed");
}

#[test]
fn only_breakers_that_reject_requests_count_as_open() {
    let test = TestBreakers::new();
    test.results("a/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    assert_eq!(test.breakers.count_open(), 1);
    test.pass(30_000);
    assert_eq!(test.breakers.count_open(), 0, "the next request starts");
    let probe = test.proven("a/x", 1).unwrap();
    assert_eq!(test.breakers.count_open(), 1, "a probe is in flight");
    probe.record_now(CallOutcome::Answered);
    assert_eq!(test.breakers.count_open(), 0, "the breaker is in its ramp");
}

#[test]
fn a_throttle_of_another_replica_closes_the_gate_and_shortens_no_longer_one() {
    let test = TestBreakers::new();
    test.breakers.throttle(test.app("a/x"), Duration::from_secs(5));
    test.breakers.throttle(test.app("a/x"), Duration::from_secs(2));
    let scope = test.scope_of_proven("a/x/u/t", 1);
    let rejection = test.breakers.check(&scope).unwrap_err();
    assert_eq!((rejection.cause, rejection.retry_after), (RejectionCause::Throttled, Duration::from_secs(5)));
    assert!(test.breakers.check(&test.scope_of_proven("a/y/u/t", 1)).is_ok());
    test.clock.advance(Duration::from_secs(5));
    assert!(test.breakers.check(&scope).is_ok());
}

#[test]
fn a_probe_that_is_throttled_again_opens_the_throttle_again() {
    let test = TestBreakers::new();
    test.results("a/x", 1, CallOutcome::Throttled(seconds(5)), 1);
    test.pass(5_000);
    test.results("a/x", 1, CallOutcome::Throttled(seconds(60)), 1);
    assert_eq!(rejection(test.proven("a/x", 1)), throttled(60));
}

#[test]
fn a_probe_whose_caller_disconnected_is_repeated() {
    let test = TestBreakers::new();
    test.results("a/x", 1, CallOutcome::Throttled(seconds(5)), 1);
    test.pass(5_000);
    drop(test.proven("a/x", 1).unwrap());
    assert!(test.proven("a/x", 1).is_ok());
}

#[test]
fn a_wait_that_ends_later_is_kept() {
    let test = TestBreakers::new();
    let (first, second) = (test.proven("a/x", 1).unwrap(), test.proven("a/x", 1).unwrap());
    first.record_now(CallOutcome::Throttled(seconds(60)));
    test.pass(20_000);
    second.record_now(CallOutcome::Throttled(seconds(5)));
    assert_eq!(rejection(test.proven("a/x", 1)), throttled(40));
}

#[test]
fn every_open_breaker_is_counted() {
    let test = TestBreakers::new();
    test.results("b/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    test.unproven("forged", "c/x", 1).unwrap().record_now(CallOutcome::Throttled(seconds(30)));
    (1..=2).for_each(|resource| test.results("d/x", resource, STATUS, 5));
    test.results("d/x/v", 3, STATUS, 1);
    assert_eq!(test.breakers.count_open(), 5, "two throttles, two resources, one application");
    (1..=3).for_each(|resource| test.results("e/x", resource, STATUS, 1));
    assert_eq!(test.breakers.count_open(), 6, "one token");
    test.results("a/x", 1, CONNECTION, 5);
    assert_eq!(test.breakers.count_open(), 7);
}

#[test]
fn a_check_returns_the_rejection_of_every_scope_and_starts_no_request() {
    let test = TestBreakers::new();
    let proven = || rejection(test.breakers.check(&test.scope_of_proven("a/x", 1)));
    let unproven = || rejection(test.breakers.check(&test.scope_of_unproven("forged", "a/x", 1)));
    assert_eq!((proven(), unproven()), (None, None));
    test.results("a/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    assert_eq!((proven(), unproven()), (throttled(30), throttled(30)));
    test.pass(30_000);
    assert_eq!((proven(), proven()), (None, None), "a check is no probe");
    test.results("a/x", 1, CallOutcome::Answered, 1);
    test.unproven("forged", "b/x", 1).unwrap().record_now(CallOutcome::Throttled(seconds(20)));
    assert_eq!((proven(), unproven()), (None, throttled(20)), "the token's own");
    test.results("a/x", 1, STATUS, 1);
    assert_eq!(proven(), None);
    test.results("c/x", 1, CONNECTION, 5);
    assert_eq!((proven(), unproven()), (broken(BreakerKind::Host, 1), broken(BreakerKind::Host, 1)));
}
