//! Lines 15 to 27: freshness lifetime and age of a response (RFC 9111, sections 4.2, 5.1 and 5.3).

use std::process::Command;
use std::time::Duration;

use crate::common::gate::Gate;
use crate::common::within;
use crate::harness::{Harness, STORED, cache_status_of, ok};

#[tokio::test]
async fn l20_expires_is_read_in_all_three_forms_of_a_date() {
    let harness = Harness::with_origin_freshness().await;
    for (n, expires) in
        ["Sun, 06 Nov 1994 08:50:37 GMT", "Sunday, 06-Nov-94 08:50:37 GMT", "Sun Nov  6 08:50:37 1994"]
            .into_iter()
            .enumerate()
    {
        harness.set_replies(ok().header("date", "Sun, 06 Nov 1994 08:49:37 GMT").header("expires", expires));
        let user = format!("user {n}");
        assert_eq!(cache_status_of(&harness.get_as(&user, &[]).await), STORED, "{expires}");
        assert_eq!(cache_status_of(&harness.get_as(&user, &[]).await), "hit; ttl=60", "{expires}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn l20_a_repeated_expires_means_expired() {
    let harness = Harness::with_origin_freshness().await;
    let date = "Sun, 06 Nov 1994 08:50:37 GMT";
    let before = ok().header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    harness.set_replies(before.header("expires", date).header("expires", date));
    assert_eq!(harness.cache_status(&[]).await, "fwd=uri-miss; fwd-status=200; detail=no-lifetime");
    harness.stop().await;
}

#[tokio::test]
async fn l22_every_response_from_memory_has_an_age_that_only_grows() {
    let harness = Harness::start().await;
    harness.set_replies([ok().header("age", "7"), crate::common::reply::Reply::status(503)]);
    let etag = harness.get(&[]).await.header("etag").unwrap().to_owned();
    let mut ages = Vec::new();
    for step in [0, 1, 0, 290, 30, 60] {
        harness.proxy.clock.advance(Duration::from_secs(step));
        // In a 200 or 304, fresh, stale, or after a failure of the origin.
        for headers in [&[][..], &[("if-none-match", etag.as_str())]] {
            let response = harness.get(headers).await;
            assert!(response.status == 200 || response.status == 304, "{response:?}");
            ages.push(response.header("age").unwrap().parse::<u64>().unwrap());
        }
    }
    assert_eq!(ages, [7, 7, 8, 8, 8, 8, 298, 298, 328, 328, 388, 388]);
    harness.stop().await;
}

#[tokio::test]
async fn l23_the_delay_of_a_slow_origin_counts_as_age() {
    let (harness, gate) = (Harness::start().await, Gate::new());
    harness.set_replies(ok().held_until(&gate));
    let later = async {
        harness.origin.wait_for_requests(1).await;
        harness.proxy.clock.advance(Duration::from_secs(40));
        gate.open();
    };
    tokio::join!(harness.get(&[]), within("the request", later));
    let hit = harness.get(&[]).await;
    assert_eq!((hit.header("age"), &*cache_status_of(&hit)), (Some("40"), "hit; ttl=260"));
    harness.stop().await;
}

#[tokio::test]
async fn l24_the_origins_date_is_kept() {
    let harness = Harness::start().await;
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    harness.set_replies(ok().header("date", date));
    for response in [harness.get(&[]).await, harness.get(&[]).await] {
        let dates: Vec<_> = response.headers.iter().filter(|(name, _)| name == "date").collect();
        assert_eq!(dates.len(), 1);
        assert_eq!(dates[0].1, date);
    }
    harness.stop().await;
}

#[tokio::test]
async fn l24_a_date_is_added_if_the_origin_sent_none_or_an_invalid_one() {
    for odd in [None, Some("soon")] {
        let harness = Harness::start().await;
        harness.set_replies(odd.map_or_else(ok, |odd| ok().header("date", odd)));
        let requested_at = httpdate::fmt_http_date(harness.proxy.clock.now().wall());
        harness.get(&[]).await;
        harness.proxy.clock.advance(Duration::from_secs(60));
        assert_eq!(harness.get(&[]).await.header("date"), Some(&*requested_at), "{odd:?}");
        harness.stop().await;
    }
}

#[test]
fn l27_the_local_time_zone_has_no_effect() {
    // Runs the other tests of this file in a process with another time zone.
    let mut other = Command::new(std::env::current_exe().unwrap());
    other.args(["freshness::", "--skip", "l27"]).env("TZ", "Asia/Tokyo");
    let output = other.output().unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !output_text.contains(" 0 passed"), "{output_text}");
}
