//! A stand-in for Graph: the fields of Graph, and a body of `BODY_BYTES` bytes, or of Graph's form with two connectors, with
//! a hash of the request's token and path.
//!
//!     origin ADDRESS BODY_BYTES|graph
//!
//! `GET /calls` answers how many other requests came.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use connector_cache_benches::{configuration, graph_fields, whose};
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, form] = &arguments[..] else { return Err("usage: origin ADDRESS BODY_BYTES|graph".into()) };
    let length = if form == "graph" { None } else { Some(form.parse()?) };
    let listener = TcpListener::bind(address).await?;
    let calls = Arc::new(AtomicU64::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let calls = Arc::clone(&calls);
        let service = service_fn(move |request| {
            let answer = answer(&request, length, &calls);
            async move { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

fn answer(request: &Request<Incoming>, length: Option<usize>, calls: &AtomicU64) -> Response<Full<Bytes>> {
    if request.uri().path() == "/calls" {
        return Response::new(Full::new(Bytes::from(calls.load(Relaxed).to_string())));
    }
    calls.fetch_add(1, Relaxed);
    let token = request.headers().get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let body = body(&whose(token, request.uri().path()), length);
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.headers_mut() = graph_fields();
    response
}

fn body(id: &str, length: Option<usize>) -> String {
    let Some(length) = length else {
        let form = configuration();
        return format!(r#"{{"id":"{id}",{}"#, String::from_utf8_lossy(&form[1..]));
    };
    let frame = format!(r#"{{"id":"{id}","displayName":""}}"#);
    let filling = "x".repeat(length.saturating_sub(frame.len()));
    frame.replace(r#""displayName":"""#, &format!(r#""displayName":"{filling}""#))
}
