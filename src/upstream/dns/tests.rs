//! F18: what the system says of a name, and what is made of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;

/// Says what it was told to say, the last for ever.
#[derive(Clone, Debug, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Said>>>,
    questions: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
enum Said {
    PerAddressLimit(Vec<IpAddr>),
    NoSuchName,
    /// No answer, ever.
    Silence,
}

impl Service<Name> for Script {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        self.questions.fetch_add(1, SeqCst);
        let mut answers = lock(&self.answers);
        let said = answers[0].clone();
        if answers.len() > 1 {
            answers.pop_front();
        }
        Box::pin(async move {
            match said {
                Said::PerAddressLimit(ips) => {
                    let found: Vec<_> = ips.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
                    Ok(found.into_iter())
                }
                Said::NoSuchName => Err(io::Error::other("no such name")),
                Said::Silence => std::future::pending().await,
            }
        })
    }
}

impl Script {
    fn saying(said: impl Into<VecDeque<Said>>) -> (Self, Resolver<Self>) {
        let script = Self { answers: Arc::new(Mutex::new(said.into())), ..Self::default() };
        (script.clone(), Resolver::new(script, DEADLINE))
    }

    fn now_says(&self, said: Said) {
        *lock(&self.answers) = VecDeque::from([said]);
    }

    fn questions(&self) -> usize {
        self.questions.load(SeqCst)
    }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn named(last: u8) -> Said {
    Said::PerAddressLimit(vec![ip(last)])
}

async fn resolve(resolver: &mut Resolver<Script>) -> Option<Vec<IpAddr>> {
    let found = resolver.call("graph.example".parse().unwrap()).await.ok()?;
    Some(found.map(|address| address.ip()).collect())
}

async fn later(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn f18_a_storm_of_connections_asks_once_a_second() {
    let (script, resolver) = Script::saying([named(1)]);
    for second in 1..=3 {
        let all = (0..1000).map(|_| {
            let mut resolver = resolver.clone();
            async move { resolve(&mut resolver).await }
        });
        let found = futures_util::future::join_all(all).await;
        assert!(found.iter().all(|found| *found == Some(vec![ip(1)])));
        assert_eq!(script.questions(), second);
        later(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f18_a_name_that_does_not_exist_is_asked_for_once_a_second_too() {
    let (script, mut resolver) = Script::saying([Said::NoSuchName]);
    for _ in 0..100 {
        assert_eq!(resolve(&mut resolver).await, None);
    }
    assert_eq!(script.questions(), 1);
}

#[tokio::test(start_paused = true)]
async fn f18_the_last_good_address_is_kept_for_five_minutes_and_no_longer() {
    for flap in [Said::NoSuchName, Said::PerAddressLimit(Vec::new()), Said::Silence] {
        let (script, mut resolver) = Script::saying([named(1)]);
        assert_eq!(resolve(&mut resolver).await, Some(vec![ip(1)]));
        resolver.memory().reached(ip(1));
        script.now_says(flap.clone());
        // However well it serves meanwhile.
        for _ in 0..10 {
            later(29).await;
            assert_eq!(resolve(&mut resolver).await, Some(vec![ip(1)]), "{flap:?}");
            assert!(resolver.memory().confirm(ip(1)));
        }
        later(41).await;
        if matches!(flap, Said::Silence) {
            let waiting = timeout(DEADLINE * 5, resolve(&mut resolver)).await;
            assert!(waiting.is_err(), "nothing to say");
            assert_eq!(script.questions(), 2, "one question is under way, however long");
        } else {
            assert_eq!(resolve(&mut resolver).await, None, "{flap:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f18_an_address_that_was_good_for_nothing_since_is_forgotten() {
    let (script, mut resolver) = Script::saying([named(1)]);
    resolve(&mut resolver).await;
    resolver.memory().reached(ip(1));
    later(301).await;
    script.now_says(Said::NoSuchName);
    assert_eq!(resolve(&mut resolver).await, None);
}

#[tokio::test(start_paused = true)]
async fn f18_an_answer_on_an_old_connection_keeps_its_address_good() {
    let (script, mut resolver) = Script::saying([named(1)]);
    resolve(&mut resolver).await;
    resolver.memory().reached(ip(1));
    later(299).await;
    assert!(resolver.memory().confirm(ip(1)));
    later(10).await;
    script.now_says(Said::NoSuchName);
    assert_eq!(resolve(&mut resolver).await, Some(vec![ip(1)]));
}

#[tokio::test(start_paused = true)]
async fn f18_a_new_address_is_tried_before_the_old_one_and_after_it_where_that_failed() {
    let (script, mut resolver) = Script::saying([named(1)]);
    resolve(&mut resolver).await;
    resolver.memory().reached(ip(1));
    script.now_says(named(2));
    later(1).await;
    assert_eq!(resolve(&mut resolver).await, Some(vec![ip(2), ip(1)]));
    resolver.memory().missed();
    assert_eq!(resolve(&mut resolver).await, Some(vec![ip(1), ip(2)]), "the new one swallowed the attempt");
    resolver.memory().missed();
    assert_eq!(resolve(&mut resolver).await, Some(vec![ip(2), ip(1)]), "so did the old one");
    resolver.memory().reached(ip(2));
    assert_eq!(resolve(&mut resolver).await, Some(vec![ip(2)]), "the old one is forgotten");
}

#[tokio::test(start_paused = true)]
async fn f18_a_system_that_is_slow_is_waited_for_where_there_is_nothing_else() {
    let (_, mut resolver) = Script::saying([Said::Silence]);
    assert!(timeout(DEADLINE * 10, resolve(&mut resolver)).await.is_err());
}

const DEADLINE: Duration = Duration::from_secs(2);
