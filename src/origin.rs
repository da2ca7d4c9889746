//! One request to Graph.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// What the origin needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `graph.base_url`: scheme, host and port alone; `http` only to loopback.
    pub base_url: Url,
    /// `graph.ca_file`: PEM roots beside the platform's.
    pub ca_file: Option<PathBuf>,
    /// `graph.connect_timeout`: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// `graph.timeout`: one question and its whole answer, a retry included.
    pub timeout: Duration,
    /// `graph.max_body`: of the decoded body, bytes.
    pub max_body: usize,
    /// `limits.origin_requests`: under way at one time; more wait.
    pub in_flight: usize,
}

impl Default for Config {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a constant that a test parses")]
        let base_url = Url::parse(GRAPH).expect("the address of Graph is a URL");
        Self {
            base_url,
            ca_file: None,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            max_body: 1 << 20,
            in_flight: 256,
        }
    }
}

/// Graph in the global cloud.
const GRAPH: &str = "https://graph.microsoft.com";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_origin_is_graph_over_https() {
        assert_eq!(Config::default().base_url.as_str(), "https://graph.microsoft.com/");
    }
}
