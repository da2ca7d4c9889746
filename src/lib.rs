//! connector-cache: a caching read-through proxy for one resource of Microsoft Graph, the API connector
//! configuration of a user flow.
//!
//! Internal services call it instead of Graph. It forwards the caller's own token, takes the credentials out
//! of the answer, keeps that for a while, and answers again from memory. It never gives a caller anything
//! that Graph would not have given to that caller.
//!
//! # The way of a request
//!
//! ```text
//! caller ──▶ server ─▶ layers ─▶ proxy ─┬─ hit ──────────────────────────▶ deliver ─▶ caller
//!                                       └─ miss ─▶ flight ─▶ fetch ─▶ origin (Graph)
//!                                                             ├─▶ scrub ─▶ store
//!                                                             └─────────▶ deliver ─▶ caller
//! operator ─▶ admin: /metrics /livez /readyz /cache
//! ```
//!
//! 1. [`server`] accepts, [`layers`] gives the request its ids, checks the message ([`message`]) and counts.
//! 2. [`resource`] reads path and query into what is keyed and what is forwarded: the same thing.
//! 3. [`identity`] hashes the token into a fingerprint, and its claims into a principal.
//! 4. [`proxy`] looks for a proof (this token, this resource) and for an entry with its digest (this principal, this
//!    resource); [`cache::freshness`] judges both. With a live proof and a fresh entry, that is the answer.
//!    Where both were found is remembered for ten seconds ([`cache::front`]), so that the same request again needs
//!    steps 2 to 4 no more often than that; it is judged each time.
//!    What is past its time may be asked about instead of fetched anew ([`cache::validation`]).
//! 5. Otherwise Graph is asked, once at a time for a token and resource ([`cache::flight`]), within the limits of
//!    [`unproven_limit`] where the token has no proof yet, with one of the [`permits`], and while no circuit breaker or throttle of its scope is open ([`breaker`]). [`fetch`] sees to it: [`origin`] asks, [`scrub`] takes
//!    the credentials out, [`cache::store`] keeps the entry and the proof.
//! 6. [`deliver`] makes the response, and says in `Cache-Status` what happened.
//!
//! # What holds it up
//!
//! * A request to Graph is spelled from a [`resource::Resource`] and a [`identity::Token`] alone.
//! * A [`cache::entry::Entry`] holds a [`scrub::ScrubbedBody`], and only the scrubber can make one.
//!   [`origin::RawBody`], Graph's own bytes, can be scrubbed and nothing else.
//! * A [`cache::key::FlightKey`] holds the token's fingerprint, so nobody waits on a stranger's question.
//! * Tokens, fingerprints and principals have no `Display`, and their `Debug` shows nothing.
//! * Reasons are closed vocabularies ([`words`]): a label cannot hold what a caller or Graph said.
//!
//! # Floors
//!
//! A module uses modules of floors below its own, or of its own; never in a circle.
//!
//! | floor | modules |
//! |---|---|
//! | 4, assembly | [`run`], [`reload`], [`overview`], [`config`], `demo` |
//! | 3, decision | [`proxy`] |
//! | 2, machines | [`server`], [`layers`], [`admin`], [`fetch`], [`deliver`], [`origin`], [`fair_queue`], [`permits`], [`unproven_limit`], [`refused_tokens`], [`waiting_requests`], [`breaker`], [`refresh`], [`cache::store`], [`cache::front`], [`cache::ticket`], [`cache::flight`], [`telemetry`], [`otlp`], [`process`], [`descriptors`], [`readiness`], `sandbox` |
//! | 1, rules | [`identity`], [`resource`], [`scrub`], [`message`], [`metrics`], [`trace`], [`answer`], [`retry_after`], [`files`], [`cache::key`], [`cache::purge`], [`cache::entry`], [`cache::grant`], `cache::interner`, [`cache::freshness`], [`cache::validation`], [`cache::vary`], [`cache::variants`], [`cache::report`] |
//! | 0, words | [`words`], [`byte_budget`], `sabotage` (test builds only), [`cache::status`], [`cache::control`], [`headers`], [`quality`], [`coding`], [`date`], [`error`], [`ids`], [`clock`], [`dial`], [`memo`], [`network`], [`survivor`] |
//!
//! `sandbox` (a stand-in for Graph) and `demo` are there with the feature `sandbox`, which is on by default and
//! off in the image; `otlp` is there with the feature of its name, which is on in both.

pub mod admin;
pub mod answer;
pub mod breaker;
pub mod byte_budget;
pub mod cache;
pub mod clock;
pub mod coding;
pub mod config;
pub mod date;
pub mod deliver;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod descriptors;
pub mod dial;
pub mod error;
pub mod fair_queue;
pub mod fetch;
pub mod files;
pub mod headers;
pub mod identity;
pub mod ids;
pub mod layers;
pub mod memo;
pub mod message;
pub mod metrics;
pub mod network;
pub mod origin;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod overview;
pub mod permits;
pub mod process;
pub mod proxy;
pub mod quality;
pub mod readiness;
pub mod refresh;
pub mod refused_tokens;
pub mod reload;
pub mod resource;
pub mod retry_after;
pub mod run;
pub mod sabotage;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod scrub;
pub mod server;
pub mod survivor;
pub mod telemetry;
pub mod trace;
pub mod unproven_limit;
pub mod waiting_requests;
pub mod words;
