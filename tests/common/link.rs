//! A road between two ends: a relay of TCP that is slow, trickles, breaks, or goes silent as it is told.
//!
//! What the kernel's own traffic control cannot do everywhere. It knows nothing of what it carries.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::within;

/// A running relay. Dropped, it ends whatever it carries.
pub struct Link {
    address: SocketAddr,
    road: watch::Sender<Road>,
    accepting: JoinHandle<()>,
}

/// The state of the road, for every connection at once.
#[derive(Clone, Copy, Default)]
struct Road {
    /// Connections so far; each has its number.
    connections: usize,
    /// Bytes that have passed, both ways.
    carried: usize,
    /// Before each piece, in either direction.
    latency: Duration,
    /// So many bytes at a time, and so long between two.
    pace: Option<(usize, Duration)>,
    /// Those up to this number carry nothing any more, and do not end.
    silent: usize,
    /// Those up to this number are reset.
    broken: usize,
    /// New ones are reset.
    refuses: bool,
    /// New ones are accepted, and carry nothing.
    swallows: bool,
}

impl Link {
    /// Listens, and leads to `target`.
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

    /// How many connections it has been asked for.
    pub fn connections(&self) -> usize {
        self.road.borrow().connections
    }

    /// Returns when more than `bytes` have passed, both ways together.
    pub async fn wait_for_bytes(&self, bytes: usize) {
        let mut road = self.road.subscribe();
        let passing = road.wait_for(|road| road.carried > bytes);
        within("bytes to pass", passing).await.expect("the road lasts as long as the link");
    }

    /// How many bytes have passed, both ways together.
    pub fn carried(&self) -> usize {
        self.road.borrow().carried
    }

    /// Each piece takes this long, in either direction.
    pub fn latency(&self, latency: Duration) {
        self.road.send_modify(|road| road.latency = latency);
    }

    /// So many bytes pass at a time, and so long lies between two.
    pub fn trickle(&self, bytes: usize, pause: Duration) {
        self.road.send_modify(|road| road.pace = Some((bytes, pause)));
    }

    /// What is connected now carries nothing any more, and neither end hears of it. New connections do.
    pub fn go_silent(&self) {
        self.road.send_modify(|road| road.silent = road.connections);
    }

    /// Resets what is connected now, at both ends.
    pub fn break_off(&self) {
        self.road.send_modify(|road| road.broken = road.connections);
    }

    /// Resets whoever connects, from now on.
    pub fn refuse(&self) {
        self.road.send_modify(|road| (road.refuses, road.swallows) = (true, false));
    }

    /// Whoever connects from now on is connected, and hears nothing.
    pub fn swallow(&self) {
        self.road.send_modify(|road| (road.refuses, road.swallows) = (false, true));
    }

    /// The road is as new. What has gone silent stays so.
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

/// Either end may leave in any way, so nothing here must succeed.
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
