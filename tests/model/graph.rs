//! A server in place of Graph on loopback: it holds each request until the test sends the response.
//!
//! HTTP/1.1, one request at a time on a connection. A connection that the proxy closes while a request is held is
//! reported.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Event at the server.
pub enum Event {
    /// A request arrived.
    Request(GraphRequest),
    /// The connection of the request with this `client-request-id` was closed.
    Gone(String),
}

/// A request as it arrived.
pub struct GraphRequest {
    pub target: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    /// Takes the response.
    pub reply: oneshot::Sender<Reply>,
}

/// Bytes of a response.
pub struct Reply {
    pub bytes: Vec<u8>,
    /// Whether the connection ends after them.
    pub close: bool,
}

impl GraphRequest {
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// The listening side.
pub struct Graph {
    pub url: String,
    pub events: mpsc::UnboundedReceiver<Event>,
    accepting: JoinHandle<()>,
}

impl Graph {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (report, events) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, report.clone()));
            }
        });
        Self { url, events, accepting }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, report: mpsc::UnboundedSender<Event>) {
    stream.set_nodelay(true).unwrap();
    let mut read = Vec::new();
    loop {
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let head: Vec<u8> = read.drain(..end + 4).collect();
        let (reply, said) = oneshot::channel();
        let request = request(&head, reply);
        let id = request.field("client-request-id").to_owned();
        if report.send(Event::Request(request)).is_err() {
            return;
        }
        let reply = tokio::select! {
            reply = said => reply,
            _ = stream.read_buf(&mut read) => {
                // No request follows before the response, so this is the end of the connection.
                let _ = report.send(Event::Gone(id));
                return;
            }
        };
        let Ok(reply) = reply else { return };
        if stream.write_all(&reply.bytes).await.is_err() || reply.close {
            return;
        }
    }
}

fn request(head: &[u8], reply: oneshot::Sender<Reply>) -> GraphRequest {
    let text = std::str::from_utf8(head).unwrap();
    let mut lines = text.split("\r\n");
    let target = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let fields = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    GraphRequest { target, fields: fields.collect(), reply }
}
