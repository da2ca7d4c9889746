//! Test harness: the real proxy before an origin server with scripted replies.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_cache::cache::freshness::{ClientDirectives, FreshnessSource};
use connector_cache::config::Config;
use serde_json::json;

use crate::common::client::{self, Response};
use crate::common::origin::OriginServer;
use crate::common::proxy::{Proxy, path};
use crate::common::reply::Reply;

pub(crate) struct Harness {
    pub(crate) origin: OriginServer,
    pub(crate) proxy: Proxy,
}

impl Harness {
    /// Starts a proxy with the built-in defaults.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts a proxy with `cache.freshness = "origin"`.
    pub(crate) async fn with_origin_freshness() -> Self {
        Self::with(|config| config.freshness.freshness = FreshnessSource::Origin).await
    }

    /// Starts a proxy with `cache.client_directives = "honor"`.
    pub(crate) async fn with_client_directives() -> Self {
        Self::with(|config| config.freshness.client_directives = ClientDirectives::Honor).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        origin.any(ok());
        let proxy = Proxy::with(&origin.url(), change).await;
        Self { origin, proxy }
    }

    /// Sets the replies of the origin from now on.
    pub(crate) fn set_replies(&self, replies: impl Into<Vec<Reply>>) {
        self.origin.any(replies);
    }

    /// Sends a GET with the token of the user `ada`.
    pub(crate) async fn get(&self, headers: &[(&str, &str)]) -> Response {
        self.get_as("ada", headers).await
    }

    pub(crate) async fn get_as(&self, user: &str, headers: &[(&str, &str)]) -> Response {
        let authorization = bearer(user);
        let headers = [&[("authorization", authorization.as_str())], headers].concat();
        client::get(self.proxy.data, &path(FLOW), &headers).await
    }

    /// Sends a GET with these fields and no token.
    pub(crate) async fn get_with(&self, headers: &[(&str, &str)]) -> Response {
        client::get(self.proxy.data, &path(FLOW), headers).await
    }

    /// Purges the whole cache through the admin port.
    pub(crate) async fn purge(&self) {
        let request = format!("DELETE /cache HTTP/1.1\r\nhost: {}\r\n\r\n", self.proxy.admin);
        assert_eq!(client::exchange(self.proxy.admin, request).await.unwrap().status, 200);
    }

    /// Sends a GET with the token of `ada`. Returns `Cache-Status` without the name of the cache.
    pub(crate) async fn cache_status(&self, headers: &[(&str, &str)]) -> String {
        cache_status_of(&self.get(headers).await)
    }

    /// Sends these lines as one head, with `$path`, `$host` and `$token` replaced. Returns the first response.
    pub(crate) async fn exchange(&self, lines: &[&str]) -> Response {
        let text = lines.join("\r\n") + "\r\n\r\n";
        client::exchange(self.proxy.data, self.fill(&text)).await.unwrap()
    }

    /// Returns `text` with `$path`, `$host` and `$token` replaced.
    pub(crate) fn fill(&self, text: &str) -> String {
        let host = self.proxy.data.to_string();
        text.replace("$path", &path(FLOW)).replace("$host", &host).replace("$token", &token("ada"))
    }

    pub(crate) async fn stop(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }
}

/// Returns `Cache-Status` without the name of the cache.
pub(crate) fn cache_status_of(response: &Response) -> String {
    let field = response.header("cache-status").unwrap_or_default();
    field.strip_prefix("connector-cache; ").unwrap_or(field).to_owned()
}

/// Returns a 200 that may be stored.
pub(crate) fn ok() -> Reply {
    ok_named("First")
}

/// Returns a 200 whose connector has this name.
pub(crate) fn ok_named(name: &str) -> Reply {
    let connector = json!({ "id": "1", "displayName": name, "authenticationConfiguration": {
        "@odata.type": "#microsoft.graph.basicAuthentication", "username": "user", "password": SECRET } });
    Reply::json(json!({ "postFederationSignup": connector }).to_string())
}

/// Returns the name of the connector in a response.
pub(crate) fn connector_name(response: &Response) -> String {
    response.json()["postFederationSignup"]["displayName"].as_str().unwrap_or_default().to_owned()
}

/// Returns a token that is valid for two hours. Only a scripted origin accepts it.
pub(crate) fn token(user: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    // The hour is rounded, so that all tokens of one user in one test are equal.
    let exp = (now.as_secs() / 3600 + 3) * 3600;
    let claims = json!({ "tid": "t", "oid": user, "appid": "a", "scp": "s", "exp": exp }).to_string();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

/// Returns the `Authorization` of another token of the same user, valid for six hours.
pub(crate) fn bearer_of(user: &str, id: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let exp = (now.as_secs() / 3600 + 7) * 3600;
    let claims = json!({ "tid": "t", "oid": user, "appid": "a", "scp": "s", "uti": id, "exp": exp });
    format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

pub(crate) fn bearer(user: &str) -> String {
    format!("Bearer {}", token(user))
}

pub(crate) const FLOW: &str = "B2X_1_x";
pub(crate) const STORED: &str = "fwd=uri-miss; fwd-status=200; stored";
/// Password in the connector of the origin's replies.
pub(crate) const SECRET: &str = "planted-password";
