//! F18, with connections: a name whose addresses change, on loopback addresses.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::net::TcpListener;
use url::Url;

use super::*;

/// Resolver with the addresses that a test sets; none at first.
#[derive(Clone, Debug, Default)]
struct Names(Arc<Mutex<Vec<Ipv4Addr>>>);

impl Names {
    fn set(&self, addresses: &[Ipv4Addr]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = addresses.to_vec();
    }
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        let addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::from((ip, 0))).collect();
        ready(Ok(found.into_iter()))
    }
}

struct TestClient {
    names: Names,
    connector: Connector<Names>,
    uri: Uri,
}

impl TestClient {
    fn new(port: u16) -> Self {
        let (names, url) = (Names::default(), format!("http://localhost:{port}"));
        let config = Config { base_url: Url::parse(&url).unwrap(), ..Config::default() };
        let connector = Connector::with_resolver(&config, names.clone()).unwrap();
        // The resolver of the test ignores the name.
        Self { names, connector, uri: format!("http://graph.example:{port}").parse().unwrap() }
    }

    /// Connects after the last lookup has become older than a second.
    async fn connect_later(&mut self) -> Result<(), BoxError> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.connector.connect(self.uri.clone()).await.map(|_| ())
    }
}

const A: Ipv4Addr = Ipv4Addr::LOCALHOST;
const B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test(start_paused = true)]
async fn f18_a_name_without_addresses_still_leads_to_the_last_good_address() {
    let there = TcpListener::bind((A, 0)).await.unwrap();
    let mut client = TestClient::new(there.local_addr().unwrap().port());
    assert!(
        client.connect_later().await.is_err(),
        "the lookup finds nothing, and there is no last good address"
    );
    client.names.set(&[A]);
    client.connect_later().await.unwrap();
    client.names.set(&[]);
    for _ in 0..10 {
        client.connect_later().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let error = client.connect_later().await.unwrap_err();
    assert!(format!("{error:?}").contains("ResolveError"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn f18_an_address_that_fails_is_replaced_by_the_present_address_of_the_name() {
    let old = TcpListener::bind((A, 0)).await.unwrap();
    let port = old.local_addr().unwrap().port();
    let mut client = TestClient::new(port);
    client.names.set(&[A]);
    client.connect_later().await.unwrap();
    drop(old);
    let new = TcpListener::bind((B, port)).await.unwrap();
    client.names.set(&[B]);
    client.connect_later().await.unwrap();
    new.accept().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f18_a_name_that_changes_to_a_dead_address_costs_no_connection() {
    let there = TcpListener::bind((A, 0)).await.unwrap();
    let mut client = TestClient::new(there.local_addr().unwrap().port());
    client.names.set(&[A]);
    client.connect_later().await.unwrap();
    client.names.set(&[B]);
    for _ in 0..10 {
        client.connect_later().await.unwrap();
    }
}

/// A listener whose accept queue is full, so that it swallows further SYN packets, and the connections that fill the queue.
async fn swallowing(address: SocketAddr) -> (socket2::Socket, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let mut queued = Vec::new();
    let wait = Duration::from_millis(100);
    while let Ok(stream) = tokio::time::timeout(wait, TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
    }
    (socket, queued)
}

#[tokio::test]
async fn d1_a_first_address_that_swallows_packets_delays_one_connection_only() {
    let there = TcpListener::bind((B, 0)).await.unwrap();
    let port = there.local_addr().unwrap().port();
    let _swallowing = swallowing((A, port).into()).await;
    let client = TestClient::new(port);
    client.names.set(&[A, B]);
    let elapsed = async || {
        let started = std::time::Instant::now();
        client.connector.connect(client.uri.clone()).await.unwrap();
        started.elapsed()
    };
    let (first, second) = (elapsed().await, elapsed().await);
    assert!((Duration::from_millis(240)..Duration::from_secs(2)).contains(&first), "{first:?}");
    assert!(second < Duration::from_millis(240), "{second:?}");
}

#[tokio::test]
async fn d1_addresses_that_are_all_dead_end_with_the_timeout() {
    let there = TcpListener::bind((B, 0)).await.unwrap();
    let port = there.local_addr().unwrap().port();
    drop(there);
    let (_a, _b) = (swallowing((A, port).into()).await, swallowing((B, port).into()).await);
    let client = TestClient::new(port);
    client.names.set(&[A, B]);
    let error = client.connector.connect(client.uri.clone()).await.err().unwrap();
    assert!(error.is::<ConnectTimeout>(), "{error:?}");
}
