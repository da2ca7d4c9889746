//! Graph client: sends one request, with one retry where HTTP allows it, and receives the response.

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{StatusCode, Uri};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::body::BodyLimits;
use super::body_workers::BodyWorkers;
use super::config::{Config, Timeouts};
use super::connector::{Connector, SetupError};
use super::error::{AttemptError, classify_attempt};
use super::interim::limit_interim_responses;
use super::permits::{UpstreamPermit, UpstreamPermits};
use super::pool::{HttpClient, Pool, PoolConnector, StreamSlot, build_client};
use super::preconnect::Preconnect;
use super::request::{GraphRequest, build_request};
use super::response::{UpstreamResponse, receive};
use super::reuse::ReuseGuard;
use super::stream_limit::LastStreamLimit;
use crate::auth::Token;
use crate::cache::conditional::Validators;
use crate::http::ids::Ids;
use crate::observability::tracing_export::{AttemptSpan, Tracer};
use crate::resource::Resource;
use crate::support::byte_budget::ByteBudget;
use crate::support::labels::Label;
use crate::upstream::Retry;
use crate::upstream::metrics::UpstreamMetrics;
use crate::upstream::{RequestError, UpstreamFailure};

/// Client of Graph, with its connection pools.
#[derive(Debug)]
pub struct GraphClient {
    pool: RwLock<Arc<Pool>>,
    /// Makes new connections, and never hands out the preconnected one.
    connector: Connector,
    preconnect: Arc<Preconnect>,
    connect_timeout: Duration,
    /// Opens a new connection for each request: if one connection of the pool was stale, the next may be stale as well.
    unpooled: HttpClient,
    base: Uri,
    permits: UpstreamPermits,
    max_body: usize,
    byte_budget: ByteBudget,
    body_workers: BodyWorkers,
    metrics: Arc<UpstreamMetrics>,
    tracer: Tracer,
}

/// Request to Graph.
#[derive(Clone, Copy, Debug)]
pub struct GraphCall<'a> {
    /// Resource.
    pub resource: &'a Resource,
    /// Token of the caller.
    pub token: &'a Token,
    /// Ids for correlation.
    pub ids: &'a Ids,
    /// Validators of a stored response: Graph may respond with 304.
    pub condition: Option<&'a Validators>,
    /// Client address that the body is charged to.
    pub owner: IpAddr,
    /// Timeouts.
    pub timeouts: Timeouts,
}

/// Head of a response.
struct ResponseHead<'a> {
    response: http::Response<Incoming>,
    /// Start of the attempt.
    started: Instant,
    span: AttemptSpan,
    /// Held until the body is received.
    client: AttemptClient<'a>,
}

/// Client of one attempt.
enum AttemptClient<'a> {
    /// A client of the pool, with one of its streams.
    Pooled(StreamSlot),
    Unpooled(&'a HttpClient),
}

impl AttemptClient<'_> {
    fn client(&self) -> &HttpClient {
        match self {
            Self::Pooled(slot) => slot,
            Self::Unpooled(client) => client,
        }
    }
}

impl GraphClient {
    /// Creates a client with an empty pool. The environment's `HTTPS_PROXY` and `NO_PROXY` apply.
    ///
    /// # Errors
    /// [`SetupError`] if there are no usable root certificates or the proxy URL is not supported.
    pub fn new(
        config: &Config,
        permits: UpstreamPermits,
        byte_budget: ByteBudget,
        metrics: Arc<UpstreamMetrics>,
    ) -> Result<Self, SetupError> {
        let base = Uri::try_from(config.base_url.as_str()).unwrap_or_default();
        let (connector, preconnect) = (Connector::new(config)?, Arc::<Preconnect>::default());
        let pooled = PoolConnector::new(connector.clone(), Some(Arc::clone(&preconnect)));
        let is_https = config.base_url.scheme() == "https";
        let last_limit = if is_https { LastStreamLimit::default() } else { LastStreamLimit::unlimited() };
        Ok(Self {
            pool: RwLock::new(Pool::new(pooled, config.in_flight, last_limit).into()),
            unpooled: build_client(PoolConnector::new(connector.clone(), None), 0),
            connector,
            preconnect,
            connect_timeout: config.connect_timeout,
            base,
            permits,
            max_body: config.max_body,
            byte_budget,
            body_workers: BodyWorkers::default(),
            metrics,
            tracer: Tracer::default(),
        })
    }

    /// Returns the metrics of requests to Graph.
    pub fn metrics(&self) -> &Arc<UpstreamMetrics> {
        &self.metrics
    }

    /// Returns the byte budget that response bodies are charged to.
    pub fn byte_budget(&self) -> &ByteBudget {
        &self.byte_budget
    }

    /// Returns the threads for work on large bodies.
    pub fn body_workers(&self) -> &BodyWorkers {
        &self.body_workers
    }

    /// Records each attempt as a span of `tracer`.
    #[must_use]
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Returns the permits for requests to Graph.
    pub fn permits(&self) -> &UpstreamPermits {
        &self.permits
    }

    /// Sends a request. `graph.timeout` includes the wait for the permit.
    ///
    /// # Errors
    /// [`RequestError`] if Graph cannot be reached, or its response is late, malformed, too large or a redirect.
    pub async fn send(
        &self,
        permit: UpstreamPermit,
        call: &GraphCall<'_>,
    ) -> Result<UpstreamResponse, RequestError> {
        let GraphCall { resource, token, ids, condition, owner, timeouts } = *call;
        self.preconnect.record_request();
        let deadline = permit.requested_at + timeouts.total;
        let pool = Arc::clone(&self.pool.read().unwrap_or_else(PoisonError::into_inner));
        let (pooled, pool_is_stale) = (pool.local(), AtomicBool::new(false));
        // The wait for a stream counts as time of this process: the timeout of the first byte starts afterwards.
        let acquire_stream = async || AttemptClient::Pooled(pooled.acquire(self.connect_timeout).await);
        let build = |span: &AttemptSpan| build_request(&self.base, resource, token, ids, span.span_id());
        let span = self.tracer.start_attempt_span(ids, resource.kind(), false);
        let first = build(&span).map(|mut request| {
            condition.inspect(|condition| condition.apply_to(request.headers_mut()));
            request
        });
        // Each attempt ends at the deadline.
        let times = (timeouts.first_byte, deadline, &pool_is_stale);
        let received = match self.attempt(acquire_stream().await, times, (first, span), condition).await {
            Err(AttemptError::Retryable(reason)) => {
                self.metrics.retries.inc(reason);
                let client = match reason {
                    Retry::StaleConnection => AttemptClient::Unpooled(&self.unpooled),
                    Retry::RefusedStream | Retry::OtherRepresentation => acquire_stream().await,
                };
                let span = self.tracer.start_attempt_span(ids, resource.kind(), true);
                let second = (build(&span), span);
                self.attempt(client, times, second, None).await
            }
            first => first,
        };
        let result = match received.map_err(AttemptError::into_failure) {
            Ok(ResponseHead { response, started, mut span, client: _client }) => {
                let limits = BodyLimits {
                    max_bytes: self.max_body,
                    budget: &self.byte_budget,
                    owner,
                    workers: &self.body_workers,
                    share: permit.share(),
                };
                let response = receive(response, deadline, &limits, &self.metrics).await;
                self.metrics.duration.observe(started.elapsed(), span.trace_id());
                if let Err(failure) = &response {
                    span.record_failure(failure.as_str());
                }
                response
            }
            Err(failure) => Err(failure),
        };
        if pool_is_stale.into_inner() {
            self.replace_pool(&pool);
        }
        result.map_err(|failure| {
            self.metrics.errors.inc(failure);
            RequestError::Failed(failure)
        })
    }

    /// Keeps one connection prepared for the first request, and for the first request after an idle time. Runs until the
    /// future is dropped.
    pub async fn keep_preconnected(&self) {
        self.preconnect.run(self.connector.clone(), &self.base).await;
    }

    /// Replaces a pool in which a connection died silently: its other connections may be dead as well, and each of them
    /// would delay a request until its timeout. Requests on the old pool keep their connections.
    fn replace_pool(&self, old: &Pool) {
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if pool.generation == old.generation {
            self.preconnect.clear();
            let pooled = PoolConnector::new(self.connector.clone(), Some(Arc::clone(&self.preconnect)));
            *pool = old.successor(pooled).into();
        }
    }

    /// Sends a request and waits for the head of the response. A 304 is accepted only if it matches `condition`.
    async fn attempt<'a>(
        &self,
        client: AttemptClient<'a>,
        (first_byte_timeout, deadline, pool_is_stale): (Duration, Instant, &AtomicBool),
        (request, mut span): (Option<GraphRequest>, AttemptSpan),
        condition: Option<&Validators>,
    ) -> Result<ResponseHead<'a>, AttemptError> {
        let started = Instant::now();
        let mut request = request.ok_or(AttemptError::Final(UpstreamFailure::Protocol))?;
        let (head_deadline, timeout_failure) = match started + first_byte_timeout {
            first_byte if first_byte < deadline => (first_byte, UpstreamFailure::FirstByte),
            _ => (deadline, UpstreamFailure::Timeout),
        };
        let mut reuse = ReuseGuard::new(&mut request, head_deadline, pool_is_stale);
        let too_many_interim = limit_interim_responses(&mut request);
        let response = tokio::select! {
            biased;
            () = too_many_interim => Err(AttemptError::Final(UpstreamFailure::Protocol)),
            response = timeout_at(head_deadline, client.client().request(request)) => match response {
                Ok(response) => response.map_err(|error| classify_attempt(&error, &reuse)),
                Err(_) => Err(AttemptError::Final(timeout_failure)),
            },
        };
        let response = response.inspect_err(|error| span.record_failure(error.as_str()))?;
        span.record_response(response.status(), response.version(), response.headers());
        reuse.record_response(response.extensions());
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            // Graph asks clients to use a new connection after a 503.
            reuse.close_when_idle();
        }
        self.metrics.requests.inc(response.status());
        let rejected = match condition {
            _ if response.status() != StatusCode::NOT_MODIFIED => None,
            // If a body follows, dropping the response unread closes the connection.
            None => Some(AttemptError::Final(UpstreamFailure::Status)),
            Some(condition) if condition.matches(response.headers()) => None,
            Some(_) => Some(AttemptError::Retryable(Retry::OtherRepresentation)),
        };
        if let Some(error) = rejected {
            span.record_failure(error.as_str());
            return Err(error);
        }
        Ok(ResponseHead { response, started, span, client })
    }
}
