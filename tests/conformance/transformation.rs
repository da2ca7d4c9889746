//! Lines 51 to 53: transformation of the body (RFC 9110, sections 7.7 and 8.4).

use crate::harness::{Harness, SECRET, ok};

#[tokio::test]
async fn l51_digests_are_dropped_and_the_length_is_that_of_the_scrubbed_body() {
    let harness = Harness::start().await;
    let digests = ["content-digest", "repr-digest", "digest", "content-md5"];
    harness.set_replies(digests.iter().fold(ok(), |reply, name| reply.header(name, "sha-256=:AAAA:")));
    for response in [harness.get(&[]).await, harness.get(&[]).await] {
        for name in digests {
            assert_eq!(response.header(name), None, "{name}");
        }
        assert_eq!(response.header("content-length"), Some(&*response.body.len().to_string()));
    }
    harness.stop().await;
}

#[tokio::test]
async fn l52_no_transform_does_not_let_a_credential_pass() {
    let harness = Harness::start().await;
    harness.set_replies(ok().header("cache-control", "no-transform"));
    let response = harness.get(&[]).await;
    assert_eq!(response.status, 200);
    assert!(!response.text().contains(SECRET));
    harness.stop().await;
}

#[tokio::test]
async fn l53_gzip_is_requested_and_no_other_coding_is_accepted() {
    let harness = Harness::start().await;
    harness.set_replies([ok().gzip(), ok().header("content-encoding", "br")]);
    let first = harness.get(&[("accept-encoding", "br")]).await;
    assert_eq!(harness.origin.seen()[0].header("accept-encoding"), Some("gzip"));
    assert_eq!((first.status, first.header("content-encoding")), (200, None));
    assert_eq!(harness.get_as("grace", &[]).await.status, 502);
    harness.stop().await;
}
