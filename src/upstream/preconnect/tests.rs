use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;
use url::Url;

use super::super::config::Config;
use super::*;

/// Preconnect and a listener that counts connections.
struct TestServer {
    preconnect: Arc<Preconnect>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl TestServer {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let accepted = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&accepted);
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok(connection) = listener.accept().await {
                open.push(connection);
                counted.fetch_add(1, Relaxed);
            }
        });
        let config = Config { base_url: Url::parse(&base).unwrap(), ..Config::default() };
        let preconnect = Arc::<Preconnect>::default();
        let connector = Connector::new(&config).unwrap();
        let (running, uri) = (Arc::clone(&preconnect), base.parse().unwrap());
        let task = tokio::spawn(async move { running.run(connector, &uri).await });
        Self { preconnect, accepted, task }
    }

    /// Returns the number of connections so far, a second later.
    async fn accepted(&self) -> usize {
        sleep(Duration::from_secs(1)).await;
        self.accepted.load(Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_made_at_startup_and_handed_out_once() {
    let server = TestServer::new().await;
    assert_eq!(server.accepted().await, 1);
    assert!(server.preconnect.take().await.is_some());
    assert!(server.preconnect.take().await.is_none());
    assert_eq!(server.accepted().await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_replaced_until_there_was_no_request_for_ten_minutes() {
    let server = TestServer::new().await;
    assert_eq!(server.accepted().await, 1);
    sleep(REPLACE_INTERVAL).await;
    assert_eq!(server.accepted().await, 2);
    sleep(MAX_IDLE_TIME * 2).await;
    assert_eq!(server.accepted().await, 24);
    assert!(server.preconnect.take().await.is_none(), "the last connection is closed");
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_made_under_load_and_one_is_made_after_idle_time() {
    let server = TestServer::new().await;
    for _ in 0..10 {
        assert_eq!(server.accepted().await, 1);
        server.preconnect.record_request();
        sleep(Duration::from_secs(10)).await;
    }
    assert!(server.preconnect.take().await.is_none(), "the first connection was closed under load");
    sleep(REPLACE_INTERVAL).await;
    assert_eq!(server.accepted().await, 2);
    assert!(server.preconnect.take().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_not_handed_out_if_the_task_has_ended() {
    let server = TestServer::new().await;
    assert_eq!(server.accepted().await, 1);
    server.task.abort();
    sleep(REPLACE_INTERVAL * 2).await;
    assert!(server.preconnect.take().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn one_request_waits_for_the_connection_that_is_made_and_a_second_one_does_not() {
    let server = TestServer::new().await;
    // The connection attempt has started and waits for the network.
    yield_now().await;
    let mut first = std::pin::pin!(server.preconnect.take());
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(server.preconnect.take().await.is_none());
    assert!(first.await.is_some());
    assert_eq!(server.accepted().await, 1);
}
