//! An origin server with HTTP/2 over TLS that writes each frame as the test says.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Frames to one connection, by its number from 1. The second list follows the first request, the third the second, and so
/// on; the first follows the preface of the client.
type Script = Arc<dyn Fn(usize) -> Vec<Vec<Frame>> + Send + Sync>;

/// One frame of the server, or the end of the connection.
#[derive(Clone)]
pub enum Frame {
    /// SETTINGS with the entry `SETTINGS_MAX_CONCURRENT_STREAMS`, or without an entry.
    Settings(Option<u32>),
    /// GOAWAY: last stream id, error code.
    GoAway(u32, u32),
    /// `RST_STREAM`: stream id, error code.
    Reset(u32, u32),
    /// A complete 200 with this JSON text, on this stream.
    Answer(u32, &'static str),
    /// End of the connection.
    Close,
}

/// A running origin server.
pub struct FrameOrigin {
    address: SocketAddr,
    counts: watch::Sender<(usize, usize)>,
    accepting: JoinHandle<()>,
}

impl FrameOrigin {
    /// Listens, and plays `script` on each connection.
    pub async fn start(
        config: Arc<ServerConfig>,
        script: impl Fn(usize) -> Vec<Vec<Frame>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = watch::Sender::new((0, 0));
        let (tls, script, counting): (_, Script, _) =
            (TlsAcceptor::from(config), Arc::new(script), counts.clone());
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counting.send_modify(|counts| counts.0 += 1);
                let frames = script(counting.borrow().0);
                tokio::spawn(connection(stream, tls.clone(), frames, counting.clone()));
            }
        });
        Self { address, counts, accepting }
    }

    /// The base URL, by the name `localhost`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Number of accepted connections, and of requests.
    pub fn counts(&self) -> (usize, usize) {
        *self.counts.borrow()
    }
}

impl Drop for FrameOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The peer may close at any time, so errors end the connection.
async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    script: Vec<Vec<Frame>>,
    counts: watch::Sender<(usize, usize)>,
) {
    let Ok(mut stream) = tls.accept(stream).await else { return };
    let mut preface = [0; 24];
    if stream.read_exact(&mut preface).await.is_err() {
        return;
    }
    let mut script = script.into_iter();
    if !play(&mut stream, script.next().unwrap_or_default()).await {
        return;
    }
    while let Some(kind) = read_frame(&mut stream).await {
        if kind != HEADERS {
            continue;
        }
        counts.send_modify(|counts| counts.1 += 1);
        if !play(&mut stream, script.next().unwrap_or_default()).await {
            return;
        }
    }
}

/// Reads one frame and returns its type.
async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<u8> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    Some(head[3])
}

/// Writes the frames. Returns whether the connection goes on.
async fn play(stream: &mut TlsStream<TcpStream>, frames: Vec<Frame>) -> bool {
    for frame in frames {
        let bytes = match frame {
            Frame::Settings(None) => encode(4, 0, 0, &[]),
            Frame::Settings(Some(max)) => encode(4, 0, 0, &[&[0, 3], &max.to_be_bytes()[..]].concat()),
            Frame::GoAway(last, code) => encode(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat()),
            Frame::Reset(id, code) => encode(3, 0, id, &code.to_be_bytes()),
            Frame::Answer(id, text) => {
                // `:status: 200` of the static table, `content-type` (index 31) with a literal value.
                let head = [&[0x88, 0x0f, 0x10, 0x10][..], b"application/json"].concat();
                [encode(HEADERS, 4, id, &head), encode(0, 1, id, text.as_bytes())].concat()
            }
            Frame::Close => {
                let _ = stream.shutdown().await;
                return false;
            }
        };
        if stream.write_all(&bytes).await.is_err() {
            return false;
        }
    }
    stream.flush().await.is_ok()
}

fn encode(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
