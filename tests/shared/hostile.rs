//! A store that sends what no server sends: replies without an end, of any size and depth, and without a command.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::{AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::common::redis::Store;
use crate::fleet::{Setup, X, Y, assert_not_shared, graph, is_shared, status, token, until};

/// Bytes that replace the replies: a beginning, and a part that is repeated.
type Attack = (&'static [u8], &'static [u8]);

/// A relay to a store that can replace the replies.
struct Hostile {
    address: SocketAddr,
    attack: watch::Sender<Option<Attack>>,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    /// Attacked connections that the other side closed.
    closed: AtomicUsize,
    /// Most bytes that one connection took.
    most_bytes: AtomicUsize,
}

impl Hostile {
    async fn before(store: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (attack, counts) = (watch::Sender::new(None), Arc::<Counts>::default());
        let (attacks, shared) = (attack.subscribe(), Arc::clone(&counts));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, store, attacks.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, attack, counts, accepting }
    }

    fn closed(&self) -> usize {
        self.counts.closed.load(SeqCst)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn relay(
    client: TcpStream,
    store: SocketAddr,
    mut attacks: watch::Receiver<Option<Attack>>,
    counts: Arc<Counts>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_store, mut to_store) = TcpStream::connect(store).await.unwrap().into_split();
    let commands = tokio::spawn(async move { copy(&mut from_client, &mut to_store).await });
    let attack = tokio::select! {
        _ = copy(&mut from_store, &mut to_client) => None,
        attack = attacks.wait_for(Option::is_some) => attack.ok().and_then(|attack| *attack),
    };
    let Some((begin, part)) = attack else { return };
    let mut sent = begin.len();
    let mut result = to_client.write_all(begin).await;
    let block = part.repeat((64 << 10) / part.len());
    while result.is_ok() && sent < MAX_BYTES {
        result = to_client.write_all(&block).await;
        sent += block.len();
    }
    counts.most_bytes.fetch_max(sent, SeqCst);
    counts.closed.fetch_add(1, SeqCst);
    commands.abort();
}

/// The replies cost misses and a bounded number of bytes, and the store is used again after them.
async fn costs_misses_only(attack: Attack) {
    let (graph, store) = (graph(), Store::start().await);
    let hostile = Hostile::before(store.address()).await;
    let near = Setup::new(&graph.url(), &store.url()).live().await;
    let far = Setup::new(&graph.url(), &format!("redis://{}", hostile.address)).live().await;
    let ada = token(&graph, "ada");
    far.read(X, &ada).await;
    hostile.attack.send_replace(Some(attack));
    // Both connections, and those that replace them.
    until("closed connections", async || hostile.closed() >= 4).await;
    assert!(hostile.counts.most_bytes.load(SeqCst) < MAX_BYTES, "a connection took all bytes");
    assert_not_shared(&far.read(Y, &ada).await);
    assert!(status(&far.read(X, &ada).await).contains("; hit"));
    hostile.attack.send_replace(None);
    far.wait_for_state("live").await;
    until("an answer over the new connection", async || {
        let fresh = graph.token().user(&uuid::Uuid::new_v4().to_string()).mint();
        near.read(X, &fresh).await;
        is_shared(&far.read(X, &fresh).await)
    })
    .await;
}

#[tokio::test]
async fn a_value_without_an_end_costs_misses_only() {
    costs_misses_only((b"$9000000000\r\n", b"x")).await;
}

#[tokio::test]
async fn an_array_without_an_end_costs_misses_only() {
    costs_misses_only((b"*1000000000\r\n", b"$1\r\nx\r\n")).await;
}

#[tokio::test]
async fn arrays_in_arrays_cost_misses_only() {
    costs_misses_only((b"", b"*1\r\n")).await;
}

#[tokio::test]
async fn replies_without_a_command_cost_misses_only() {
    costs_misses_only((b"", b"+OK\r\n")).await;
}

#[tokio::test]
async fn a_line_without_an_end_costs_misses_only() {
    costs_misses_only((b"-", b"x")).await;
}

/// More than the largest reply and the buffers of the sockets.
const MAX_BYTES: usize = 256 << 20;
