//! Check of Graph for `check --connect`: connects as a request does, and sends one request without a token.

use std::error::Error;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderValue, Request, StatusCode, Uri, Version, header};
use http_body_util::Empty;
use tokio::time::{Instant, timeout};

use super::UpstreamFailure;
use super::config::Config;
use super::connector::{Connector, SetupError};
use super::error::classify_connect_error;
use super::error_chain::ErrorChain;
use super::pool::PoolConnector;
use super::request::{BaseAddress, USER_AGENT};
use crate::support::labels::Label;

/// Response of Graph to a request without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphReport {
    /// Status. Graph responds with 401.
    pub status: StatusCode,
    /// Version of HTTP.
    pub version: Version,
    /// Time for the name, TCP, the forward proxy and TLS.
    pub connect_time: Duration,
    /// The connection passes the forward proxy of the environment.
    pub is_proxied: bool,
}

/// Reason for which Graph cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum GraphProbeError {
    /// The root certificates cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Graph does not respond.
    #[error("{error}")]
    Failed {
        /// Reason, as the metrics and the log have it.
        reason: UpstreamFailure,
        /// Error with its sources.
        error: String,
    },
}

impl GraphProbeError {
    /// Returns the reason as a word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Setup(_) => "roots",
            Self::Failed { reason, .. } => reason.as_str(),
        }
    }
}

/// Connects to Graph, through the forward proxy of the environment if there is one, and sends one request without a token.
///
/// # Errors
/// [`GraphProbeError`] if no connection can be made, or there is no response.
pub async fn probe(config: &Config) -> Result<GraphReport, GraphProbeError> {
    let base = Uri::try_from(config.base_url.as_str()).unwrap_or_default();
    let connector = Connector::new(config)?;
    let started = Instant::now();
    // The reason of a failed connection is lost in the error of a request.
    let connection = connector.connect(base.clone()).await;
    connection.map_err(|error| {
        let reason = classify_connect_error(&*error);
        GraphProbeError::Failed { reason, error: ErrorChain(&*error).to_string() }
    })?;
    let connect_time = started.elapsed();
    let failed = |reason, error: String| GraphProbeError::Failed { reason, error };
    let unusable =
        |error: &(dyn Error + 'static)| failed(UpstreamFailure::Reset, ErrorChain(error).to_string());
    let connector = PoolConnector::new(connector, base.clone(), None);
    let responding = async {
        let mut connection = connector.connect_once().await.map_err(|error| unusable(&error))?;
        let mut request = Request::new(Empty::new());
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let target = PathAndQuery::from_static(TARGET);
        BaseAddress::new(base)
            .apply_to(&mut request, target, connection.protocol())
            .map_err(|error| failed(UpstreamFailure::Protocol, error.to_string()))?;
        connection.send(request).await.map_err(|error| unusable(&error))
    };
    let late = "no response began within graph.first_byte_timeout";
    let response = timeout(config.first_byte_timeout, responding)
        .await
        .map_err(|_| failed(UpstreamFailure::FirstByte, late.to_owned()))??;
    Ok(GraphReport {
        status: response.status(),
        version: response.version(),
        connect_time,
        is_proxied: config.proxy.is_some(),
    })
}

/// A path of the resource. Without a token, Graph responds with 401 before it looks for the flow.
const TARGET: &str = "/v1.0/identity/b2xUserFlows/check/apiConnectorConfiguration";
