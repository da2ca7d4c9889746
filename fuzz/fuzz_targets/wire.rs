//! A connection's bytes through the server: accepted, parsed, checked, answered, closed. In memory, with a
//! clock that runs ahead whenever nothing else happens.
//!
//! Input: one byte that says how many bytes come at a time, then what a client sends.
#![no_main]

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use connector_cache::cache::outcome::Outcome;
use connector_cache::http::cache_status::CacheStatus;
use connector_cache::http::error::Response;
use connector_cache::http::ids::Ids;
use connector_cache::http::validate;
use connector_cache::observability::logging::AccessLog;
use connector_cache::observability::metrics::Metrics;
use connector_cache::proxy::error_response::ErrorResponse;
use connector_cache::proxy::handler::{Handler, HandlerResponse, Lookup};
use connector_cache::proxy::middleware::RequestStack;
use connector_cache::proxy::response;
use connector_cache::proxy::runtime_config::RuntimeConfig;
use connector_cache::server::{Config, Peer, Service, fuzzing::serve_connection};
use connector_cache::support::clock::Clock;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use hyper::body::Incoming;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

mod answers;
use answers::RequestView;

static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::new().expect("metrics")));

fuzz_target!(|input: &[u8]| {
    let Some((first, sent)) = input.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (asked, answered) = runtime.block_on(converse(sent, usize::from(*first).max(1)));
    answers::check(&asked, &answered);
});

/// Everything that was asked, as the server understood it, and every byte that came back.
async fn converse(sent: &[u8], at_a_time: usize) -> (Vec<RequestView>, Vec<u8>) {
    let (mut client, io) = duplex(1 << 16);
    let config = Config::default();
    let settings = RuntimeConfig { access_log: AccessLog::Off, ..RuntimeConfig::default() };
    let layers = RequestStack::new(Arc::new(Stub), Arc::clone(&METRICS), settings.into_live());
    let service = Arc::new(Recorder { layers, asked: Mutex::default() });
    let server = tokio::spawn({
        let service = Arc::clone(&service);
        async move { serve_connection(service, &config, Arc::clone(&METRICS), io).await }
    });
    let (mut answers, mut questions) = tokio::io::split(&mut client);
    let mut answered = Vec::new();
    let ask = async {
        for piece in sent.chunks(at_a_time) {
            if questions.write_all(piece).await.is_err() {
                break; // the server has hung up
            }
            tokio::task::yield_now().await;
        }
    };
    // The client says no more and waits: the server ends every connection by itself.
    let ended = tokio::time::timeout(Duration::from_secs(600), async {
        let (_, end) = tokio::join!(ask, answers.read_to_end(&mut answered));
        end.expect("memory does not fail");
        server.await.expect("the server does not panic");
    });
    ended.await.expect("the connection ends");
    let asked = std::mem::take(&mut *service.asked.lock().expect("one thread"));
    (asked, answered)
}

/// Answers what has passed the layers.
struct Stub;

impl Handler for Stub {
    type Prepared = ();

    fn lookup(&self, request: &validate::RequestView<'_>, _: &Ids, _: &Arc<RuntimeConfig>) -> Lookup<()> {
        assert!(request.head.method == Method::GET || request.head.method == Method::HEAD);
        Lookup::Continue(())
    }

    async fn respond(&self, (): (), headers: HeaderMap, _: &Ids, _: SocketAddr) -> HandlerResponse {
        // A chunked body without content has ended before.
        let codings: Vec<_> = headers.get_all(header::TRANSFER_ENCODING).iter().collect();
        assert!(codings.iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")));
        assert!(codings.is_empty() || (codings.len() == 1 && !headers.contains_key(header::CONTENT_LENGTH)));
        assert!(headers.get_all(header::HOST).iter().count() <= 1);
        let response = Response::new(Bytes::from_static(b"{\"id\":\"x\"}").into());
        HandlerResponse {
            response,
            has_common_headers: false,
            outcome: Outcome::Hit,
            reason: None,
            token_tag: None,
        }
    }

    fn error_response(&self, error: ErrorResponse, ids: &Ids) -> HandlerResponse {
        response::error_response(error, ids, &CacheStatus::default(), Clock::system().now())
    }
}

/// Notes what the server took for a request.
struct Recorder {
    layers: RequestStack<Stub>,
    asked: Mutex<Vec<RequestView>>,
}

impl Service for Recorder {
    type Pending = <RequestStack<Stub> as Service>::Pending;

    fn try_respond(&self, head: &Parts, has_body: bool, peer: &Peer) -> ControlFlow<Response, Self::Pending> {
        let asked = RequestView { head: head.method == Method::HEAD, body: has_body };
        self.asked.lock().expect("one thread").push(asked);
        self.layers.try_respond(head, has_body, peer)
    }

    async fn respond(
        &self,
        pending: Self::Pending,
        head: Parts,
        content: Option<Incoming>,
        peer: Peer,
    ) -> Response {
        Service::respond(&self.layers, pending, head, content, peer).await
    }
}
