//! Sends spans to a collector: OTLP over HTTP, as JSON, some hundred at a time.
//!
//! It runs in a task of its own behind the queue of [`crate::observability::tracing_export`], and no request knows of it. A batch is sent once:
//! what the collector does not take is counted and gone, so a collector that is away costs no memory.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

mod json;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::observability::metrics::{Metrics, SpanResult};
use crate::observability::tracing_export::{Finished, Spans};
use crate::support::client_tls::{self, RootsError};

/// What sends spans.
#[derive(Debug)]
pub struct Exporter {
    spans: Spans,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    resource: json::Resource,
    metrics: Arc<Metrics>,
    /// Whether the collector took the last batch. Only a change is logged.
    taken: bool,
}

impl Exporter {
    /// Prepares to send `spans` to `endpoint`, whose path gets `/v1/traces` behind it. No connection is made yet, and
    /// no proxy of the environment is asked.
    pub fn new(endpoint: &Url, spans: Spans, metrics: Arc<Metrics>) -> Result<Self, RootsError> {
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(client_tls::platform_config(endpoint.scheme() == "https")?);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(PATIENCE));
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let base = endpoint.as_str().trim_end_matches('/');
        let uri = Uri::try_from(format!("{base}/v1/traces")).unwrap_or_default();
        Ok(Self { spans, client, uri, resource: json::Resource::new(), metrics, taken: true })
    }

    /// Sends until `stop` is cancelled, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(batch) = self.batch(&stop).await {
            self.send(&batch).await;
        }
    }

    /// The next spans: as many as there are when one has waited for a second. `None`: there are no more.
    async fn batch(&mut self, stop: &CancellationToken) -> Option<Vec<Finished>> {
        let mut batch = Vec::new();
        let fill = async {
            let first = receive(&mut self.spans, &mut batch).await;
            let full = async { while first && receive(&mut self.spans, &mut batch).await {} };
            tokio::select! { () = full => {}, () = sleep(DELAY) => {} }
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

    async fn send(&mut self, batch: &[Finished]) {
        let sent = timeout(PATIENCE, self.post(self.resource.body(batch))).await;
        let failure = sent.unwrap_or_else(|_| Err("no answer in time".to_owned())).err();
        let result = if failure.is_none() { SpanResult::Sent } else { SpanResult::Refused };
        self.metrics.spans.add(result, batch.len() as u64);
        match failure {
            Some(reason) if self.taken => tracing::warn!(%reason, "the collector takes no traces"),
            None if !self.taken => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        self.taken = result == SpanResult::Sent;
    }

    /// What is wrong, if it was not taken.
    async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let mut request =
            Request::post(&self.uri).body(Full::from(body)).map_err(|error| error.to_string())?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.client.request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        // Read to its end, so that the connection serves again. What it says does not matter.
        let _ = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
    }
}

/// Whether something came, and there is room for more.
async fn receive(spans: &mut Spans, batch: &mut Vec<Finished>) -> bool {
    let room = BATCH - batch.len();
    spans.recv_many(batch, room).await > 0 && batch.len() < BATCH
}

/// Spans in one request.
const BATCH: usize = 512;
/// How long a span may wait for others.
const DELAY: Duration = Duration::from_secs(1);
/// For one request to the collector, and its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of the collector's answer.
const ANSWER_BYTES: usize = 64 << 10;
