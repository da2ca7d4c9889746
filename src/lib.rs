//! connector-cache: a caching read-through proxy for one resource of Microsoft Graph, the API connector
//! configuration of a user flow.
//!
//! Internal services call the proxy instead of Graph. The proxy forwards the caller's own token, removes the credentials
//! from Graph's response, stores the result for a while, and answers later requests from memory. It never gives a caller
//! anything that Graph would not have given to that caller.
//!
//! # Path of a request
//!
//! ```text
//! caller ──▶ server ─▶ proxy::middleware ─▶ proxy ─┬─ hit ─────────────▶ response ─▶ caller
//!                                                  └─ miss ─▶ coalesce ─▶ fetch ─▶ upstream (Graph)
//!                                                                          ├─▶ scrub ─▶ cache
//!                                                                          └─▶ response ─▶ caller
//! operator ─▶ admin: /metrics /livez /readyz /cache
//! ```
//!
//! # Modules
//!
//! A module imports from modules of lower levels only. `tests/tidy/levels.rs` checks this.
//!
//! | level | module | contents |
//! |---|---|---|
//! | 10 | [`app`] | builds the parts, serves, reloads, drains |
//! | 9 | [`config`] | schema, sources and validation of the configuration |
//! | 8 | [`admin`] | admin port: metrics, probes, cache view, purge |
//! | 7 | [`proxy`] | the decision: lookup, fetch, middleware, response |
//! | 6 | [`upstream`] | client of Graph: connections, permits, circuit breakers, limits for unproven tokens |
//! | 6 | [`shared`] | shared tier: one sealed store and one log for the replicas of an installation |
//! | 6 | [`server`] | data port: listener, workers, TLS, connection timeouts |
//! | 5 | [`observability`] | logging, metrics, tracing export, hardening of the process |
//! | 4 | [`cache`] | entries, proofs, leases, freshness |
//! | 3 | [`auth`] | token to hash and claims |
//! | 3 | [`resource`] | path and query to resource |
//! | 2 | [`http`] | HTTP rules without state |
//! | 2 | [`scrub`] | removal of credentials from a body |
//! | 2 | `fake_graph` | stand-in for Graph, for the demo and the tests |
//! | 1 | [`support`] | clock, byte budget, labels, watched files, TLS roots |
//!
//! # Where to look
//!
//! | question | begin at |
//! |---|---|
//! | How is a hit answered? | [`proxy`] (`decide`, `judge`), then `proxy/response.rs` |
//! | How is a miss answered? | `proxy/forward.rs`, then [`proxy::fetch`] and [`upstream`] |
//! | Why may an entry be used, fresh or stale? | [`cache::freshness`], called by `proxy/lookup.rs` |
//! | What does a purge remove? | [`admin`], then `cache/store/purge.rs` |
//! | What does a reload change? | [`app::reload`] |
//! | What do replicas share? | [`shared`], used by `proxy/fetch/shared.rs` |
//! | What ends a connection? | `server/connection/timeouts.rs` and `server/connection/close.rs` |
//! | Where is a configuration key added? | [`config`]: one call in `config/schema/`, one field in the `Config` of its user |
//! | Where is a metric added? | [`observability::metrics`]: one field and one line in `Metrics::new` |
//! | Where is a reason added? | requests: [`http::rejection`](crate::http::rejection); connections: `server/rejection.rs`; Graph: `upstream/failure.rs`; cache: [`cache::outcome`] |
//!
//! `make docs` generates the references of keys, metrics and reasons from the code. "Promise 1" to "promise 7" in comments
//! are the promises of `docs/security-model.md`.

pub mod admin;
pub mod app;
pub mod auth;
pub mod cache;
pub mod config;
#[cfg(feature = "demo")]
pub mod fake_graph;
pub use connector_cache_http as http;
pub mod observability;
pub mod proxy;
pub mod resource;
pub use connector_cache_scrub as scrub;
pub mod server;
pub mod shared;
pub use connector_cache_support as support;
pub mod upstream;
