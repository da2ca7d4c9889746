//! The limit: hyper, and a constant answer.

use std::convert::Infallible;
use std::sync::Arc;

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

/// Serves every connection of `listener` with these fields and this body.
pub async fn serve_constant(listener: TcpListener, constant: (HeaderMap, Bytes), h2: bool) {
    let constant = Arc::new(constant);
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, Arc::clone(&constant), h2));
    }
}

async fn connection(stream: TcpStream, constant: Arc<(HeaderMap, Bytes)>, h2: bool) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |_| {
        let (fields, body) = (constant.0.clone(), constant.1.clone());
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
