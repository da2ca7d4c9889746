//! Exporter of spans: OTLP over HTTP, JSON, in batches (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! One task reads the queue of the tracer and sends batches to the collector. While the collector does not respond,
//! the task holds one batch and the queue drops what it has no room for, so that memory stays bounded. A batch that the
//! collector does not accept is retried as the specification asks, and is then dropped and counted. A partial success is not
//! retried; its rejected spans are counted as refused.

mod environment;
mod json;
mod response;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::environment::Environment;
use self::json::ResourceAttributes;
use crate::observability::metrics::{Metrics, SpanResult};
use crate::observability::tracing_export::{FinishedSpan, SpanReceiver};
use crate::support::client_tls::{self, RootsError};

/// Sends spans to the collector.
#[derive(Debug)]
pub struct Exporter {
    spans: SpanReceiver,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    has_gzip: bool,
    resource: ResourceAttributes,
    metrics: Arc<Metrics>,
    /// True if the collector accepted the last batch. Only a change is logged.
    is_accepted: bool,
}

/// Failure to send a batch.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// No connection, or the connection ended before the response.
    #[error("{0}")]
    Transport(String),
    /// No response within [`REQUEST_TIMEOUT`].
    #[error("no response within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
    /// A response with another status than 2xx, and its `Retry-After`.
    #[error("status {}", .0.as_u16())]
    Status(StatusCode, Option<Duration>),
    /// A partial success: of so many spans, so many were rejected.
    #[error("{rejected} of {sent} spans rejected; the log of the collector has the reason")]
    Rejected { sent: usize, rejected: usize },
}

impl Exporter {
    /// Prepares to send `spans` to `endpoint` plus the path `/v1/traces`. Opens no connection yet.
    ///
    /// Header fields, resource attributes and compression come from the standard `OTEL_*` variables. A proxy that the
    /// environment names (`HTTPS_PROXY`) is not used.
    pub fn new(endpoint: &Url, spans: SpanReceiver, metrics: Arc<Metrics>) -> Result<Self, RootsError> {
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(client_tls::platform_config(endpoint.scheme() == "https")?);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(REQUEST_TIMEOUT));
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let base = endpoint.as_str().trim_end_matches('/');
        let uri = Uri::try_from(format!("{base}/v1/traces")).unwrap_or_default();
        let Environment { headers, has_gzip, resource } = Environment::read();
        let resource = ResourceAttributes::new(resource);
        Ok(Self { spans, client, uri, headers, has_gzip, resource, metrics, is_accepted: true })
    }

    /// Sends spans until `stop` is cancelled, and then those that are left.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(batch) = self.next_batch(&stop).await {
            self.send(&batch, &stop).await;
        }
    }

    /// Returns the spans that end within [`BATCH_DELAY`] after the first one, at most [`MAX_BATCH_SPANS`]. `None`: `stop`
    /// is cancelled and the queue is empty.
    async fn next_batch(&mut self, stop: &CancellationToken) -> Option<Vec<FinishedSpan>> {
        let mut batch = Vec::new();
        let fill = async {
            let has_first = receive(&mut self.spans, &mut batch).await;
            let full = async { while has_first && receive(&mut self.spans, &mut batch).await {} };
            tokio::select! { () = full => {}, () = sleep(BATCH_DELAY) => {} }
        };
        tokio::select! {
            () = fill => {}
            () = stop.cancelled() => {
                self.spans.close();
                while receive(&mut self.spans, &mut batch).await {}
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Sends a batch, with retries, and counts its spans. A cancelled `stop` ends the retries.
    async fn send(&mut self, batch: &[FinishedSpan], stop: &CancellationToken) {
        let body = self.render(batch);
        let mut sent = self.post(body.clone(), batch.len()).await;
        for delay in RETRY_DELAYS {
            let Err(error) = &sent else { break };
            let Some(least) = error.retry_after().filter(|_| !stop.is_cancelled()) else { break };
            tokio::select! { () = sleep(delay.max(least)) => {}, () = stop.cancelled() => {} }
            sent = self.post(body.clone(), batch.len()).await;
        }
        let refused = match &sent {
            Ok(()) => 0,
            Err(ExportError::Rejected { rejected, .. }) => *rejected,
            Err(_) => batch.len(),
        };
        self.metrics.spans.add(SpanResult::Refused, refused as u64);
        self.metrics.spans.add(SpanResult::Sent, (batch.len() - refused) as u64);
        match &sent {
            Err(reason) if self.is_accepted => tracing::warn!(%reason, "the collector does not accept spans"),
            Ok(()) if !self.is_accepted => tracing::info!("the collector accepts spans again"),
            _ => {}
        }
        self.is_accepted = sent.is_ok();
    }

    fn render(&self, batch: &[FinishedSpan]) -> Bytes {
        let json = self.resource.render(batch);
        if !self.has_gzip {
            return json.into();
        }
        let mut gzip = GzEncoder::new(Vec::with_capacity(json.len() / 8), Compression::fast());
        // Writing to memory does not fail.
        let _ = gzip.write_all(&json);
        gzip.finish().unwrap_or_default().into()
    }

    /// Sends a batch of `sent` spans once.
    async fn post(&self, body: Bytes, sent: usize) -> Result<(), ExportError> {
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.has_gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let exchange = async {
            let response = self.client.request(request).await;
            let (head, body) =
                response.map_err(|error| ExportError::Transport(error.to_string()))?.into_parts();
            // Read to its end also after a failure, so that the connection can be used again.
            let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
            if head.status.is_success() {
                // If the body is cut off or too long, the status counts.
                let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                return match response::rejected_spans(&body, sent) {
                    0 => Ok(()),
                    rejected => Err(ExportError::Rejected { sent, rejected }),
                };
            }
            Err(ExportError::Status(head.status, retry_after_field(&head.headers)))
        };
        timeout(REQUEST_TIMEOUT, exchange).await.unwrap_or(Err(ExportError::Timeout))
    }
}

impl ExportError {
    /// Returns the shortest time until a retry. `None`: a retry cannot succeed
    /// (<https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes>).
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transport(_) | Self::Timeout => Some(Duration::ZERO),
            Self::Rejected { .. } => None,
            Self::Status(status, wait) => {
                matches!(status.as_u16(), 429 | 502 | 503 | 504).then(|| wait.unwrap_or_default())
            }
        }
    }
}

/// Reads `Retry-After` in seconds, at most [`MAX_RETRY_AFTER`].
fn retry_after_field(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// Receives spans. Returns whether some came and the batch has room for more.
async fn receive(spans: &mut SpanReceiver, batch: &mut Vec<FinishedSpan>) -> bool {
    let capacity = MAX_BATCH_SPANS - batch.len();
    spans.recv_many(batch, capacity).await > 0 && batch.len() < MAX_BATCH_SPANS
}

/// Spans in one request.
const MAX_BATCH_SPANS: usize = 512;
/// Time that the first span of a batch waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// Time for one request to the collector and its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a response that are read.
const MAX_RESPONSE_BYTES: usize = 64 << 10;
/// Pauses before the retries of a batch.
const RETRY_DELAYS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Longest `Retry-After` that is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
