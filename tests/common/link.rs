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
    state: watch::Sender<LinkState>,
    accepting: JoinHandle<()>,
}

/// State of the relay, for all connections.
#[derive(Clone, Copy, Default)]
struct LinkState {
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
    drops_bytes: bool,
}

impl Link {
    /// Listens, and connects to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = watch::Sender::new(LinkState::default());
        let accepting = tokio::spawn(accept(listener, target, state.clone()));
        Self { address, state, accepting }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of connections.
    pub fn connections(&self) -> usize {
        self.state.borrow().connections
    }

    /// Returns when more than `bytes` have passed in both directions together.
    pub async fn wait_for_bytes(&self, bytes: usize) {
        let mut state = self.state.subscribe();
        let passing = state.wait_for(|state| state.carried > bytes);
        within("bytes to pass", passing).await.expect("the state lives as long as the link");
    }

    /// Number of bytes in both directions together.
    pub fn carried(&self) -> usize {
        self.state.borrow().carried
    }

    /// Delays each piece by this time, in either direction.
    pub fn latency(&self, latency: Duration) {
        self.state.send_modify(|state| state.latency = latency);
    }

    /// Limits the rate: pieces of so many bytes, with this time between two.
    pub fn trickle(&self, bytes: usize, pause: Duration) {
        self.state.send_modify(|state| state.pace = Some((bytes, pause)));
    }

    /// Makes the present connections silent, without an end. New connections work.
    pub fn go_silent(&self) {
        self.state.send_modify(|state| state.silent = state.connections);
    }

    /// Resets the present connections at both ends.
    pub fn break_off(&self) {
        self.state.send_modify(|state| state.broken = state.connections);
    }

    /// Resets new connections from now on.
    pub fn refuse(&self) {
        self.state.send_modify(|state| (state.refuses, state.drops_bytes) = (true, false));
    }

    /// Accepts new connections from now on, and stays silent on them.
    pub fn drop_bytes(&self) {
        self.state.send_modify(|state| (state.refuses, state.drops_bytes) = (false, true));
    }

    /// Ends all faults. Silent connections stay silent.
    pub fn mend(&self) {
        self.state.send_modify(|state| {
            let LinkState { connections, carried, silent, broken, .. } = *state;
            *state = LinkState { connections, carried, silent, broken, ..LinkState::default() };
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
        self.break_off();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Sender<LinkState>) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        state.send_modify(|state| state.connections += 1);
        let now = *state.borrow();
        if now.refuses {
            let _ = near.set_zero_linger();
            continue;
        }
        if now.drops_bytes {
            state.send_modify(|state| state.silent = state.silent.max(state.connections));
        }
        tokio::spawn(carry(near, target, now.connections, state.clone()));
    }
}

/// Relays one direction. Either end may close in any way, so errors are ignored.
async fn carry(near: TcpStream, target: SocketAddr, number: usize, state: watch::Sender<LinkState>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    let mut ends = state.subscribe();
    let there = pump(&mut near_in, &mut far_out, number, state.clone());
    let back = pump(&mut far_in, &mut near_out, number, state);
    let broken = tokio::select! {
        _ = async { tokio::join!(there, back) } => false,
        broken = ends.wait_for(|state| state.broken >= number) => broken.is_ok(),
    };
    for end in [near_in.reunite(near_out), far_in.reunite(far_out)] {
        if let Ok(end) = end
            && broken
        {
            let _ = end.set_zero_linger();
        }
    }
}

async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    number: usize,
    state: watch::Sender<LinkState>,
) {
    let mut space = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut space).await {
        let mut left = &space[..count];
        while !left.is_empty() {
            let now = *state.borrow();
            if now.silent >= number {
                return std::future::pending().await;
            }
            tokio::time::sleep(now.latency).await;
            let (size, pause) = now.pace.unwrap_or((left.len(), Duration::ZERO));
            let (piece, rest) = left.split_at(size.min(left.len()));
            if to.write_all(piece).await.is_err() {
                return;
            }
            state.send_modify(|state| state.carried += piece.len());
            left = rest;
            tokio::time::sleep(pause).await;
        }
    }
    if state.borrow().silent >= number {
        return std::future::pending().await;
    }
    let _ = to.shutdown().await;
}
