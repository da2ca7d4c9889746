//! Comparison of the cache's rules with the crate `http-cache-semantics`, for a private cache.
//!
//! Both judge the same random responses, requests and times: storage, age, lifetime, use without validation, validators in
//! the request to the origin, and the entry that a 304 confirms. Where the two differ, one departs from RFC 9111; the table
//! names every difference, and a test checks its direction.
//!
//! | where | here | there | why |
//! |---|---|---|---|
//! | `Vary: a, *` | not stored | stored, never matched | an entry that never matches takes no room |
//! | no time left, and no validator | not stored | stored | the same; here each response gets a validator |
//! | response `no-cache`, request `max-stale` | validated | used | s5.2.2.4: not without validation, also with `max-stale` |
//! | `proxy-revalidate`, request `max-stale` | validated | used | stricter: the proxy has many callers, though each has its own cache |
//! | request `max-stale=n`, stale by exactly `n` | used | fetched | s5.2.1.2: by no more than `n` |
//! | request `max-age=0`, age 0 | validated | used | stricter: callers force a validation that way |
//! | request `Pragma` beside `Cache-Control` | ignored | obeyed | s5.4; not generated |
//! | response `Pragma: no-cache` | ignored | obeyed | s5.4 is about requests; not generated |
//! | a directive in another case, in quotes, or there twice | read, skipped, the smallest | not read, read, `must-revalidate` | s5.2, s4.2.1; pinned by `l01_...`, `l16_...`, `l19_...`; not drawn |
//! | `max-age` without a value | 0 | not there | s4.2.1 lets it be stale; pinned by `l17_...`; not drawn |
//! | dates in the two old forms | read | not read | RFC 9110 s5.6.7; pinned by `l20_...`; not drawn |
//! | stored `W/"a"`, 304 with `"a"` | about another | about it | s4.3.4: a strong validator is compared strongly |
//! | stored tag or date, 304 with neither | about it | about another | it is the answer to one condition, about one answer |
//! | `no-store` beside `must-understand` | stored | not stored | s5.2.2.3: ignore it where the status is known; pinned by `l07_...`; not drawn |
//! | stored date alone, 304 with a weak tag and the date | about another | about it | stricter: it names another by its tag |
//! | `Last-Modified` within a second of `Date` | not asked with | asked with | RFC 9110 s8.8.2.2: it may stand for two states |
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connector_cache::auth::{HashKeys, Identity, TokenHash};
use connector_cache::cache::conditional::Validators;
use connector_cache::cache::freshness::{Config, Decision, FreshnessSource, Lifetime, assess};
use connector_cache::cache::vary::{SecondaryKeyHasher, SelectingRequest};
use connector_cache::http::cache_control::CacheControl;
use connector_cache::support::clock::{Clock, Now};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

fn config() -> Config {
    let long = Duration::from_secs(1 << 32);
    Config {
        ttl: long,
        proof_ttl: long,
        stale_while_revalidate: Duration::ZERO,
        freshness: FreshnessSource::Origin,
        ..Config::default()
    }
}

/// A response, the `Cache-Control` of a later request, and the seconds between them.
#[derive(Clone, Debug)]
struct Case {
    response: Vec<(&'static str, String)>,
    wishes: Vec<String>,
    pragma: bool,
    later: u64,
}

impl Case {
    fn says(&self, name: &str, word: &str) -> bool {
        self.response.iter().any(|(known, value)| *known == name && value.contains(word))
    }

    fn wish(&self, name: &str) -> Option<&str> {
        self.wishes.iter().find_map(|wish| wish.strip_prefix(name))
    }

    fn request(&self) -> HeaderMap {
        let mut fields: Vec<_> = Vec::new();
        if !self.wishes.is_empty() {
            fields.push(("cache-control", self.wishes.join(", ")));
        } else if self.pragma {
            fields.push(("pragma", "no-cache".to_owned()));
        }
        headers(&fields)
    }

    /// The caller's directives, as the proxy reads them.
    fn client(&self) -> CacheControl {
        let pragma = self.pragma && self.wishes.is_empty();
        let read = CacheControl::from_headers(&self.request());
        CacheControl { no_cache: read.no_cache || pragma, ..read }
    }
}

fn case() -> impl Strategy<Value = Case> {
    let age =
        select(vec!["max-age=0", "max-age=1", "max-age=60", "max-age=3600", "max-age=60a", "max-age=-1"]);
    let words = vec![
        "no-cache",
        "no-cache=\"x\"",
        "no-store",
        "must-revalidate",
        "proxy-revalidate",
        "private",
        "public",
        "s-maxage=7",
        "max-agee=9",
    ];
    let control = (prop::option::weighted(0.6, age), subsequence(words, 0..3));
    let control =
        control.prop_map(|(age, words)| age.into_iter().chain(words).collect::<Vec<_>>().join(", "));
    let date = prop::option::weighted(0.8, -90_i64..90);
    let expires =
        prop::option::weighted(0.4, prop_oneof![4 => (-100_i64..4000).prop_map(Some), 1 => Just(None)]);
    let modified =
        prop::option::weighted(0.6, prop_oneof![4 => 2_i64..4000, 1 => 0_i64..2].prop_map(|n| n * 10));
    let aged = prop::option::weighted(0.4, select(vec![0_u64, 1, 30, 59, 60, 61, 5000]));
    let vary =
        prop::option::weighted(0.2, select(vec!["*", "accept-encoding, *", "accept-language", "accept"]));
    let response = (control, date, expires, modified, aged, vary).prop_map(
        |(control, date, expires, modified, aged, vary)| {
            let mut fields = vec![("etag", "\"a\"".to_owned()), ("cache-control", control)];
            fields.extend(date.map(|at| ("date", http_date(at))));
            fields.extend(expires.map(|at| ("expires", at.map_or("0".to_owned(), http_date))));
            fields.extend(modified.map(|ago| ("last-modified", http_date(date.unwrap_or(0) - ago))));
            fields.extend(aged.map(|age| ("age", age.to_string())));
            fields.extend(vary.map(|vary| ("vary", vary.to_owned())));
            fields
        },
    );
    let wish = (select(vec!["max-age=", "min-fresh=", "max-stale="]), select(vec![0_u64, 1, 30, 60, 3000]));
    let wish = prop_oneof![
        6 => wish.prop_map(|(name, seconds)| format!("{name}{seconds}")),
        1 => Just("max-stale".to_owned()),
        1 => Just("no-cache".to_owned()),
    ];
    let wishes = prop_oneof![1 => Just(Vec::new()), 1 => vec(wish, 1..3)].prop_filter(
        "no directive twice",
        |wishes| {
            let names: Vec<_> =
                wishes.iter().map(|wish: &String| wish.split('=').next().unwrap().to_owned()).collect();
            names.len() < 2 || names[0] != names[1]
        },
    );
    let later = prop_oneof![3 => 0_u64..130, 1 => 0_u64..7000];
    (response, wishes, prop::bool::weighted(0.1), later).prop_map(|(response, wishes, pragma, later)| Case {
        response,
        wishes,
        pragma,
        later,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn both_say_the_same_of_storing_age_time_left_and_use(case in case()) {
        let fields = headers(&case.response);
        let (there, stored) = policy(&fields, &HeaderMap::new());
        let here = Lifetime::from_response(&fields, &config(), stored);
        prop_assert_eq!(here.is_ok(), there.is_storable() && !case.says("vary", "*"));
        let Ok(lifetime) = here else { return Ok(()) };
        let now = stored.plus(Duration::from_secs(case.later));
        let judged = assess(&config(), (&lifetime, stored), stored, config().ttl, case.client(), now);
        prop_assert_eq!(judged.age, there.age(now.wall()));
        prop_assert_eq!(judged.remaining.as_secs(), there.time_to_live(now.wall()).as_secs());

        let used = matches!(judged.decision, Decision::Fresh | Decision::StaleAccepted);
        let request = request(&case.request());
        let before = there.before_request(&request, now.wall());
        let used_there = before.satisfies_without_revalidation();
        let strict = ["no-cache", "proxy-revalidate"].iter().any(|word| case.says("cache-control", word));
        if case.wish("max-age=") == Some("0") || (strict && case.wish("max-stale").is_some()) {
            prop_assert!(!used || used_there, "stricter, never laxer");
        } else if judged.remaining.is_zero() && case.wish("max-stale=") == Some(&judged.overdue.as_secs().to_string()) {
            prop_assert!(used || !used_there, "by no more than so many seconds");
        } else {
            prop_assert_eq!(used, used_there);
        }

        if let BeforeRequest::Stale { request, .. } = before {
            let mut asked = HeaderMap::new();
            Validators::from_headers(&fields, stored).unwrap().apply_to(&mut asked);
            prop_assert_eq!(asked.get("if-none-match"), request.headers.get("if-none-match"));
            if let Some(since) = asked.get("if-modified-since") {
                prop_assert_eq!(Some(since), request.headers.get("if-modified-since"));
            }
        }
    }

    #[test]
    fn both_say_the_same_of_what_a_304_is_about(
        known in validators(),
        told in validators(),
    ) {
        let date = ("date", http_date(0));
        let date = std::slice::from_ref(&date);
        let (known, told) = ([&known[..], date].concat(), [&told[..], date].concat());
        let (stored, not_modified) = (headers(&known), headers(&told));
        let (there, now) = policy(&stored, &HeaderMap::new());
        let Some(here) = Validators::from_headers(&stored, now) else { return Ok(()) };
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::NOT_MODIFIED;
        *response.headers_mut() = not_modified.clone();
        let after = there.after_response(&request(&HeaderMap::new()), &response, now.wall());
        let (about, about_there) =
            (here.matches(&not_modified), matches!(after, AfterResponse::NotModified(..)));
        let tag = |fields: &HeaderMap| fields.get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let weak = |tag: &Option<String>| tag.as_ref().is_some_and(|tag| tag.starts_with("W/"));
        let (stored_tag, told_tag) = (tag(&stored), tag(&not_modified));
        let strong_of_weak = weak(&stored_tag) && told_tag.is_some() && !weak(&told_tag);
        let names_nothing = told_tag.is_none() && !not_modified.contains_key("last-modified");
        if names_nothing {
            prop_assert!(about, "nothing else was asked about");
        } else if strong_of_weak || (stored_tag.is_none() && told_tag.is_some()) {
            prop_assert!(!about, "stricter, never laxer");
        } else {
            prop_assert_eq!(about, about_there);
        }
    }

    #[test]
    fn both_say_the_same_of_which_request_an_answer_fits(
        vary in select(vec!["", "accept-language", "Cookie, accept-language", "cookie,cookie", "x-none"]),
        first in fields(),
        second in fields(),
    ) {
        let answer = headers(&[("vary", vary.to_owned()), ("cache-control", "max-age=60".to_owned())]);
        let (there, now) = policy(&answer, &headers(&first));
        let used_there = there.before_request(&request(&headers(&second)), now.wall()).satisfies_without_revalidation();
        let (chooser, token, first, second) = (SecondaryKeyHasher::default(), token(), headers(&first), headers(&second));
        let chosen = chooser.compute(&answer, SelectingRequest { headers: &first, token }).unwrap();
        prop_assert_eq!(chooser.matches(chosen.as_ref(), SelectingRequest { headers: &second, token }), used_there);
    }
}

/// An entity tag and a `Last-Modified` well before the date, each there or not.
fn validators() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let tag = prop::option::of(select(vec!["\"a\"", "W/\"a\"", "\"b\"", "W/\"b\""]));
    let modified = prop::option::of(select(vec![-100_i64, -200]));
    (tag, modified).prop_map(|(tag, modified)| {
        let tag = tag.map(|tag| ("etag", tag.to_owned()));
        tag.into_iter().chain(modified.map(|at| ("last-modified", http_date(at)))).collect()
    })
}

/// Fields of a request that `Vary` may name.
fn fields() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let value = || prop::option::of(select(vec!["de", "en", ""]));
    (value(), value()).prop_map(|(language, cookie)| {
        let language = language.map(|value| ("accept-language", value.to_owned()));
        language.into_iter().chain(cookie.map(|value| ("cookie", value.to_owned()))).collect()
    })
}

fn headers(fields: &[(&'static str, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn request(fields: &HeaderMap) -> Request<()> {
    let mut request = Request::get("http://origin/").body(()).unwrap();
    *request.headers_mut() = fields.clone();
    request
}

/// The other cache's policy for a response to this request that came at the returned moment.
fn policy(response: &HeaderMap, asked_with: &HeaderMap) -> (CachePolicy, Now) {
    let now = Clock::manual(start()).now();
    let mut answer = Response::new(());
    *answer.headers_mut() = response.clone();
    let options =
        CacheOptions { shared: false, immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
    (CachePolicy::new_options(&request(asked_with), &answer, now.wall(), options), now)
}

fn token() -> TokenHash {
    let authorization = headers(&[("authorization", "Bearer a".to_owned())]);
    Identity::from_headers(&authorization, &HashKeys::random().unwrap()).unwrap().token_hash
}

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

/// So many seconds after the start.
fn http_date(seconds: i64) -> String {
    let offset = Duration::from_secs(seconds.unsigned_abs());
    httpdate::fmt_http_date(if seconds < 0 { start() - offset } else { start() + offset })
}
