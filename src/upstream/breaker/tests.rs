//! Stories of several scopes: the world that they share, and those of throttles.

mod isolation;
mod outage;

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};

use super::*;
use crate::auth::{ClaimKind, HashKeys, Identity};

/// Breakers under a clock that stands still. An application `a/x` is the application x of tenant a; `a/x/u` is its user
/// u, and `a/x/u/t` the token t of that user.
pub(super) struct World {
    pub(super) breakers: Breakers,
    pub(super) clock: Clock,
    secrets: HashKeys,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = Clock::manual(SystemTime::now());
        Self { breakers: Breakers::new(clock.clone()), clock, secrets: HashKeys::random().unwrap() }
    }

    pub(super) fn app(&self, name: &str) -> ClaimHash {
        let end = name.match_indices('/').nth(1).map_or(name.len(), |(end, _)| end);
        self.secrets.claim_hash(ClaimKind::Application, &name[..end])
    }

    fn token(&self, name: &str) -> TokenHash {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {name}")).unwrap());
        Identity::from_headers(&headers, &self.secrets).unwrap().token_hash
    }

    fn scope_of_proven(&self, app: &str, resource: u64) -> CallerScope {
        let tenant = self.secrets.claim_hash(ClaimKind::Tenant, app.split('/').next().unwrap());
        let user = self.secrets.claim_hash(ClaimKind::Subject, app.split('/').nth(2).unwrap_or_default());
        let (application, token) = (self.app(app), self.token(app));
        CallerScope { resource, caller: BreakerCaller::Proven { tenant, application, user, token } }
    }

    fn scope_of_unproven(&self, token: &str, app: &str, resource: u64) -> CallerScope {
        let claimed = Some(self.app(app));
        CallerScope { resource, caller: BreakerCaller::Unproven { token: self.token(token), claimed } }
    }

    /// Enters as a proven token of an application.
    pub(super) fn proven(&self, app: &str, resource: u64) -> Result<InFlight<'_>, Refused> {
        self.breakers.enter(&self.scope_of_proven(app, resource))
    }

    /// Looks as a proven token of an application.
    pub(super) fn look(&self, app: &str, resource: u64) -> Result<(), Refused> {
        self.breakers.look(&self.scope_of_proven(app, resource))
    }

    /// Enters as a token without a proof that claims an application.
    pub(super) fn unproven(&self, token: &str, app: &str, resource: u64) -> Result<InFlight<'_>, Refused> {
        self.breakers.enter(&self.scope_of_unproven(token, app, resource))
    }

    fn results(&self, app: &str, resource: u64, outcome: CallOutcome, count: u32) {
        (0..count).for_each(|_| self.proven(app, resource).unwrap().settle(outcome));
    }

    fn pass(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    /// Number of requests of an application that may enter at one time, up to 200.
    fn room(&self, app: &str, resource: u64) -> usize {
        std::iter::from_fn(|| self.proven(app, resource).ok()).take(200).collect::<Vec<_>>().len()
    }
}

/// The host's breaker has opened, and its wait is over.
fn host_is_due() -> World {
    let world = World::new();
    world.results("a/x", 1, CONNECTION, 5);
    world.pass(1_000);
    world
}

const STATUS: CallOutcome = CallOutcome::Failed(CallFailure::Status);
const TRANSPORT: CallOutcome = CallOutcome::Failed(CallFailure::Transport);
const CONNECTION: CallOutcome = CallOutcome::Failed(CallFailure::Connection);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn refused<T>(result: Result<T, Refused>) -> Option<(Cause, Duration)> {
    result.err().map(|refused| (refused.cause, refused.left))
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with an Option")]
fn throttled(left: u64) -> Option<(Cause, Duration)> {
    Some((Cause::Throttled, seconds(left)))
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with an Option")]
fn broken(scope: Scope, left: u64) -> Option<(Cause, Duration)> {
    Some((Cause::Breaker(scope), seconds(left)))
}

#[test]
fn a_throttled_application_waits_as_long_as_graph_asked() {
    let world = World::new();
    world.results("a/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    world.pass(10_000);
    assert_eq!(refused(world.proven("a/x", 2)), throttled(20));
    assert!(world.proven("a/y", 1).is_ok(), "another application is not held back");
    assert_eq!(world.breakers.count_open(), 1);
}

#[test]
fn when_the_wait_is_over_one_request_goes_ahead_and_then_a_growing_number() {
    let world = World::new();
    world.results("a/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    world.pass(30_000);
    let probe = world.proven("a/x", 1).unwrap();
    assert_eq!(refused(world.proven("a/x", 1)), throttled(1), "the probe is under way");
    probe.settle(CallOutcome::Answered);
    let eight: Vec<_> = (0..8).map(|_| world.proven("a/x", 1).unwrap()).collect();
    assert_eq!(refused(world.proven("a/x", 1)), throttled(1), "eight at once");
    for request in eight {
        request.settle(CallOutcome::Answered);
    }
    assert_eq!(world.room("a/x", 1), 32);
    world.results("a/x", 1, CallOutcome::Answered, 200);
    assert_eq!(world.room("a/x", 1), 200, "it is closed");
}

#[test]
fn only_breakers_that_refuse_requests_count_as_open() {
    let world = World::new();
    world.results("a/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    assert_eq!(world.breakers.count_open(), 1);
    world.pass(30_000);
    assert_eq!(world.breakers.count_open(), 0, "the next request passes");
    let probe = world.proven("a/x", 1).unwrap();
    assert_eq!(world.breakers.count_open(), 1, "a probe is under way");
    probe.settle(CallOutcome::Answered);
    assert_eq!(world.breakers.count_open(), 0, "it is in its ramp");
}

#[test]
fn a_probe_that_is_throttled_again_opens_the_throttle_again() {
    let world = World::new();
    world.results("a/x", 1, CallOutcome::Throttled(seconds(5)), 1);
    world.pass(5_000);
    world.results("a/x", 1, CallOutcome::Throttled(seconds(60)), 1);
    assert_eq!(refused(world.proven("a/x", 1)), throttled(60));
}

#[test]
fn a_probe_whose_caller_hung_up_leaves_room_for_another() {
    let world = World::new();
    world.results("a/x", 1, CallOutcome::Throttled(seconds(5)), 1);
    world.pass(5_000);
    drop(world.proven("a/x", 1).unwrap());
    assert!(world.proven("a/x", 1).is_ok());
}

#[test]
fn a_wait_that_ends_later_stays_for_as_long_as_it_has_left() {
    let world = World::new();
    let (first, second) = (world.proven("a/x", 1).unwrap(), world.proven("a/x", 1).unwrap());
    first.settle(CallOutcome::Throttled(seconds(60)));
    world.pass(20_000);
    second.settle(CallOutcome::Throttled(seconds(5)));
    assert_eq!(refused(world.proven("a/x", 1)), throttled(40));
}

#[test]
fn every_open_breaker_is_counted() {
    let world = World::new();
    world.results("b/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    world.unproven("forged", "c/x", 1).unwrap().settle(CallOutcome::Throttled(seconds(30)));
    (1..=2).for_each(|resource| world.results("d/x", resource, STATUS, 5));
    world.results("d/x/v", 3, STATUS, 1);
    assert_eq!(world.breakers.count_open(), 5, "two throttles, two resources, one application");
    (1..=3).for_each(|resource| world.results("e/x", resource, STATUS, 1));
    assert_eq!(world.breakers.count_open(), 6, "one token");
    world.results("a/x", 1, CONNECTION, 5);
    assert_eq!(world.breakers.count_open(), 7);
}

#[test]
fn a_look_returns_the_refusal_of_every_scope_and_admits_no_request() {
    let world = World::new();
    let proven = || refused(world.breakers.look(&world.scope_of_proven("a/x", 1)));
    let unproven = || refused(world.breakers.look(&world.scope_of_unproven("forged", "a/x", 1)));
    assert_eq!((proven(), unproven()), (None, None));
    world.results("a/x", 1, CallOutcome::Throttled(seconds(30)), 1);
    assert_eq!((proven(), unproven()), (throttled(30), throttled(30)));
    world.pass(30_000);
    assert_eq!((proven(), proven()), (None, None), "a look is no probe");
    world.results("a/x", 1, CallOutcome::Answered, 1);
    world.unproven("forged", "b/x", 1).unwrap().settle(CallOutcome::Throttled(seconds(20)));
    assert_eq!((proven(), unproven()), (None, throttled(20)), "the token's own");
    world.results("a/x", 1, STATUS, 1);
    assert_eq!(proven(), None);
    world.results("c/x", 1, CONNECTION, 5);
    assert_eq!((proven(), unproven()), (broken(Scope::Host, 1), broken(Scope::Host, 1)));
}
