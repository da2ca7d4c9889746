//! The stand-in's server: HTTP/1.1, and HTTP/2 with prior knowledge or by ALPN under TLS.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::graph::GraphService;

/// Accepts connections until the future is dropped, which also closes every connection.
pub(crate) async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, graph: Arc<GraphService>) {
    let tls = tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(stream, tls.clone(), Arc::clone(&graph)));
            }
            // Most likely the process has no free file descriptor. Retry after a delay.
            Err(_) => tokio::time::sleep(ACCEPT_RETRY_DELAY).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, tls: Option<TlsAcceptor>, graph: Arc<GraphService>) {
    // Otherwise the second chunk of a response waits for the peer's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match tls {
        None => serve_http(stream, graph).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve_http(stream, graph).await;
            }
        }
    }
}

/// Serves one connection. Errors are ignored: the requests before the error are recorded.
async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, graph: Arc<GraphService>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let graph = Arc::clone(&graph);
        async move {
            let (parts, _body) = request.into_parts();
            Ok::<_, Infallible>(graph.respond(&parts).await)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

/// Delay before the next accept after an error.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(10);
