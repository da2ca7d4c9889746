//! The proxy with a faulty origin server, and the checks after each fault.

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
pub(crate) struct Stage {
    pub(crate) origin: OriginServer,
    pub(crate) proxy: Proxy,
    client: Client,
    /// Each request has another subject, so that no other response can serve it.
    subjects: usize,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::with(|_| {}).await
    }

    /// With the proxy's defaults changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        Self::before(origin, change).await
    }

    /// With this origin server.
    pub(crate) async fn before(origin: OriginServer, change: impl FnOnce(&mut Config)) -> Self {
        let proxy = Proxy::with(&origin.url(), change).await;
        let client = Client::connect(proxy.data).await;
        Self { origin, proxy, client, subjects: 0 }
    }

    /// Sends a request of a new subject on the caller's connection.
    pub(crate) async fn ask(&mut self) -> Response {
        self.subjects += 1;
        self.ask_again().await
    }

    /// Sends a request of the same subject as before.
    pub(crate) async fn ask_again(&mut self) -> Response {
        let token = token::mint_for(&format!("subject-{}", self.subjects), A_DAY_AT_WORK);
        let authorization = format!("Bearer {token}");
        self.client.get(&path(FLOW), &[("authorization", &authorization)]).await
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
        let answer = self.ask().await;
        let said = format!("connector-cache; fwd=uri-miss; detail={fault}");
        assert_eq!((answer.status, cache_status(&answer)), (status, said.as_str()), "{}", answer.text());
        self.counted(&before, fault);
        self.is_ours(&answer);
        self.recovers().await;
        answer
    }

    /// Answers 200 with this body and expects that it does not pass.
    pub(crate) async fn unscrubbable(&mut self, body: impl Into<Vec<u8>>, failure: ScrubFailure) -> Response {
        let (before, failures) = (self.faults(), self.proxy.metrics.scrub_failures.get(failure));
        self.origin.any(Reply::json(body));
        let answer = self.ask().await;
        let said = format!("connector-cache; fwd=uri-miss; detail={failure}");
        assert_eq!((answer.status, cache_status(&answer)), (502, said.as_str()), "{}", answer.text());
        self.counted(&before, UpstreamFailure::Unscrubbable);
        assert_eq!(self.proxy.metrics.scrub_failures.get(failure), failures + 1);
        self.is_ours(&answer);
        self.recovers().await;
        answer
    }

    /// Plays the replies to one request and expects a 200.
    pub(crate) async fn passes(&mut self, replies: impl Into<Vec<Reply>>) -> Response {
        let before = self.faults();
        self.origin.any(replies);
        let answer = self.ask().await;
        assert_eq!((answer.status, cache_status(&answer)), (200, STORED), "{}", answer.text());
        assert_eq!(self.faults(), before);
        answer
    }

    /// Asserts that nothing was stored for the last subject, and that the caller's connection still works.
    pub(crate) async fn recovers(&mut self) {
        let asked = self.origin.requests();
        self.origin.any(sound());
        let answer = self.ask_again().await;
        assert_eq!((answer.status, cache_status(&answer)), (200, STORED), "{}", answer.text());
        assert_eq!(answer.text(), BODY);
        assert_eq!(self.origin.requests(), asked + 1, "the question went to the origin");
    }

    /// Stops proxy and origin server, and raises their failures.
    pub(crate) async fn clear(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }

    /// The count of each kind of fault.
    pub(crate) fn faults(&self) -> Vec<u64> {
        UpstreamFailure::ALL.iter().map(|fault| self.proxy.upstream_metrics.errors.get(*fault)).collect()
    }

    /// One more of this kind than `before`, and no more of any other.
    pub(crate) fn counted(&self, before: &[u64], fault: UpstreamFailure) {
        for (&kind, (was, is)) in UpstreamFailure::ALL.iter().zip(before.iter().zip(self.faults())) {
            assert_eq!(is - was, u64::from(kind == fault), "origin_errors_total, reason {kind}");
        }
    }

    /// Asserts that the response is the proxy's own: in Graph's format, without any text of the origin server.
    fn is_ours(&self, answer: &Response) {
        assert!(answer.json()["error"]["code"].is_string(), "{}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let said = format!("{answer:?} {}", answer.text());
        for word in [CANARY, "Scripted", &self.origin.address().port().to_string()] {
            assert!(!said.contains(word), "{word} in {said}");
        }
    }
}

/// A 200 with [`BODY`].
pub(crate) fn sound() -> Reply {
    Reply::json(BODY)
}

/// The field of RFC 9211.
pub(crate) fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

/// `Cache-Status` of a miss that was stored.
pub(crate) const STORED: &str = "connector-cache; fwd=uri-miss; fwd-status=200; stored";
/// An answer that the scrubber does not change.
pub(crate) const BODY: &str = r#"{"postFederationSignup":null,"postAttributeCollection":null}"#;
/// Text in all parts that must not be passed on.
pub(crate) const CANARY: &str = "hunter2-canary";
const FLOW: &str = "B2X_1_x";
/// Longer than any test, whatever the `Date` of Graph.
const A_DAY_AT_WORK: Duration = Duration::from_hours(8);
