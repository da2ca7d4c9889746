//! Tests of `tests/common` itself.

mod common;

use std::io::{ErrorKind, Read as _};
use std::time::Duration;

use common::client::{self, Client};
use common::gate::Gate;
use common::origin::{OriginServer, closed_port};
use common::reply::Reply;
use common::tls::{Authority, Certified};
use flate2::read::GzDecoder;

#[tokio::test]
async fn a_route_answers_and_the_request_is_seen() {
    let origin = OriginServer::start().await;
    origin.route("/beta/", Reply::json(r#"{"a":1}"#).header("x-one", "1"));
    let answer = client::get(origin.address(), "/beta/x?y", &[("accept", "*/*")]).await;
    assert_eq!((answer.status, answer.header("X-One")), (200, Some("1")));
    assert_eq!(answer.json()["a"], 1);
    let seen = origin.seen();
    assert_eq!((seen[0].target.as_str(), seen[0].header("Accept")), ("/beta/x?y", Some("*/*")));
    origin.finish().await;
}

#[tokio::test]
async fn the_longest_prefix_wins() {
    let origin = OriginServer::start().await;
    origin.any(Reply::status(404));
    origin.route("/a/b", Reply::status(202));
    origin.route("/a", Reply::status(201));
    assert_eq!(client::get(origin.address(), "/a/b/c", &[]).await.status, 202);
}

#[tokio::test]
async fn a_sequence_is_played_in_order_and_ends_on_its_last_reply() {
    let origin = OriginServer::start().await;
    origin.any([Reply::status(503), Reply::status(200)]);
    let mut client = Client::connect(origin.address()).await;
    for expected in [503, 200, 200] {
        assert_eq!(client.get("/", &[]).await.status, expected);
    }
}

#[tokio::test]
async fn a_connection_is_kept_between_requests() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let mut client = Client::connect(origin.address()).await;
    client.get("/", &[]).await;
    client.get("/", &[]).await;
    assert_eq!((origin.requests(), origin.connections()), (2, 1));
}

#[tokio::test]
async fn a_connection_is_closed_when_the_client_says_so() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let mut client = Client::connect(origin.address()).await;
    client.get("/", &[("connection", "close")]).await;
    client.ended().await;
}

#[tokio::test]
async fn a_held_reply_comes_when_the_gate_opens() {
    let origin = OriginServer::start().await;
    let gate = Gate::new();
    origin.any(Reply::json("{}").held_until(&gate));
    let address = origin.address();
    let asking = tokio::spawn(async move { client::get(address, "/", &[]).await });
    origin.wait_for_requests(1).await;
    assert!(!asking.is_finished());
    gate.open();
    assert_eq!(asking.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_paused_reply_goes_on_when_the_gate_opens() {
    let origin = OriginServer::start().await;
    let gate = Gate::new();
    origin.any(Reply::json(r#"{"whole":true}"#).paused_after(20, &gate));
    let mut client = Client::connect(origin.address()).await;
    client.send_get("/", &[]).await.unwrap();
    origin.wait_for_requests(1).await;
    gate.open();
    assert_eq!(client.response().await.unwrap().text(), r#"{"whole":true}"#);
}

#[tokio::test]
async fn a_cut_reply_ends_in_the_middle() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json(r#"{"whole":false}"#).cut_after(60));
    let cut = client::exchange(origin.address(), "GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(cut.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let origin = OriginServer::start().await;
    origin.any([Reply::reset(), Reply::json("{}").reset_after(10)]);
    for _ in 0..2 {
        let reset = client::exchange(origin.address(), "GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(reset.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn silence_lasts_until_the_client_leaves() {
    let origin = OriginServer::start().await;
    origin.any(Reply::silence());
    let mut client = Client::connect(origin.address()).await;
    client.send_get("/", &[]).await.unwrap();
    origin.wait_for_requests(1).await;
    drop(client);
    origin.wait_for_ended(1).await;
}

#[tokio::test]
async fn a_raw_reply_is_sent_verbatim_and_closes() {
    let origin = OriginServer::start().await;
    origin.any(Reply::raw("HTTP/1.1 200 OK\r\nx-odd:  1\r\n\r\nuntil the end"));
    assert_eq!(client::get(origin.address(), "/", &[]).await.text(), "until the end");
}

#[tokio::test]
async fn chunks_drips_and_interim_answers_come_out_whole() {
    let origin = OriginServer::start().await;
    let drip = Reply::json("[1,2,3]").chunked(2).drip(16, Duration::from_millis(1));
    origin.any([drip, Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n[1,2,3]")]);
    for _ in 0..2 {
        assert_eq!(client::get(origin.address(), "/", &[]).await.text(), "[1,2,3]");
    }
}

#[tokio::test]
async fn a_gzip_reply_can_be_unpacked() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}").gzip());
    let answer = client::get(origin.address(), "/", &[]).await;
    let mut text = String::new();
    GzDecoder::new(answer.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!((answer.header("content-encoding"), text.as_str()), (Some("gzip"), "{}"));
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let mut client = Client::connect(origin.address()).await;
    client.send("HEAD / HTTP/1.1\r\n\r\n").await.unwrap();
    let answer = client.response_to_head().await.unwrap();
    assert_eq!(answer.header("content-length"), Some("2"));
    assert_eq!(client.get("/", &[]).await.text(), "{}");
}

#[tokio::test]
async fn hanging_up_ends_idle_connections() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let mut client = Client::connect(origin.address()).await;
    client.get("/", &[]).await;
    origin.hang_up().await;
    client.ended().await;
}

#[tokio::test]
#[should_panic(expected = "the origin failed: no route for GET /nowhere")]
async fn a_request_without_a_route_fails_the_test() {
    let origin = OriginServer::start().await;
    let answer = client::exchange(origin.address(), "GET /nowhere HTTP/1.1\r\n\r\n").await;
    assert!(answer.is_err());
    origin.wait_for_ended(1).await;
    origin.finish().await;
}

#[tokio::test]
async fn a_closed_port_has_no_listener() {
    let refused = tokio::net::TcpStream::connect(closed_port()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

async fn handshake(shown: &Certified, trusted: &Authority) -> std::io::Result<Client> {
    let origin = OriginServer::start_tls(shown.server_config()).await;
    Client::connect_tls(origin.address(), trusted.client_config(&[]), "localhost").await
}

#[tokio::test]
async fn a_right_certificate_is_trusted() {
    let root = Authority::new();
    let origin = OriginServer::start_tls(root.right().server_config()).await;
    origin.any(Reply::json("{}"));
    for name in ["localhost", "127.0.0.1"] {
        let mut client = Client::connect_tls(origin.address(), root.client_config(&[]), name).await.unwrap();
        assert_eq!(client.get("/", &[]).await.status, 200);
    }
}

#[tokio::test]
async fn a_wrong_certificate_is_not_trusted() {
    let root = Authority::new();
    let reason =
        |failed: std::io::Result<Client>| failed.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(reason(handshake(&root.expired(), &root).await).contains("expired"));
    assert!(reason(handshake(&root.wrong_host(), &root).await).contains("not valid for name"));
    assert!(reason(handshake(&Authority::new().right(), &root).await).contains("UnknownIssuer"));
}

#[tokio::test]
async fn a_server_can_demand_a_certificate_of_its_clients() {
    let (root, clients) = (Authority::new(), Authority::new());
    let origin = OriginServer::start_tls(root.right().server_config_demanding(&clients)).await;
    origin.any(Reply::json("{}"));
    let config = root.client_config_showing(&clients.certify(&["a caller"]), &[]);
    let mut client = Client::connect_tls(origin.address(), config, "localhost").await.unwrap();
    assert_eq!(client.get("/", &[]).await.status, 200);
    // In TLS 1.3 the client learns of its refusal when it reads.
    let mut nobody =
        Client::connect_tls(origin.address(), root.client_config(&[]), "localhost").await.unwrap();
    nobody.ended().await;
    assert_eq!(origin.requests(), 1);
}

#[test]
fn certificates_are_written_as_pem() {
    let directory = tempfile::tempdir().unwrap();
    let root = Authority::new();
    let (certificate, key) = root.right().write_pem(directory.path());
    for (path, label) in [
        (root.write_pem(directory.path()), "CERTIFICATE"),
        (certificate, "CERTIFICATE"),
        (key, "PRIVATE KEY"),
    ] {
        assert!(std::fs::read_to_string(path).unwrap().starts_with(&format!("-----BEGIN {label}-----")));
    }
}
