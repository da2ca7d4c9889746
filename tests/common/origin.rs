//! An origin server on a real port with scripted responses and a record of its requests.
//!
//! A request without a route or with a syntax error fails the test: [`OriginServer::finish`] or the drop of the server
//! raises the failure.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::reply::Reply;
use super::wire::{Stream, Wire, first};
use super::within;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Number of its connection, from 1.
    pub connection: usize,
}

impl Request {
    /// The first field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.fields, name)
    }
}

/// A running origin server.
pub struct OriginServer {
    address: SocketAddr,
    scheme: &'static str,
    script: Arc<Script>,
    accepting: JoinHandle<()>,
}

type Handler = Box<dyn FnMut(&Request) -> Reply + Send>;

struct Script {
    routes: Mutex<HashMap<String, Handler>>,
    seen: Mutex<Vec<Request>>,
    failures: Mutex<Vec<String>>,
    counts: watch::Sender<Counts>,
    /// Incremented to end every connection that waits for a request.
    hang_ups: watch::Sender<usize>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    connections: usize,
    ended: usize,
    requests: usize,
}

impl OriginServer {
    /// Listens without TLS.
    pub async fn start() -> Self {
        Self::listen(None, "http").await
    }

    /// Listens with TLS and speaks HTTP/1.1 over it.
    pub async fn start_tls(config: Arc<ServerConfig>) -> Self {
        Self::listen(Some(TlsAcceptor::from(config)), "https").await
    }

    async fn listen(tls: Option<TlsAcceptor>, scheme: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Script {
            routes: Mutex::default(),
            seen: Mutex::default(),
            failures: Mutex::default(),
            counts: watch::Sender::default(),
            hang_ups: watch::Sender::default(),
        });
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&script)));
        Self { address, scheme, script, accepting }
    }

    /// Address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The base URL by the name `localhost`.
    pub fn url_by_name(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// Answers targets that begin with `prefix`, the longest prefix first. A list is played in order, and its
    /// last reply from then on.
    pub fn route(&self, prefix: &str, replies: impl Into<Vec<Reply>>) {
        let mut replies = VecDeque::from(replies.into());
        assert!(!replies.is_empty(), "a route needs a reply");
        self.handle(prefix, move |_| {
            let next = replies[0].clone();
            if replies.len() > 1 {
                replies.pop_front();
            }
            next
        });
    }

    /// Answers every target that no route has.
    pub fn any(&self, replies: impl Into<Vec<Reply>>) {
        self.route("", replies);
    }

    /// Answers targets that begin with `prefix` by `handler`. A panic of the handler fails the test.
    pub fn handle(&self, prefix: &str, handler: impl FnMut(&Request) -> Reply + Send + 'static) {
        lock(&self.script.routes).insert(prefix.to_owned(), Box::new(handler));
    }

    /// Number of requests.
    pub fn requests(&self) -> usize {
        self.script.counts.borrow().requests
    }

    /// Number of accepted connections.
    pub fn connections(&self) -> usize {
        self.script.counts.borrow().connections
    }

    /// The requests that have arrived, oldest first.
    pub fn seen(&self) -> Vec<Request> {
        lock(&self.script.seen).clone()
    }

    /// Returns when at least `count` requests have arrived.
    pub async fn wait_for_requests(&self, count: usize) {
        self.wait(&format!("{count} requests"), |counts| counts.requests >= count).await;
    }

    /// Returns when at least `count` connections were accepted.
    pub async fn wait_for_connections(&self, count: usize) {
        self.wait(&format!("{count} connections"), |counts| counts.connections >= count).await;
    }

    /// Returns when at least `count` connections have ended.
    pub async fn wait_for_ended(&self, count: usize) {
        self.wait(&format!("the end of {count} connections"), |counts| counts.ended >= count).await;
    }

    /// Closes every connection that waits for a request, and returns when none is left open.
    pub async fn hang_up(&self) {
        self.script.hang_ups.send_modify(|times| *times += 1);
        self.wait("the end of every connection", |counts| counts.ended == counts.connections).await;
    }

    /// Stops listening and ends every connection. Raises failures of the server.
    pub async fn finish(mut self) {
        self.accepting.abort();
        // The task was aborted, so this is its only error.
        let _ = (&mut self.accepting).await;
    }

    async fn wait(&self, what: &str, enough: impl FnMut(&Counts) -> bool) {
        let mut counts = self.script.counts.subscribe();
        let what = format!("{what} at the origin");
        within(&what, counts.wait_for(enough)).await.expect("the sender lives in the origin");
    }
}

impl Drop for OriginServer {
    fn drop(&mut self) {
        self.accepting.abort();
        let failures = lock(&self.script.failures);
        let fine = failures.is_empty() || std::thread::panicking();
        assert!(fine, "the origin failed: {}", failures.join("; "));
    }
}

/// An address without a listener.
pub fn closed_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            Some(_) = connections.join_next() => continue,
        };
        // Before the connection is counted, so that no hang-up misses it.
        let hang_ups = script.hang_ups.subscribe();
        script.counts.send_modify(|counts| counts.connections += 1);
        let number = script.counts.borrow().connections;
        let (tls, script) = (tls.clone(), Arc::clone(&script));
        connections.spawn(async move {
            let talk = connection(stream, tls, number, hang_ups, &script);
            if let Err(panic) = AssertUnwindSafe(talk).catch_unwind().await {
                lock(&script.failures).push(message(panic.as_ref()));
            }
            script.counts.send_modify(|counts| counts.ended += 1);
        });
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    number: usize,
    mut hang_ups: watch::Receiver<usize>,
    script: &Script,
) {
    stream.set_nodelay(true).unwrap();
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => Stream::Tls(Box::new(TlsStream::Server(stream))),
            // Some tests need a peer that refuses the certificate.
            Err(_) => return,
        },
    };
    let mut wire = Wire::new(stream);
    loop {
        let head = tokio::select! {
            head = wire.head() => head,
            _ = hang_ups.changed() => return,
        };
        let head = match head {
            Ok(Some(head)) => head,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                panic!("unreadable request: {error}")
            }
            Ok(None) | Err(_) => return,
        };
        let Ok(body) = wire.body(&head, false).await else { return };
        let mut words = head.first_line.split(' ').map(str::to_owned);
        let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
            panic!("unreadable request line {:?}", head.first_line)
        };
        let last = version != "HTTP/1.1" || head.lists("connection", "close");
        let request = Request { method, target, fields: head.fields, body, connection: number };
        let reply = script.reply(&request);
        // The peer may leave in the middle of a response.
        match reply.play(wire, &request.method).await {
            Ok(Some(kept)) if !last => wire = kept,
            _ => return,
        }
    }
}

impl Script {
    fn reply(&self, request: &Request) -> Reply {
        lock(&self.seen).push(request.clone());
        self.counts.send_modify(|counts| counts.requests += 1);
        let mut routes = lock(&self.routes);
        let fitting = routes.iter_mut().filter(|(prefix, _)| request.target.starts_with(prefix.as_str()));
        match fitting.max_by_key(|(prefix, _)| prefix.len()) {
            Some((_, handler)) => handler(request),
            None => panic!("no route for {} {}", request.method, request.target),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
