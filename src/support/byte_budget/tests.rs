use std::net::Ipv4Addr;

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::*;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const C: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));

#[test]
fn a_permit_grows_shrinks_and_releases_all_its_bytes() {
    let budget = ByteBudget::new(100);
    let mut permit = budget.acquire(A, 30).unwrap();
    assert_eq!(permit.grow_to(51), Err(BudgetExhausted));
    assert_eq!((permit.grow_to(50), permit.grow_to(10), budget.used()), (Ok(()), Ok(()), 50));
    assert_eq!((permit.resize(20), budget.used()), (Ok(()), 20));
    assert_eq!((permit.resize(51), budget.used()), (Err(BudgetExhausted), 20));
    drop(permit);
    assert_eq!(budget.used(), 0);
}

#[test]
fn an_owner_holds_no_more_than_is_free_and_a_newcomer_finds_room() {
    let budget = ByteBudget::new(1_000);
    let mut greedy: Vec<_> = [A, B].map(|owner| budget.acquire(owner, 0).unwrap()).into();
    for step in 1..=1_000 {
        for permit in &mut greedy {
            let _ = permit.grow_to(step);
        }
    }
    let held: Vec<_> = greedy.iter().map(|permit| permit.bytes).collect();
    assert_eq!(held, [333, 333], "each has a third, and a third is free");
    assert!(budget.acquire(C, 167).is_ok());
    drop(greedy);
    assert!(budget.acquire(C, 500).is_ok());
    assert!(budget.acquire(C, 501).is_err());
}

#[test]
fn addresses_of_one_client_subnet_are_one_owner() {
    let budget = ByteBudget::new(100);
    let _permit = budget.acquire("2001:db8::1".parse().unwrap(), 40).unwrap();
    assert!(budget.acquire("2001:db8::2".parse().unwrap(), 40).is_err());
    assert!(budget.acquire("2001:db8:0:1::1".parse().unwrap(), 30).is_ok());
}

#[test]
fn one_body_on_its_way_to_many_callers_counts_once() {
    let budget = ByteBudget::new(RESPONSE_BYTES * 100);
    let body = Bytes::from(vec![b'x'; RESPONSE_BYTES * 10]);
    let sends: Vec<_> = [A, A, A, B].map(|owner| budget.attach(owner, body.clone()).unwrap()).into();
    assert_eq!(budget.used(), RESPONSE_BYTES * (10 + 4), "the body once, and four responses");
    let other = budget.attach(A, Bytes::from(vec![b'x'; RESPONSE_BYTES * 10])).unwrap();
    assert_eq!(budget.used(), RESPONSE_BYTES * (20 + 5), "equal bytes in other memory are another body");
    let mut sends = sends.into_iter();
    let [first, second, third, last] = [(); 4].map(|()| sends.next().unwrap());
    drop((first, second, third));
    assert_eq!(budget.used(), RESPONSE_BYTES * (20 + 2), "B's response holds the body");
    let part = last.slice(1..);
    drop(last);
    assert_eq!(budget.used(), RESPONSE_BYTES * (20 + 2), "so does a part of it");
    drop(part);
    assert_eq!(budget.used(), RESPONSE_BYTES * 11);
    drop(other);
    assert_eq!(budget.used(), 0);
    let ledger = budget.ledger();
    assert_eq!(format!("{ledger:?}"), format!("{:?}", Ledger::default()), "nothing is left of them");
}

#[test]
fn a_body_in_flight_to_others_counts_against_the_share_of_each_owner() {
    let budget = ByteBudget::new(RESPONSE_BYTES * 30);
    let bodies: Vec<_> = (0..3).map(|_| Bytes::from(vec![b'x'; RESPONSE_BYTES * 4])).collect();
    let sends = bodies.iter().map(|body| budget.attach(A, body.clone()).ok()).collect::<Vec<_>>();
    assert!(sends.iter().all(Option::is_some), "15 of 30");
    let own = budget.attach(B, bodies[0].clone()).unwrap();
    assert!(budget.attach(B, bodies[1].clone()).is_ok());
    let more = budget.attach(B, bodies[1].clone()).unwrap();
    assert!(budget.attach(B, bodies[2].clone()).is_err(), "15 for B of 12 that would be free");
    drop((own, more));
}

#[test]
fn a_smaller_limit_keeps_charges_and_rejects_new_ones() {
    let limit = Arc::new(AtomicUsize::new(200));
    let current = Arc::clone(&limit);
    let budget = ByteBudget::with_live_limit(move || current.load(Relaxed));
    let permit = budget.acquire(A, 100).unwrap();
    limit.store(50, Relaxed);
    assert!(budget.acquire(B, 1).is_err());
    drop(permit);
    assert!(budget.acquire(B, 26).is_err());
    assert!(budget.acquire(B, 25).is_ok());
}
