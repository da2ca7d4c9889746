//! `/metrics`: a closed set of series, in a form that Prometheus takes.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::proxy::Proxy;
use crate::common::reply::Reply;
use crate::common::token;

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn word(&mut self) -> String {
        format!("w{:x}", self.below(1 << 30))
    }
}

/// A request that may be anything.
fn request(numbers: &mut Numbers, host: &str) -> (bool, String) {
    let method = match numbers.below(6) {
        0..=2 => "GET".to_owned(),
        3 => "HEAD".to_owned(),
        4 => "DELETE".to_owned(),
        _ => numbers.word().to_uppercase(),
    };
    let version = ["beta", "v1.0", "v9.9", "BETA"][usize::try_from(numbers.below(4)).unwrap()];
    let target = match numbers.below(4) {
        0 => format!("/{}/{}", numbers.word(), numbers.word()),
        1 => format!("/{version}/identity/b2xUserFlows/{}%2f/apiConnectorConfiguration", numbers.word()),
        2 => format!("/{version}/identity/b2xUserFlows/x/apiConnectorConfiguration?{}=1", numbers.word()),
        _ => format!("/{version}/identity/b2xUserFlows/{}/apiConnectorConfiguration", numbers.word()),
    };
    let token = match numbers.below(3) {
        0 => String::new(),
        1 => format!("authorization: Bearer {}\r\n", numbers.word()),
        _ => format!("authorization: Bearer {}\r\n", token::mint(&numbers.word())),
    };
    let agent = numbers.word();
    let head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\n{token}\r\n");
    (method == "HEAD", head)
}

async fn send(count: usize, numbers: &mut Numbers, proxy: &Proxy) {
    let mut client = Client::connect(proxy.data).await;
    for _ in 0..count {
        let (is_head, request) = request(numbers, &proxy.data.to_string());
        client.send(request).await.unwrap();
        let answer = if is_head { client.response_to_head().await } else { client.response().await };
        if answer.unwrap().header("connection") == Some("close") {
            client = Client::connect(proxy.data).await;
        }
    }
}

/// The names of all series, with their labels.
async fn series(proxy: &Proxy) -> BTreeSet<String> {
    let scrape = proxy.scrape().await;
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect()
}

/// `ODD_REQUESTS` sends more than ten thousand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f63_ten_thousand_odd_requests_make_no_new_series() {
    let count = std::env::var("ODD_REQUESTS").map_or(10_000, |count| count.parse().unwrap());
    let origin = OriginServer::start().await;
    origin.handle("", |request| {
        Reply::json("{}").status_of(if request.target.len() % 3 == 0 { 404 } else { 200 })
    });
    let proxy = Proxy::before(&origin.url()).await;
    let mut numbers = Numbers(1);
    let at_start = series(&proxy).await;
    send(1000, &mut numbers, &proxy).await;
    let before = series(&proxy).await;
    send(count - 1000, &mut numbers, &proxy).await;
    let after = series(&proxy).await;
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(after.len() < 500, "{} series", after.len());
    // A status or method that had not come before has its series made; nothing else has.
    let new: Vec<_> = after.difference(&at_start).collect();
    assert!(new.iter().all(|name| name.starts_with("connector_cache_requests_total{")), "{new:?}");
    proxy.stop().await;
}

#[tokio::test]
async fn prometheus_own_check_finds_nothing() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let proxy = Proxy::before(&origin.url()).await;
    assert_eq!(proxy.read(&token::mint("a")).await.status, 200);
    let scrape = proxy.scrape().await;
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match promtool {
        Err(error) => eprintln!("skipped: promtool cannot be run: {error}"),
        Ok(mut promtool) => {
            promtool.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
            let output = promtool.wait_with_output().unwrap();
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(output.status.success() && said.is_empty(), "{said}");
        }
    }
    proxy.stop().await;
}
