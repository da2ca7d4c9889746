//! The limit: hyper, and a constant answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// Serves every connection of `listener` for as long as the runtime runs. Speaks HTTP/2 where `h2` says so.
pub async fn serve(listener: TcpListener, length: usize, h2: bool) {
    serve_constant(listener, (crate::fields(length), crate::body(length)), h2).await;
}

/// Serves as many different bodies as `count`, one of them at random for each request: the limit of a cache with as many
/// entries.
pub async fn serve_many(listener: TcpListener, length: usize, count: usize) {
    let body = |number: usize| {
        let mut body = crate::body(length).to_vec();
        // In the text of the body, which is filled with one letter.
        let number = number.to_string();
        if let Some(end) = body.len().checked_sub(number.len() + 2) {
            body[end..end + number.len()].copy_from_slice(number.as_bytes());
        }
        Bytes::from(body.into_boxed_slice())
    };
    serve_all(listener, (crate::fields(length), (0..count).map(body).collect()), false).await;
}

/// Serves every connection of `listener` with these fields and this body.
pub async fn serve_constant(listener: TcpListener, (fields, body): (HeaderMap, Bytes), h2: bool) {
    serve_all(listener, (fields, vec![body]), h2).await;
}

async fn serve_all(listener: TcpListener, all: (HeaderMap, Vec<Bytes>), h2: bool) {
    let (all, mut connections) = (Arc::new(all), 0);
    while let Ok((stream, _)) = listener.accept().await {
        connections += 1;
        tokio::spawn(connection(stream, Arc::clone(&all), connections, h2));
    }
}

async fn connection(stream: TcpStream, all: Arc<(HeaderMap, Vec<Bytes>)>, seed: u64, h2: bool) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let next = AtomicU64::new(seed);
    let service = service_fn(move |_| {
        let (fields, bodies) = &*all;
        let chosen = if bodies.len() == 1 { 0 } else { random(&next) as usize % bodies.len() };
        let (fields, body) = (fields.clone(), bodies[chosen].clone());
        async move {
            let mut response = Response::new(Full::new(body));
            *response.headers_mut() = fields;
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(stream);
    // A connection that ends in an error is the client's affair.
    let _ = if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

/// The next number of a sequence (SplitMix64) that only one connection uses.
fn random(state: &AtomicU64) -> u64 {
    let mut mixed = state.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
