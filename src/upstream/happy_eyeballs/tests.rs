use std::io;

use tokio::time::sleep;

use super::*;

/// Behavior of an address.
#[derive(Clone, Copy)]
enum Peer {
    /// Connects after this time.
    Connects(u64),
    /// Refuses after this time.
    Refuses(u64),
    /// Swallows SYN packets.
    Dead,
    /// Accepts TCP connections at once and never finishes TLS.
    NoTls,
    /// Accepts TCP connections at once and finishes TLS after this time.
    SlowTls(u64),
    /// Shows a certificate of an unknown issuer.
    Untrusted,
}
use Peer::{Connects, Dead, NoTls, Refuses, SlowTls, Untrusted};

fn ip(number: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, u8::try_from(number).unwrap()])
}

/// Result of a race: the position of the winner or the error, and the time in milliseconds.
async fn run(peers: &[Peer], history: &AddressHistory) -> (Result<usize, String>, u128) {
    let started = Instant::now();
    let order = (0..peers.len()).map(ip).collect();
    let attempt = async |address: IpAddr, connected: TcpConnected| {
        let position = (0..peers.len()).find(|number| ip(*number) == address).unwrap();
        match peers[position] {
            Connects(after) => sleep(Duration::from_millis(after)).await,
            Refuses(after) => {
                sleep(Duration::from_millis(after)).await;
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
            }
            Untrusted => {
                let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
                return Err(io::Error::other(io::Error::other(error)).into());
            }
            Dead => std::future::pending().await,
            NoTls => {
                connected.notify_one();
                std::future::pending::<()>().await;
            }
            SlowTls(after) => {
                connected.notify_one();
                sleep(Duration::from_millis(after)).await;
            }
        }
        Ok(position)
    };
    let result = race(order, (TIMEOUT, started + TIMEOUT), history, attempt).await;
    (result.map_err(|error| error.to_string()), started.elapsed().as_millis())
}

/// A host without IPv6, behind a proxy that replaces certificates.
#[tokio::test(start_paused = true)]
async fn if_all_addresses_fail_an_error_of_tls_comes_before_others() {
    let untrusted = Err("invalid peer certificate: UnknownIssuer".to_owned());
    for peers in [[Refuses(0), Untrusted], [Untrusted, Refuses(0)]] {
        assert_eq!(run(&peers, &AddressHistory::default()).await.0, untrusted);
    }
    let refused = Err("connection refused".to_owned());
    assert_eq!(run(&[Refuses(0), Refuses(0)], &AddressHistory::default()).await.0, refused);
}

#[tokio::test(start_paused = true)]
async fn d1_the_next_address_is_tried_after_a_quarter_of_a_second_or_at_once_after_a_failure() {
    let timed_out = || Err("connection attempt timed out".to_owned());
    for (peers, expected, time) in [
        (&[Connects(10)][..], Ok(0), 10),
        (&[Connects(240), Connects(0)], Ok(0), 240),
        (&[Connects(300), Connects(100)], Ok(0), 300),
        (&[Dead, Connects(10)], Ok(1), 260),
        (&[Dead, Dead, Connects(10)], Ok(2), 510),
        (&[Refuses(5), Connects(10)], Ok(1), 15),
        (&[Dead, Refuses(0), Connects(10)], Ok(2), 260),
        (&[NoTls, Connects(10)], Ok(1), 677),
        (&[SlowTls(500), Connects(10)], Ok(0), 500),
        (&[Dead], timed_out(), 2000),
        (&[Dead, NoTls, Dead], timed_out(), 2000),
        (&[Refuses(5), Refuses(7)], Err("connection refused".to_owned()), 12),
    ] {
        let (result, elapsed) = run(peers, &AddressHistory::default()).await;
        assert_eq!(result, expected);
        assert!((time..time + 5).contains(&elapsed), "{elapsed} ms, expected {time}");
    }
}

#[tokio::test(start_paused = true)]
async fn d1_every_address_is_tried_within_the_timeout() {
    for dead in 1..16 {
        for peer in [Dead, NoTls] {
            let peers = [vec![peer; dead], vec![Connects(10)]].concat();
            let (result, elapsed) = run(&peers, &AddressHistory::default()).await;
            assert_eq!(result, Ok(dead), "after {elapsed} ms");
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(2);
