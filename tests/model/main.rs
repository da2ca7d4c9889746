//! No caller gets a response that Graph would not send to that caller.
//!
//! Random stories drive the real [`Proxy`](connector_cache::proxy::Proxy): fifty tokens request twenty flows in all
//! spellings, several at one time, while a server in place of Graph holds each request until the story releases it. Callers
//! hang up, operators purge, the clock jumps to expiry times, and Graph changes its policy for any token and resource. An
//! oracle that knows all responses of Graph checks each response of the proxy:
//!
//! | rule | |
//! |---|---|
//! | (a) | A response from the cache has only bytes that Graph sent to exactly this token for exactly this resource (promise 2), by a 200 or a 304 within the lifetime of the proof and its grace. Since then Graph has sent the token no other bytes, no 401, and no 403, 404 or 410 for this resource, there was no purge, and the token has not expired (`exp` less 30 s). |
//! | (b) | Graph sent the body to this principal for this resource; it is scrubbed, not too old and not purged. Each body has a serial, so that a misdirected body is recognised. |
//! | (c) | A response of Graph is passed on with exactly its status for this token and its body, scrubbed. |
//! | (d) | A caller waits only for requests of its own token. |
//! | (e) | No response contains a credential. |
//! | (f) | Each expected hit is a hit, and in an outage a stale response is served where that is allowed. Requests of an unproven token change nothing here, nor does a purge of another entry. |
//! | (g) | A request to Graph is exactly the canonical request with this caller's token. |
//! | (h) | The fields of a response are true: age, lifetime, stored or not. The body is the newest. |
//! | (i) | When a token of the same principal got other bytes, each other token sends one request to Graph. |
//! | (j) | For five seconds after Graph's 401 to a token, this token gets the same 401 without a request to Graph; no other token does, and not after that. |
//!
//! Graph may send tokens of one principal different bytes: each token has a view, and a story changes views and contents.
//!
//! ```text
//! op (random story) ─▶ driver ─▶ Proxy ─▶ graph (holds, answers)      tokens: callers      resource: requests
//!                        └─────▶ judge ─▶ history: is it allowed?     responses of Graph   graph_policy and views: which
//!                                      └▶ expected_cache: must it be? mutation_checks: does the model notice a fault?
//! ```
//!
//! A second, smaller run has `cache.freshness = "origin"`, `cache.client_directives = "honor"`, or both: Graph sends
//! lifetimes and tags, and 304s for the same or another entry; callers send directives.
//!
//! A third run has three replicas that share a store: [`fleet`].
//!
//! The proxy of these runs never evicts and never refuses. The proxy of [`eviction`] does both.
//!
//! `MODEL_REQUESTS` is the number of requests (20,000 by default), `MODEL_SEED` the seed. A failure prints the seed that
//! replays its story, and the shrunk story.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test: a failed step is a failed test")]
#![allow(clippy::print_stdout, reason = "seeds and rates are for the reader of the output")]

#[path = "../common/mod.rs"]
mod common;

mod coverage;
mod driver;
mod eviction;
mod expected_cache;
mod fair_shares;
mod fleet;
mod graph;
mod graph_policy;
mod history;
mod judge;
mod mutation_checks;
mod op;
mod resource;
mod responses;
mod run;
mod setup;
mod tokens;
mod views;

use op::Settings;

#[test]
fn no_caller_gets_a_response_that_graph_would_not_send_to_that_caller() {
    let requests = run::number("MODEL_REQUESTS").unwrap_or(20_000);
    let coverage = run::model(requests, run::seed(), Settings::Operators, false)
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{coverage:?}");
    if requests >= 20_000 {
        assert!(coverage.is_varied(), "the stories covered too little: {coverage:?}");
    }
}

/// The same with lifetimes of Graph, or with directives of callers honored, or both.
#[test]
fn the_same_holds_with_lifetimes_of_graph_and_directives_of_callers() {
    let requests = run::number("MODEL_REQUESTS").unwrap_or(20_000) / 4;
    let coverage = run::model(requests, run::seed(), Settings::Rfcs, false)
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{coverage:?}");
    if requests >= 5_000 {
        assert!(coverage.is_revalidated(), "too few conditional requests to Graph: {coverage:?}");
    }
}
