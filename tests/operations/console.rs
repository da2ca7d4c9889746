//! The console over HTTP: page, history, stream, authorization.

use std::net::SocketAddr;

use connector_cache::config::Config;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::common::client::{Client, get};
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::{token, within};

/// A stream of the console.
pub(crate) struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Opens a stream, and returns it with its status.
    pub(crate) async fn open(admin: SocketAddr) -> (Self, u16) {
        let mut socket = TcpStream::connect(admin).await.unwrap();
        socket.write_all(b"GET /console/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut reader = BufReader::new(socket);
        let mut status = String::new();
        within("the status", reader.read_line(&mut status)).await.unwrap();
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        (Self(reader), status)
    }

    /// Reads the next line of JSON, past fields and lengths of chunks.
    pub(crate) async fn frame(&mut self) -> Value {
        loop {
            let mut line = String::new();
            let read = within("a frame", self.0.read_line(&mut line)).await.unwrap();
            assert!(read > 0, "the stream has ended");
            if line.starts_with('{') {
                return serde_json::from_str(&line).unwrap();
            }
        }
    }
}

/// An upstream server that answers everything.
async fn origin() -> OriginServer {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    origin
}

/// Sum of a member of all points of a frame.
fn sum(first: &Value, frame: &Value, name: &str) -> u64 {
    let at = first["fields"].as_array().unwrap().iter().position(|field| field == name).unwrap();
    frame["points"].as_array().unwrap().iter().map(|point| point[at].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn the_history_has_requests_from_before_the_console_was_opened() {
    let origin = origin().await;
    let proxy = Proxy::before(&origin.url()).await;
    let ada = token::mint("ada");
    for _ in 0..3 {
        assert_eq!(proxy.get(&path("B2X_1"), &ada).await.status, 200);
    }
    let (mut stream, _) = Stream::open(proxy.admin).await;
    let first = stream.frame().await;
    let mut last = first.clone();
    while sum(&first, &last, "hit") + sum(&first, &last, "miss") < 3 {
        last = stream.frame().await;
    }
    assert_eq!(
        (sum(&first, &last, "hit"), sum(&first, &last, "miss"), sum(&first, &last, "graph_ok")),
        (2, 1, 1)
    );
    assert_eq!(last["state"]["window"]["proofs"]["missing"], 1);
    let data: Value = serde_json::from_str(get(proxy.admin, "/console/data", &[]).await.text()).unwrap();
    assert_eq!((sum(&data, &data, "hit"), sum(&data, &data, "miss")), (2, 1), "the history stays");
    let text = data.to_string();
    assert!(!text.contains("B2X_1") && !text.contains(&ada), "no flow and no token: {text}");
    proxy.stop().await;
}

#[tokio::test]
async fn head_has_the_fields_of_get_and_no_length_of_a_stream() {
    let origin = origin().await;
    let proxy = Proxy::before(&origin.url()).await;
    let mut client = Client::connect(proxy.admin).await;
    let mut head = async |path: &str| {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await.unwrap();
        client.response_to_head().await.unwrap()
    };
    let data = head("/console/data").await;
    assert!(data.status == 200 && data.header("content-length").is_some_and(|length| length != "0"));
    let stream = head("/console/stream").await;
    assert_eq!((stream.status, stream.header("content-type")), (200, Some("application/x-ndjson")));
    assert_eq!(stream.header("content-length"), None);
    proxy.stop().await;
}

#[tokio::test]
async fn the_seventeenth_stream_is_refused_until_one_ends() {
    let origin = origin().await;
    let proxy = Proxy::before(&origin.url()).await;
    let mut open = Vec::new();
    for _ in 0..16 {
        let (stream, status) = Stream::open(proxy.admin).await;
        assert_eq!(status, 200);
        open.push(stream);
    }
    assert_eq!(Stream::open(proxy.admin).await.1, 503);
    open.pop();
    // The connection notices the end of its peer when it writes, or at once.
    let reopened = async {
        while Stream::open(proxy.admin).await.1 != 200 {
            tokio::task::yield_now().await;
        }
    };
    within("a free stream", reopened).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_stream_ends_on_drain_with_a_frame_that_says_so() {
    let origin = origin().await;
    let proxy = Proxy::with(&origin.url(), |config| {
        config.server.drain.delay = std::time::Duration::from_secs(3);
    })
    .await;
    let (mut stream, _) = Stream::open(proxy.admin).await;
    assert_eq!(stream.frame().await["state"]["readiness"], "ready");
    let stopped = tokio::spawn(proxy.stop());
    while stream.frame().await["state"]["readiness"] != "draining" {}
    let mut rest = Vec::new();
    within("the end", stream.0.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
    stopped.await.unwrap();
}

#[tokio::test]
async fn with_a_token_file_data_stream_and_look_need_it_and_the_page_does_not() {
    let origin = origin().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "s3cret").unwrap();
    let proxy = Proxy::with(&origin.url(), |config: &mut Config| config.admin.token_file = Some(file)).await;
    for (path, wrong) in [("/console/data", 401), ("/console/stream", 401), ("/cache?flow=B2X_1", 401)] {
        assert_eq!(get(proxy.admin, path, &[]).await.status, wrong, "{path}");
        let fields = [("authorization", "Bearer s3cre")];
        assert_eq!(get(proxy.admin, path, &fields).await.status, wrong, "{path}");
    }
    let page = get(proxy.admin, "/", &[("accept", "text/html,*/*;q=0.8")]).await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let tag = page.header("etag").unwrap();
    let again = get(proxy.admin, "/", &[("accept", "text/html"), ("if-none-match", tag)]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert!(get(proxy.admin, "/", &[("accept", "*/*")]).await.text().starts_with("connector-cache\n"));
    proxy.stop().await;
}

#[tokio::test]
async fn a_look_counts_what_a_purge_removes_and_removes_nothing() {
    let origin = origin().await;
    let proxy = Proxy::before(&origin.url()).await;
    let ada = token::mint("ada");
    for flow in ["B2X_1", "B2X_2"] {
        assert_eq!(proxy.get(&path(flow), &ada).await.status, 200);
    }
    for _ in 0..2 {
        assert_eq!(get(proxy.admin, "/cache?flow=B2X_1", &[]).await.text(), r#"{"matching":1}"#);
    }
    assert_eq!(get(proxy.admin, "/cache?flow=B2X_3", &[]).await.text(), r#"{"matching":0}"#);
    assert_eq!(get(proxy.admin, "/cache?flows=B2X_3", &[]).await.status, 400);
    let browser = [("origin", "http://evil.example")];
    assert_eq!(get(proxy.admin, "/cache?flow=B2X_1", &browser).await.status, 403);
    proxy.stop().await;
}
