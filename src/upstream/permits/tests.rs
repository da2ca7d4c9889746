//! Floods of one owner beside the requests of others.

use futures_util::FutureExt as _;

use super::*;

const WAIT: Duration = Duration::from_secs(5);

fn proven(tenant: u128, token: u128) -> PermitOwner {
    PermitOwner::Proven([tenant, 1, token])
}

fn unproven(subnet: u128, token: u128) -> PermitOwner {
    PermitOwner::Unproven([subnet, 1, token])
}

/// Takes permits of one owner until none is free for this owner.
fn flood(permits: &UpstreamPermits, owner: PermitOwner) -> Vec<UpstreamPermit> {
    std::iter::from_fn(|| permits.try_acquire(owner)).collect()
}

#[test]
fn a_flood_of_one_proven_token_leaves_permits_for_another_tenant() {
    let permits = UpstreamPermits::new(256, 128);
    let flood = flood(&permits, proven(1, 1));
    assert!((170..190).contains(&flood.len()), "{}", flood.len());
    assert!(permits.try_acquire(proven(2, 1)).is_some());
    assert!(permits.try_acquire(proven(1, 2)).is_some(), "another token of its own application, too");
    assert!(permits.try_acquire(unproven(1, 1)).is_some());
}

#[test]
fn floods_of_unproven_tokens_leave_a_quarter_for_proven_ones() {
    let permits = UpstreamPermits::new(16, 100);
    let held: Vec<_> = (0..100).flat_map(|subnet| flood(&permits, unproven(subnet, 1))).collect();
    assert_eq!((held.len(), permits.unproven_usage()), (12, (12, 12)));
    assert!(permits.try_acquire(proven(1, 1)).is_some());
}

#[test]
fn one_unproven_token_leaves_permits_for_another_token_of_its_subnet() {
    let permits = UpstreamPermits::new(256, 128);
    let _flood = flood(&permits, unproven(1, 1));
    assert!(permits.try_acquire(unproven(1, 2)).is_some());
}

#[tokio::test]
async fn a_newcomer_is_served_before_the_queue_of_a_flood() {
    let permits = UpstreamPermits::new(2, 1);
    let held = [permits.try_acquire(proven(1, 1)).unwrap(), permits.try_acquire(proven(1, 1)).unwrap()];
    let mut queued: Vec<_> = (0..5).map(|_| Box::pin(permits.acquire(proven(1, 1), WAIT))).collect();
    assert!(queued.iter_mut().all(|waits| waits.as_mut().now_or_never().is_none()));
    let mut newcomer = Box::pin(permits.acquire(proven(2, 1), WAIT));
    assert!(newcomer.as_mut().now_or_never().is_none());
    drop(held);
    assert!(matches!(newcomer.now_or_never(), Some(Ok(_))));
}

#[tokio::test]
async fn a_caller_above_its_share_waits_while_permits_are_idle_and_a_newcomer_does_not() {
    let permits = UpstreamPermits::new(8, 1);
    let held = flood(&permits, proven(1, 1));
    let idle = 8 - held.len();
    assert!(idle > 0);
    let mut queued = Box::pin(permits.acquire(proven(1, 1), WAIT));
    assert!(queued.as_mut().now_or_never().is_none());
    assert!(matches!(permits.acquire(proven(2, 1), WAIT).now_or_never(), Some(Ok(_))));
    drop(held);
    assert!(matches!(queued.now_or_never(), Some(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_in_time_and_leaves_no_state() {
    let permits = UpstreamPermits::new(1, 1);
    let held = permits.try_acquire(proven(1, 1)).unwrap();
    let start = Instant::now();
    assert_eq!(permits.acquire(proven(2, 1), WAIT).await.err(), Some(NoPermit));
    assert_eq!(start.elapsed(), WAIT);
    assert_eq!(permits.waiting(), 0);
    drop(permits.acquire(proven(2, 1), WAIT).now_or_never());
    drop(held);
    assert_eq!((permits.waiting(), permits.usage()), (0, (0, 1)));
}

#[tokio::test]
async fn a_permit_for_a_caller_that_left_goes_to_the_next() {
    let permits = UpstreamPermits::new(1, 1);
    let held = permits.try_acquire(proven(1, 1)).unwrap();
    let mut leaves = Box::pin(permits.acquire(proven(2, 1), WAIT));
    let mut stays = Box::pin(permits.acquire(proven(3, 1), WAIT));
    assert!(leaves.as_mut().now_or_never().is_none() && stays.as_mut().now_or_never().is_none());
    drop(held);
    // The permit was sent to the first caller, which leaves without receiving it.
    drop(leaves);
    assert!(matches!(stays.now_or_never(), Some(Ok(_))));
}
