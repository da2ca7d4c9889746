//! F18: results of lookups and the addresses that are tried.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use std::pin::Pin;
use std::task::{Context, Poll};

use super::*;

/// Resolver with scripted results; the last one repeats.
#[derive(Clone, Debug, Default)]
struct ScriptedResolver {
    results: Arc<Mutex<VecDeque<Scripted>>>,
    lookups: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
enum Scripted {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    /// The lookup never completes.
    NeverCompletes,
}

impl Service<Name> for ScriptedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        self.lookups.fetch_add(1, SeqCst);
        let mut results = lock(&self.results);
        let scripted = results[0].clone();
        if results.len() > 1 {
            results.pop_front();
        }
        Box::pin(async move {
            match scripted {
                Scripted::Addresses(ips) => {
                    let found: Vec<_> = ips.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
                    Ok(found.into_iter())
                }
                Scripted::NoSuchName => Err(io::Error::other("no such name")),
                Scripted::NeverCompletes => std::future::pending().await,
            }
        })
    }
}

impl ScriptedResolver {
    fn returning(scripted: impl Into<VecDeque<Scripted>>) -> (Self, Resolver<Self>) {
        let script = Self { results: Arc::new(Mutex::new(scripted.into())), ..Self::default() };
        (script.clone(), Resolver::new(script, CONNECT_TIMEOUT))
    }

    fn set_result(&self, scripted: Scripted) {
        *lock(&self.results) = VecDeque::from([scripted]);
    }

    fn lookups(&self) -> usize {
        self.lookups.load(SeqCst)
    }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn named(last: u8) -> Scripted {
    Scripted::Addresses(vec![ip(last)])
}

async fn resolve(resolver: &mut Resolver<ScriptedResolver>) -> Option<Vec<IpAddr>> {
    resolver.resolve("graph.example".parse().unwrap()).await.ok()
}

async fn later(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn f18_a_storm_of_connections_causes_one_lookup_a_second() {
    let (script, resolver) = ScriptedResolver::returning([named(1)]);
    for second in 1..=3 {
        let all = (0..1000).map(|_| {
            let mut resolver = resolver.clone();
            async move { resolve(&mut resolver).await }
        });
        let found = futures_util::future::join_all(all).await;
        assert!(found.iter().all(|found| *found == Some(vec![ip(1)])));
        assert_eq!(script.lookups(), second);
        later(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f18_a_name_that_does_not_exist_causes_one_lookup_a_second_too() {
    let (script, mut resolver) = ScriptedResolver::returning([Scripted::NoSuchName]);
    for _ in 0..100 {
        assert_eq!(resolve(&mut resolver).await, None);
    }
    assert_eq!(script.lookups(), 1);
}

#[tokio::test(start_paused = true)]
async fn f18_the_last_good_address_is_kept_for_five_minutes_and_no_longer() {
    for flap in [Scripted::NoSuchName, Scripted::Addresses(Vec::new()), Scripted::NeverCompletes] {
        let (script, mut resolver) = ScriptedResolver::returning([named(1)]);
        assert_eq!(resolve(&mut resolver).await, Some(vec![ip(1)]));
        resolver.address_history().record_connection(ip(1));
        script.set_result(flap.clone());
        // Responses meanwhile do not extend the time.
        for _ in 0..10 {
            later(29).await;
            assert_eq!(resolve(&mut resolver).await, Some(vec![ip(1)]), "{flap:?}");
            assert!(resolver.address_history().record_response(ip(1)));
        }
        later(41).await;
        if matches!(flap, Scripted::NeverCompletes) {
            let waiting = timeout(CONNECT_TIMEOUT * 5, resolve(&mut resolver)).await;
            assert!(waiting.is_err(), "there is no fallback");
            assert_eq!(script.lookups(), 2, "one lookup is running, however long");
        } else {
            assert_eq!(resolve(&mut resolver).await, None, "{flap:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f18_an_address_without_connection_or_response_for_five_minutes_is_not_tried() {
    let (script, mut resolver) = ScriptedResolver::returning([named(1)]);
    resolve(&mut resolver).await;
    resolver.address_history().record_connection(ip(1));
    later(301).await;
    script.set_result(Scripted::NoSuchName);
    assert_eq!(resolve(&mut resolver).await, None);
}

#[tokio::test(start_paused = true)]
async fn f18_a_response_on_an_old_connection_keeps_its_address_good() {
    let (script, mut resolver) = ScriptedResolver::returning([named(1)]);
    resolve(&mut resolver).await;
    resolver.address_history().record_connection(ip(1));
    later(299).await;
    assert!(resolver.address_history().record_response(ip(1)));
    later(10).await;
    script.set_result(Scripted::NoSuchName);
    assert_eq!(resolve(&mut resolver).await, Some(vec![ip(1)]));
}

#[tokio::test(start_paused = true)]
async fn f18_a_new_address_is_tried_before_the_old_one_and_after_it_if_that_failed() {
    let (script, mut resolver) = ScriptedResolver::returning([named(1)]);
    resolve(&mut resolver).await;
    resolver.address_history().record_connection(ip(1));
    script.set_result(named(2));
    later(1).await;
    assert_eq!(resolve(&mut resolver).await, Some(vec![ip(2), ip(1)]));
    resolver.address_history().record_failure(ip(2));
    assert_eq!(
        resolve(&mut resolver).await,
        Some(vec![ip(1), ip(2)]),
        "the attempt on the new address failed"
    );
    resolver.address_history().record_failure(ip(1));
    assert_eq!(
        resolve(&mut resolver).await,
        Some(vec![ip(2), ip(1)]),
        "the attempt on the old address failed"
    );
    resolver.address_history().record_connection(ip(2));
    assert_eq!(resolve(&mut resolver).await, Some(vec![ip(2)]), "the old address is not tried");
}

#[tokio::test(start_paused = true)]
async fn f18_a_slow_lookup_is_awaited_if_there_is_no_fallback() {
    let (_, mut resolver) = ScriptedResolver::returning([Scripted::NeverCompletes]);
    assert!(timeout(CONNECT_TIMEOUT * 10, resolve(&mut resolver)).await.is_err());
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn d1_families_alternate_and_failed_addresses_come_last_until_they_connect() {
    let six = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
    let found = vec![six(1), six(2), six(3), ip(1), ip(2)];
    let (_, mut resolver) = ScriptedResolver::returning([Scripted::Addresses(found)]);
    assert_eq!(resolve(&mut resolver).await, Some(vec![six(1), ip(1), six(2), ip(2), six(3)]));
    let history = Arc::clone(resolver.address_history());
    history.record_failure(six(1));
    history.record_failure(ip(1));
    assert_eq!(resolve(&mut resolver).await, Some(vec![six(2), ip(2), six(3), six(1), ip(1)]));
    history.record_failure(six(1));
    later(3600).await;
    assert_eq!(resolve(&mut resolver).await, Some(vec![six(2), ip(2), six(3), ip(1), six(1)]));
    history.record_connection(ip(1));
    assert_eq!(resolve(&mut resolver).await, Some(vec![ip(1), six(2), ip(2), six(3), six(1)]));
}
