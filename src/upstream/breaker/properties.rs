//! Properties that hold after any schedule of requests and outcomes.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::parts::MAX_PARTS;
use super::tests::TestBreakers;
use super::*;

/// One step. Numbers select tenants, applications, resources, tokens and requests.
#[derive(Clone, Debug)]
enum Step {
    Enter { app: usize, token: usize, resource: u64, proven: bool },
    Settle { pick: usize, outcome: CallOutcome },
    Cancel { pick: usize },
    Pass(u16),
}

/// Sender of a started request.
#[derive(Clone, Copy)]
struct Entry {
    app: usize,
    token: usize,
    proven: bool,
}

/// State of a test after some steps.
struct Play<'a> {
    test: &'a TestBreakers,
    in_flight: Vec<(Entry, InFlight<'a>)>,
    /// Applications with a failure of, or a 429 to, a proven token.
    failed: BTreeSet<usize>,
    /// Applications with a 429.
    throttled: BTreeSet<usize>,
    /// Applications and their proven tokens with a failure.
    failed_tokens: BTreeSet<(usize, usize)>,
}

impl<'a> Play<'a> {
    fn new(test: &'a TestBreakers) -> Self {
        let (failed, throttled, failed_tokens) = Default::default();
        Self { test, in_flight: Vec::new(), failed, throttled, failed_tokens }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Enter { app, token, resource, proven } => {
                let started = if proven {
                    self.test.proven(&name(app, token), resource)
                } else {
                    self.test.unproven(&format!("t{resource}"), APPS[app], resource)
                };
                self.in_flight.extend(started.ok().map(|started| (Entry { app, token, proven }, started)));
            }
            Step::Settle { pick, outcome } if !self.in_flight.is_empty() => {
                let (entry, request) = self.in_flight.swap_remove(pick % self.in_flight.len());
                if entry.proven {
                    self.register(entry, outcome);
                }
                request.record_now(outcome);
            }
            Step::Cancel { pick } if !self.in_flight.is_empty() => {
                drop(self.in_flight.swap_remove(pick % self.in_flight.len()));
            }
            Step::Settle { .. } | Step::Cancel { .. } => {}
            Step::Pass(millis) => self.test.clock.advance(Duration::from_millis(millis.into())),
        }
    }

    fn register(&mut self, Entry { app, token, .. }: Entry, outcome: CallOutcome) {
        match outcome {
            CallOutcome::Answered | CallOutcome::Failed(CallFailure::Connection) => return,
            CallOutcome::Throttled(_) => self.throttled.insert(app),
            CallOutcome::Failed(_) => self.failed_tokens.insert((app, token)),
        };
        self.failed.insert(app);
    }

    /// Returns whether outcomes of other tokens may reject the request of a token for a resource that has never failed.
    fn may_reject(&self, app: usize, token: usize, cause: RejectionCause) -> bool {
        let failed: Vec<_> = self.failed_tokens.iter().filter(|(of, _)| *of == app).map(|(_, t)| t).collect();
        match cause {
            RejectionCause::Throttled => self.throttled.contains(&app),
            RejectionCause::Breaker(BreakerKind::Token) => failed.contains(&&token),
            RejectionCause::Breaker(BreakerKind::Application) => {
                failed.iter().map(|token| TOKENS[**token].0).collect::<BTreeSet<_>>().len() >= 2
            }
            RejectionCause::Breaker(BreakerKind::Resource | BreakerKind::Host) => false,
        }
    }

    /// Returns all state that an unproven token must not change.
    fn snapshot(&self) -> String {
        let applications = &self.test.breakers.applications;
        let own = |name: &&str| applications.get(&self.test.app(name)).map(|own| format!("{own:?}"));
        let own: Vec<_> = APPS.iter().map(own).collect();
        format!("{:?} {own:?}", self.test.breakers.host)
    }
}

/// Two applications each of four tenants.
const APPS: [&str; 8] = ["a/x", "a/y", "b/x", "b/y", "c/x", "c/y", "d/x", "d/y"];

/// Users of each application, and their tokens.
const TOKENS: [(&str, &str); 4] = [("u", "t0"), ("u", "t1"), ("v", "t2"), ("v", "t3")];

fn name(app: usize, token: usize) -> String {
    let (user, token) = TOKENS[token];
    format!("{}/{user}/{token}", APPS[app])
}

fn outcome(connections: bool) -> impl Strategy<Value = CallOutcome> {
    let failure = if connections { CallFailure::Connection } else { CallFailure::Transport };
    prop_oneof![
        2 => Just(CallOutcome::Answered),
        4 => Just(CallOutcome::Failed(CallFailure::Status)),
        2 => Just(CallOutcome::Failed(failure)),
        1 => (0_u64..20).prop_map(|seconds| CallOutcome::Throttled(Duration::from_secs(seconds))),
    ]
}

fn step(connections: bool) -> impl Strategy<Value = Step> {
    let enter = (0..APPS.len(), 0..TOKENS.len(), 0_u64..5, prop::bool::weighted(0.8));
    let enter = enter.prop_map(|(app, token, resource, proven)| Step::Enter { app, token, resource, proven });
    prop_oneof![
        6 => enter,
        5 => (any::<usize>(), outcome(connections)).prop_map(|(pick, outcome)| Step::Settle { pick, outcome }),
        1 => any::<usize>().prop_map(|pick| Step::Cancel { pick }),
        1 => (0_u16..3_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Without connection-level failures, only its own failures lead to the rejection of an application.
    #[test]
    fn no_outcome_rejects_a_request_of_another_scope(steps in vec(step(false), 1..400)) {
        let test = TestBreakers::new();
        let mut play = Play::new(&test);
        for step in &steps {
            play.step(step);
            prop_assert!(test.proven("victim/x", 1).is_ok());
            for (number, app) in APPS.iter().enumerate() {
                if !play.failed.contains(&number) {
                    prop_assert!(test.proven(app, 1).is_ok(), "{} has never failed", app);
                }
            }
        }
    }

    /// Within an application, a token is rejected for its own failures or for those of two users. All steps belong to one
    /// application, so that failures are consecutive.
    #[test]
    fn no_outcome_of_a_token_rejects_a_request_of_another_user(steps in vec(step(false), 1..400)) {
        let test = TestBreakers::new();
        let mut play = Play::new(&test);
        for step in steps {
            play.step(&match step {
                Step::Enter { app, token, resource, proven } => Step::Enter { app: app % 2, token, resource, proven },
                step => step,
            });
            for (app, token) in (0..2).flat_map(|app| (0..TOKENS.len()).map(move |token| (app, token))) {
                let rejected = test.check(&name(app, token), 99).err();
                let is_fair = rejected.is_none_or(|rejected| play.may_reject(app, token, rejected.cause));
                prop_assert!(is_fair, "{}: {:?}", name(app, token), rejected);
            }
        }
    }

    /// Any requests of unproven tokens, with any outcomes.
    #[test]
    fn an_unproven_token_changes_no_state_of_others(steps in vec(step(true), 1..400)) {
        let test = TestBreakers::new();
        let mut play = Play::new(&test);
        for step in &steps {
            let before = play.snapshot();
            let picked = |pick: usize| play.in_flight.get(pick % play.in_flight.len().max(1));
            let unproven = match step {
                Step::Enter { proven, .. } => !proven,
                Step::Settle { pick, .. } | Step::Cancel { pick } => {
                    picked(*pick).is_some_and(|(entry, _)| !entry.proven)
                }
                Step::Pass(_) => true,
            };
            play.step(step);
            if unproven {
                prop_assert_eq!(play.snapshot(), before, "{:?}", step);
            }
        }
    }

    /// Once Graph responds, each application is soon served without a limit, even if earlier requests hang.
    #[test]
    fn every_outage_ends(steps in vec(step(true), 1..400)) {
        let test = TestBreakers::new();
        let mut play = Play::new(&test);
        for step in &steps {
            play.step(step);
        }
        // The longest throttle, and the turn of another scope.
        test.clock.advance(Duration::from_secs(20));
        for round in 0..2 {
            for app in APPS {
                for resource in 0..5 {
                    let request = test.proven(app, resource);
                    prop_assert!(request.is_ok(), "round {}: {:?}", round, request.err());
                    request.unwrap().record_now(CallOutcome::Answered);
                }
            }
            test.clock.advance(Duration::from_secs(10));
        }
        for app in APPS {
            let crowd: Vec<_> = (0..200).filter_map(|_| test.proven(app, 0).ok()).collect();
            prop_assert_eq!(crowd.len(), 200);
        }
        prop_assert_eq!(test.breakers.count_open(), 0);
    }

    /// A caller chooses the number of its resources, and a user the number of its tokens.
    #[test]
    fn the_state_of_each_application_is_bounded(resources in vec(any::<u64>(), 1..2_000)) {
        let test = TestBreakers::new();
        for (number, resource) in resources.iter().enumerate() {
            if let Ok(request) = test.proven(&format!("a/x/u{}", number % 100), *resource) {
                request.record_now(CallOutcome::Failed(CallFailure::Status));
            }
            if number % 2 == 0 && let Ok(request) = test.proven("a/x", 0) {
                request.record_now(CallOutcome::Answered);
            }
        }
        prop_assert_eq!(test.breakers.applications.count(), 1);
        let own = test.breakers.applications.get(&test.app("a/x"));
        prop_assert!(own.is_some_and(|own| lock(&own).count_parts().iter().all(|parts| *parts <= MAX_PARTS)));
    }
}
