//! An origin server with HTTP/2 over TLS that sends wrong frames.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::gate::Gate;
use super::within;

/// Reply to one request.
#[derive(Clone)]
pub enum Act {
    /// 200 with this body, declared to be JSON.
    Answer(String),
    /// The same, when the gate opens.
    Held(Gate, String),
    /// `RST_STREAM` before a response.
    Reset(Reason),
    /// A head, half of this body, and `RST_STREAM` when the gate opens.
    ResetMidBody(Gate, String),
    /// GOAWAY at once in the graceful way, and the response when the gate opens.
    GoAwayFirst(Gate, String),
    /// GOAWAY with this reason instead of a response, and the end of the connection.
    Abandon(Reason),
}

/// A running origin server.
pub struct H2Origin {
    address: SocketAddr,
    counts: watch::Sender<Counts>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    connections: usize,
    requests: usize,
}

type Script = Arc<dyn Fn(usize) -> Act + Send + Sync>;

enum Order {
    GoAway,
    Abandon(Reason),
}

impl H2Origin {
    /// Listens. `script` returns the reply to the n-th request, from 1.
    pub async fn start(
        config: Arc<ServerConfig>,
        script: impl Fn(usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(config, h2::server::Builder::new(), script).await
    }

    /// The same, with the settings of `http2`.
    pub async fn start_with(
        config: Arc<ServerConfig>,
        http2: h2::server::Builder,
        script: impl Fn(usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (counts, script): (watch::Sender<Counts>, Script) = (watch::Sender::default(), Arc::new(script));
        let (tls, counting) = (TlsAcceptor::from(config), counts.clone());
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counting.send_modify(|counts| counts.connections += 1);
                tokio::spawn(connection(
                    stream,
                    tls.clone(),
                    http2.clone(),
                    Arc::clone(&script),
                    counting.clone(),
                ));
            }
        });
        Self { address, counts, accepting }
    }

    /// Address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, by the name `localhost`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Number of accepted connections.
    pub fn connections(&self) -> usize {
        self.counts.borrow().connections
    }

    /// Number of requests.
    pub fn requests(&self) -> usize {
        self.counts.borrow().requests
    }

    /// Returns when at least `count` requests have arrived.
    pub async fn wait_for_requests(&self, count: usize) {
        self.wait(&format!("{count} requests"), |counts| counts.requests >= count).await;
    }

    /// Returns when at least `count` connections were accepted.
    pub async fn wait_for_connections(&self, count: usize) {
        self.wait(&format!("{count} connections"), |counts| counts.connections >= count).await;
    }

    async fn wait(&self, what: &str, reached: impl Fn(&Counts) -> bool) {
        let mut counts = self.counts.subscribe();
        within(&format!("{what} at the origin"), counts.wait_for(|counts| reached(counts))).await.unwrap();
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    http2: h2::server::Builder,
    script: Script,
    counts: watch::Sender<Counts>,
) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let Ok(mut connection) = http2.handshake(stream).await else { return };
    let (orders, mut inbox) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((_, respond))) = accepted else { return };
                counts.send_modify(|counts| counts.requests += 1);
                let act = script(counts.borrow().requests);
                tokio::spawn(play(act, respond, orders.clone()));
            }
            Some(order) = inbox.recv() => match order {
                Order::GoAway => connection.graceful_shutdown(),
                Order::Abandon(reason) => connection.abrupt_shutdown(reason),
            },
        }
    }
}

/// The peer may close at any time, so errors are ignored.
async fn play(act: Act, mut respond: SendResponse<Bytes>, orders: mpsc::UnboundedSender<Order>) {
    match act {
        Act::Answer(body) => answer(&mut respond, body),
        Act::Held(gate, body) => {
            gate.opened().await;
            answer(&mut respond, body);
        }
        Act::Reset(reason) => respond.send_reset(reason),
        Act::ResetMidBody(gate, body) => {
            let Ok(mut stream) = respond.send_response(head(), false) else { return };
            let _ = stream.send_data(Bytes::from(body[..body.len() / 2].to_owned()), false);
            gate.opened().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Act::GoAwayFirst(gate, body) => {
            let _ = orders.send(Order::GoAway);
            gate.opened().await;
            answer(&mut respond, body);
        }
        Act::Abandon(reason) => {
            let _ = orders.send(Order::Abandon(reason));
            // The stream must outlive the order, or it would be reset instead.
            orders.closed().await;
        }
    }
}

fn answer(respond: &mut SendResponse<Bytes>, body: String) {
    if let Ok(mut stream) = respond.send_response(head(), false) {
        let _ = stream.send_data(Bytes::from(body), true);
    }
}

fn head() -> http::Response<()> {
    http::Response::builder().header("content-type", "application/json").body(()).unwrap()
}
