//! Properties that hold after any schedule of requests and results.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::application::MAX_RESOURCES;
use super::tests::World;
use super::*;

/// One step. Numbers pick tenants, applications, resources, tokens and requests.
#[derive(Clone, Debug)]
enum Step {
    Enter { app: usize, resource: u64, proven: bool },
    Settle { pick: usize, outcome: Outcome },
    Cancel { pick: usize },
    Pass(u16),
}

/// A world after some steps.
struct Play<'a> {
    world: &'a World,
    in_flight: Vec<(usize, bool, InFlight<'a>)>,
    /// Applications of which a proven token had a failure or a 429.
    failed: BTreeSet<usize>,
}

impl<'a> Play<'a> {
    fn new(world: &'a World) -> Self {
        Self { world, in_flight: Vec::new(), failed: BTreeSet::new() }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Enter { app, resource, proven } => {
                let entered = if proven {
                    self.world.proven(APPS[app], resource)
                } else {
                    self.world.unproven(&format!("t{resource}"), APPS[app], resource)
                };
                self.in_flight.extend(entered.ok().map(|entered| (app, proven, entered)));
            }
            Step::Settle { pick, outcome } if !self.in_flight.is_empty() => {
                let (app, proven, request) = self.in_flight.swap_remove(pick % self.in_flight.len());
                let connection = outcome == Outcome::Failed(Failure::Connection);
                if proven && outcome != Outcome::Answered && !connection {
                    self.failed.insert(app);
                }
                request.settle(outcome);
            }
            Step::Cancel { pick } if !self.in_flight.is_empty() => {
                drop(self.in_flight.swap_remove(pick % self.in_flight.len()));
            }
            Step::Settle { .. } | Step::Cancel { .. } => {}
            Step::Pass(millis) => self.world.clock.advance(Duration::from_millis(millis.into())),
        }
    }

    /// All state that an unproven token must not change.
    fn snapshot(&self) -> String {
        let applications = &self.world.breakers.applications;
        let own = |name: &&str| applications.get(&self.world.app(name)).map(|own| format!("{own:?}"));
        let own: Vec<_> = APPS.iter().map(own).collect();
        format!("{:?} {own:?}", self.world.breakers.host)
    }
}

/// Two applications each of four tenants.
const APPS: [&str; 8] = ["a/x", "a/y", "b/x", "b/y", "c/x", "c/y", "d/x", "d/y"];

fn outcome(connections: bool) -> impl Strategy<Value = Outcome> {
    let failure = if connections { Failure::Connection } else { Failure::Transport };
    prop_oneof![
        2 => Just(Outcome::Answered),
        4 => Just(Outcome::Failed(Failure::Status)),
        2 => Just(Outcome::Failed(failure)),
        1 => (0_u64..20).prop_map(|seconds| Outcome::Throttled(Duration::from_secs(seconds))),
    ]
}

fn step(connections: bool) -> impl Strategy<Value = Step> {
    let enter = (0..APPS.len(), 0_u64..5, prop::bool::weighted(0.8));
    prop_oneof![
        6 => enter.prop_map(|(app, resource, proven)| Step::Enter { app, resource, proven }),
        5 => (any::<usize>(), outcome(connections)).prop_map(|(pick, outcome)| Step::Settle { pick, outcome }),
        1 => any::<usize>().prop_map(|pick| Step::Cancel { pick }),
        1 => (0_u16..3_000).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Without connection-level failures, an application is refused for its own failures alone.
    #[test]
    fn no_result_refuses_a_request_of_another_scope(steps in vec(step(false), 1..400)) {
        let world = World::new();
        let mut play = Play::new(&world);
        for step in &steps {
            play.step(step);
            prop_assert!(world.proven("victim/x", 1).is_ok());
            for (number, app) in APPS.iter().enumerate() {
                if !play.failed.contains(&number) {
                    prop_assert!(world.proven(app, 1).is_ok(), "{} has never failed", app);
                }
            }
        }
    }

    /// Whatever requests of unproven tokens enter, and whatever becomes of them.
    #[test]
    fn an_unproven_token_changes_no_state_of_others(steps in vec(step(true), 1..400)) {
        let world = World::new();
        let mut play = Play::new(&world);
        for step in &steps {
            let before = play.snapshot();
            let picked = |pick: usize| play.in_flight.get(pick % play.in_flight.len().max(1));
            let unproven = match step {
                Step::Enter { proven, .. } => !proven,
                Step::Settle { pick, .. } | Step::Cancel { pick } => {
                    picked(*pick).is_some_and(|(_, proven, _)| !proven)
                }
                Step::Pass(_) => true,
            };
            play.step(step);
            if unproven {
                prop_assert_eq!(play.snapshot(), before, "{:?}", step);
            }
        }
    }

    /// Once Graph answers, each application is served without a limit soon, though requests from before may hang.
    #[test]
    fn every_outage_ends(steps in vec(step(true), 1..400)) {
        let world = World::new();
        let mut play = Play::new(&world);
        for step in &steps {
            play.step(step);
        }
        // The longest throttle, and the turn of another scope.
        world.clock.advance(Duration::from_secs(20));
        for round in 0..2 {
            for app in APPS {
                for resource in 0..5 {
                    let request = world.proven(app, resource);
                    prop_assert!(request.is_ok(), "round {}: {:?}", round, request.err());
                    request.unwrap().settle(Outcome::Answered);
                }
            }
            world.clock.advance(Duration::from_secs(10));
        }
        for app in APPS {
            let crowd: Vec<_> = (0..200).filter_map(|_| world.proven(app, 0).ok()).collect();
            prop_assert_eq!(crowd.len(), 200);
        }
        prop_assert_eq!(world.breakers.count_open(), 0);
    }

    /// A caller chooses how many resources it names.
    #[test]
    fn the_state_of_each_application_is_bounded(resources in vec(any::<u64>(), 1..2_000)) {
        let world = World::new();
        for (number, resource) in resources.iter().enumerate() {
            if let Ok(request) = world.proven("a/x", *resource) {
                request.settle(Outcome::Failed(Failure::Status));
            }
            if number % 2 == 0 && let Ok(request) = world.proven("a/x", 0) {
                request.settle(Outcome::Answered);
            }
        }
        world.breakers.applications.run_pending_tasks();
        prop_assert_eq!(world.breakers.applications.entry_count(), 1);
        let own = world.breakers.applications.get(&world.app("a/x"));
        prop_assert!(own.is_some_and(|own| lock(&own).count_resources() <= MAX_RESOURCES));
    }
}
