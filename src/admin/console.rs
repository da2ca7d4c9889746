//! The console: the page at `/` of the admin port, its history and its stream.
//!
//! | path | content |
//! |---|---|
//! | `/`, `/console/*.js`, `/console/console.css` | the page, embedded in the binary; public, since it has no data |
//! | `/console/runbook.md` | the runbook, whose sections the page shows |
//! | `/console/data` | history and state as one JSON object |
//! | `/console/stream` | the same object, then one line a second with the newest points and the state (NDJSON) |
//!
//! **History.** A background task of the process ([`Console::run`]) reads the totals of the counters once a second. The ring
//! of 900 points computes the changes ([`history`]); it takes about 94 KB, with the totals of 16 minutes less than 128 KiB. No
//! counter exists for the console alone, so the path of a request has nothing more to do.
//!
//! **Stream.** `EventSource` cannot send `Authorization`, so the page reads a streamed response with `fetch`. The task renders
//! a frame only if a stream is open, once for all of them. A frame repeats the last points, so that a slow reader that misses
//! frames has no gap. At most [`MAX_STREAMS`] streams are open; a further one gets 503. A stream ends after its first frame
//! with the state `draining`, and after ten minutes, when the page opens a new one.
//!
//! **Authorization.** As for `GET /cache`: the bearer of `admin.token_file` if it is set. The data has counts, settings and
//! the tags of throttled applications that `GET /cache` has; no identity, flow or URL of a request.

mod assets;
mod banner;
mod facts;
pub mod history;
mod quantile;
pub mod settings;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{self, HeaderValue};
use http::request::Parts;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::history::{CAPACITY, History};
use crate::admin::readiness::{Readiness, ReadinessState};
use crate::admin::{CacheAdmin, response};
use crate::http::error::Response;
use crate::observability::metrics::Metrics;
use crate::server::StreamedBody;

/// State of the console that the admin port and the background task share.
#[derive(Debug)]
pub(super) struct Console<C> {
    cache: Arc<C>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    has_token: bool,
    started: Instant,
    history: Mutex<History>,
    frames: watch::Sender<Bytes>,
    streams: Arc<Semaphore>,
}

impl<C: CacheAdmin> Console<C> {
    pub(super) fn new(cache: Arc<C>, metrics: Arc<Metrics>, readiness: Readiness, has_token: bool) -> Self {
        Self {
            cache,
            metrics,
            readiness,
            has_token,
            started: Instant::now(),
            history: Mutex::default(),
            frames: watch::Sender::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }

    /// Samples the counters once a second, and renders a frame if a stream is open. Never returns.
    pub(super) async fn run(&self) {
        let mut ticks = interval(SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sample();
            if self.frames.receiver_count() > 0 {
                self.frames.send_replace(self.frame());
            }
        }
    }

    /// Adds a point to the history.
    fn sample(&self) {
        let sample = self.cache.sample();
        let at = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        self.history().push(at, sample, &self.cache.graph_statuses());
    }

    /// Responds to a request for a file of the page.
    pub(super) fn page(request: &Parts) -> Option<Response> {
        assets::respond(request)
    }

    /// Returns whether `path` is a file of the page.
    pub(super) fn is_page(path: &str) -> bool {
        assets::is_asset(path)
    }

    /// Responds with history and state.
    pub(super) fn data(&self) -> Response {
        response::json(StatusCode::OK, &self.snapshot())
    }

    /// Responds with a stream of frames, or 503 if too many streams are open.
    pub(super) fn stream(&self) -> Response {
        let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
            let message = "16 consoles are open already; close one and try again";
            let mut refused = response::error(StatusCode::SERVICE_UNAVAILABLE, message);
            refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            return refused;
        };
        let first = line(&self.snapshot());
        let frames = frames_until(self.frames.subscribe(), self.readiness.clone(), permit);
        let mut response = response::stream();
        let body = stream::iter([first]).chain(frames);
        response.extensions_mut().insert(StreamedBody::new(body));
        response
    }

    /// Returns the first line of a stream.
    fn snapshot(&self) -> Value {
        let state = self.state();
        let points: Vec<Value> = self.history().points().map(state::point).collect();
        let settings = self.cache.settings().to_json();
        json!({
            "fields": state::FIELDS, "capacity": CAPACITY, "latency_bounds_us": quantile::bounds_micros(),
            "points": points, "state": state, "settings": settings,
        })
    }

    /// Returns a later line of a stream.
    fn frame(&self) -> Bytes {
        let state = self.state();
        let points: Vec<Value> = self.history().newest(REPEATED_POINTS).map(state::point).collect();
        line(&json!({ "points": points, "state": state }))
    }

    fn state(&self) -> Value {
        let overview = self.cache.overview();
        let parts = facts::Parts {
            overview: &overview,
            readiness: self.readiness.state(),
            uptime: self.started.elapsed().as_secs(),
            certificate_end: self.metrics.listen_certificate_not_after(),
            has_token: self.has_token,
            statuses: &self.cache.graph_statuses(),
            settings_version: self.cache.settings().version(),
            metrics: &self.metrics,
            now: self.cache.wall_clock(),
        };
        state::render(&self.history(), &parts)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the frames of one stream, until the process drains or the time of the stream is over.
fn frames_until(
    frames: watch::Receiver<Bytes>,
    readiness: Readiness,
    permit: OwnedSemaphorePermit,
) -> impl futures_util::Stream<Item = Bytes> + Send {
    let end = Instant::now() + MAX_STREAM_TIME;
    let is_last = readiness.state() == ReadinessState::Draining;
    stream::unfold(
        (frames, readiness, permit, is_last),
        move |(mut frames, readiness, permit, is_last)| async move {
            if is_last {
                return None;
            }
            tokio::select! {
                changed = frames.changed() => changed.ok()?,
                () = sleep_until(end) => return None,
            }
            let frame = frames.borrow_and_update().clone();
            let is_last = readiness.state() == ReadinessState::Draining;
            Some((frame, (frames, readiness, permit, is_last)))
        },
    )
}

/// Returns a value as one line.
fn line(value: &Value) -> Bytes {
    let mut text = value.to_string();
    text.push('\n');
    Bytes::from(text)
}

/// Streams open at one time.
const MAX_STREAMS: usize = 16;
/// Time between two points.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// Points in a frame.
const REPEATED_POINTS: usize = 5;
/// A reader that stalls without an end of its connection holds a stream for this time at most.
const MAX_STREAM_TIME: Duration = Duration::from_secs(600);
