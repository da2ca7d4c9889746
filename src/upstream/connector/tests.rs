//! F18, with connections: a name that flaps, over addresses of this machine.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::net::TcpListener;
use url::Url;

use super::*;

/// A name that leads where a test says; nowhere at first.
#[derive(Clone, Debug, Default)]
struct Names(Arc<Mutex<Vec<Ipv4Addr>>>);

impl Names {
    fn lead_to(&self, addresses: &[Ipv4Addr]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = addresses.to_vec();
    }
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        let addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::from((ip, 0))).collect();
        std::future::ready(Ok(found.into_iter()))
    }
}

struct World {
    names: Names,
    connector: Connector<Names>,
    uri: Uri,
}

impl World {
    fn new(port: u16) -> Self {
        let (names, url) = (Names::default(), format!("http://localhost:{port}"));
        let config = Config { base_url: Url::parse(&url).unwrap(), ..Config::default() };
        let connector = Connector::with(&config, names.clone()).unwrap();
        // Another name: whatever it is, it leads where the test says.
        Self { names, connector, uri: format!("http://graph.example:{port}").parse().unwrap() }
    }

    /// What the system said is older than a second.
    async fn connect_later(&mut self) -> Result<(), BoxError> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.connector.call(self.uri.clone()).await.map(|_| ())
    }
}

const A: Ipv4Addr = Ipv4Addr::LOCALHOST;
const B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test(start_paused = true)]
async fn f18_a_name_that_is_gone_still_leads_to_the_last_good_address() {
    let there = TcpListener::bind((A, 0)).await.unwrap();
    let mut world = World::new(there.local_addr().unwrap().port());
    assert!(world.connect_later().await.is_err(), "an empty answer, and nothing is known");
    world.names.lead_to(&[A]);
    world.connect_later().await.unwrap();
    world.names.lead_to(&[]);
    for _ in 0..10 {
        world.connect_later().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(300)).await;
    let error = world.connect_later().await.unwrap_err();
    assert!(format!("{error:?}").contains("Unresolved"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn f18_an_address_that_died_gives_way_to_the_one_that_the_name_has_now() {
    let old = TcpListener::bind((A, 0)).await.unwrap();
    let port = old.local_addr().unwrap().port();
    let mut world = World::new(port);
    world.names.lead_to(&[A]);
    world.connect_later().await.unwrap();
    drop(old);
    let new = TcpListener::bind((B, port)).await.unwrap();
    world.names.lead_to(&[B]);
    world.connect_later().await.unwrap();
    new.accept().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f18_a_name_that_flaps_to_a_dead_address_costs_no_connection() {
    let there = TcpListener::bind((A, 0)).await.unwrap();
    let mut world = World::new(there.local_addr().unwrap().port());
    world.names.lead_to(&[A]);
    world.connect_later().await.unwrap();
    world.names.lead_to(&[B]);
    for _ in 0..10 {
        world.connect_later().await.unwrap();
    }
}
