//! Lines 15 to 27: how long an answer is fresh, and how old it is (RFC 9111, sections 4.2, 5.1 and 5.3).

use std::process::Command;
use std::time::Duration;

use crate::bench::{Bench, STORED, ok, said};
use crate::common::gate::Gate;
use crate::common::within;

#[tokio::test]
async fn l20_expires_is_read_in_all_three_forms_of_a_date() {
    let bench = Bench::of_the_origin().await;
    for (n, expires) in
        ["Sun, 06 Nov 1994 08:50:37 GMT", "Sunday, 06-Nov-94 08:50:37 GMT", "Sun Nov  6 08:50:37 1994"]
            .into_iter()
            .enumerate()
    {
        bench.answers(ok().header("date", "Sun, 06 Nov 1994 08:49:37 GMT").header("expires", expires));
        let user = format!("user {n}");
        assert_eq!(said(&bench.get_as(&user, &[]).await), STORED, "{expires}");
        assert_eq!(said(&bench.get_as(&user, &[]).await), "hit; ttl=60", "{expires}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn l20_a_repeated_expires_means_expired() {
    let bench = Bench::of_the_origin().await;
    let date = "Sun, 06 Nov 1994 08:50:37 GMT";
    let before = ok().header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    bench.answers(before.header("expires", date).header("expires", date));
    assert_eq!(bench.says(&[]).await, "fwd=uri-miss; fwd-status=200; detail=no-lifetime");
    bench.stop().await;
}

#[tokio::test]
async fn l22_every_response_from_memory_has_an_age_that_only_grows() {
    let bench = Bench::start().await;
    bench.answers([ok().header("age", "7"), crate::common::reply::Reply::status(503)]);
    let etag = bench.get(&[]).await.header("etag").unwrap().to_owned();
    let mut ages = Vec::new();
    for step in [0, 1, 0, 290, 30, 60] {
        bench.proxy.clock.advance(Duration::from_secs(step));
        // Whole or 304, fresh, stale or in the place of a failure.
        for headers in [&[][..], &[("if-none-match", etag.as_str())]] {
            let answer = bench.get(headers).await;
            assert!(answer.status == 200 || answer.status == 304, "{answer:?}");
            ages.push(answer.header("age").unwrap().parse::<u64>().unwrap());
        }
    }
    assert_eq!(ages, [7, 7, 8, 8, 8, 8, 298, 298, 328, 328, 388, 388]);
    bench.stop().await;
}

#[tokio::test]
async fn l23_the_delay_of_a_slow_origin_counts_as_age() {
    let (bench, gate) = (Bench::start().await, Gate::new());
    bench.answers(ok().held_until(&gate));
    let later = async {
        bench.origin.wait_for_requests(1).await;
        bench.proxy.clock.advance(Duration::from_secs(40));
        gate.open();
    };
    tokio::join!(bench.get(&[]), within("the request", later));
    let hit = bench.get(&[]).await;
    assert_eq!((hit.header("age"), &*said(&hit)), (Some("40"), "hit; ttl=260"));
    bench.stop().await;
}

#[tokio::test]
async fn l24_the_origins_date_is_kept() {
    let bench = Bench::start().await;
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    bench.answers(ok().header("date", date));
    for answer in [bench.get(&[]).await, bench.get(&[]).await] {
        let dates: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "date").collect();
        assert_eq!(dates.len(), 1);
        assert_eq!(dates[0].1, date);
    }
    bench.stop().await;
}

#[tokio::test]
async fn l24_a_date_is_added_if_the_origin_sent_none_or_an_invalid_one() {
    for odd in [None, Some("soon")] {
        let bench = Bench::start().await;
        bench.answers(odd.map_or_else(ok, |odd| ok().header("date", odd)));
        let asked = httpdate::fmt_http_date(bench.proxy.clock.now().wall());
        bench.get(&[]).await;
        bench.proxy.clock.advance(Duration::from_secs(60));
        assert_eq!(bench.get(&[]).await.header("date"), Some(&*asked), "{odd:?}");
        bench.stop().await;
    }
}

#[test]
fn l27_the_local_time_zone_has_no_effect() {
    // The other tests of this file, in a process of its own in another zone.
    let mut other = Command::new(std::env::current_exe().unwrap());
    other.args(["freshness::", "--skip", "l27"]).env("TZ", "Asia/Tokyo");
    let output = other.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !told.contains(" 0 passed"), "{told}");
}
