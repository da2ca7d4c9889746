//! Test harness: the proxy with a faulty origin server, and the checks after each fault.

use std::time::Duration;

use connector_cache::config::Config;
use connector_cache::scrub::ScrubFailure;
use connector_cache::support::labels::Label;
use connector_cache::upstream::UpstreamFailure;

use crate::common::client::{Client, Response};
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::token;

/// An origin server, a proxy, and a connection of a caller.
pub(crate) struct Harness {
    pub(crate) origin: OriginServer,
    pub(crate) proxy: Proxy,
    client: Client,
    /// Each request has another subject, so that no other response can serve it.
    subjects: usize,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts a proxy with changed defaults.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        Self::before(origin, change).await
    }

    /// Starts a proxy before this origin server.
    pub(crate) async fn before(origin: OriginServer, change: impl FnOnce(&mut Config)) -> Self {
        let proxy = Proxy::with(&origin.url(), change).await;
        let client = Client::connect(proxy.data).await;
        Self { origin, proxy, client, subjects: 0 }
    }

    /// Sends a request of a new subject on the caller's connection.
    pub(crate) async fn get(&mut self) -> Response {
        self.subjects += 1;
        self.get_again().await
    }

    /// Sends a request of the same subject as before.
    pub(crate) async fn get_again(&mut self) -> Response {
        self.get_during(async |_, _| ()).await
    }

    /// Sends a request of the same subject as before, and plays `events` at the same time.
    pub(crate) async fn get_during(&mut self, events: impl AsyncFnOnce(&OriginServer, &Proxy)) -> Response {
        let token = token::mint_for(&format!("subject-{}", self.subjects), TOKEN_LIFETIME);
        let authorization = format!("Bearer {token}");
        let (path, headers) = (path(FLOW), [("authorization", &*authorization)]);
        tokio::join!(self.client.get(&path, &headers), events(&self.origin, &self.proxy)).0
    }

    /// Plays the replies to one request and expects an upstream error.
    pub(crate) async fn fails(
        &mut self,
        replies: impl Into<Vec<Reply>>,
        status: u16,
        fault: UpstreamFailure,
    ) -> Response {
        let before = self.faults();
        self.origin.any(replies);
        let response = self.get().await;
        let expected = format!("connector-cache; fwd=uri-miss; detail={fault}");
        assert_eq!(
            (response.status, cache_status(&response)),
            (status, expected.as_str()),
            "{}",
            response.text()
        );
        self.assert_counted(&before, fault);
        self.assert_is_proxy_error(&response);
        self.recovers().await;
        response
    }

    /// Answers 200 with this body and expects that it does not pass.
    pub(crate) async fn unscrubbable(&mut self, body: impl Into<Vec<u8>>, failure: ScrubFailure) -> Response {
        let (before, failures) = (self.faults(), self.proxy.metrics.scrub_failures.get(failure));
        self.origin.any(Reply::json(body));
        let response = self.get().await;
        let expected = format!("connector-cache; fwd=uri-miss; detail={failure}");
        assert_eq!(
            (response.status, cache_status(&response)),
            (502, expected.as_str()),
            "{}",
            response.text()
        );
        self.assert_counted(&before, UpstreamFailure::Unscrubbable);
        assert_eq!(self.proxy.metrics.scrub_failures.get(failure), failures + 1);
        self.assert_is_proxy_error(&response);
        self.recovers().await;
        response
    }

    /// Plays the replies to one request and expects a 200.
    pub(crate) async fn passes(&mut self, replies: impl Into<Vec<Reply>>) -> Response {
        let before = self.faults();
        self.origin.any(replies);
        let response = self.get().await;
        assert_eq!((response.status, cache_status(&response)), (200, STORED), "{}", response.text());
        assert_eq!(self.faults(), before);
        response
    }

    /// Asserts that nothing was stored for the last subject, and that the caller's connection still works.
    pub(crate) async fn recovers(&mut self) {
        let requests = self.origin.requests();
        self.origin.any(ok());
        let response = self.get_again().await;
        assert_eq!((response.status, cache_status(&response)), (200, STORED), "{}", response.text());
        assert_eq!(response.text(), BODY);
        assert_eq!(self.origin.requests(), requests + 1, "the request went to the origin");
    }

    /// Stops proxy and origin server, and raises their failures.
    pub(crate) async fn stop(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }

    /// Returns the count of each kind of failure.
    pub(crate) fn faults(&self) -> Vec<u64> {
        UpstreamFailure::ALL.iter().map(|fault| self.proxy.upstream_metrics.errors.get(*fault)).collect()
    }

    /// Asserts that the count of this kind is one more than `before`, and that all others are unchanged.
    pub(crate) fn assert_counted(&self, before: &[u64], fault: UpstreamFailure) {
        for (&kind, (was, is)) in UpstreamFailure::ALL.iter().zip(before.iter().zip(self.faults())) {
            assert_eq!(is - was, u64::from(kind == fault), "origin_errors_total, reason {kind}");
        }
    }

    /// Asserts that the response is the proxy's own: in Graph's format, without any text of the origin server.
    fn assert_is_proxy_error(&self, response: &Response) {
        assert!(response.json()["error"]["code"].is_string(), "{}", response.text());
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("content-type"), Some("application/json"));
        let text = format!("{response:?} {}", response.text());
        for word in [CANARY, "Scripted", &self.origin.address().port().to_string()] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
}

/// Returns a 200 with [`BODY`].
pub(crate) fn ok() -> Reply {
    Reply::json(BODY)
}

/// Returns `Cache-Status` (RFC 9211).
pub(crate) fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

/// `Cache-Status` of a miss that was stored.
pub(crate) const STORED: &str = "connector-cache; fwd=uri-miss; fwd-status=200; stored";
/// A response that the scrubber does not change.
pub(crate) const BODY: &str = r#"{"postFederationSignup":null,"postAttributeCollection":null}"#;
/// Text in every part that must not be passed on.
pub(crate) const CANARY: &str = "hunter2-canary";
const FLOW: &str = "B2X_1_x";
/// Lifetime of tokens: longer than any test, with any `Date` of Graph.
const TOKEN_LIFETIME: Duration = Duration::from_hours(8);
