//! Attacks on memory and fairness, in the size of `ATTACK_SIZE`: a small one in the suite, the whole one by `make flood`.
//!
//! Each attack runs against the binary as a process, and prints the bytes that it sent, the peak of the memory, and the
//! requests that Graph received.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use connector_cache::fake_graph::{FakeGraph, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::within;
use crate::number;

/// Memory that the attacks may cost at most, documented in the chart's README: what `cache.max_bytes`,
/// `limits.bytes_in_flight` and `limits.waiting_bytes` allow, and the connections.
const WORST_CASE_KIB: u64 = 576 << 10;

/// One HTTP/2 connection of an attacker, frame by frame. The token is sent once, and by its index in HPACK's dynamic table
/// from then on (RFC 7541, section 6.1), so a request costs the attacker about 150 bytes.
struct Attacker {
    stream: TcpStream,
    token: Option<String>,
    next_stream: u32,
    sent: Arc<AtomicU64>,
}

impl Attacker {
    async fn connect(serve: &Serve, token: &str, sent: &Arc<AtomicU64>) -> Self {
        let mut stream = TcpStream::connect(serve.data).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut attacker =
            Self { stream, token: Some(token.to_owned()), next_stream: 1, sent: Arc::clone(sent) };
        attacker.frame(SETTINGS, 0, 0, &[]).await.unwrap();
        attacker
    }

    /// Sends requests for these flows, and returns their streams.
    async fn request(&mut self, flows: impl IntoIterator<Item = String>) -> io::Result<Vec<u32>> {
        let mut streams = Vec::new();
        for flow in flows {
            // `:method GET` and `:scheme http` of the static table, then `:path` and `:authority` without indexing.
            let mut block = vec![0x82, 0x86];
            literal(&mut block, 0x04, &path(&flow));
            literal(&mut block, 0x01, "cache.example");
            match self.token.take() {
                // Name 23 of the static table is `authorization`; with incremental indexing.
                Some(token) => {
                    block.push(0x40 + 23);
                    string(&mut block, &format!("Bearer {token}"));
                }
                None => block.push(0x80 + 62),
            }
            self.frame(HEADERS, END_STREAM | END_HEADERS, self.next_stream, &block).await?;
            streams.push(self.next_stream);
            self.next_stream += 2;
        }
        Ok(streams)
    }

    async fn reset(&mut self, streams: &[u32]) -> io::Result<()> {
        for stream in streams {
            self.frame(RST_STREAM, 0, *stream, &8_u32.to_be_bytes()).await?;
        }
        Ok(())
    }

    /// Returns once the server has read all that was sent before.
    async fn processed(&mut self) -> io::Result<()> {
        self.frame(PING, 0, 0, &[7; 8]).await?;
        loop {
            let mut head = [0; 9];
            within("a frame", self.stream.read_exact(&mut head)).await?;
            let [a, b, c, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload).await?;
            match (kind, flags & ACK) {
                (PING, ACK) => return Ok(()),
                (GOAWAY, _) => return Err(io::ErrorKind::ConnectionReset.into()),
                (SETTINGS, 0) => self.frame(SETTINGS, ACK, 0, &[]).await?,
                _ => {}
            }
        }
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.sent.fetch_add(frame.len() as u64, Relaxed);
        self.stream.write_all(&frame).await
    }
}

/// Adds a field that is not indexed, with a name of the static table (RFC 7541, section 6.2.2).
fn literal(block: &mut Vec<u8>, name: u8, value: &str) {
    block.push(name);
    string(block, value);
}

/// Adds a string without Huffman coding (RFC 7541, section 5.2).
fn string(block: &mut Vec<u8>, text: &str) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(u8::try_from(rest).unwrap());
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128 + 128).unwrap());
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend(text.as_bytes());
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Starts an origin that never responds for flows whose id begins with `slow`, and the proxy before it.
async fn stage() -> (OriginServer, Serve) {
    let graph = OriginServer::start().await;
    graph.handle("", |request| {
        if request.target.contains("/slow") {
            Reply::silence()
        } else {
            Reply::json(r#"{"@odata.context":"https://graph.microsoft.com/beta/$metadata#x"}"#)
        }
    });
    let url = graph.url();
    let serve = Serve::start(&[
        ("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()),
        // Requests wait long enough to be in flight at the same time on a slow machine.
        ("CONNECTOR_CACHE__GRAPH__TIMEOUT", "1m"),
        ("CONNECTOR_CACHE__LIMITS__FOLLOWER_WAIT", "1m"),
        ("CONNECTOR_CACHE__GRAPH__FIRST_BYTE_TIMEOUT", "1m"),
        ("CONNECTOR_CACHE__LIMITS__REQUEST_TIMEOUT", "1m"),
        ("CONNECTOR_CACHE__LOG__ACCESS", "off"),
    ])
    .await;
    (graph, serve)
}

/// Prints what an attack cost, and checks that memory stays below the worst case. Returns the growth in KiB.
fn report(attack: &str, serve: &Serve, graph: &OriginServer, sent: &AtomicU64, before_kib: u64) -> u64 {
    let (sent_kib, peak) = (sent.load(Relaxed) >> 10, serve.peak_kib());
    println!(
        "{attack}: {sent_kib} KiB sent, memory {before_kib} KiB before and {peak} KiB at its peak, Graph received {}",
        graph.requests()
    );
    assert!(peak < WORST_CASE_KIB, "{peak} KiB");
    peak - before_kib
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_on_many_streams_cost_less_than_a_hundred_times_their_bytes() {
    let size = number("ATTACK_SIZE", 1);
    let ((graph, serve), mint) = (stage().await, FakeGraph::start(Options::default()).unwrap());
    let (token, sent) = (mint.token().mint(), Arc::default());
    assert_eq!(serve.get(&path("flow"), &token).await.status, 200);
    let before = serve.peak_kib();
    let mut attackers = Vec::new();
    // 20 connections of 100 streams; 200 in the whole size.
    for connection in 0..20 * size {
        let mut attacker = Attacker::connect(&serve, &token, &sent).await;
        attacker.request((0..100).map(|stream| format!("slow{connection}x{stream}"))).await.unwrap();
        attacker.processed().await.unwrap();
        attackers.push(attacker);
    }
    let grown = report("requests that wait", &serve, &graph, &sent, before);
    assert!(grown < 100 * (sent.load(Relaxed) >> 10), "{grown} KiB");
    // Another caller is not affected.
    let other = mint.token().tenant("fabrikam").mint();
    assert_eq!(within("a response", serve.get(&path("flow"), &other)).await.status, 200);
    assert!(graph.requests() < 256, "no more requests reach Graph than there are permits");
    drop(attackers);
    let (status, _, _) = serve.stop().await;
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_opened_and_reset_in_a_loop_leave_nothing_behind() {
    let rounds = 100 * number("ATTACK_SIZE", 1);
    let ((graph, serve), mint) = (stage().await, FakeGraph::start(Options::default()).unwrap());
    let (token, sent) = (mint.token().mint(), Arc::default());
    assert_eq!(serve.get(&path("flow"), &token).await.status, 200);
    let before = serve.peak_kib();
    for number in 0..2 {
        let mut attacker = Attacker::connect(&serve, &token, &sent).await;
        for round in 0..rounds {
            let flows = (0..50).map(|stream| format!("slow{number}x{round}x{stream}"));
            let attack = async {
                let streams = attacker.request(flows).await?;
                attacker.processed().await?;
                attacker.reset(&streams).await
            };
            // A connection that resets too much is closed; the next round opens another.
            if attack.await.is_err() {
                attacker = Attacker::connect(&serve, &token, &sent).await;
            }
        }
    }
    let grown = report("streams that are reset", &serve, &graph, &sent, before);
    assert!(grown < 100 * (sent.load(Relaxed) >> 10), "{grown} KiB");
    let other = mint.token().tenant("fabrikam").mint();
    assert_eq!(within("a response", serve.get(&path("flow"), &other)).await.status, 200);
    let (status, _, _) = serve.stop().await;
    assert!(status.success());
}

/// Reads one flow with each token, one after the other. Returns the number of 200 responses and the longest wait.
async fn read_each(serve: &Serve, tokens: &[String]) -> (usize, Duration) {
    let (mut answered, mut longest) = (0, Duration::ZERO);
    for token in tokens {
        let sent = Instant::now();
        let response = within("a response", serve.get(&path("flow"), token)).await;
        answered += usize::from(response.status == 200);
        longest = longest.max(sent.elapsed());
    }
    (answered, longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proven_token_that_holds_permits_leaves_permits_for_another_tenant() {
    let ((graph, serve), mint) = (stage().await, FakeGraph::start(Options::default()).unwrap());
    let (token, sent) = (mint.token().mint(), Arc::default());
    assert_eq!(serve.get(&path("flow"), &token).await.status, 200);
    let before = serve.peak_kib();
    let mut attacker = Attacker::connect(&serve, &token, &sent).await;
    // Requests that Graph has received go on when their streams are reset, and hold their permits.
    for round in 0..5 {
        let flows = (0..100).map(|stream| format!("slow{round}x{stream}"));
        let streams = attacker.request(flows).await.unwrap();
        attacker.processed().await.unwrap();
        if round < 4 && attacker.reset(&streams).await.is_err() {
            break;
        }
    }
    graph.wait_for_requests(100).await;
    let others: Vec<_> =
        (0..20).map(|user| mint.token().tenant("fabrikam").user(&format!("user{user}")).mint()).collect();
    let (answered, longest) = read_each(&serve, &others).await;
    println!(
        "permits held by one proven token: {answered} of 20 misses of another tenant answered, at most {longest:?}"
    );
    report("permits", &serve, &graph, &sent, before);
    assert_eq!(answered, 20);
    drop(attacker);
    assert!(serve.stop().await.0.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_without_permission_leaves_permits_for_new_tokens_of_its_address() {
    let mint = FakeGraph::start(Options::default()).unwrap();
    let (graph, serve) = stage().await;
    let (token, sent) = (mint.token().mint(), Arc::default());
    let before = serve.peak_kib();
    // Graph has not answered this token yet, and answers none of its requests.
    let mut attacker = Attacker::connect(&serve, &token, &sent).await;
    attacker.request((0..100).map(|stream| format!("slow{stream}"))).await.unwrap();
    attacker.processed().await.unwrap();
    let others: Vec<_> = (0..20).map(|user| mint.token().user(&format!("user{user}")).mint()).collect();
    let (answered, longest) = read_each(&serve, &others).await;
    println!(
        "permits wanted by one unproven token: {answered} of 20 new tokens answered, at most {longest:?}"
    );
    report("permits without a proof", &serve, &graph, &sent, before);
    assert_eq!(answered, 20);
    assert!(graph.requests() <= 8 + 20, "the token has eight requests in flight, and not all permits");
    drop(attacker);
    assert!(serve.stop().await.0.success());
}
