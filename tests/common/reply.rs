//! Reply of an origin server to one request: complete, broken, or none.

use std::io::{self, Write as _};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};

use super::gate::Gate;
use super::wire::Wire;

/// A reply, as a builder for a route.
#[derive(Clone)]
pub struct Reply {
    act: Act,
    keep_alive: bool,
    held: Option<Gate>,
    /// Number of bytes before a wait at the gate.
    paused: Option<(usize, Gate)>,
    /// Number of bytes before the end of the connection, and the kind of the end.
    cut: Option<(usize, Cut)>,
    drip: Option<(usize, Duration)>,
}

#[derive(Clone)]
enum Act {
    Message(Message),
    Raw(Vec<u8>),
    Silence,
    Reset,
}

#[derive(Clone)]
struct Message {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    chunk: Option<usize>,
}

#[derive(Clone, Copy)]
enum Cut {
    Close,
    Reset,
}

impl Reply {
    /// A response without a body.
    pub fn status(status: u16) -> Self {
        Self::act(Act::Message(Message { status, fields: Vec::new(), body: Vec::new(), chunk: None }))
    }

    /// 200 with this body, declared to be JSON.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).header("content-type", "application/json").body(body)
    }

    /// These bytes and no others, then the end of the connection unless [`Reply::keep_alive`].
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { keep_alive: false, ..Self::act(Act::Raw(bytes.into())) }
    }

    /// Closes without a byte.
    pub fn hang_up() -> Self {
        Self::raw(Vec::new())
    }

    /// Never answers, and keeps the connection until the peer closes it.
    pub fn silence() -> Self {
        Self::act(Act::Silence)
    }

    /// RST instead of a response.
    pub fn reset() -> Self {
        Self::act(Act::Reset)
    }

    fn act(act: Act) -> Self {
        Self { act, keep_alive: true, held: None, paused: None, cut: None, drip: None }
    }

    /// Changes the status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.message().status = status;
        self
    }

    /// Adds a header field. `content-length` replaces the computed one.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.message().fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the status.
    #[must_use]
    pub fn status_of(mut self, status: u16) -> Self {
        self.message().status = status;
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.message().body = body.into();
        self
    }

    /// Sends the body in chunks of this many bytes.
    #[must_use]
    pub fn chunked(mut self, size: usize) -> Self {
        self.message().chunk = Some(size);
        self
    }

    /// Compresses the body by gzip, and sets `Content-Encoding`.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        let message = self.message();
        message.body = gzip(&message.body);
        self.header("content-encoding", "gzip")
    }

    /// Flips a bit of the body, so many bytes before its end: 1 is the last.
    #[must_use]
    pub fn damaged(mut self, from_end: usize) -> Self {
        let body = &mut self.message().body;
        let at = body.len() - from_end;
        body[at] ^= 1;
        self
    }

    /// Ends the connection after the response, without `Connection: close`.
    #[must_use]
    pub fn then_close(mut self) -> Self {
        self.keep_alive = false;
        self
    }

    /// Keeps the connection after a raw response.
    #[must_use]
    pub fn keep_alive(mut self) -> Self {
        self.keep_alive = true;
        self
    }

    /// Begins when the gate opens.
    #[must_use]
    pub fn held_until(mut self, gate: &Gate) -> Self {
        self.held = Some(gate.clone());
        self
    }

    /// Sends `count` bytes of head and body, and the rest when the gate opens.
    #[must_use]
    pub fn paused_after(mut self, count: usize, gate: &Gate) -> Self {
        self.paused = Some((count, gate.clone()));
        self
    }

    /// Sends `count` bytes of head and body, then closes; under TLS without `close_notify`.
    #[must_use]
    pub fn cut_after(mut self, count: usize) -> Self {
        self.cut = Some((count, Cut::Close));
        self
    }

    /// Sends `count` bytes of head and body, then resets.
    #[must_use]
    pub fn reset_after(mut self, count: usize) -> Self {
        self.cut = Some((count, Cut::Reset));
        self
    }

    /// Sends so many bytes at a time, and waits in between.
    #[must_use]
    pub fn drip(mut self, bytes: usize, interval: Duration) -> Self {
        self.drip = Some((bytes, interval));
        self
    }

    /// Sends the reply. Returns `wire` if it may carry another request.
    pub(super) async fn play(self, mut wire: Wire, method: &str) -> io::Result<Option<Wire>> {
        if let Some(gate) = &self.held {
            gate.opened().await;
        }
        let bytes = match &self.act {
            Act::Message(message) => message.bytes(method),
            Act::Raw(bytes) => bytes.clone(),
            Act::Silence => {
                wire.ended().await;
                return Ok(None);
            }
            Act::Reset => {
                wire.reset();
                return Ok(None);
            }
        };
        let end = self.cut.map_or(bytes.len(), |(count, _)| count.min(bytes.len()));
        self.send(&mut wire, &bytes[..end]).await?;
        match self.cut {
            Some((_, Cut::Reset)) => wire.reset(),
            Some((_, Cut::Close)) => drop(wire),
            None if self.keep_alive => return Ok(Some(wire)),
            None => wire.close().await?,
        }
        Ok(None)
    }

    async fn send(&self, wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
        let pause = self.paused.as_ref().map_or(bytes.len(), |(count, _)| (*count).min(bytes.len()));
        let (before, after) = bytes.split_at(pause);
        self.pour(wire, before).await?;
        if let Some((_, gate)) = &self.paused {
            gate.opened().await;
        }
        self.pour(wire, after).await
    }

    async fn pour(&self, wire: &mut Wire, bytes: &[u8]) -> io::Result<()> {
        let Some((size, interval)) = self.drip else { return wire.write(bytes).await };
        for drop in bytes.chunks(size) {
            wire.write(drop).await?;
            tokio::time::sleep(interval).await;
        }
        Ok(())
    }

    fn message(&mut self) -> &mut Message {
        match &mut self.act {
            Act::Message(message) => message,
            _ => panic!("only a reply with a status has a head and a body"),
        }
    }
}

impl Message {
    fn bytes(&self, method: &str) -> Vec<u8> {
        let mut lines = vec![format!("HTTP/1.1 {} Scripted", self.status)];
        lines.extend(self.fields.iter().map(|(name, value)| format!("{name}: {value}")));
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        if self.chunk.is_some() {
            lines.push("transfer-encoding: chunked".to_owned());
        } else if !bodiless
            && !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            lines.push(format!("content-length: {}", self.body.len()));
        }
        let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
        match self.chunk {
            _ if method == "HEAD" || bodiless => {}
            Some(size) => {
                for chunk in self.body.chunks(size) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
            None => bytes.extend(&self.body),
        }
        bytes
    }
}

impl From<Reply> for Vec<Reply> {
    fn from(reply: Reply) -> Self {
        vec![reply]
    }
}

/// Compresses by gzip.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Returns a 200 with this body and `Content-Encoding: gzip`.
pub fn gzip_coded(body: Vec<u8>) -> Reply {
    Reply::json(body).header("content-encoding", "gzip")
}
