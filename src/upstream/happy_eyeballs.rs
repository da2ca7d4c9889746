//! Connection attempts to the addresses of a name, in parallel with a delay (Happy Eyeballs, RFC 8305, section 5).
//!
//! The connector of hyper-util starts attempts in parallel only between the two address families. Within a family it waits
//! for the end of each attempt, so that one address that swallows SYN packets uses up the whole timeout.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::dns::AddressHistory;
use super::error_chain::find;

/// Error of any step of a connection.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Timeout of a connection (`graph.connect_timeout`).
#[derive(Debug, thiserror::Error)]
#[error("connection attempt timed out")]
pub(super) struct ConnectTimeout;

/// Signal of an attempt that it has a TCP connection.
pub(super) type TcpConnected = Arc<Notify>;

/// Tries `addresses` in their order and returns the first connection. Registers addresses that failed, or that a later
/// attempt overtook, in `history`.
///
/// The next attempt starts [`ATTEMPT_DELAY`] after the last one, or at once after a failure. An attempt that has a TCP
/// connection gets more time for TLS: an address that accepts connections is rarely dead, and a handshake takes several
/// round trips. All attempts start within `connect_timeout`.
///
/// # Errors
/// [`ConnectTimeout`] at `deadline`, or the error of the first attempt if all fail. An error of TLS comes before the others:
/// an address family without a route must not hide that the peer's certificate is not trusted.
pub(super) async fn race<T, F>(
    addresses: Vec<IpAddr>,
    (connect_timeout, deadline): (Duration, Instant),
    history: &AddressHistory,
    attempt: impl Fn(IpAddr, TcpConnected) -> F,
) -> Result<T, BoxError>
where
    F: Future<Output = Result<T, BoxError>>,
{
    let count = addresses.len().clamp(1, MAX_ADDRESSES);
    let share = connect_timeout / u32::try_from(count + 1).unwrap_or(u32::MAX);
    let (delay, tls_delay) = (ATTEMPT_DELAY.min(share), MAX_TLS_DELAY.min(share));
    let connected = TcpConnected::default();
    let mut waiting = addresses.into_iter().take(MAX_ADDRESSES);
    let mut attempts = FuturesUnordered::new();
    let mut pending = Vec::new();
    let (mut next, mut next_start, mut first_error) = (waiting.next(), Instant::now(), None::<BoxError>);
    loop {
        if let Some(address) = next.take_if(|_| next_start <= Instant::now()) {
            let attempt = attempt(address, Arc::clone(&connected));
            attempts.push(async move { (address, attempt.await) });
            pending.push(address);
            (next, next_start) = (waiting.next(), Instant::now() + delay);
        }
        tokio::select! {
            biased;
            Some((address, result)) = attempts.next() => {
                let error = match result {
                    Ok(connection) => {
                        let overtaken = pending.iter().take_while(|started| **started != address);
                        overtaken.for_each(|overtaken| history.record_failure(*overtaken));
                        return Ok(connection);
                    }
                    Err(error) => error,
                };
                history.record_failure(address);
                pending.retain(|started| *started != address);
                let first = match first_error.take() {
                    Some(first) if reached_tls(&first) || !reached_tls(&error) => first,
                    _ => error,
                };
                if next.is_none() && pending.is_empty() {
                    return Err(first);
                }
                (first_error, next_start) = (Some(first), Instant::now());
            }
            () = connected.notified() => next_start = next_start.max(Instant::now() + tls_delay),
            () = sleep_until(deadline) => {
                for address in pending {
                    history.record_failure(address);
                }
                return Err(ConnectTimeout.into());
            }
            () = sleep_until(next_start), if next.is_some() => {}
        }
    }
}

/// Returns whether an attempt failed in the TLS handshake.
fn reached_tls(error: &BoxError) -> bool {
    find::<rustls::Error>(&**error).is_some()
}

/// Time between the starts of two attempts, as RFC 8305, section 8, recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Time for TLS after which the next attempt starts.
const MAX_TLS_DELAY: Duration = Duration::from_secs(1);
/// Number of addresses that one connection tries.
const MAX_ADDRESSES: usize = 16;

#[cfg(test)]
mod tests;
