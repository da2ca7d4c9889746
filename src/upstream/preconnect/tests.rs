use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;
use url::Url;

use super::super::Config;
use super::*;

/// A spare before a listener that counts who comes.
struct World {
    spare: Arc<Preconnect>,
    come: Arc<AtomicUsize>,
    keeping: JoinHandle<()>,
}

impl World {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let come = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&come);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok(one) = listener.accept().await {
                open.push(one);
                counted.fetch_add(1, Relaxed);
            }
        });
        let config = Config { base_url: Url::parse(&base).unwrap(), ..Config::default() };
        let spare = Arc::<Preconnect>::default();
        let connector = Connector::new(&config).unwrap();
        let (kept, uri) = (Arc::clone(&spare), base.parse().unwrap());
        let keeping = tokio::spawn(async move { kept.keep_warm(connector, &uri).await });
        Self { spare, come, keeping }
    }

    /// Connections so far, a second later.
    async fn come(&self) -> usize {
        sleep(Duration::from_secs(1)).await;
        self.come.load(Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn one_is_made_at_the_start_and_given_out_once() {
    let world = World::new().await;
    assert_eq!(world.come().await, 1);
    assert!(world.spare.take().await.is_some());
    assert!(world.spare.take().await.is_none());
    assert_eq!(world.come().await, 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_made_anew_before_it_dies_until_nobody_has_come_for_ten_minutes() {
    let world = World::new().await;
    assert_eq!(world.come().await, 1);
    sleep(LIFE).await;
    assert_eq!(world.come().await, 2);
    sleep(WARM * 2).await;
    assert_eq!(world.come().await, 24);
    assert!(world.spare.take().await.is_none(), "and the last one is closed");
}

#[tokio::test(start_paused = true)]
async fn while_questions_come_none_is_made_and_after_a_rest_one_is() {
    let world = World::new().await;
    for _ in 0..10 {
        assert_eq!(world.come().await, 1);
        world.spare.note_question();
        sleep(Duration::from_secs(10)).await;
    }
    assert!(world.spare.take().await.is_none(), "the first was closed when questions came");
    sleep(LIFE).await;
    assert_eq!(world.come().await, 2);
    assert!(world.spare.take().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_looked_after_is_given_to_nobody() {
    let world = World::new().await;
    assert_eq!(world.come().await, 1);
    world.keeping.abort();
    sleep(LIFE * 2).await;
    assert!(world.spare.take().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_it_is_made_is_given_that_and_one_more_is_not_kept_waiting() {
    let world = World::new().await;
    // Now it has begun, and waits for the network.
    yield_now().await;
    let mut first = std::pin::pin!(world.spare.take());
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(world.spare.take().await.is_none());
    assert!(first.await.is_some());
    assert_eq!(world.come().await, 1);
}
