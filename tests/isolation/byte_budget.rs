//! Attacks on the byte budget of responses in flight.

use connector_cache::config::Config;
use connector_cache::http::rejection::Rejection;
use h2::client::SendRequest;
use http::{Request, Response};
use tokio::task::JoinHandle;

use crate::common::client::{Client, tcp_from};
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::{token, within};

/// Reduces the budget to a megabyte, so that small attacks have the effect of large ones.
fn small(config: &mut Config) {
    config.bytes_in_flight = 1 << 20;
    // The attack ends by the budget, not by time.
    config.server.limits.write_timeout = std::time::Duration::from_mins(10);
}

/// An HTTP/2 connection that takes no byte of any body.
struct Shut {
    sender: SendRequest<bytes::Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
    responses: Vec<Response<h2::RecvStream>>,
}

impl Shut {
    async fn connect(source: [u8; 4], proxy: &Proxy) -> Self {
        let stream = tcp_from(source, proxy.data).await;
        let (sender, connection) =
            h2::client::Builder::new().initial_window_size(0).handshake(stream).await.unwrap();
        Self { sender, connection: tokio::spawn(connection), responses: Vec::new() }
    }

    /// Requests `path` and keeps the response without reading its body. Returns its status.
    async fn get(&mut self, path: &str, token: Option<&str>) -> Result<u16, h2::Error> {
        let mut request = Request::get(format!("http://cache{path}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.sender.clone().ready().await?;
        let (response, _) = self.sender.send_request(request.body(()).unwrap(), true)?;
        let response = within("a response", response).await?;
        let status = response.status().as_u16();
        self.responses.push(response);
        Ok(status)
    }
}

/// Response to a miss of a caller at another address.
async fn miss_of_another_address(proxy: &Proxy, flow: &str) -> u16 {
    let mut other = Client::over(tcp_from(HONEST, proxy.data).await, proxy.data);
    let authorization = format!("Bearer {}", token::mint("honest"));
    other.get(&path(flow), &[("authorization", &authorization)]).await.status
}

fn body_of(bytes: usize) -> Reply {
    Reply::json(format!("{{\"postFederationSignup\":null,\"numbers\":[{}0]}}", "0,".repeat(bytes / 2)))
}

#[tokio::test]
async fn a_stored_answer_that_many_connections_of_one_address_do_not_take_counts_once() {
    let origin = OriginServer::start().await;
    origin.any(body_of(100 << 10));
    let proxy = Proxy::with(&origin.url(), small).await;
    let token = token::mint("attacker");
    let mut connections = Vec::new();
    for _ in 0..36 {
        let mut connection = Shut::connect(ATTACKER, &proxy).await;
        assert_eq!(connection.get(&path("B2X_1_a"), Some(&token)).await.unwrap(), 200);
        connections.push(connection);
    }
    assert_eq!(miss_of_another_address(&proxy, "B2X_1_b").await, 200);
    assert_eq!(proxy.metrics.rejected.get(Rejection::BytesInFlight), 0);
}

#[tokio::test]
async fn an_address_that_takes_none_of_many_answers_leaves_half_of_the_budget_to_others() {
    let origin = OriginServer::start().await;
    origin.any(body_of(100 << 10));
    let proxy = Proxy::with(&origin.url(), small).await;
    let token = token::mint("attacker");
    let mut connection = Shut::connect(ATTACKER, &proxy).await;
    let mut held = 0;
    while connection.get(&path(&format!("B2X_1_{held}")), Some(&token)).await.unwrap() == 200 {
        held += 1;
    }
    assert!((2..=5).contains(&held), "the attacker has its share: {held} responses of 100 KiB");
    let used = proxy.series("connector_cache_bytes_in_flight").await;
    assert!(used <= f64::from(512 << 10), "{used} bytes are in flight");
    for flow in 100..104 {
        assert_eq!(miss_of_another_address(&proxy, &format!("B2X_1_{flow}")).await, 200);
    }
    drop(connection);
}

#[tokio::test]
async fn small_responses_that_are_not_read_are_bounded_for_each_address() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let proxy = Proxy::with(&origin.url(), small).await;
    let mut connections = Vec::new();
    let mut is_closed = false;
    // Each response is a 401 whose body waits for a window. A connection has at most a hundred streams.
    'attack: for _ in 0..4 {
        let mut connection = Shut::connect(ATTACKER, &proxy).await;
        for _ in 0..100 {
            if connection.get(&path("B2X_1_a"), None).await.is_err() {
                is_closed = true;
                break 'attack;
            }
        }
        connections.push(connection);
    }
    assert!(is_closed, "four hundred responses are held for one address");
    let used = proxy.series("connector_cache_bytes_in_flight").await;
    assert!(used <= f64::from(512 << 10), "{used} bytes are charged");
    assert_eq!(proxy.metrics.rejected.get(Rejection::BytesInFlight), 1);
    assert_eq!(miss_of_another_address(&proxy, "B2X_1_b").await, 200);
    for connection in connections {
        assert!(!connection.connection.is_finished(), "a connection within the share stays open");
    }
}

const ATTACKER: [u8; 4] = [127, 0, 0, 2];
const HONEST: [u8; 4] = [127, 0, 0, 3];
