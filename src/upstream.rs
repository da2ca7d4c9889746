//! Client side of the proxy: everything between a cache miss and Graph's response.
//!
//! A fetch passes three stages before a request leaves, and each of them can reject the request:
//!
//! 1. [`unproven_limit`]: concurrency and failure limits for tokens without a proof. [`unauthorized_tokens`] repeats a
//!    recent 401 of Graph to its token.
//! 2. [`permits`]: the number of requests to Graph at one time, shared fairly among callers by a [`fair_queue`].
//! 3. [`breaker`]: circuit breakers and `Retry-After` throttles.
//!
//! Then [`GraphClient::send`] builds the request (`request`), takes a connection from the pool of its runtime (`pool`, with
//! one connection prepared by `preconnect`), and reads the response (`response`, `body`). A new connection needs addresses
//! (`dns`), which `happy_eyeballs` tries in turn, TCP, the `forward_proxy` of the environment if there is one, and TLS
//! (`connector`). Failures become the reasons of
//! [`UpstreamFailure`] in `error`; `reuse` decides whether a failed request may be
//! sent again.
//!
//! Large bodies are decoded and scrubbed by [`body_workers`], outside of the threads that serve connections.
//!
//! Promises that this module keeps: the request contains the resource and the caller's token, and nothing else that a caller
//! sends (promise 1). The body of a response is whole, decoded and bounded, in a type that only the scrubber can read
//! (promise 4). Redirects are not followed, so the token reaches no other host. A condition is Graph's own validator, never
//! the caller's. Apart from validators, this module knows nothing of the cache.
//!
//! Imports inside the module go one way: `client` → `pool` → `preconnect` → `connector` → `connection` → `reuse` → `dns`. `stream_limit` reads the limit of streams of a connection.

mod body;
pub mod body_workers;
pub mod breaker;
mod client;
mod config;
mod connection;
mod connection_fault;
mod connector;
mod dns;
mod error;
mod error_chain;
mod failure;
pub mod fair_queue;
mod forward_proxy;
mod happy_eyeballs;
mod interim;
pub mod metrics;
pub mod permits;
mod pool;
mod preconnect;
mod probe;
mod request;
mod response;
mod retry;
mod reuse;
mod stream_limit;
pub mod unauthorized_tokens;
pub mod unproven_limit;
mod zeroed_bytes;

pub use self::body::RawBody;
pub use self::client::{GraphCall, GraphClient};
pub use self::config::{Config, Timeouts};
pub use self::connector::SetupError;
pub use self::failure::{RequestError, UpstreamFailure};
pub use self::forward_proxy::{ForwardProxy, ProxyVariableError};
pub use self::probe::{GraphProbeError, GraphReport, probe};
pub use self::response::UpstreamResponse;
pub use self::retry::Retry;
