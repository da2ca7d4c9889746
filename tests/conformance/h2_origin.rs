//! Origin server with HTTP/2 over TLS that resets streams within a body.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use h2::Reason;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::common::tls::Authority;

pub(crate) struct H2Origin {
    pub(crate) url: String,
    /// Root certificate of the server.
    pub(crate) root: PathBuf,
    requests: Arc<AtomicUsize>,
    _files: tempfile::TempDir,
}

impl H2Origin {
    /// Returns the number of received requests.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }
}

/// Answers every request with 200, half a body, and `RST_STREAM`.
pub(crate) async fn start_and_reset_bodies() -> H2Origin {
    let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
    let root = authority.write_pem(files.path());
    let mut config = ServerConfig::clone(&authority.right().server_config());
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let (acceptor, counter) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&requests));
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(tcp).await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    counter.fetch_add(1, SeqCst);
                    let head = http::Response::builder().header("content-type", "application/json");
                    let mut body = respond.send_response(head.body(()).unwrap(), false).unwrap();
                    body.send_data(Bytes::from_static(b"{\"a\":1}"), false).unwrap();
                    body.send_reset(Reason::INTERNAL_ERROR);
                }
            });
        }
    });
    H2Origin { url, root, requests, _files: files }
}
