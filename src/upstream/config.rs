//! Configuration of the Graph client.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::forward_proxy::ForwardProxy;

/// Configuration of the Graph client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `graph.base_url`: scheme, host and port only; `http` only to a loopback address.
    pub base_url: Url,
    /// `graph.ca_file`: PEM root certificates in addition to the platform's.
    pub ca_file: Option<PathBuf>,
    /// `graph.connect_timeout`: limit for name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// `graph.first_byte_timeout`: limit for one attempt, until its response begins.
    pub first_byte_timeout: Duration,
    /// `graph.timeout`: limit for one request and its whole response, including a retry.
    pub timeout: Duration,
    /// `graph.max_body`: size of a response body, bytes, both as received and decoded.
    pub max_body: usize,
    /// `limits.origin_requests`: requests to Graph at one time; further requests wait. A quarter is reserved for proven
    /// tokens.
    pub in_flight: usize,
    /// `HTTPS_PROXY` or `ALL_PROXY` of the environment, unless `NO_PROXY` exempts Graph.
    pub proxy: Option<ForwardProxy>,
}

impl Default for Config {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "tests parse the constant")]
        let base_url = Url::parse(GLOBAL_CLOUD_URL).expect("the default base URL is valid");
        Self {
            base_url,
            ca_file: None,
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(8),
            timeout: Duration::from_secs(10),
            max_body: 1 << 20,
            in_flight: 256,
            proxy: None,
        }
    }
}

/// Graph of the global cloud; each national cloud has its own address.
const GLOBAL_CLOUD_URL: &str = "https://graph.microsoft.com";

/// Timeouts of one request to Graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// `graph.first_byte_timeout`: from the start of an attempt to the first byte of its response.
    pub first_byte: Duration,
    /// `graph.timeout`: the whole request with the wait for its permit and a retry.
    pub total: Duration,
}

impl Timeouts {
    /// Returns how long a request may wait for a permit or a paced turn: half of the total, so that the other half remains for
    /// Graph. A later permit would be useless, and the timeout would be attributed to Graph.
    pub fn permit(self) -> Duration {
        self.total / 2
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let Config { first_byte_timeout, timeout, .. } = Config::default();
        Self { first_byte: first_byte_timeout, total: timeout }
    }
}
