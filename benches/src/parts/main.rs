//! The parts of a request, each by itself and timed, by the library's public interface alone.
//!
//! What `callgrind` counts of a whole hit says where to look; this says what a change to one part comes to.

use divan::Bencher;
use divan::counter::BytesCount;

use self::stage::{Memory, parts, token};
use connector_cache::auth::{HashKeys, Identity, RequestDigest};
use connector_cache::http::validate::RequestView;
use connector_cache::resource::{ApiVersion, Resource};
use connector_cache::scrub::{self, Scrubber};
use connector_cache::support::clock::Clock;
use connector_cache_benches::connectors;

mod stage;

fn main() {
    divan::main();
}

/// The hash of a token, once its form is checked: what finds proofs.
#[divan::bench(args = LENGTHS)]
fn token_hash(bencher: Bencher<'_, '_>, length: usize) {
    let (secrets, parts) = (secrets(), parts(&token(length)));
    bencher
        .counter(BytesCount::new(length))
        .bench(|| Identity::from_headers(&parts.headers, &secrets).is_ok());
}

/// The hash of all that decides an answer: what finds the lookups that a thread remembers.
#[divan::bench(args = LENGTHS)]
fn spelling(bencher: Bencher<'_, '_>, length: usize) {
    let (secrets, parts) = (secrets(), parts(&token(length)));
    bencher
        .counter(BytesCount::new(length))
        .bench(|| RequestDigest::compute(&RequestView::new(&parts), &secrets).is_some());
}

/// Base64 and JSON of a token to who asks and until when.
#[divan::bench(args = LENGTHS)]
fn claims(bencher: Bencher<'_, '_>, length: usize) {
    let (secrets, parts, now) = (secrets(), parts(&token(length)), Clock::system().now());
    let Ok(identity) = Identity::from_headers(&parts.headers, &secrets) else {
        unreachable!("the token has its form")
    };
    assert!(identity.token.claims(&secrets, now).is_ok(), "the claims can be read");
    bencher.counter(BytesCount::new(length)).bench(|| identity.token.claims(&secrets, now).is_ok());
}

/// Path, query and `Accept` to what is keyed and forwarded.
#[divan::bench]
fn resource(bencher: Bencher<'_, '_>) {
    let parts = parts(&token(1_696));
    let parse =
        || Resource::parse(parts.uri.path(), parts.uri.query(), &parts.headers, ApiVersion::Beta).is_ok();
    assert!(parse(), "the resource is one");
    bencher.bench(parse);
}

/// Credentials out of a body.
#[divan::bench(args = [1_200, 100_000])]
fn scrub(bencher: Bencher<'_, '_>, length: usize) {
    let (scrubber, body) = (Scrubber::new(&scrub::Config::default(), 1 << 20), connectors(length));
    assert!(
        scrubber.scrub(&body).is_ok_and(|scrubbed| scrubbed.removed.total() > 0),
        "credentials are found"
    );
    bencher.counter(BytesCount::of_slice(&body)).bench(|| scrubber.scrub(&body).is_ok());
}

/// A hit without a port, its fields included, from what the thread remembers.
#[divan::bench]
fn remembered_hit(bencher: Bencher<'_, '_>) {
    let memory = Memory::with_an_answer();
    bencher.bench_local(|| memory.recalled());
}

/// A hit without a port that is looked up: claims or grant, proof and entry.
#[divan::bench]
fn found_hit(bencher: Bencher<'_, '_>) {
    let memory = Memory::with_an_answer();
    bencher.bench_local(|| memory.found());
}

fn secrets() -> HashKeys {
    let Ok(secrets) = HashKeys::random() else { unreachable!("the system has random bytes") };
    secrets
}

const LENGTHS: [usize; 5] = [1_024, 2_048, 4_096, 8_192, 16_384];
