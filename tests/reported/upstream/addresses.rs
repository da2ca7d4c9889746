//! A name of Graph with several addresses. Each test needs its own `/etc/hosts`, and so a mount namespace: `make test-net`.

use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::BODY;
use crate::common::proxy::path;
use crate::common::serve::Serve;
use crate::common::tls::Authority;
use crate::common::token;

/// Behavior of the first address.
#[derive(Clone, Copy, Debug)]
enum First {
    SwallowsPackets,
    Refuses,
    NeverFinishesTls,
}

/// Occupies a port of 127.0.0.2. The result is kept until the end of the test.
async fn occupy(first: First, port: u16) -> (Option<Socket>, Vec<TcpStream>) {
    let address = std::net::SocketAddr::from(([127, 0, 0, 2], port));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    let mut queued = Vec::new();
    match first {
        First::Refuses => return (None, queued),
        First::NeverFinishesTls => socket.listen(64).unwrap(),
        First::SwallowsPackets => {
            socket.listen(0).unwrap();
            // A full accept queue drops further SYN packets.
            let wait = Duration::from_millis(100);
            while let Ok(stream) = tokio::time::timeout(wait, TcpStream::connect(address)).await {
                queued.push(stream.unwrap());
            }
        }
    }
    (Some(socket), queued)
}

/// Answers each connection to 127.0.0.3 over TLS, HTTP/1.1, and closes it.
async fn serve_answers(listener: TcpListener, authority: &Authority) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let acceptor = tokio_rustls::TlsAcceptor::from(authority.certify(&["graph.example"]).server_config());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{BODY}", BODY.len());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

#[tokio::test]
async fn d1_a_first_address_that_is_dead_delays_one_request_only() {
    for first in [First::SwallowsPackets, First::Refuses, First::NeverFinishesTls] {
        let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
        let (roots, hosts) = (authority.write_pem(dir.path()), dir.path().join("hosts"));
        std::fs::write(&hosts, "127.0.0.2 graph.example\n127.0.0.3 graph.example\n").unwrap();
        let listener = TcpListener::bind("127.0.0.3:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let _occupied = occupy(first, port).await;
        let answering = tokio::spawn(async move { serve_answers(listener, &authority).await });
        let mount = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
        let url = format!("https://graph.example:{port}");
        let env = [
            ("CONNECTOR_CACHE__GRAPH__BASE_URL", url.as_str()),
            ("CONNECTOR_CACHE__GRAPH__CA_FILE", roots.to_str().unwrap()),
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ];
        let serve = Serve::start_under(&["unshare", "--mount", "sh", "-c", &mount, "sh"], &env).await;
        let mut times = Vec::new();
        for flow in 0..4 {
            let started = Instant::now();
            let response = serve.get(&path(&format!("B2X_1_{flow}")), &token::mint("a")).await;
            assert_eq!(response.status, 200, "{first:?}: {}", response.text());
            times.push(started.elapsed());
        }
        // The connection that is made at the start may have met the dead address already.
        assert!(times[0] < Duration::from_secs(1), "{first:?}: {times:?}");
        assert!(times[1..].iter().all(|time| *time < Duration::from_millis(200)), "{first:?}: {times:?}");
        serve.stop().await;
        answering.abort();
    }
}
