//! A TCP relay with faults: delay, low rate, resets, silence.
//!
//! It needs no privilege, unlike the traffic control of the kernel. It does not read the bytes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::within;

/// A running relay. Its drop ends all connections.
pub struct Link {
    address: SocketAddr,
    road: watch::Sender<Road>,
    accepting: JoinHandle<()>,
}

/// State of the relay, for all connections.
#[derive(Clone, Copy, Default)]
struct Road {
    /// Number of connections so far; each has its number.
    connections: usize,
    /// Bytes in both directions.
    carried: usize,
    /// Delay before each piece, in either direction.
    latency: Duration,
    /// Size of the pieces, and the time between two.
    pace: Option<(usize, Duration)>,
    /// Connections up to this number are silent and stay open.
    silent: usize,
    /// Connections up to this number are reset.
    broken: usize,
    /// Whether new connections are reset.
    refuses: bool,
    /// Whether new connections are accepted and silent.
    swallows: bool,
}

impl Link {
    /// Listens, and connects to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let road = watch::Sender::new(Road::default());
        let accepting = tokio::spawn(accept(listener, target, road.clone()));
        Self { address, road, accepting }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of connections.
    pub fn connections(&self) -> usize {
        self.road.borrow().connections
    }

    /// Returns when more than `bytes` have passed in both directions together.
    pub async fn wait_for_bytes(&self, bytes: usize) {
        let mut road = self.road.subscribe();
        let passing = road.wait_for(|road| road.carried > bytes);
        within("bytes to pass", passing).await.expect("the road lasts as long as the link");
    }

    /// Number of bytes in both directions together.
    pub fn carried(&self) -> usize {
        self.road.borrow().carried
    }

    /// Delays each piece by this time, in either direction.
    pub fn latency(&self, latency: Duration) {
        self.road.send_modify(|road| road.latency = latency);
    }

    /// Limits the rate: pieces of so many bytes, with this time between two.
    pub fn trickle(&self, bytes: usize, pause: Duration) {
        self.road.send_modify(|road| road.pace = Some((bytes, pause)));
    }

    /// Makes the present connections silent, without an end. New connections work.
    pub fn go_silent(&self) {
        self.road.send_modify(|road| road.silent = road.connections);
    }

    /// Resets the present connections at both ends.
    pub fn break_off(&self) {
        self.road.send_modify(|road| road.broken = road.connections);
    }

    /// Resets new connections from now on.
    pub fn refuse(&self) {
        self.road.send_modify(|road| (road.refuses, road.swallows) = (true, false));
    }

    /// Accepts new connections from now on, and stays silent on them.
    pub fn swallow(&self) {
        self.road.send_modify(|road| (road.refuses, road.swallows) = (false, true));
    }

    /// Ends all faults. Silent connections stay silent.
    pub fn mend(&self) {
        self.road.send_modify(|road| {
            let Road { connections, carried, silent, broken, .. } = *road;
            *road = Road { connections, carried, silent, broken, ..Road::default() };
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
        self.break_off();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, road: watch::Sender<Road>) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        road.send_modify(|road| road.connections += 1);
        let now = *road.borrow();
        if now.refuses {
            let _ = near.set_zero_linger();
            continue;
        }
        if now.swallows {
            road.send_modify(|road| road.silent = road.silent.max(road.connections));
        }
        tokio::spawn(carry(near, target, now.connections, road.clone()));
    }
}

/// Relays one direction. Either end may close in any way, so errors are ignored.
async fn carry(near: TcpStream, target: SocketAddr, number: usize, road: watch::Sender<Road>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    let mut ends = road.subscribe();
    let there = pump(&mut near_in, &mut far_out, number, road.clone());
    let back = pump(&mut far_in, &mut near_out, number, road);
    let broken = tokio::select! {
        _ = async { tokio::join!(there, back) } => false,
        broken = ends.wait_for(|road| road.broken >= number) => broken.is_ok(),
    };
    for end in [near_in.reunite(near_out), far_in.reunite(far_out)] {
        if let Ok(end) = end
            && broken
        {
            let _ = end.set_zero_linger();
        }
    }
}

async fn pump(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, number: usize, road: watch::Sender<Road>) {
    let mut space = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut space).await {
        let mut left = &space[..count];
        while !left.is_empty() {
            let now = *road.borrow();
            if now.silent >= number {
                return std::future::pending().await;
            }
            tokio::time::sleep(now.latency).await;
            let (size, pause) = now.pace.unwrap_or((left.len(), Duration::ZERO));
            let (piece, rest) = left.split_at(size.min(left.len()));
            if to.write_all(piece).await.is_err() {
                return;
            }
            road.send_modify(|road| road.carried += piece.len());
            left = rest;
            tokio::time::sleep(pause).await;
        }
    }
    if road.borrow().silent >= number {
        return std::future::pending().await;
    }
    let _ = to.shutdown().await;
}
