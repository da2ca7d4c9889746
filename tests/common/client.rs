//! Callers: HTTP/1.1 byte by byte, and HTTP/2 with prior knowledge or over TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, TlsStream};

use super::wire::{Stream, Wire, first};
use super::within;

/// A complete response, de-chunked. Content codings are left as they came.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The body, which must be UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }
}

/// One HTTP/1.1 connection.
pub struct Client {
    wire: Wire,
    host: String,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { wire: Wire::new(plain(address).await), host: address.to_string() }
    }

    /// A client over a connection that was made to `address` in a way of its own.
    pub fn over(stream: TcpStream, address: SocketAddr) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { wire: Wire::new(Stream::Plain(stream)), host: address.to_string() }
    }

    /// Connects with TLS to the server of this name or address.
    pub async fn connect_tls(address: SocketAddr, config: Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        let wire = Wire::new(tls(address, config, name).await?);
        Ok(Self { wire, host: name.to_owned() })
    }

    /// Sends these bytes and no others.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within("the request to be taken", self.wire.write(bytes.as_ref())).await
    }

    /// Sends a GET.
    pub async fn send_get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut lines = vec![format!("GET {path} HTTP/1.1"), format!("host: {}", self.host)];
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        self.send(lines.join("\r\n") + "\r\n\r\n").await
    }

    /// Sends a GET and reads its response.
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send_get(path, headers).await.unwrap();
        self.response().await.unwrap_or_else(|error| panic!("no complete response to GET {path}: {error}"))
    }

    /// Reads the next response to a GET. Interim responses are skipped.
    pub async fn response(&mut self) -> io::Result<Response> {
        within("a response", self.read(true)).await
    }

    /// Reads the next response to a HEAD.
    pub async fn response_to_head(&mut self) -> io::Result<Response> {
        within("a response", self.read(false)).await
    }

    /// Returns when the server has ended the connection.
    pub async fn ended(&mut self) {
        within("the server to hang up", self.wire.ended()).await;
    }

    /// Ends the connection with RST.
    pub fn reset(self) {
        self.wire.reset();
    }

    async fn read(&mut self, has_body: bool) -> io::Result<Response> {
        loop {
            let head = self.wire.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let status = head.first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status = status.unwrap_or_else(|| panic!("unreadable status line {:?}", head.first_line));
            if (102..200).contains(&status) || status == 100 {
                continue;
            }
            let body = match status {
                101 | 204 | 304 => Vec::new(),
                _ if !has_body => Vec::new(),
                _ => self.wire.body(&head, true).await?,
            };
            return Ok(Response { status, headers: head.fields, body });
        }
    }
}

/// A GET on a connection of its own.
pub async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    Client::connect(address).await.get(path, headers).await
}

/// These bytes on a connection of their own, and the first response to them.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> io::Result<Response> {
    let mut client = Client::connect(address).await;
    client.send(bytes).await?;
    client.response().await
}

/// A GET with a token that requires a new response of Graph, on a connection of its own.
pub async fn refresh(address: SocketAddr, path: &str, token: &str) -> Response {
    let authorization = format!("Bearer {token}");
    get(address, path, &[("authorization", &authorization), ("connector-cache", "refresh")]).await
}

/// A purge at an admin port, of the entries that `query` selects: `?flow=x`, or nothing for all of them.
pub async fn purge(admin: SocketAddr, query: &str) -> Response {
    exchange(admin, format!("DELETE /cache{query} HTTP/1.1\r\nhost: {admin}\r\n\r\n")).await.unwrap()
}

/// One HTTP/2 connection. Requests may overlap.
pub struct H2 {
    sender: http2::SendRequest<Empty<Bytes>>,
    base: String,
}

impl H2 {
    /// Connects with prior knowledge.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::shake_hands(plain(address).await, format!("http://{address}")).await
    }

    /// Connects with TLS to the server of this name or address, with whatever ALPN the configuration has.
    pub async fn connect_tls(address: SocketAddr, config: Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        let stream = tls(address, config, name).await?;
        Ok(Self::shake_hands(stream, format!("https://{name}:{}", address.port())).await)
    }

    async fn shake_hands(stream: Stream, base: String) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("an HTTP/2 preface is sent");
        tokio::spawn(connection);
        Self { sender, base }
    }

    /// Sends a GET and reads its response. An error is a stream or a connection that was ended.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> hyper::Result<Response> {
        let mut request = http::Request::get(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).expect("path and headers are legal");
        let mut sender = self.sender.clone();
        within("a response", async move {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                (name.to_string(), value.to_str().expect("header values are text").to_owned())
            };
            let headers = parts.headers.iter().map(field).collect();
            let body = body.collect().await?.to_bytes().to_vec();
            Ok(Response { status: parts.status.as_u16(), headers, body })
        })
        .await
    }
}

/// A connection from another address of this machine, such as 127.0.0.2.
pub async fn tcp_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    within("a connection", socket.connect(address)).await.unwrap()
}

async fn plain(address: SocketAddr) -> Stream {
    let tcp = within("a connection", TcpStream::connect(address)).await;
    let tcp = tcp.unwrap_or_else(|error| panic!("no server at {address}: {error}"));
    tcp.set_nodelay(true).unwrap();
    Stream::Plain(tcp)
}

async fn tls(address: SocketAddr, config: Arc<ClientConfig>, name: &str) -> io::Result<Stream> {
    let Stream::Plain(tcp) = plain(address).await else { unreachable!("plain is plain") };
    let name = ServerName::try_from(name.to_owned()).expect("a server's name");
    let shaken = within("the TLS handshake", TlsConnector::from(config).connect(name, tcp)).await?;
    Ok(Stream::Tls(Box::new(TlsStream::Client(shaken))))
}
