//! Graph client: sends one request, with one retry where HTTP allows it, and receives the response.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::{Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::body::BodyLimits;
use super::body_workers::BodyWorkers;
use super::config::{Config, Timeouts};
use super::connector::{Connector, SetupError};
use super::error::{AttemptError, SendError, classify_attempt};
use super::permits::{UpstreamPermit, UpstreamPermits};
use super::pool::{Lease, Pool, PoolConnector};
use super::preconnect::Preconnect;
use super::request::{BaseAddress, RequestParts, build_request};
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
    /// Makes a new connection for a request: if one connection of the pool was stale, the next may be stale as well.
    unpooled: PoolConnector,
    base: BaseAddress,
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
    response: Response<Incoming>,
    /// Start of the attempt.
    started: Instant,
    span: AttemptSpan,
    /// Held until the body is received.
    lease: Lease<'a>,
}

/// Times and state that the attempts of a request share.
#[derive(Clone, Copy)]
struct AttemptLimits<'a> {
    first_byte: Duration,
    deadline: Instant,
    /// Set if a connection of the pool died while it was idle.
    pool_is_stale: &'a AtomicBool,
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
        let pool_connector = |preconnect| PoolConnector::new(connector.clone(), base.clone(), preconnect);
        let pooled = pool_connector(Some(Arc::clone(&preconnect)));
        let is_https = config.base_url.scheme() == "https";
        let last_limit = if is_https { LastStreamLimit::default() } else { LastStreamLimit::unlimited() };
        Ok(Self {
            pool: RwLock::new(Pool::new(pooled, config.in_flight, last_limit).into()),
            unpooled: pool_connector(None),
            connector,
            preconnect,
            connect_timeout: config.connect_timeout,
            base: BaseAddress::new(base),
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
        self.preconnect.record_request();
        let deadline = permit.requested_at + call.timeouts.total;
        let pool = Arc::clone(&self.pool.read().unwrap_or_else(PoisonError::into_inner));
        let pool_is_stale = AtomicBool::new(false);
        // Each attempt ends at the deadline.
        let limits =
            AttemptLimits { first_byte: call.timeouts.first_byte, deadline, pool_is_stale: &pool_is_stale };
        let result = match self.send_with_retries(call, &pool, limits).await {
            Ok(ResponseHead { response, started, mut span, lease: _lease }) => {
                let limits = BodyLimits {
                    max_bytes: self.max_body,
                    budget: &self.byte_budget,
                    owner: call.owner,
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
            Err(error) => Err(error.into_failure()),
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
        self.preconnect.run(self.connector.clone(), self.base.uri()).await;
    }

    /// Replaces a pool whose idle connections are of no use: if one died silently, the others may be dead as well, and each of
    /// them would delay a request until its timeout. Requests on the old pool keep their connections.
    fn replace_pool(&self, old: &Pool) {
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if pool.generation == old.generation {
            self.preconnect.clear();
            *pool = old.successor().into();
        }
    }

    /// Sends a request until a head of a response arrives, with one retry, and with a further one after a head with too many
    /// fields. Such a head occurs on connections of the default number of fields only, which are replaced at once.
    async fn send_with_retries<'a>(
        &'a self,
        call: &GraphCall<'_>,
        pool: &Pool,
        limits: AttemptLimits<'_>,
    ) -> Result<ResponseHead<'a>, AttemptError> {
        let pooled = pool.local();
        let mut retry = None;
        loop {
            let span = self.tracer.start_attempt_span(call.ids, call.resource.kind(), retry.is_some());
            let lease = match retry {
                Some(Retry::StaleConnection | Retry::LargeHead) => Lease::unpooled(&self.unpooled),
                // The wait for a stream counts as time of this process: the timeout of the first byte starts afterwards.
                None | Some(Retry::RefusedStream | Retry::OtherRepresentation) => {
                    Lease::pooled(pooled.acquire(self.connect_timeout).await)
                }
            };
            let condition = call.condition.filter(|_| retry.is_none());
            // Pinned, as in `attempt`.
            let result = pin!(self.attempt(lease, call, condition, limits, span)).await;
            let Err(AttemptError::Retryable(reason)) = result else { return result };
            if retry.is_some() && reason != Retry::LargeHead {
                return result;
            }
            self.metrics.retries.inc(reason);
            if reason == Retry::LargeHead {
                pool.accept_many_fields();
                self.replace_pool(pool);
            }
            retry = Some(reason);
        }
    }

    /// Sends a request and waits for the head of the response. A 304 is accepted only if it matches `condition`.
    async fn attempt<'a>(
        &self,
        mut lease: Lease<'a>,
        call: &GraphCall<'_>,
        condition: Option<&Validators>,
        limits: AttemptLimits<'_>,
        mut span: AttemptSpan,
    ) -> Result<ResponseHead<'a>, AttemptError> {
        let started = Instant::now();
        let (head_deadline, timeout_failure) = match started + limits.first_byte {
            first_byte if first_byte < limits.deadline => (first_byte, UpstreamFailure::FirstByte),
            _ => (limits.deadline, UpstreamFailure::Timeout),
        };
        let mut reuse = ReuseGuard::new(head_deadline, limits.pool_is_stale);
        let GraphCall { resource, token, ids, .. } = *call;
        let parts = RequestParts { resource, token, ids, span: span.span_id(), condition };
        // Pinned here: a future that is moved into the timeout is copied several times.
        let response =
            timeout_at(head_deadline, pin!(self.receive_head(&mut lease, &mut reuse, parts, started)))
                .await
                .unwrap_or(Err(AttemptError::Final(timeout_failure)));
        let response = response.inspect_err(|error| span.record_failure(error.as_str()))?;
        span.record_response(response.status(), response.version(), response.headers());
        reuse.record_response();
        lease.record_head();
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
        Ok(ResponseHead { response, started, span, lease })
    }

    /// Takes or makes the connection of `lease`, and sends the request on it. `now` is the start of the attempt.
    async fn receive_head(
        &self,
        lease: &mut Lease<'_>,
        reuse: &mut ReuseGuard<'_>,
        parts: RequestParts<'_>,
        now: Instant,
    ) -> Result<Response<Incoming>, AttemptError> {
        let connection = lease.connect(now).await.map_err(|error| classify_attempt(&error, reuse))?;
        reuse.observe(connection.state());
        let protocol_error = AttemptError::Final(UpstreamFailure::Protocol);
        let Some(request) = build_request(&self.base, connection.protocol(), parts) else {
            return Err(protocol_error);
        };
        match pin!(connection.send(request)).await {
            // They may have arrived together with the final response, or have ended the connection.
            _ if connection.state().has_too_many_interim_responses() => {
                reuse.close_when_idle();
                Err(protocol_error)
            }
            Ok(response) => Ok(response),
            Err(error) if connection.exceeds_default_fields(&error) => {
                Err(AttemptError::Retryable(Retry::LargeHead))
            }
            Err(error) => Err(classify_attempt(&SendError::Http(error), reuse)),
        }
    }
}
