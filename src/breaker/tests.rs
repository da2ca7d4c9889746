//! Stories of several scopes.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};

use super::application::MAX_RESOURCES;
use super::*;
use crate::identity::{Identity, LabelKind, Secrets};

/// Breakers under a clock that stands still. An application `a/x` is the application x of tenant a.
pub(super) struct World {
    pub(super) breakers: Breakers,
    pub(super) clock: Clock,
    secrets: Secrets,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = Clock::manual(SystemTime::now());
        Self { breakers: Breakers::new(clock.clone()), clock, secrets: Secrets::random().unwrap() }
    }

    pub(super) fn app(&self, name: &str) -> Label {
        self.secrets.label(LabelKind::Application, name)
    }

    fn token(&self, name: &str) -> Fingerprint {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {name}")).unwrap());
        Identity::of(&headers, &self.secrets).unwrap().fingerprint
    }

    fn scope_of_proven(&self, app: &str, resource: u64) -> CallerScope {
        let tenant = self.secrets.label(LabelKind::Tenant, app.split('/').next().unwrap());
        CallerScope { resource, caller: Caller::Proven { tenant, application: self.app(app) } }
    }

    fn scope_of_unproven(&self, token: &str, app: &str, resource: u64) -> CallerScope {
        let claimed = Some(self.app(app));
        CallerScope { resource, caller: Caller::Unproven { token: self.token(token), claimed } }
    }

    /// Enters as a proven token of an application.
    pub(super) fn proven(&self, app: &str, resource: u64) -> Result<InFlight<'_>, Refused> {
        self.breakers.enter(&self.scope_of_proven(app, resource))
    }

    /// Enters as a token without a proof that claims an application.
    pub(super) fn unproven(&self, token: &str, app: &str, resource: u64) -> Result<InFlight<'_>, Refused> {
        self.breakers.enter(&self.scope_of_unproven(token, app, resource))
    }

    fn results(&self, app: &str, resource: u64, outcome: Outcome, count: u32) {
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

const STATUS: Outcome = Outcome::Failed(Failure::Status);
const TRANSPORT: Outcome = Outcome::Failed(Failure::Transport);
const CONNECTION: Outcome = Outcome::Failed(Failure::Connection);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn refused<T>(result: Result<T, Refused>) -> Option<(Cause, Duration)> {
    result.err().map(|refused| (refused.cause, refused.left))
}

fn throttled(left: u64) -> Option<(Cause, Duration)> {
    Some((Cause::Throttled, seconds(left)))
}

fn broken(scope: Scope, left: u64) -> Option<(Cause, Duration)> {
    Some((Cause::Breaker(scope), seconds(left)))
}

#[test]
fn a_throttled_application_waits_as_long_as_graph_asked() {
    let world = World::new();
    world.results("a/x", 1, Outcome::Throttled(seconds(30)), 1);
    world.pass(10_000);
    assert_eq!(refused(world.proven("a/x", 2)), throttled(20));
    assert!(world.proven("a/y", 1).is_ok(), "another application is not held back");
    assert_eq!(world.breakers.count_open(), 1);
}

#[test]
fn when_the_wait_is_over_one_request_goes_ahead_and_then_a_growing_number() {
    let world = World::new();
    world.results("a/x", 1, Outcome::Throttled(seconds(30)), 1);
    world.pass(30_000);
    let probe = world.proven("a/x", 1).unwrap();
    assert_eq!(refused(world.proven("a/x", 1)), throttled(1), "the probe is under way");
    probe.settle(Outcome::Answered);
    let eight: Vec<_> = (0..8).map(|_| world.proven("a/x", 1).unwrap()).collect();
    assert_eq!(refused(world.proven("a/x", 1)), throttled(1), "eight at once");
    eight.into_iter().for_each(|request| request.settle(Outcome::Answered));
    assert_eq!(world.room("a/x", 1), 32);
    world.results("a/x", 1, Outcome::Answered, 200);
    assert_eq!(world.room("a/x", 1), 200, "it is closed");
}

#[test]
fn only_breakers_that_refuse_requests_count_as_open() {
    let world = World::new();
    world.results("a/x", 1, Outcome::Throttled(seconds(30)), 1);
    assert_eq!(world.breakers.count_open(), 1);
    world.pass(30_000);
    assert_eq!(world.breakers.count_open(), 0, "the next request passes");
    let probe = world.proven("a/x", 1).unwrap();
    assert_eq!(world.breakers.count_open(), 1, "a probe is under way");
    probe.settle(Outcome::Answered);
    assert_eq!(world.breakers.count_open(), 0, "it is in its ramp");
}

#[test]
fn a_probe_that_is_throttled_again_opens_the_throttle_again() {
    let world = World::new();
    world.results("a/x", 1, Outcome::Throttled(seconds(5)), 1);
    world.pass(5_000);
    world.results("a/x", 1, Outcome::Throttled(seconds(60)), 1);
    assert_eq!(refused(world.proven("a/x", 1)), throttled(60));
}

#[test]
fn a_probe_whose_caller_hung_up_leaves_room_for_another() {
    let world = World::new();
    world.results("a/x", 1, Outcome::Throttled(seconds(5)), 1);
    world.pass(5_000);
    drop(world.proven("a/x", 1).unwrap());
    assert!(world.proven("a/x", 1).is_ok());
}

#[test]
fn t09_a_forged_token_opens_no_throttle_but_its_own() {
    let world = World::new();
    world.unproven("forged", "a/x", 1).unwrap().settle(Outcome::Throttled(seconds(60)));
    assert!(world.proven("a/x", 1).is_ok());
    assert!(world.unproven("other", "a/x", 1).is_ok());
    assert_eq!(refused(world.unproven("forged", "a/x", 1)), throttled(60));
    assert_eq!(world.breakers.count_open(), 1);
}

#[test]
fn t09_a_forged_token_closes_no_throttle_either() {
    let world = World::new();
    world.results("a/x", 1, Outcome::Throttled(seconds(5)), 1);
    assert_eq!(refused(world.unproven("forged", "a/x", 1)), throttled(5));
    world.pass(5_000);
    world.unproven("forged", "a/x", 1).unwrap().settle(Outcome::Answered);
    let _probe = world.proven("a/x", 1).unwrap();
    assert_eq!(refused(world.proven("a/x", 1)), throttled(1), "the probe is under way");
    assert_eq!(refused(world.unproven("forged", "a/x", 1)), throttled(1));
}

#[test]
fn five_failed_connections_in_a_row_open_the_host_and_a_probe_a_second_follows() {
    let world = World::new();
    world.results("a/x", 1, CONNECTION, 4);
    assert!(world.proven("b/x", 1).is_ok());
    world.results("a/y", 2, CONNECTION, 1);
    assert_eq!(refused(world.proven("b/x", 1)), broken(Scope::Host, 1));
    let mut probes = 0;
    for _ in 0..600 {
        world.pass(100);
        if let Ok(probe) = world.proven("a/x", 1) {
            probe.settle(CONNECTION);
            probes += 1;
        }
    }
    assert_eq!(probes, 60, "a minute of outage");
    world.pass(1_000);
    world.results("a/x", 1, Outcome::Answered, 1);
    assert!(world.proven("a/x", 1).is_ok(), "Graph is back");
}

#[test]
fn five_failures_in_a_row_open_a_resource_and_no_other() {
    for failure in [STATUS, TRANSPORT] {
        let world = World::new();
        world.results("a/x", 1, failure, 5);
        assert_eq!(refused(world.proven("a/x", 1)), broken(Scope::Resource, 1), "{failure:?}");
        for (app, resource) in [("a/x", 2), ("a/y", 1), ("b/x", 1)] {
            assert!(world.proven(app, resource).is_ok(), "{app} {resource}");
        }
        assert_eq!(world.breakers.count_open(), 1);
    }
}

#[test]
fn three_resources_that_fail_in_a_row_open_their_application_alone() {
    let world = World::new();
    for resource in [1, 1, 2, 1] {
        world.results("a/x", resource, STATUS, 1);
    }
    assert_eq!(world.breakers.count_open(), 0, "two resources");
    world.results("a/x", 3, STATUS, 1);
    assert_eq!(refused(world.proven("a/x", 4)), broken(Scope::Application, 1));
    assert!(world.proven("a/y", 1).is_ok() && world.proven("b/x", 1).is_ok());
}

#[test]
fn an_answer_to_the_application_ends_its_row_of_failed_resources() {
    let world = World::new();
    for round in 0..100 {
        world.results("a/x", 10 * round, STATUS, 1);
        world.results("a/x", 10 * round + 1, STATUS, 1);
        world.results("a/x", 7, Outcome::Answered, 1);
    }
    assert_eq!(world.breakers.count_open(), 0);
}

#[test]
fn a_tenant_that_fails_all_the_time_costs_other_tenants_nothing() {
    let world = World::new();
    // Many applications, and many resources of each.
    for round in 0..2_000 {
        let app = format!("evil/{}", round % 40);
        for outcome in [STATUS, TRANSPORT] {
            if let Ok(request) = world.proven(&app, round % 7) {
                request.settle(outcome);
            }
        }
        world.pass(50);
        // A first failure of its own opens nothing in another tenant.
        if round % 500 == 0 {
            world.results("b/x", round, STATUS, 1);
        }
        assert!(world.proven("b/x", 1).is_ok());
    }
}

#[test]
fn several_tenants_that_fail_refuse_no_application_that_has_not_failed_itself() {
    let world = World::new();
    for round in 0..200 {
        for tenant in ["a", "b", "c", "d"] {
            if let Ok(request) = world.proven(&format!("{tenant}/x"), 1) {
                request.settle(STATUS);
            }
        }
        assert!(world.proven("victim/x", 1).is_ok(), "round {round}");
        world.pass(50);
    }
}

#[test]
fn while_several_tenants_fail_one_failure_opens_an_application() {
    let world = World::new();
    for app in ["a/x", "b/x", "b/y", "c/x"] {
        world.results(app, 1, STATUS, 1);
    }
    assert_eq!(world.breakers.count_open(), 0, "three tenants, and four failures");
    world.results("c/y", 1, TRANSPORT, 1);
    assert_eq!(refused(world.proven("c/y", 2)), broken(Scope::Application, 1));
    assert!(world.proven("c/x", 1).is_ok(), "it failed before");
    world.results("d/x", 1, STATUS, 1);
    assert_eq!(refused(world.proven("d/x", 1)), broken(Scope::Application, 1));
    // One answer ends the suspicion.
    world.results("e/x", 1, Outcome::Answered, 1);
    world.results("f/x", 1, STATUS, 1);
    assert!(world.proven("f/x", 1).is_ok());
}

#[test]
fn in_a_general_outage_each_application_sends_one_request_a_second() {
    let world = World::new();
    let apps: Vec<_> = (0..10).map(|tenant| format!("t{tenant}/x")).collect();
    let mut sent = 0;
    for _ in 0..600 {
        for app in &apps {
            for resource in 0..3 {
                if let Ok(request) = world.proven(app, resource) {
                    request.settle(STATUS);
                    sent += 1;
                }
            }
        }
        world.pass(100);
    }
    assert!((500..=650).contains(&sent), "ten applications, sixty seconds: {sent}");
}

#[test]
fn t09_failures_of_the_unproven_open_nothing() {
    let world = World::new();
    for n in 0..100 {
        for failure in [STATUS, TRANSPORT, CONNECTION] {
            world.unproven(&format!("t{n}"), "a/x", n).unwrap().settle(failure);
        }
    }
    assert_eq!(world.breakers.count_open(), 0);
    assert!(world.proven("a/x", 1).is_ok());
}

#[test]
fn t09_an_unproven_token_does_not_open_a_breaker_that_recovers() {
    for in_ramp in [false, true] {
        let world = host_is_due();
        if in_ramp {
            world.results("a/x", 1, Outcome::Answered, 1);
        }
        for failure in [STATUS, TRANSPORT, CONNECTION] {
            world.unproven("forged", "a/x", 1).unwrap().settle(failure);
            drop(world.unproven("forged", "a/x", 1).unwrap());
        }
        assert!(world.proven("a/x", 1).is_ok(), "in the ramp: {in_ramp}");
    }
}

#[test]
fn t09_an_unproven_token_does_not_take_the_probe_and_waits_while_one_is_under_way() {
    let world = host_is_due();
    let _unproven = world.unproven("forged", "a/x", 1).unwrap();
    let probe = world.proven("a/x", 1).unwrap();
    assert_eq!(refused(world.unproven("other", "b/x", 2)), broken(Scope::Host, 1));
    probe.settle(Outcome::Answered);
    assert!(world.unproven("other", "b/x", 2).is_ok());
}

#[test]
fn t09_an_unproven_token_waits_for_the_breakers_of_the_application_that_it_claims() {
    let world = World::new();
    world.results("a/x", 1, STATUS, 5);
    assert_eq!(refused(world.unproven("new", "a/x", 1)), broken(Scope::Resource, 1));
    assert!(world.unproven("new", "a/x", 2).is_ok() && world.unproven("new", "b/x", 1).is_ok());
    world.results("a/x", 2, STATUS, 1);
    world.results("a/x", 3, STATUS, 1);
    assert_eq!(refused(world.unproven("new", "a/x", 9)), broken(Scope::Application, 1));
}

#[test]
fn a_failure_among_good_answers_opens_nothing() {
    let world = World::new();
    for _ in 0..100 {
        for outcome in [STATUS, Outcome::Answered, CONNECTION, Outcome::Answered] {
            world.results("a/x", 1, outcome, 1);
        }
    }
    assert_eq!(world.breakers.count_open(), 0);
}

#[test]
fn a_wait_that_ends_later_stays_for_as_long_as_it_has_left() {
    let world = World::new();
    let (first, second) = (world.proven("a/x", 1).unwrap(), world.proven("a/x", 1).unwrap());
    first.settle(Outcome::Throttled(seconds(60)));
    world.pass(20_000);
    second.settle(Outcome::Throttled(seconds(5)));
    assert_eq!(refused(world.proven("a/x", 1)), throttled(40));
}

#[test]
fn four_failures_before_a_good_answer_and_four_after_it_are_not_five_in_a_row() {
    for (failure, scope) in [(STATUS, Scope::Resource), (CONNECTION, Scope::Host)] {
        let world = World::new();
        world.results("a/x", 1, failure, 4);
        world.results("a/x", 1, Outcome::Answered, 1);
        world.results("a/x", 1, failure, 4);
        assert_eq!(world.breakers.count_open(), 0);
        world.results("a/x", 1, failure, 1);
        assert_eq!(refused(world.proven("a/x", 1)), broken(scope, 1));
    }
}

#[test]
fn a_status_of_graph_shows_that_connections_can_be_made() {
    let world = World::new();
    for resource in 0..100 {
        world.results("a/x", 1, CONNECTION, 4);
        world.results(&format!("a/{resource}"), 1, STATUS, 1);
    }
    assert_eq!(world.breakers.count_open(), 0);
}

#[test]
fn a_request_from_before_the_outage_that_fails_in_it_makes_the_wait_no_longer() {
    for (failure, scope) in [(STATUS, Scope::Resource), (CONNECTION, Scope::Host)] {
        let world = World::new();
        let late = world.proven("a/x", 1).unwrap();
        world.results("a/x", 1, failure, 5);
        world.pass(400);
        late.settle(failure);
        let left = Duration::from_millis(600);
        assert_eq!(refused(world.proven("a/x", 1)), Some((Cause::Breaker(scope), left)));
    }
}

#[test]
fn requests_from_before_the_outage_that_fail_after_it_open_nothing() {
    for failure in [STATUS, CONNECTION] {
        let world = World::new();
        let late: Vec<_> = (0..50).map(|_| world.proven("a/x", 1).unwrap()).collect();
        world.results("a/x", 1, failure, 5);
        world.pass(1_000);
        world.results("a/x", 1, Outcome::Answered, 1 + 8 + 32);
        assert_eq!(world.room("a/x", 1), 200);
        late.into_iter().for_each(|late| late.settle(failure));
        assert_eq!(world.room("a/x", 1), 200, "{failure:?}");
    }
}

#[test]
fn while_a_probe_is_under_way_no_other_request_passes_until_it_is_gone() {
    let world = host_is_due();
    let probe = world.proven("a/x", 1).unwrap();
    for _ in 0..3 {
        assert_eq!(refused(world.proven("b/x", 1)), broken(Scope::Host, 1));
    }
    drop(probe);
    assert!(world.proven("b/x", 1).is_ok());
}

#[test]
fn a_request_that_ends_in_the_ramp_makes_room_for_one() {
    let world = host_is_due();
    world.results("a/x", 1, Outcome::Answered, 1);
    let mut eight: Vec<_> = (0..8).map(|_| world.proven("a/x", 1).unwrap()).collect();
    assert!(world.proven("a/x", 1).is_err());
    for answered in [true, false] {
        let one = eight.pop().unwrap();
        if answered {
            one.settle(Outcome::Answered);
        } else {
            drop(one);
        }
        eight.push(world.proven("a/x", 1).unwrap());
        assert!(world.proven("a/x", 1).is_err(), "answered: {answered}");
    }
}

#[test]
fn as_many_good_answers_as_may_be_under_way_let_more_in_and_no_fewer() {
    let world = host_is_due();
    world.results("a/x", 1, Outcome::Answered, 1);
    for (good, at_once) in [(7, 8), (1, 32), (31, 32), (1, 200)] {
        world.results("a/x", 1, Outcome::Answered, good);
        assert_eq!(world.room("a/x", 1), at_once);
    }
}

#[test]
fn a_failure_in_the_ramp_opens_the_breaker_and_one_after_it_does_not() {
    for (failure, scope) in [(STATUS, Scope::Resource), (CONNECTION, Scope::Host)] {
        let world = World::new();
        world.results("a/x", 1, failure, 5);
        world.pass(1_000);
        world.results("a/x", 1, Outcome::Answered, 1);
        world.results("a/x", 1, failure, 1);
        assert_eq!(refused(world.proven("a/x", 1)), broken(scope, 1));
        world.pass(1_000);
        world.results("a/x", 1, Outcome::Answered, 1 + 8 + 32);
        world.results("a/x", 1, failure, 1);
        assert!(world.proven("a/x", 1).is_ok(), "it is closed again");
    }
}

#[test]
fn one_resource_that_never_recovers_does_not_keep_its_application_broken() {
    let world = World::new();
    (1..=3).for_each(|resource| world.results("a/x", resource, STATUS, 1));
    // The first one is requested twenty times a second, and stays broken.
    let mut answered = 0;
    for tick in 0..200 {
        if let Ok(request) = world.proven("a/x", 1) {
            request.settle(STATUS);
        }
        if tick % 10 == 5
            && let Ok(request) = world.proven("a/x", 2)
        {
            request.settle(Outcome::Answered);
            answered += 1;
        }
        world.pass(50);
    }
    assert!(answered >= 15, "{answered} of 20 requests were sent");
}

#[test]
fn a_tenant_whose_requests_hang_does_not_take_every_probe_of_the_host() {
    let world = World::new();
    world.results("evil/x", 1, CONNECTION, 5);
    let mut hanging = Vec::new();
    for tick in 0..100 {
        hanging.extend(world.proven("evil/x", tick).ok());
        if tick % 20 == 10
            && let Ok(request) = world.proven("b/x", 1)
        {
            request.settle(Outcome::Answered);
            assert!(tick <= 60, "{tick}");
            return;
        }
        world.pass(50);
    }
    panic!("the other tenant never probed");
}

#[test]
fn every_open_breaker_is_counted() {
    let world = World::new();
    world.results("b/x", 1, Outcome::Throttled(seconds(30)), 1);
    world.unproven("forged", "c/x", 1).unwrap().settle(Outcome::Throttled(seconds(30)));
    (1..=2).for_each(|resource| world.results("d/x", resource, STATUS, 5));
    world.results("d/x", 3, STATUS, 1);
    assert_eq!(world.breakers.count_open(), 5, "two throttles, two resources, one application");
    world.results("a/x", 1, CONNECTION, 5);
    assert_eq!(world.breakers.count_open(), 6);
}

#[test]
fn a_look_returns_the_refusal_of_every_scope_and_admits_no_request() {
    let world = World::new();
    let proven = || refused(world.breakers.look(&world.scope_of_proven("a/x", 1)));
    let unproven = || refused(world.breakers.look(&world.scope_of_unproven("forged", "a/x", 1)));
    assert_eq!((proven(), unproven()), (None, None));
    world.results("a/x", 1, Outcome::Throttled(seconds(30)), 1);
    assert_eq!((proven(), unproven()), (throttled(30), throttled(30)));
    world.pass(30_000);
    assert_eq!((proven(), proven()), (None, None), "a look is no probe");
    world.results("a/x", 1, Outcome::Answered, 1);
    world.unproven("forged", "b/x", 1).unwrap().settle(Outcome::Throttled(seconds(20)));
    assert_eq!((proven(), unproven()), (None, throttled(20)), "the token's own");
    world.results("a/x", 1, STATUS, 1);
    assert_eq!(proven(), None);
    world.results("c/x", 1, CONNECTION, 5);
    assert_eq!((proven(), unproven()), (broken(Scope::Host, 1), broken(Scope::Host, 1)));
}

#[test]
fn a_refusal_of_one_scope_leaves_the_probes_of_the_others() {
    let world = World::new();
    world.results("a/x", 1, STATUS, 5);
    world.pass(1_000);
    world.results("b/x", 1, CONNECTION, 5);
    assert_eq!(refused(world.proven("a/x", 1)), broken(Scope::Host, 1));
    world.pass(1_000);
    assert!(world.proven("a/x", 1).is_ok(), "it is the probe of both");
}

#[test]
fn the_state_of_an_application_is_bounded() {
    let world = World::new();
    for resource in 0..1_000 {
        world.results("a/x", resource, STATUS, 1);
        world.results("a/x", 5_000, Outcome::Answered, 1);
    }
    let own = world.breakers.applications.get(&world.app("a/x")).unwrap();
    assert_eq!(lock(&own).count_resources(), MAX_RESOURCES);
    (968..1_000).for_each(|resource| world.results("a/x", resource, Outcome::Answered, 1));
    assert_eq!(lock(&own).count_resources(), 0, "a resource that is answered is forgotten");
}

#[test]
fn a_flood_of_unproven_tokens_evicts_no_application() {
    let world = World::new();
    world.results("a/x", 1, Outcome::Throttled(seconds(600)), 1);
    for n in 0..2 * MAX_TOKENS {
        world.unproven(&format!("t{n}"), "b/x", 1).unwrap().settle(Outcome::Throttled(seconds(600)));
    }
    world.breakers.tokens.run_pending_tasks();
    assert!(world.breakers.tokens.entry_count() <= MAX_TOKENS);
    assert_eq!(refused(world.proven("a/x", 1)), throttled(600));
}
