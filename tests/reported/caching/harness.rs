//! Harness: the real proxy before an origin with scripted replies.

use std::time::Duration;

use connector_cache::cache::freshness::{ClientDirectives, FreshnessSource};
use connector_cache::config::Config;
use serde_json::json;

use crate::common::client::{self, Response};
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;
use crate::common::{token, within};

pub(super) struct Harness {
    pub(super) origin: OriginServer,
    pub(super) proxy: Proxy,
}

impl Harness {
    pub(super) async fn start(replies: impl Into<Vec<Reply>>) -> Self {
        Self::with(replies, |_| {}).await
    }

    /// Starts a proxy with `cache.freshness = "origin"` and `cache.client_directives = "honor"`.
    pub(super) async fn as_rfc(replies: impl Into<Vec<Reply>>) -> Self {
        Self::with(replies, as_rfc).await
    }

    pub(super) async fn with(replies: impl Into<Vec<Reply>>, change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        origin.any(replies);
        let proxy = Proxy::with(&origin.url(), change).await;
        Self { origin, proxy }
    }

    /// Sends a GET with the token of `ada`.
    pub(super) async fn get(&self, headers: &[(&str, &str)]) -> Response {
        self.get_as("ada", headers).await
    }

    pub(super) async fn get_as(&self, user: &str, headers: &[(&str, &str)]) -> Response {
        self.get_with(&token::mint(user), headers).await
    }

    pub(super) async fn get_with(&self, token: &str, headers: &[(&str, &str)]) -> Response {
        let authorization = format!("Bearer {token}");
        let headers = [&[("authorization", authorization.as_str())], headers].concat();
        client::get(self.proxy.data, &path(FLOW), &headers).await
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.proxy.clock.advance(Duration::from_secs(seconds));
    }

    /// Returns when this many requests of callers are in flight.
    pub(super) async fn wait_for_in_flight(&self, count: i64) {
        within("the requests of callers", async {
            while self.proxy.metrics.in_flight() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(super) async fn stop(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }
}

pub(super) fn as_rfc(config: &mut Config) {
    config.freshness.freshness = FreshnessSource::Origin;
    config.freshness.client_directives = ClientDirectives::Honor;
}

/// Returns a 200 whose connector has this name.
pub(super) fn ok(name: &str) -> Reply {
    Reply::json(json!({ "postFederationSignup": { "id": "1", "displayName": name } }).to_string())
}

/// Returns the name of the connector in a response; empty in an error response.
pub(super) fn name(response: &Response) -> String {
    response.json()["postFederationSignup"]["displayName"].as_str().unwrap_or_default().to_owned()
}

/// Returns `Cache-Status` without the name of the cache.
pub(super) fn cache_status(response: &Response) -> &str {
    let field = response.header("cache-status").unwrap_or_default();
    field.strip_prefix("connector-cache; ").unwrap_or(field)
}

/// Returns the `max-age` of a response.
pub(super) fn max_age(response: &Response) -> Option<u64> {
    response.header("cache-control")?.strip_prefix("private, max-age=")?.parse().ok()
}

/// Returns the `Age` of a response.
pub(super) fn age(response: &Response) -> Option<u64> {
    response.header("age")?.parse().ok()
}

pub(super) const FLOW: &str = "B2X_1_x";
pub(super) const REFRESH: (&str, &str) = ("connector-cache", "refresh");
pub(super) const NO_CACHE: (&str, &str) = ("cache-control", "no-cache");
