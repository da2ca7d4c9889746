//! The sandbox's port: HTTP/1.1 and HTTP/2 with prior knowledge, or by ALPN under TLS.

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

use super::graph::Graph;

/// Accepts until it is dropped, which ends every connection too.
pub(crate) async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, graph: Arc<Graph>) {
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
            // Out of file descriptors, most likely. They come back.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, tls: Option<TlsAcceptor>, graph: Arc<Graph>) {
    // Without it, an answer's second chunk would wait for the peer's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match tls {
        None => speak(stream, graph).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                speak(stream, graph).await;
            }
        }
    }
}

/// A connection that breaks is the peer's business: what it received in time was recorded.
async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, graph: Arc<Graph>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let graph = Arc::clone(&graph);
        async move {
            let (parts, _body) = request.into_parts();
            Ok::<_, Infallible>(graph.answer(&parts).await)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

/// Between two attempts to accept, after one that failed.
const PAUSE: Duration = Duration::from_millis(10);
