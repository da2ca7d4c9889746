//! Requests that Graph accepts.

mod accept;
mod bodies;
mod fields;
mod flows;
mod refusals;
mod spelling;

use crate::common::client::{Client, Response};
use crate::common::origin::OriginServer;
use crate::common::proxy::Proxy;
use crate::common::reply::Reply;
use crate::common::token;

/// A proxy before an origin server that responds 200 to everything.
struct Setup {
    origin: OriginServer,
    proxy: Proxy,
}

impl Setup {
    async fn start() -> Self {
        let origin = OriginServer::start().await;
        origin.any(Reply::json(r#"{"postFederationSignup":{"displayName":"First"}}"#));
        let proxy = Proxy::before(&origin.url()).await;
        Self { origin, proxy }
    }

    /// Sends a GET of `target` with the token of `subject` and these fields, on a connection of its own.
    async fn get(&self, target: &str, subject: &str, fields: &[(&str, &str)]) -> Response {
        let authorization = bearer(subject);
        let fields = [&[("authorization", authorization.as_str())], fields].concat();
        Client::connect(self.proxy.data).await.get(target, &fields).await
    }

    /// Targets of the requests that reached the origin server.
    fn forwarded(&self) -> Vec<String> {
        self.origin.seen().into_iter().map(|request| request.target).collect()
    }

    async fn stop(self) {
        self.proxy.stop().await;
        self.origin.finish().await;
    }
}

fn bearer(subject: &str) -> String {
    format!("Bearer {}", token::mint(subject))
}

fn cache_status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("none")
}

/// The resource without options.
const PATH: &str = "/beta/identity/b2xUserFlows/B2X_1_testuserflow/apiConnectorConfiguration";
/// `Cache-Status` of a request that Graph answered and that is stored.
const STORED: &str = "connector-cache; fwd=uri-miss; fwd-status=200; stored";
/// `Cache-Status` of a hit, as long as the clock stands still.
const HIT: &str = "connector-cache; hit; ttl=300";
