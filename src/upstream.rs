//! One request to Graph.
//!
//! The request is spelled from the resource and the caller's token, and from nothing else that a caller
//! sends (promise 1). The answer comes back whole, decoded and bounded, in a type that only the scrubber
//! reads (promise 4). Redirects are never followed, so the token goes to no other host. A condition is Graph's
//! own validator, never the caller's. Nothing else here knows of the cache.

mod body;
pub mod breaker;
mod connection;
mod connector;
mod dns;
mod error;
pub mod fair_queue;
mod interim;
pub mod permits;
mod pool;
mod preconnect;
pub mod refused_tokens;
mod tls;
pub mod unproven_limit;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use self::body::RawBody;
use self::connection::ReuseGuard;
use self::connector::Connector;
pub use self::connector::ProxyError;
use self::error::ConnectFailure;
use self::pool::{HttpClient, Pool, client};
use self::preconnect::Preconnect;
pub use self::tls::RootsError;
#[cfg(feature = "otlp")]
pub(crate) use self::tls::platform as client_tls;
use crate::auth::Token;
use crate::cache::conditional::Validators;
use crate::cache::outcome::Retry;
use crate::http::error::{ErrorResponse, UpstreamFailure};
use crate::http::ids;
use crate::http::ids::{CLIENT_ID, Ids, TRACE_PARENT};
use crate::observability::metrics::Metrics;
use crate::observability::tracing_export::{Attempt, Tracer};
use crate::resource::Resource;
use crate::support::byte_budget::ByteBudget;
use crate::support::dial::Dial;
use crate::support::labels::Label;
use crate::upstream::permits::{UpstreamPermit, UpstreamPermits};

/// What the origin needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `graph.base_url`: scheme, host and port alone; `http` only to loopback.
    pub base_url: Url,
    /// `graph.ca_file`: PEM roots beside the platform's.
    pub ca_file: Option<PathBuf>,
    /// `graph.connect_timeout`: name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// `graph.first_byte_timeout`: one attempt, until its answer begins.
    pub first_byte_timeout: Duration,
    /// `graph.timeout`: one question and its whole answer, a retry included.
    pub timeout: Duration,
    /// `graph.max_body`: of the body, bytes, as it comes and decoded.
    pub max_body: usize,
    /// `limits.origin_requests`: under way at one time; more wait. A quarter is kept for proven tokens.
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
            first_byte_timeout: Duration::from_secs(8),
            timeout: Duration::from_secs(10),
            max_body: 1 << 20,
            in_flight: 256,
        }
    }
}

/// Graph, as this process reaches it.
#[derive(Debug)]
pub struct GraphClient {
    pool: RwLock<Arc<Pool>>,
    /// Gives out the spare to nobody; the pool's does.
    connector: Connector,
    spare: Arc<Preconnect>,
    in_flight: usize,
    /// Each question on a connection of its own: where one from the pool was stale, the next may be as well.
    fresh: HttpClient,
    base: Uri,
    permits: UpstreamPermits,
    first_byte: Dial<Duration>,
    timeout: Dial<Duration>,
    max_body: usize,
    byte_budget: ByteBudget,
    metrics: Arc<Metrics>,
    tracer: Tracer,
}

/// What Graph said. The header fields are its own: whoever passes one on picks it from a list.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The status; never informational, never a redirect. 304 only where it was asked for, and of the answer
    /// that was asked about.
    pub status: StatusCode,
    /// Every field, for reading.
    pub headers: HeaderMap,
    /// The body, for the scrubber. That of a 200 is there; a "no" is one whatever became of its words.
    pub body: Result<RawBody, ErrorResponse>,
}

/// An answer's beginning, when it was asked for, and the span of that.
type ResponseHead = (http::Response<Incoming>, Instant, Attempt);

/// Why the way to Graph could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The roots of trust.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

impl GraphClient {
    /// Prepares a pool of connections; none is made yet. The environment's `HTTPS_PROXY` and `NO_PROXY` count.
    pub fn new(
        config: &Config,
        permits: UpstreamPermits,
        byte_budget: ByteBudget,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        let base = Uri::try_from(config.base_url.as_str()).unwrap_or_default();
        let (connector, spare) = (Connector::new(config)?, Arc::<Preconnect>::default());
        let pooled = connector.clone().with_spare(Arc::clone(&spare));
        Ok(Self {
            pool: RwLock::new(Pool::new(0, pooled, config.in_flight).into()),
            fresh: client(connector.clone(), 0),
            connector,
            spare,
            in_flight: config.in_flight,
            base,
            permits,
            first_byte: Dial::new(config.first_byte_timeout),
            timeout: Dial::new(config.timeout),
            max_body: config.max_body,
            byte_budget,
            metrics,
            tracer: Tracer::default(),
        })
    }

    /// Charged for bodies.
    pub fn byte_budget(&self) -> &ByteBudget {
        &self.byte_budget
    }

    /// Changes the deadlines of questions to come.
    pub fn set_deadlines(&self, config: &Config) {
        self.first_byte.set(config.first_byte_timeout);
        self.timeout.set(config.timeout);
    }

    /// Tells of each attempt by a span of `tracer`.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Returns the permits for requests to Graph.
    pub fn permits(&self) -> &UpstreamPermits {
        &self.permits
    }

    /// Returns how long a request may wait for a permit: half of `graph.timeout`, so that the other half is left for Graph. A
    /// permit that comes later comes in vain, and Graph would be blamed for the time-out.
    pub fn queue_time(&self) -> Duration {
        self.timeout.get() / 2
    }

    /// Asks Graph for `resource` in the name of `token`'s bearer, within `graph.timeout` of when its place was first
    /// wanted. With a `condition` the answer may be 304. The body is charged to `owner`.
    pub async fn ask(
        &self,
        permit: UpstreamPermit,
        resource: &Resource,
        token: &Token,
        ids: &Ids,
        condition: Option<&Validators>,
        owner: IpAddr,
    ) -> Result<UpstreamResponse, ErrorResponse> {
        self.spare.note_question();
        let deadline = permit.requested_at + self.timeout.get();
        let pool = Arc::clone(&self.pool.read().unwrap_or_else(PoisonError::into_inner));
        let (pooled, dead) = (pool.client(), AtomicBool::new(false));
        let request = |span: &Attempt| self.request(resource, token, ids, span.id());
        let span = self.tracer.attempt(ids, false);
        let first = request(&span).map(|mut request| {
            condition.inspect(|condition| condition.apply_to(request.headers_mut()));
            request
        });
        // Each attempt ends by the deadline.
        let asked = match self.attempt(&pooled, (deadline, &dead), (first, span), condition).await {
            Err(ConnectFailure::Again(reason)) => {
                self.metrics.origin_retries.inc(reason);
                let client = match reason {
                    Retry::StaleConnection => &self.fresh,
                    Retry::RefusedStream | Retry::OtherAnswer => &*pooled,
                };
                let span = self.tracer.attempt(ids, true);
                let second = (request(&span), span);
                self.attempt(client, (deadline, &dead), second, None).await
            }
            other => other,
        };
        let result = match asked.map_err(ConnectFailure::fault) {
            Ok((response, started, mut span)) => {
                let answer = self.receive(response, deadline, owner).await;
                self.metrics.origin_duration.observe(started.elapsed().as_secs_f64());
                if let Err(fault) = &answer {
                    span.failed(fault.as_str());
                }
                answer
            }
            Err(fault) => Err(fault),
        };
        if dead.into_inner() {
            self.renew(&pool);
        }
        result.map_err(|fault| {
            self.metrics.origin_errors.inc(fault);
            ErrorResponse::GraphClient(fault)
        })
    }

    /// Keeps a connection at hand for who asks first, and for who asks first after a rest, as long as it is polled.
    pub async fn keep_warm(&self) {
        self.spare.keep_warm(self.connector.clone(), &self.base).await;
    }

    /// Leaves a pool of which one connection died without a word: the others may have died with it, and each would
    /// cost a question its deadline. Whoever is under way on one of them keeps it.
    fn renew(&self, old: &Pool) {
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if pool.number == old.number {
            self.spare.clear();
            let pooled = self.connector.clone().with_spare(Arc::clone(&self.spare));
            *pool = Pool::new(old.number + 1, pooled, self.in_flight).into();
        }
    }

    /// Asks, and waits for the head of the answer. Returns when it began to, too. A 304 passes only as the answer
    /// to `condition`.
    async fn attempt(
        &self,
        client: &HttpClient,
        (deadline, dead): (Instant, &AtomicBool),
        (request, mut span): (Option<Request<Empty<Bytes>>>, Attempt),
        condition: Option<&Validators>,
    ) -> Result<ResponseHead, ConnectFailure> {
        let started = Instant::now();
        let mut request = request.ok_or(ConnectFailure::Final(UpstreamFailure::Protocol))?;
        let (first_byte, late) = match started + self.first_byte.get() {
            first_byte if first_byte < deadline => (first_byte, UpstreamFailure::FirstByte),
            _ => (deadline, UpstreamFailure::Timeout),
        };
        let mut reuse = ReuseGuard::watch(&mut request, first_byte, dead);
        let flood = interim::flood(&mut request);
        let response = tokio::select! {
            biased;
            () = flood => Err(ConnectFailure::Final(UpstreamFailure::Protocol)),
            response = timeout_at(first_byte, client.request(request)) => match response {
                Ok(response) => response.map_err(|error| error::failure(&error, &reuse)),
                Err(_) => Err(ConnectFailure::Final(late)),
            },
        };
        let response = response.inspect_err(|failure| span.failed(failure.word()))?;
        span.answered(response.status(), response.version(), response.headers());
        reuse.answered(response.extensions());
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            reuse.discard();
        }
        self.metrics.origin_requests.inc(response.status());
        let refused = match condition {
            _ if response.status() != StatusCode::NOT_MODIFIED => None,
            // Where a body follows, dropping it unread closes the connection.
            None => Some(ConnectFailure::Final(UpstreamFailure::Status)),
            Some(condition) if condition.matches(response.headers()) => None,
            Some(_) => Some(ConnectFailure::Again(Retry::OtherAnswer)),
        };
        if let Some(failure) = refused {
            span.failed(failure.word());
            return Err(failure);
        }
        Ok((response, started, span))
    }

    /// The whole request: what makes the key, the token, and what correlates.
    fn request(
        &self,
        resource: &Resource,
        token: &Token,
        ids: &Ids,
        span: Option<u64>,
    ) -> Option<Request<Empty<Bytes>>> {
        let mut uri = self.base.clone().into_parts();
        uri.path_and_query = Some(PathAndQuery::from_maybe_shared(resource.target()).ok()?);
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::from_parts(uri).ok()?;
        let headers = request.headers_mut();
        headers.reserve(12); // those below and a condition's
        headers.insert(header::AUTHORIZATION, token.authorization());
        headers.insert(header::ACCEPT, resource.accept());
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::VIA, HeaderValue::from_static(VIA));
        headers.insert(&CLIENT_ID, ids::spelled(ids.client));
        if let Some(trace) = ids.trace {
            headers.insert(&TRACE_PARENT, HeaderValue::try_from(trace.child(span)).ok()?);
        }
        Some(request)
    }

    /// Reads the rest. A "no" whose body breaks off, or comes too late, is still Graph's "no".
    async fn receive(
        &self,
        response: http::Response<Incoming>,
        deadline: Instant,
        owner: IpAddr,
    ) -> Result<UpstreamResponse, UpstreamFailure> {
        let (head, body) = response.into_parts();
        match head.status.as_u16() {
            // It has none, and passed only as the answer to a condition.
            304 => {
                let body = Err(UpstreamFailure::Status.into());
                return Ok(UpstreamResponse { status: head.status, headers: head.headers, body });
            }
            300..400 => return Err(UpstreamFailure::Redirect),
            200 | 400..600 => {}
            _ => return Err(UpstreamFailure::Status),
        }
        let body = body::collect(body, &head.headers, self.max_body, (&self.byte_budget, owner));
        let body = match timeout_at(deadline, body).await.unwrap_or(Err(UpstreamFailure::Timeout.into())) {
            Err(ErrorResponse::GraphClient(fault)) if head.status == StatusCode::OK => {
                return Err(fault);
            }
            Err(ErrorResponse::GraphClient(fault)) => {
                self.metrics.origin_errors.inc(fault);
                Err(fault.into())
            }
            whole => whole,
        };
        Ok(UpstreamResponse { status: head.status, headers: head.headers, body })
    }
}

const VIA: &str = "1.1 connector-cache";
/// The global cloud; the national clouds have addresses of their own.
const GRAPH: &str = "https://graph.microsoft.com";
const USER_AGENT: &str = concat!("connector-cache/", env!("CARGO_PKG_VERSION"));
