//! The proxy before a scripted Graph, one caller for each request.

use connector_cache::config::Config;

use crate::common::client::{Client, Response};
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::token;

pub(super) struct Harness {
    pub(super) origin: OriginServer,
    pub(super) proxy: Proxy,
    client: Client,
    subjects: usize,
}

impl Harness {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts a proxy with changed defaults.
    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        let proxy = Proxy::with(&origin.url(), change).await;
        let client = Client::connect(proxy.data).await;
        Self { origin, proxy, client, subjects: 0 }
    }

    /// Plays a reply to the request of a new subject.
    pub(super) async fn play(&mut self, reply: Reply) -> Response {
        self.origin.any(reply);
        self.subjects += 1;
        self.again().await
    }

    /// Sends a request of the same subject as before.
    pub(super) async fn again(&mut self) -> Response {
        let authorization = self.authorization();
        self.client.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await
    }

    /// Sends a HEAD request of the same subject as before.
    pub(super) async fn head(&mut self) -> Response {
        let (path, authorization) = (path("B2X_1_x"), self.authorization());
        let head = format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\n\r\n");
        self.client.send(head).await.unwrap();
        self.client.response_to_head().await.unwrap()
    }

    /// Plays a 200 with this body, and expects the same body and nothing masked.
    pub(super) async fn passes_unchanged(&mut self, body: &str) {
        let before = self.masked().await;
        let response = self.play(Reply::json(body)).await;
        assert_eq!((response.status, response.text()), (200, body));
        assert_eq!(self.masked().await, before, "{body}");
    }

    /// Plays a 200 with a body, and expects another one.
    pub(super) async fn becomes(&mut self, body: &str, expected: &str) {
        let response = self.play(Reply::json(body)).await;
        assert_eq!((response.status, response.text()), (200, expected));
    }

    /// Returns the number of masked values, of all fields.
    async fn masked(&self) -> u64 {
        let scrape = self.proxy.scrape().await;
        let values = scrape.lines().filter_map(|line| {
            line.strip_prefix("connector_cache_scrubbed_total{")?.rsplit(' ').next()?.parse::<u64>().ok()
        });
        values.sum()
    }

    pub(super) async fn stop(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", token::mint(&format!("subject-{}", self.subjects)))
    }
}

/// Returns `Cache-Status` (RFC 9211).
pub(super) fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

/// A response that the scrubber does not change.
pub(super) const BODY: &str = r#"{"postFederationSignup":null,"postAttributeCollection":null}"#;
