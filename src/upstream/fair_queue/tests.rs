//! Fairness, thresholds and counts of the queue.

use std::collections::HashMap;

use proptest::prelude::*;

use super::share::Share;
use super::*;

/// Creates a capacity without a reserve.
fn places(free: usize) -> QueueCapacity {
    QueueCapacity { free, reserve: 0 }
}

fn all(_: &SharePath) -> bool {
    true
}

/// Serves items until the capacity is in use, and returns the owners in the order of service.
fn serve(queue: &mut FairQueue<&'static str>, capacity: usize) -> Vec<&'static str> {
    std::iter::from_fn(|| queue.pop(places(capacity - queue.in_use()), &mut all).map(|(_, item)| item))
        .collect()
}

#[test]
fn the_share_with_the_least_in_use_is_served_first_and_equals_take_turns() {
    let mut queue = FairQueue::default();
    for token in 0..4 {
        queue.push([1, 1, token], "flood");
    }
    queue.push([2, 1, 1], "other");
    queue.push([3, 1, 1], "third");
    assert_eq!(serve(&mut queue, 100)[..4], ["flood", "other", "third", "flood"]);
}

#[test]
fn new_shares_are_served_in_the_order_of_their_arrival() {
    let mut queue = FairQueue::default();
    let names = ["first", "second", "third", "fourth", "fifth"];
    for (name, key) in names.into_iter().zip([900, 20, 500, 1, 700]) {
        queue.push([1, key, key], name);
    }
    assert_eq!(serve(&mut queue, 100), names, "whatever their keys");
}

#[test]
fn one_share_alone_leaves_capacity_for_a_newcomer_at_every_level() {
    let mut queue = FairQueue::<()>::default();
    let alone = (0..256).filter(|_| queue.try_acquire([1, 1, 1], places(256 - queue.in_use()))).count();
    assert_eq!(alone, 193, "three quarters: four fifths of what is free at each of three levels");
    let token = (0..256).filter(|_| queue.try_acquire([1, 1, 2], places(256 - queue.in_use()))).count();
    let application = (0..256).filter(|_| queue.try_acquire([1, 2, 1], places(256 - queue.in_use()))).count();
    let tenant = (0..256).filter(|_| queue.try_acquire([2, 1, 1], places(256 - queue.in_use()))).count();
    assert!(token > 0 && application > 0 && tenant > 10, "{token} {application} {tenant}");
}

#[test]
fn sixty_greedy_owners_leave_a_place_for_one_more() {
    let mut queue = FairQueue::<()>::default();
    for _ in 0..256 {
        for owner in 0..60 {
            queue.try_acquire([owner, 0, 0], places(256 - queue.in_use()));
        }
    }
    assert!(queue.try_acquire([1000, 0, 0], places(256 - queue.in_use())));
}

#[test]
fn a_hundred_owners_that_grow_together_leave_the_reserve_to_newcomers() {
    let mut queue = FairQueue::<()>::default();
    for _ in 0..256 {
        for owner in 0..100 {
            queue.try_acquire([owner, 0, 0], QueueCapacity::remaining(256, queue.in_use()));
        }
    }
    let newcomers = (1000..1100)
        .filter(|owner| queue.try_acquire([*owner, 0, 0], QueueCapacity::remaining(256, queue.in_use())));
    assert_eq!(newcomers.count(), 16);
}

#[test]
fn the_smallest_capacity_can_be_used() {
    for capacity in 1..=3 {
        let mut queue = FairQueue::<()>::default();
        assert!(queue.try_acquire([1, 1, 1], places(capacity)));
        assert!(!queue.try_acquire([2, 2, 2], places(0)), "the capacity is in use");
    }
}

#[test]
fn an_item_that_is_not_eligible_delays_no_other_item() {
    let mut queue = FairQueue::default();
    queue.push([1, 1, 1], "refused");
    queue.push([1, 2, 2], "served");
    let served = queue.pop(places(10), &mut |path| path[2] != 1);
    assert_eq!(served, Some(([1, 2, 2], "served")));
    assert!(queue.pop(places(10), &mut |path| path[2] != 1).is_none());
    assert_eq!(queue.waiting(), 1);
}

#[test]
fn the_fullest_share_loses_its_newest_item() {
    let mut queue = FairQueue::default();
    queue.push([1, 1, 1], "honest");
    for item in ["old", "new", "newest"] {
        queue.push([1, 2, 9], item);
    }
    assert_eq!(queue.drop_longest(), Some(([1, 2, 9], "newest")));
    assert_eq!(queue.waiting(), 3);
}

#[test]
fn only_the_last_owner_without_use_and_items_leaves_state() {
    let mut queue = FairQueue::default();
    let position = queue.push([1, 2, 3], "item");
    assert_eq!(queue.remove(position), Some("item"));
    assert_eq!(queue.remove(position), None, "only once");
    queue.acquire([4, 5, 6]);
    queue.release([4, 5, 6]);
    queue.push([7, 8, 9], "item");
    let (path, _) = queue.pop_in(7, places(1), &mut all).unwrap();
    queue.release(path);
    assert_eq!((queue.root.children.keys().collect::<Vec<_>>(), queue.root.ready.len()), (vec![&7], 0));
    assert_eq!((queue.waiting(), queue.in_use()), (0, 0));
}

#[test]
fn a_share_that_was_idle_is_served_after_the_shares_that_wait_already() {
    let mut queue = FairQueue::default();
    queue.acquire([1, 1, 1]);
    queue.release([1, 1, 1]);
    queue.push([2, 1, 1], "waits already");
    queue.push([1, 1, 1], "was idle");
    assert_eq!(serve(&mut queue, 100), ["waits already", "was idle"]);
}

/// Steps of a random history.
#[derive(Clone, Debug)]
enum Step {
    Push(SharePath),
    Remove(usize),
    Pop,
    PopIn(u128),
    GiveBack(usize),
    DropLongest,
}

fn step() -> impl Strategy<Value = Step> {
    let path = (0..3_u128, 0..2_u128, 0..3_u128).prop_map(|(a, b, c)| [a, b, c]);
    prop_oneof![
        4 => path.prop_map(Step::Push),
        1 => any::<usize>().prop_map(Step::Remove),
        4 => Just(Step::Pop),
        1 => (0..3_u128).prop_map(Step::PopIn),
        2 => any::<usize>().prop_map(Step::GiveBack),
        1 => Just(Step::DropLongest),
    ]
}

/// Checks the counts of a share and of the shares below.
fn check<T>(share: &Share<T>, level: usize) {
    if level == LEVELS {
        assert_eq!(share.waiting, share.items.len());
        return;
    }
    assert_eq!(share.waiting, share.children.values().map(|child| child.waiting).sum::<usize>());
    assert_eq!(share.in_use, share.children.values().map(|child| child.in_use).sum::<usize>());
    let ready = share.children.iter().filter(|(_, child)| child.waiting > 0);
    assert_eq!(share.ready, ready.map(|(key, child)| child.rank(*key)).collect());
    assert!(share.children.values().filter(|child| child.is_idle()).count() <= 1);
    share.children.values().for_each(|child| check(child, level + 1));
}

proptest! {
    #[test]
    fn the_counts_are_right_after_any_history(steps in proptest::collection::vec(step(), 1..200)) {
        const CAPACITY: usize = 8;
        let (mut queue, mut waiting, mut taken) = (FairQueue::default(), HashMap::new(), Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            let free = CAPACITY - queue.in_use();
            match step {
                Step::Push(path) => drop(waiting.insert(number, queue.push(path, number))),
                Step::Remove(at) => {
                    let known = waiting.keys().copied().nth(at % waiting.len().max(1));
                    if let Some(position) = known.and_then(|known| waiting.remove(&known)) {
                        prop_assert!(queue.remove(position).is_some());
                    }
                }
                Step::Pop | Step::PopIn(_) => {
                    let popped = match step {
                        Step::PopIn(widest) => queue.pop_in(widest, places(free), &mut all),
                        _ => queue.pop(places(free), &mut all),
                    };
                    if let Some((path, item)) = popped {
                        prop_assert_eq!(waiting.remove(&item).map(|position| position.path), Some(path));
                        taken.push(path);
                    }
                }
                Step::GiveBack(at) if !taken.is_empty() => queue.release(taken.swap_remove(at % taken.len())),
                Step::GiveBack(_) => {}
                Step::DropLongest => {
                    if let Some((_, item)) = queue.drop_longest() {
                        prop_assert!(waiting.remove(&item).is_some());
                    }
                }
            }
            prop_assert_eq!((queue.waiting(), queue.in_use()), (waiting.len(), taken.len()));
            prop_assert!(queue.in_use() <= CAPACITY);
            check(&queue.root, 0);
        }
    }
}
