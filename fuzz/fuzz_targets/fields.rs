//! The fields that decide how long an answer lives: total, bounded, and never the more lenient for saying more.
//!
//! Input: lines of `name: value`, as in a head.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use connector_cache::auth::LogTag;
use connector_cache::cache::entry::{EntityTagHasher, Entry};
use connector_cache::cache::freshness::{Assessment, Config, Decision, FreshnessSource, Lifetime, assess};
use connector_cache::http::cache_control::CacheControl;
use connector_cache::http::ids::Ids;
use connector_cache::http::negotiation::ContentCoding;
use connector_cache::http::retry_after;
use connector_cache::proxy::response::ResponseBuilder;
use connector_cache::scrub::{self, Scrubber};
use connector_cache::support::clock::{Clock, Now};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use libfuzzer_sys::fuzz_target;

static NOW: LazyLock<Now> =
    LazyLock::new(|| Clock::manual(UNIX_EPOCH + Duration::from_secs(1_785_102_361)).now());
static SCRUBBER: LazyLock<Scrubber> = LazyLock::new(|| Scrubber::new(&scrub::Config::default(), 1 << 20));
/// RFC 9111, section 1.2.2.
const CLAMP: u64 = 1 << 31;

fuzz_target!(|input: &[u8]| {
    let headers: HeaderMap = input.split(|byte| *byte == b'\n').filter_map(field).collect_map();
    retry(&headers);
    control(&headers);
    lifetime(&headers);
    conditional(&headers);
    coding(&headers);
});

trait CollectMap {
    fn collect_map(self) -> HeaderMap;
}

impl<I: Iterator<Item = (HeaderName, HeaderValue)>> CollectMap for I {
    /// Appends, where `collect` would replace.
    fn collect_map(self) -> HeaderMap {
        let mut map = HeaderMap::new();
        self.for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
}

fn retry(headers: &HeaderMap) {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED] {
        let wait = retry_after::from_headers(headers, status, *NOW);
        assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(600)), "{wait:?}");
        assert!(wait.is_some() || status != StatusCode::TOO_MANY_REQUESTS);
    }
}

fn control(headers: &HeaderMap) {
    let read = CacheControl::from_headers(headers);
    let times = [read.max_age, read.min_fresh, read.max_stale, read.stale_while_revalidate];
    for seconds in times.into_iter().flatten() {
        assert!(seconds <= CLAMP);
    }
    // Lines count alike in any order, and each further line can only forbid.
    let lines: Vec<_> = headers.get_all(header::CACHE_CONTROL).iter().cloned().collect();
    let mut turned = HeaderMap::new();
    for line in lines.iter().rev() {
        let before = CacheControl::from_headers(&turned);
        turned.append(header::CACHE_CONTROL, line.clone());
        let after = CacheControl::from_headers(&turned);
        assert!(after.no_store >= before.no_store && after.no_cache >= before.no_cache);
        assert!(after.must_revalidate >= before.must_revalidate);
        assert!(before.max_age.is_none_or(|age| after.max_age.is_some_and(|now| now <= age)));
        assert!(before.min_fresh.is_none_or(|age| after.min_fresh.is_some_and(|now| now >= age)));
    }
    assert_eq!(CacheControl::from_headers(&turned), read);
}

fn lifetime(headers: &HeaderMap) {
    let operator = Config { ttl: Duration::from_secs(300), ..Config::default() };
    let origin = Config { freshness: FreshnessSource::Origin, ..operator.clone() };
    let longest = Lifetime::from_response(headers, &operator, *NOW);
    for config in [&operator, &origin] {
        let Ok(life) = Lifetime::from_response(headers, config, *NOW) else { continue };
        assert!(life.fresh_for <= config.ttl);
        // Where Graph decides, `must-understand` undoes a `no-store`.
        let undone = config.freshness == FreshnessSource::Origin
            && CacheControl::from_headers(headers).must_understand;
        assert!(
            undone || longest.is_ok_and(|longest| life.fresh_for <= longest.fresh_for),
            "Graph's word outlives the TTL"
        );
        let wider = Config { ttl: config.ttl * 2, ..config.clone() };
        assert!(
            Lifetime::from_response(headers, &wider, *NOW).is_ok_and(|wide| wide.fresh_for >= life.fresh_for)
        );
        ages(&life, config, CacheControl::from_headers(headers));
    }
}

/// Time alone makes nothing younger, and nothing is fresh again once it was not.
fn ages(life: &Lifetime, config: &Config, client: CacheControl) {
    let token_left = Duration::from_secs(400);
    let mut last: Option<Assessment> = None;
    for seconds in [0, 1, 29, 150, 299, 300, 301, 329, 330, 371, 900, 4_000] {
        let (now, gone) = (NOW.plus(Duration::from_secs(seconds)), Duration::from_secs(seconds));
        let judged = assess(config, (life, *NOW), *NOW, token_left.saturating_sub(gone), client, now);
        if let Some(last) = last {
            assert!(
                judged.age >= last.age
                    && judged.remaining <= last.remaining
                    && judged.overdue >= last.overdue
            );
            assert!(last.decision == Decision::Fresh || judged.decision != Decision::Fresh);
        }
        assert!(judged.decision != Decision::Fresh || !judged.remaining.is_zero());
        last = Some(judged);
    }
}

/// Nobody gets gzip who refuses it, whatever else he says.
fn coding(headers: &HeaderMap) {
    let mut turned = HeaderMap::new();
    let lines: Vec<_> = headers.get_all(header::ACCEPT_ENCODING).iter().cloned().collect();
    for line in lines.into_iter().rev() {
        turned.append(header::ACCEPT_ENCODING, line);
    }
    assert_eq!(ContentCoding::preferred(&turned), ContentCoding::preferred(headers));
    turned.append(header::ACCEPT_ENCODING, HeaderValue::from_static("GZIP ; q=0"));
    assert_eq!(ContentCoding::preferred(&turned), ContentCoding::Identity);
}

/// `If-None-Match` and `If-Modified-Since`, after the caller was granted the answer.
fn conditional(headers: &HeaderMap) {
    let body = SCRUBBER.scrub(b"{\"id\":\"x\"}").expect("it is an object").body;
    let entity_tags = EntityTagHasher::new(SCRUBBER.policy_bytes());
    let entry = Entry::new(body, &entity_tags, headers, Lifetime::NONE, *NOW);
    let plain = |value: &HeaderValue| value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'));
    assert!(entry.headers().iter().all(|(_, value)| plain(value)));
    let status = |headers: &HeaderMap| {
        let (ids, tag) = (Ids::from_headers(headers), LogTag([0; 4]));
        let delivery = ResponseBuilder { headers, is_conditional: true, ids: &ids, tag };
        let assessment = Assessment {
            age: Duration::ZERO,
            remaining: Duration::ZERO,
            overdue: Duration::ZERO,
            decision: Decision::Fresh,
        };
        delivery.hit(&entry, &assessment, None).response.status()
    };
    let answer = status(headers);
    assert!(matches!(answer, StatusCode::OK | StatusCode::NOT_MODIFIED));
    let mut with_ours = headers.clone();
    with_ours.append(header::IF_NONE_MATCH, entry.etag.to_header_value());
    assert_eq!(status(&with_ours), StatusCode::NOT_MODIFIED, "our own tag is not found among theirs");
    if headers.contains_key(header::IF_NONE_MATCH) {
        let mut without = headers.clone();
        without.remove(header::IF_MODIFIED_SINCE);
        assert_eq!(status(&without), answer, "If-None-Match beats If-Modified-Since");
    }
}
