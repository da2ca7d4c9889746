//! Fair shares of the permits: no owner waits while others hold more than their part.
//!
//! The oracle does not know queues and thresholds. It sees the permits of each owner, and the owners that wait:
//!
//! | | rule |
//! |---|---|
//! | (s) | As long as at most two owners hold permits, however many, a tenant that holds none gets one at once. |
//! | (t) | When a permit is given back, no owner that waits and holds none is passed over for a tenant that holds two or more. |
//! | (u) | Tokens without a proof never hold more than three quarters of the permits. |
//!
//! The same histories are played to a plain semaphore, first come first served, which breaks rule (s).

use std::collections::BTreeMap;

use connector_cache::upstream::permits::{PermitOwner, UpstreamPermit, UpstreamPermits};
use futures_util::FutureExt as _;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::time::Duration;

const PERMITS: usize = 32;
const WAIT: Duration = Duration::from_secs(3600);

/// One step of a history. Tenant 0 floods; the others ask now and then.
#[derive(Clone, Debug)]
enum Step {
    Request { tenant: u8, application: u8, token: u8, proven: bool },
    GiveBack { pick: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    let request =
        (prop_oneof![6 => Just(0_u8), 2 => 1..7_u8], 0..2_u8, 0..3_u8, prop::bool::weighted(0.8)).prop_map(
            |(tenant, application, token, proven)| Step::Request { tenant, application, token, proven },
        );
    prop_oneof![3 => request, 1 => any::<u16>().prop_map(|pick| Step::GiveBack { pick })]
}

/// Source of permits: the real queue, or a plain semaphore.
trait Permits {
    type Permit;
    fn request(&self, owner: PermitOwner) -> impl Future<Output = Self::Permit> + 'static;
}

impl Permits for UpstreamPermits {
    type Permit = UpstreamPermit;
    fn request(&self, owner: PermitOwner) -> impl Future<Output = UpstreamPermit> + 'static {
        let permits = self.clone();
        async move { permits.acquire(owner, WAIT).await.unwrap() }
    }
}

impl Permits for std::sync::Arc<tokio::sync::Semaphore> {
    type Permit = tokio::sync::OwnedSemaphorePermit;
    fn request(&self, _: PermitOwner) -> impl Future<Output = Self::Permit> + 'static {
        let semaphore = self.clone();
        async move { semaphore.acquire_owned().await.unwrap() }
    }
}

/// Widest share of an owner: its tenant, or its address where it has no proof.
type Tenant = (bool, u8);

/// Plays a history, and returns the first broken rule.
fn play<P: Permits>(permits: &P, steps: &[Step]) -> Result<(), String> {
    let mut held: Vec<(Tenant, P::Permit)> = Vec::new();
    let mut waiting = Vec::new();
    for step in steps {
        let holders = |held: &Vec<(Tenant, P::Permit)>| {
            held.iter().fold(BTreeMap::<Tenant, usize>::new(), |mut count, (tenant, _)| {
                *count.entry(*tenant).or_default() += 1;
                count
            })
        };
        let before = holders(&held);
        match *step {
            Step::Request { tenant, application, token, proven } => {
                let path = [tenant, application, token].map(u128::from);
                let owner = if proven { PermitOwner::Proven(path) } else { PermitOwner::Unproven(path) };
                let mut request = Box::pin(permits.request(owner));
                let share = (proven, tenant);
                match request.as_mut().now_or_never() {
                    Some(permit) => held.push((share, permit)),
                    None if proven && before.len() <= 2 && !before.contains_key(&share) => {
                        return Err(format!("(s) {share:?} holds none and waits beside {before:?}"));
                    }
                    None => waiting.push((share, request)),
                }
            }
            Step::GiveBack { pick } if !held.is_empty() => {
                drop(held.swap_remove(usize::from(pick) % held.len()));
                let before = holders(&held);
                let idle =
                    waiting.iter().find(|(share, _)| share.0 && !before.contains_key(share)).map(|it| it.0);
                let mut still = Vec::new();
                for (share, mut request) in waiting {
                    match request.as_mut().now_or_never() {
                        Some(permit) => {
                            if idle.is_some_and(|idle| share.0 && share != idle)
                                && before.get(&share).is_some_and(|held| *held >= 2)
                            {
                                return Err(format!("(t) {share:?} is served before {idle:?}: {before:?}"));
                            }
                            held.push((share, permit));
                        }
                        None => still.push((share, request)),
                    }
                }
                waiting = still;
            }
            Step::GiveBack { .. } => {}
        }
        let unproven = held.iter().filter(|((proven, _), _)| !proven).count();
        if unproven > PERMITS / 4 * 3 {
            return Err(format!("(u) {unproven} permits are held without a proof"));
        }
    }
    Ok(())
}

fn check<P: Permits>(permits: impl Fn() -> P) -> Result<(), String> {
    let config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() };
    let steps = proptest::collection::vec(step(), 1..300);
    // For the timers of the waiting requests, none of which ends.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    TestRunner::new(config)
        .run(&steps, |steps| play(&permits(), &steps).map_err(TestCaseError::fail))
        .map_err(|error| error.to_string())
}

#[test]
fn no_owner_waits_for_what_another_holds_beyond_its_share() {
    check(|| UpstreamPermits::new(PERMITS, PERMITS)).unwrap();
}

#[test]
fn a_plain_semaphore_is_found_out() {
    let broken = check(|| std::sync::Arc::new(tokio::sync::Semaphore::new(PERMITS))).unwrap_err();
    assert!(["(s)", "(t)", "(u)"].iter().any(|rule| broken.contains(rule)), "{broken}");
}
