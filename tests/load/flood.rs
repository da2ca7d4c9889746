//! F65: the admin port during a flood on the data port, and during a scrape that is not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::token;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f65_the_admin_port_responds_during_a_flood_and_a_scrape_that_is_not_read() {
    let origin = OriginServer::start().await;
    origin.any(Reply::json("{}"));
    let url = origin.url();
    let serve = Serve::start(&[("CONNECTOR_CACHE__GRAPH__BASE_URL", &url)]).await;
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood: Vec<_> = (0..4)
        .map(|_| {
            let (over, answered, data) = (Arc::clone(&over), Arc::clone(&answered), serve.data);
            tokio::spawn(async move {
                let authorization = format!("Bearer {}", token::mint("flood"));
                let mut client = Client::connect(data).await;
                while !over.load(Relaxed) {
                    let response = client.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await;
                    assert_eq!(response.status, 200);
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    // These callers request more than their windows hold, and read nothing.
    let mut unread = Vec::new();
    for _ in 0..4 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut client = Client::over(socket.connect(serve.admin).await.unwrap(), serve.admin);
        for _ in 0..4 {
            client.send_get("/metrics", &[]).await.unwrap();
        }
        unread.push(client);
    }
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        for path in ["/livez", "/readyz", "/metrics"] {
            let asked = Instant::now();
            assert_eq!(serve.look(path).await.status, 200, "{path}");
            times.push(asked.elapsed());
        }
    }
    over.store(true, Relaxed);
    for task in flood {
        task.await.unwrap();
    }
    times.sort();
    let (usual, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{} hits; {} probes and scrapes: {usual:?} usually, {worst:?} at worst",
        answered.load(Relaxed),
        times.len()
    );
    assert!(usual < Duration::from_millis(100) && worst < Duration::from_secs(1), "{usual:?}, {worst:?}");
    drop(unread);
    assert!(serve.stop().await.0.success());
}
