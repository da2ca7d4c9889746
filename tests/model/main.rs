//! No caller ever sees what Graph would not give to that caller.
//!
//! The real [`Proxy`](connector_cache::proxy::Proxy) is driven by stories drawn by lot: fifty tokens ask for twenty
//! flows in every shape, several at one time, while a Graph on loopback holds each question until it is told
//! what to say. Callers hang up, operators purge, the clock jumps to where something ends, and Graph changes its
//! mind about any token and any resource. An oracle that knows Graph's every word judges every answer:
//!
//! | rule | |
//! |---|---|
//! | (a) | From memory only bytes that Graph itself gave to exactly this token for exactly this resource (promise 2), by a 200 or a 304 within the proof's time and grace; Graph has not given the token other bytes since; the token is not at its end (`exp` less 30 s); Graph has not said 401 to the token, or 403, 404 or 410 to it for this resource, since; and nobody has purged it since. |
//! | (b) | The body is one that Graph gave to this principal for this resource, scrubbed, not too old, not purged. Each content has a serial, so that any crossing shows. |
//! | (c) | An answer of Graph's has exactly Graph's status for this token, and its words, scrubbed. |
//! | (d) | A caller waits for nothing but its own token's question. |
//! | (e) | No credential is in any answer. |
//! | (f) | What should be a hit is one, and an outage is bridged where it may be. Whatever an unproven token did before, it changes nothing here; nor does a purge of something else. |
//! | (g) | Graph is asked with exactly the canonical request and this caller's token. |
//! | (h) | What the answer says of itself is true: age, lifetime, stored or not, and the newest body is given. |
//! | (i) | When a token of the same principal was given other bytes, each other token asks Graph once. |
//! | (j) | For five seconds after Graph's 401 to a token, the same answer to this token and no request to Graph; to no other token, and not after that. |
//!
//! Graph may give tokens of one principal different bytes: each has a view, and a story changes views and contents.
//!
//! ```text
//! op (a story by lot) ─▶ driver ─▶ Proxy ─▶ graph (holds, answers)     cast: who asks   resource: for what
//!                          └─────▶ judge ─▶ history: may it be so?     word: what Graph may say
//!                                        └▶ mirror: must it be so?     teeth: would a fault be found out?
//!                                                                       views: what Graph shows to whom
//! ```
//!
//! A second, smaller run has `cache.freshness = "origin"`, `cache.client_directives = "honor"`, or both: Graph gives
//! lives and tags, says 304 of what was asked about or of something else, and callers say what they want.
//!
//! That proxy never forgets for want of room and never refuses. [`eviction`] has one that does both.
//!
//! `MODEL_REQUESTS` is how many requests are made (20,000 unless set), `MODEL_SEED` where chance begins. A
//! failure prints the seed that plays its story again, and the story, made as small as it gets.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test: a failed step is a failed test")]
#![allow(clippy::print_stdout, reason = "seeds and rates are for whoever runs it")]

mod coverage;
mod driver;
mod eviction;
mod expected_cache;
mod fair_shares;
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
fn no_caller_sees_what_graph_would_not_give_to_that_caller() {
    let requests = run::number("MODEL_REQUESTS").unwrap_or(20_000);
    let coverage = run::model(requests, run::seed(), Settings::Operators, false)
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{coverage:?}");
    if requests >= 20_000 {
        assert!(coverage.is_varied(), "the stories were too much alike: {coverage:?}");
    }
}

/// The same where Graph's word decides how long an answer lives, or callers are obeyed, or both.
#[test]
fn nor_does_any_where_graph_or_the_callers_decide() {
    let requests = run::number("MODEL_REQUESTS").unwrap_or(20_000) / 4;
    let coverage = run::model(requests, run::seed(), Settings::Rfcs, false)
        .unwrap_or_else(|failure| panic!("{failure}"));
    println!("{coverage:?}");
    if requests >= 5_000 {
        assert!(coverage.is_revalidated(), "Graph was too seldom asked what still holds: {coverage:?}");
    }
}
