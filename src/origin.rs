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
