//! Lines 51 to 53: the body that leaves is not the body that came (RFC 9110, sections 7.7 and 8.4).

use crate::bench::{Bench, SECRET, ok};

#[tokio::test]
async fn l51_digests_are_dropped_and_the_length_is_that_of_the_scrubbed_body() {
    let bench = Bench::start().await;
    let digests = ["content-digest", "repr-digest", "digest", "content-md5"];
    bench.answers(digests.iter().fold(ok(), |reply, name| reply.header(name, "sha-256=:AAAA:")));
    for answer in [bench.get(&[]).await, bench.get(&[]).await] {
        for name in digests {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
    }
    bench.stop().await;
}

#[tokio::test]
async fn l52_no_transform_does_not_let_a_credential_pass() {
    let bench = Bench::start().await;
    bench.answers(ok().header("cache-control", "no-transform"));
    let answer = bench.get(&[]).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains(SECRET));
    bench.stop().await;
}

#[tokio::test]
async fn l53_gzip_is_requested_and_no_other_coding_is_accepted() {
    let bench = Bench::start().await;
    bench.answers([ok().gzip(), ok().header("content-encoding", "br")]);
    let first = bench.get(&[("accept-encoding", "br")]).await;
    assert_eq!(bench.origin.seen()[0].header("accept-encoding"), Some("gzip"));
    assert_eq!((first.status, first.header("content-encoding")), (200, None));
    assert_eq!(bench.get_as("grace", &[]).await.status, 502);
    bench.stop().await;
}
