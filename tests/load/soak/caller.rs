//! Callers: requests over both versions of HTTP, disconnects, invalid requests, scrapes and purges.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::Soak;
use super::tokens;
use crate::common::client::{self, Client, H2};

/// Starts all callers. They end with the test.
pub(super) fn start(soak: &Arc<Soak>) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    for number in 0..6 {
        tasks.push(tokio::spawn(call_over_http1(Arc::clone(soak), number)));
    }
    for number in 0..3 {
        tasks.push(tokio::spawn(call_over_http2(Arc::clone(soak), number)));
    }
    tasks.push(tokio::spawn(disconnect_callers(Arc::clone(soak))));
    tasks.push(tokio::spawn(send_invalid_requests(Arc::clone(soak))));
    tasks.push(tokio::spawn(operate(Arc::clone(soak))));
    tasks
}

/// Pseudo-random numbers that are the same in every run.
struct SeededNumbers(u64);

impl SeededNumbers {
    fn next_below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

async fn call_over_http1(soak: Arc<Soak>, number: u64) {
    let mut numbers = SeededNumbers(number);
    let (mut own, mut forger) = (None, None);
    while !soak.is_over.load(Relaxed) {
        let token = soak.tokens.get(numbers.next_below(10_000));
        let path = tokens::path_of(numbers.next_below(10_000));
        // Tokens that Graph refuses are sent from another address, because its failures count against the address.
        let place = if token.may_get_401() { &mut forger } else { &mut own };
        let client = match place {
            Some(client) => client,
            None if token.may_get_401() => place.insert(from("127.0.0.77", soak.serve.data).await),
            None => place.insert(Client::connect(soak.serve.data).await),
        };
        let (bearer, sent_at) = (format!("Bearer {}", token.token), Instant::now());
        let response = match client.send_get(&path, &[("authorization", &bearer)]).await {
            Ok(()) => client.response().await,
            Err(error) => Err(error),
        };
        if let Ok(response) = response {
            soak.results.record_response(&response, sent_at.elapsed(), token.judge(&response, sent_at));
        } else {
            // The server may close a connection that was idle for two seconds at the moment of the request.
            soak.results.record_lost();
            *place = None;
        }
        // Sometimes a pause that is longer than the idle timeout.
        if numbers.next_below(2_000) == 0 {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
        }
    }
}

async fn call_over_http2(soak: Arc<Soak>, number: u64) {
    let mut numbers = SeededNumbers(number + 100);
    while !soak.is_over.load(Relaxed) {
        let connection = H2::connect(soak.serve.data).await;
        for _ in 0..50 {
            let asks = (0..=numbers.next_below(20)).map(|_| {
                let (mut token, path) =
                    (soak.tokens.get(numbers.next_below(10_000)), numbers.next_below(10_000));
                if token.may_get_401() {
                    token = soak.tokens.good().next().unwrap();
                }
                let (soak, connection) = (&soak, &connection);
                async move {
                    let (bearer, sent_at) = (format!("Bearer {}", token.token), Instant::now());
                    match connection.get(&tokens::path_of(path), &[("authorization", &bearer)]).await {
                        Ok(response) => {
                            let verdict = token.judge(&response, sent_at);
                            soak.results.record_response(&response, sent_at.elapsed(), verdict);
                        }
                        Err(_) => soak.results.record_lost(),
                    }
                }
            });
            futures_util::future::join_all(asks.collect::<Vec<_>>()).await;
            if soak.is_over.load(Relaxed) {
                return;
            }
        }
    }
}

/// Sends requests and disconnects before the response, by FIN or RST.
async fn disconnect_callers(soak: Arc<Soak>) {
    let mut numbers = SeededNumbers(200);
    while !soak.is_over.load(Relaxed) {
        let token = soak.tokens.good().next().unwrap();
        let mut client = Client::connect(soak.serve.data).await;
        let bearer = format!("Bearer {}", token.token);
        let _ = client
            .send_get(&tokens::path_of(numbers.next_below(10_000)), &[("authorization", &bearer)])
            .await;
        if numbers.next_below(2) == 0 {
            client.reset();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends invalid requests. Each gets an error response, or the end of the connection.
async fn send_invalid_requests(soak: Arc<Soak>) {
    while !soak.is_over.load(Relaxed) {
        for bytes in [
            "GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /beta/identity/b2xUserFlows/%2e%2e/apiConnectorConfiguration HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabcde",
            "GET / HTTP/1.1\nhost: a\n\n",
            "\x16\x03\x01\x02nonsense\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense, and more of it",
        ] {
            if let Ok(response) = client::exchange(soak.serve.data, bytes).await {
                let refused = if response.status >= 400 {
                    Ok(())
                } else {
                    Err(format!("{} to {bytes:?}", response.status))
                };
                soak.results.record_other(refused);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Scrapes, probes, and purges the cache at intervals.
async fn operate(soak: Arc<Soak>) {
    let mut round = 0;
    while !soak.is_over.load(Relaxed) {
        for path in ["/metrics", "/livez", "/readyz", "/cache"] {
            let response = soak.serve.look(path).await;
            let fine = response.status == 200 && !response.text().contains("planted-");
            soak.results.record_other(if fine {
                Ok(())
            } else {
                Err(format!("{path}: {}", response.text()))
            });
        }
        round += 1;
        if round % 10 == 0 {
            assert_eq!(client::purge(soak.serve.admin, "").await.status, 200);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Connects from another address of this machine.
async fn from(address: &str, to: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    let stream: TcpStream = socket.connect(to).await.unwrap();
    Client::over(stream, to)
}
