//! The real proxy before an origin that says what a test wants it to say.

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

pub(crate) struct Bench {
    pub(crate) origin: OriginServer,
    pub(crate) proxy: Proxy,
}

impl Bench {
    /// The built-in defaults.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// `cache.freshness = "origin"`.
    pub(crate) async fn of_the_origin() -> Self {
        Self::with(|config| config.freshness.freshness = FreshnessSource::Origin).await
    }

    /// `cache.client_directives = "honor"`.
    pub(crate) async fn of_the_client() -> Self {
        Self::with(|config| config.freshness.client_directives = ClientDirectives::Honor).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let origin = OriginServer::start().await;
        origin.any(ok());
        let proxy = Proxy::with(&origin.url(), change).await;
        Self { origin, proxy }
    }

    /// What the origin says from now on.
    pub(crate) fn answers(&self, replies: impl Into<Vec<Reply>>) {
        self.origin.any(replies);
    }

    /// A GET of Ada's.
    pub(crate) async fn get(&self, headers: &[(&str, &str)]) -> Response {
        self.get_as("ada", headers).await
    }

    pub(crate) async fn get_as(&self, user: &str, headers: &[(&str, &str)]) -> Response {
        let authorization = bearer(user);
        let headers = [&[("authorization", authorization.as_str())], headers].concat();
        client::get(self.proxy.data, &path(FLOW), &headers).await
    }

    /// A GET with these fields alone.
    pub(crate) async fn get_with(&self, headers: &[(&str, &str)]) -> Response {
        client::get(self.proxy.data, &path(FLOW), headers).await
    }

    /// An operator drops everything.
    pub(crate) async fn purge(&self) {
        let request = format!("DELETE /cache HTTP/1.1\r\nhost: {}\r\n\r\n", self.proxy.admin);
        assert_eq!(client::exchange(self.proxy.admin, request).await.unwrap().status, 200);
    }

    /// What the cache says of a GET of Ada's.
    pub(crate) async fn says(&self, headers: &[(&str, &str)]) -> String {
        said(&self.get(headers).await)
    }

    /// These lines as one head, with `$path`, `$host` and `$token` filled in, and the first answer.
    pub(crate) async fn exchange(&self, lines: &[&str]) -> Response {
        let text = lines.join("\r\n") + "\r\n\r\n";
        client::exchange(self.proxy.data, self.fill(&text)).await.unwrap()
    }

    /// `text` with `$path`, `$host` and `$token` filled in.
    pub(crate) fn fill(&self, text: &str) -> String {
        let host = self.proxy.data.to_string();
        text.replace("$path", &path(FLOW)).replace("$host", &host).replace("$token", &token("ada"))
    }

    pub(crate) async fn stop(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }
}

/// `Cache-Status`, without our name.
pub(crate) fn said(response: &Response) -> String {
    let said = response.header("cache-status").unwrap_or_default();
    said.strip_prefix("connector-cache; ").unwrap_or(said).to_owned()
}

/// A 200 that may be stored.
pub(crate) fn ok() -> Reply {
    named("First")
}

/// A 200 whose connector has this name.
pub(crate) fn named(name: &str) -> Reply {
    let connector = json!({ "id": "1", "displayName": name, "authenticationConfiguration": {
        "@odata.type": "#microsoft.graph.basicAuthentication", "username": "user", "password": SECRET } });
    Reply::json(json!({ "postFederationSignup": connector }).to_string())
}

/// The name of the connector in an answer.
pub(crate) fn name(response: &Response) -> String {
    response.json()["postFederationSignup"]["displayName"].as_str().unwrap_or_default().to_owned()
}

/// A token of two hours that only an origin like this one believes.
pub(crate) fn token(user: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    // The hour is rounded, so that all tokens of one user in one test are one.
    let exp = (now.as_secs() / 3600 + 3) * 3600;
    let claims = json!({ "tid": "t", "oid": user, "appid": "a", "scp": "s", "exp": exp }).to_string();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

/// Another token of the same user, of six hours.
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
/// What the origin's connector signs in with.
pub(crate) const SECRET: &str = "planted-password";
