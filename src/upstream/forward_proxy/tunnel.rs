//! Tunnel through a forward proxy: CONNECT (RFC 9110, section 9.3.6).
//!
//! The clients of hyper and hyper-util do not open a tunnel for each status 2xx: that of hyper ends the message at a 204, and
//! that of hyper-util accepts only 200.

use std::io;

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ForwardProxy;

/// Error of a tunnel.
#[derive(Debug, thiserror::Error)]
pub(in crate::upstream) enum TunnelError {
    /// The proxy sent a status other than 2xx.
    #[error("the proxy responded to CONNECT with {0}")]
    Status(StatusCode),
    /// The proxy sent no valid response.
    #[error("the proxy sent no valid response to CONNECT")]
    Malformed,
    /// The connection to the proxy failed.
    #[error("the connection to the proxy failed")]
    Io(#[from] io::Error),
}

impl TunnelError {
    /// Returns whether the proxy requires other credentials.
    pub(in crate::upstream) fn requires_credentials(&self) -> bool {
        matches!(self, Self::Status(StatusCode::PROXY_AUTHENTICATION_REQUIRED))
    }
}

/// Sends CONNECT for `authority` on a connection to the proxy. Any status 2xx opens the tunnel; its other fields, such as a
/// content length, have no meaning then.
pub(in crate::upstream) async fn open(
    stream: &mut TcpStream,
    authority: &str,
    proxy: &ForwardProxy,
) -> Result<(), TunnelError> {
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        head.extend([b"Proxy-Authorization: ", authorization.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    stream.write_all(&head).await?;
    let status = read_status(stream).await?;
    if status.is_success() {
        return Ok(());
    }
    tracing::warn!(
        status = status.as_u16(),
        "the proxy of {} refused a connection to Graph: {}",
        proxy.variable,
        advice(status)
    );
    Err(TunnelError::Status(status))
}

/// Reads the head of the final response, and drops bytes of a body that came along: the server of TLS never sends first.
async fn read_status(stream: &mut TcpStream) -> Result<StatusCode, TunnelError> {
    let mut received = Vec::new();
    loop {
        if received.len() >= MAX_HEAD_BYTES || stream.read_buf(&mut received).await? == 0 {
            return Err(TunnelError::Malformed);
        }
        loop {
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut response = httparse::Response::new(&mut fields);
            let Ok(parsed) = response.parse(&received) else { return Err(TunnelError::Malformed) };
            let httparse::Status::Complete(length) = parsed else { break };
            let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
            match status.ok_or(TunnelError::Malformed)? {
                interim if interim.is_informational() => received.drain(..length),
                status => return Ok(status),
            };
        }
    }
}

/// Returns the next step of an operator.
fn advice(status: StatusCode) -> &'static str {
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        "check user and password of the variable"
    } else {
        "check whether its rules allow CONNECT to Graph"
    }
}

/// Size of the head of a response to CONNECT.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_FIELDS: usize = 100;
