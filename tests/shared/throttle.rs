//! Throttle gates: closed by one replica, closed on all.

use crate::common::origin::OriginServer;
use crate::common::redis::Store;
use crate::common::reply::Reply;
use crate::common::token;
use crate::fleet::{Setup, X, Y, status};

pub(crate) fn throttled(seconds: &str) -> Reply {
    Reply::status(429).header("content-type", "application/json").header("retry-after", seconds).body("{}")
}

#[tokio::test]
async fn a_gate_that_one_replica_closes_is_closed_on_all() {
    let (origin, store) = (OriginServer::start().await, Store::start().await);
    origin.any([Reply::json("{}"), Reply::json("{}"), throttled("30")]);
    let replicas = Setup::new(&origin.url(), &store.url()).fleet(2).await;
    let token = token::mint("ada");
    // Both replicas know the token, so that it may share the limit of its application.
    replicas[0].read(X, &token).await;
    replicas[1].read(Y, &token).await;
    assert_eq!(replicas[0].read("B2X_1_z", &token).await.status, 429);
    replicas[1]
        .until("a closed gate on the other replica", async || {
            replicas[1].sum("throttle_gates", &[]).await >= 1.0
        })
        .await;
    let refused = replicas[1].read("B2X_1_w", &token).await;
    assert_eq!((refused.status, origin.requests()), (429, 3), "{}", status(&refused));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_gate_of_one_application_does_not_stop_another() {
    let (origin, store) = (OriginServer::start().await, Store::start().await);
    origin.any([Reply::json("{}"), throttled("30"), Reply::json("{}")]);
    let replicas = Setup::new(&origin.url(), &store.url()).fleet(2).await;
    let (one, other) = (token::mint_in("t", "app-1", "ada"), token::mint_in("t", "app-2", "ada"));
    replicas[0].read(X, &one).await;
    assert_eq!(replicas[0].read(Y, &one).await.status, 429);
    replicas[1]
        .until("a closed gate on the other replica", async || {
            replicas[1].sum("throttle_gates", &[]).await >= 1.0
        })
        .await;
    assert_eq!(replicas[1].read(Y, &other).await.status, 200);
}

#[tokio::test]
async fn a_gate_opens_on_all_replicas() {
    let (origin, store) = (OriginServer::start().await, Store::start().await);
    origin.any([Reply::json("{}"), throttled("2"), Reply::json("{}")]);
    let replicas = Setup::new(&origin.url(), &store.url()).fleet(2).await;
    let token = token::mint("ada");
    replicas[0].read(X, &token).await;
    assert_eq!(replicas[0].read(Y, &token).await.status, 429);
    for replica in &replicas {
        replica.until("an open gate", async || replica.read(Y, &token).await.status == 200).await;
    }
}
