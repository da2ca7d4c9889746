//! What callers do: ask over both versions of HTTP, hang up, ask wrongly, look and purge.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::World;
use super::cast;
use crate::common::client::{self, Client, H2};

/// All of them. They end when it is over.
pub(super) fn start(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    for number in 0..6 {
        tasks.push(tokio::spawn(over_http1(Arc::clone(world), number)));
    }
    for number in 0..3 {
        tasks.push(tokio::spawn(over_http2(Arc::clone(world), number)));
    }
    tasks.push(tokio::spawn(who_hangs_up(Arc::clone(world))));
    tasks.push(tokio::spawn(who_errs(Arc::clone(world))));
    tasks.push(tokio::spawn(who_operates(Arc::clone(world))));
    tasks
}

/// Numbers that are the same in every run.
struct Lot(u64);

impl Lot {
    fn draw(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

async fn over_http1(world: Arc<World>, number: u64) {
    let mut lot = Lot(number);
    let (mut own, mut forger) = (None, None);
    while !world.over.load(Relaxed) {
        let member = world.cast.member(lot.draw(10_000));
        let path = cast::path_of(lot.draw(10_000));
        // Those whom Graph refuses have an address of their own: what they spend is not everybody's.
        let place = if member.is_suspect() { &mut forger } else { &mut own };
        let client = match place {
            Some(client) => client,
            None if member.is_suspect() => place.insert(from("127.0.0.77", world.serve.data).await),
            None => place.insert(Client::connect(world.serve.data).await),
        };
        let (bearer, asked) = (format!("Bearer {}", member.token), Instant::now());
        let response = match client.send_get(&path, &[("authorization", &bearer)]).await {
            Ok(()) => client.response().await,
            Err(error) => Err(error),
        };
        if let Ok(response) = response {
            world.tally.answered(&response, asked.elapsed(), member.judge(&response, asked));
        } else {
            // A connection that rested for two seconds may be closed as we send.
            world.tally.lost();
            *place = None;
        }
        // Now and then a pause that is longer than a connection may rest.
        if lot.draw(2_000) == 0 {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
        }
    }
}

async fn over_http2(world: Arc<World>, number: u64) {
    let mut lot = Lot(number + 100);
    while !world.over.load(Relaxed) {
        let connection = H2::connect(world.serve.data).await;
        for _ in 0..50 {
            let asks = (0..=lot.draw(20)).map(|_| {
                let (mut member, path) = (world.cast.member(lot.draw(10_000)), lot.draw(10_000));
                if member.is_suspect() {
                    member = world.cast.good().next().unwrap();
                }
                let (world, connection) = (&world, &connection);
                async move {
                    let (bearer, asked) = (format!("Bearer {}", member.token), Instant::now());
                    match connection.get(&cast::path_of(path), &[("authorization", &bearer)]).await {
                        Ok(response) => {
                            let verdict = member.judge(&response, asked);
                            world.tally.answered(&response, asked.elapsed(), verdict);
                        }
                        Err(_) => world.tally.lost(),
                    }
                }
            });
            futures_util::future::join_all(asks.collect::<Vec<_>>()).await;
            if world.over.load(Relaxed) {
                return;
            }
        }
    }
}

/// Asks and leaves, politely or not.
async fn who_hangs_up(world: Arc<World>) {
    let mut lot = Lot(200);
    while !world.over.load(Relaxed) {
        let member = world.cast.good().next().unwrap();
        let mut client = Client::connect(world.serve.data).await;
        let bearer = format!("Bearer {}", member.token);
        let _ = client.send_get(&cast::path_of(lot.draw(10_000)), &[("authorization", &bearer)]).await;
        if lot.draw(2) == 0 {
            client.reset();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends what is no request, or none of ours. Each is refused, or hung up on.
async fn who_errs(world: Arc<World>) {
    while !world.over.load(Relaxed) {
        for bytes in [
            "GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /beta/identity/b2xUserFlows/%2e%2e/apiConnectorConfiguration HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabcde",
            "GET / HTTP/1.1\nhost: a\n\n",
            "\x16\x03\x01\x02nonsense\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense, and more of it",
        ] {
            if let Ok(response) = client::exchange(world.serve.data, bytes).await {
                let refused = if response.status >= 400 {
                    Ok(())
                } else {
                    Err(format!("{} to {bytes:?}", response.status))
                };
                world.tally.refused(refused);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Scrapes, probes, and empties the cache now and then.
async fn who_operates(world: Arc<World>) {
    let mut round = 0;
    while !world.over.load(Relaxed) {
        for path in ["/metrics", "/livez", "/readyz", "/cache"] {
            let response = world.serve.look(path).await;
            let fine = response.status == 200 && !response.text().contains("planted-");
            world.tally.refused(if fine { Ok(()) } else { Err(format!("{path}: {}", response.text())) });
        }
        round += 1;
        if round % 10 == 0 {
            let admin = world.serve.admin;
            let purge = format!("DELETE /cache HTTP/1.1\r\nhost: {admin}\r\n\r\n");
            assert_eq!(client::exchange(admin, purge).await.unwrap().status, 200);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A client with another address of this machine.
async fn from(address: &str, to: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    let stream: TcpStream = socket.connect(to).await.unwrap();
    Client::over(stream, to)
}
