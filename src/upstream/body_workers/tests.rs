use std::thread;

use tokio::task::yield_now;

use super::*;

const ADA: SharePath = [1, 1, 1];
const BOB: SharePath = [2, 2, 2];

#[tokio::test]
async fn only_a_large_body_leaves_its_thread() {
    let (workers, own) = (BodyWorkers::new(1), thread::current().id());
    for bytes in [0, INLINE_BODY_BYTES] {
        assert_eq!(workers.run(ADA, bytes, || thread::current().id()).await, own, "{bytes}");
    }
    assert_ne!(workers.run(ADA, INLINE_BODY_BYTES + 1, || thread::current().id()).await, own);
}

#[tokio::test]
async fn a_small_body_needs_no_permit_and_a_large_one_waits_for_it() {
    let workers = BodyWorkers::new(1);
    let held = workers.acquire(ADA).await;
    assert!(workers.run(BOB, 1, || true).await);
    let other = workers.clone();
    let large = tokio::spawn(async move { other.run(BOB, usize::MAX, || 7).await });
    while workers.waiting() == 0 {
        yield_now().await;
    }
    drop(held);
    assert_eq!((large.await.unwrap(), workers.waiting(), workers.queue().in_use()), (7, 0, 0));
}

#[tokio::test]
async fn the_next_permit_goes_to_the_owner_with_the_fewest() {
    let workers = BodyWorkers::new(2);
    let mut held = vec![workers.acquire(ADA).await, workers.acquire(ADA).await];
    let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
    for owner in [ADA, ADA, BOB] {
        let (workers, done) = (workers.clone(), done.clone());
        let before = workers.waiting();
        let waiting = workers.clone();
        tokio::spawn(async move {
            let permit = waiting.acquire(owner).await;
            done.send((owner, permit)).unwrap();
        });
        while workers.waiting() == before {
            yield_now().await;
        }
    }
    held.pop();
    assert_eq!(order.recv().await.unwrap().0, BOB);
}

#[tokio::test]
async fn a_caller_that_leaves_gives_its_turn_back() {
    let workers = BodyWorkers::new(1);
    let held = workers.acquire(ADA).await;
    let (left, waiting) = (workers.clone(), workers.clone());
    let left = tokio::spawn(async move { left.run(BOB, usize::MAX, || ()).await });
    while workers.waiting() == 0 {
        yield_now().await;
    }
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    assert_eq!(waiting.waiting(), 0);
    drop(held);
    workers.acquire(ADA).await;
}

#[tokio::test]
async fn a_panic_reaches_the_caller_and_gives_the_permit_back() {
    let workers = BodyWorkers::new(1);
    let other = workers.clone();
    let failed = tokio::spawn(async move { other.run(ADA, usize::MAX, || panic!("broken")).await });
    assert!(failed.await.unwrap_err().is_panic());
    assert!(workers.run(ADA, usize::MAX, || true).await);
}
