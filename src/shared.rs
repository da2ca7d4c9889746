//! Shared tier: one sealed store and one log, on Redis or Valkey, for the replicas of one installation.
//!
//! The store spares requests to Graph. It is never on the path of a local hit, and no failure of it becomes a response: a
//! caller sees a hit or a miss.
//!
//! # Flow
//!
//! ```text
//! local miss ─▶ one MGET of entry, proof and fill lease ─▶ opens? times fit? no newer event? ─▶ admitted locally: hit
//!                                                      └─▶ no: fill lease (SET NX) ─▶ Graph ─▶ caller
//!                                                                                          └─▶ queue ─▶ SET entry, proof
//! purge, 401 to a proven token, forced refresh, 429 ─▶ outbox ─▶ XADD to the log
//! log ─▶ reader (XREAD from the last applied id) ─▶ index of events, local store, breakers ─▶ acknowledgement
//! ```
//!
//! | part | modules |
//! |---|---|
//! | names and keys | `secret` derives keys from `shared.secret_file` or a `generated_secret`, `names` computes names of values, `seal` encrypts |
//! | data | `record` is an entry or a proof, `event` an event of the log, `wire` their binary form |
//! | judgement | `index` knows the events that make a value invalid, `read` judges a value |
//! | store | `store` has connections, circuit breakers and the slots of a cluster; `writes` the queue of writes, `writer` its tasks, `fill` the fill lease |
//! | log | `log` reads and applies events, `outbox` keeps those of this process, `publisher` adds them, `replicas` has the acknowledgements of all replicas |
//! | process | `tier` has the parts, `service` the functions for the rest of the process |
//! | operator | `metrics` and `state`; `probe` is the check of `check --connect` |
//!
//! # Invariants
//!
//! A value counts only if it opens, its times fit, the log was read within the last second, no matching event in the log is
//! newer than the position of the value, and the local lease of the request is still valid when it is admitted. The position of a
//! value is the last event that its writer had applied when the fetch took its lease: so a response that left Graph before a
//! purge and is stored after it is refused.
//!
//! Events of the own process are in the index before the local store changes (`pending`), because a read between the two
//! would restore what the change removes.
//!
//! An unproven token may read, because a proof is named by the bytes of exactly that token. It writes nothing but its own
//! fill lease, and only after the limits for unproven tokens have admitted it.
//!
//! This module may not know connections of callers, the decision of the proxy, or Graph. It gets what an event changes
//! elsewhere as an [`EventHandler`]. The token hash (POLYVAL) never comes here: names are HMAC-SHA-256 over the token.

mod config;
mod event;
mod fill;
mod generated_secret;
mod handler;
mod index;
mod last_purge;
mod lease;
mod log;
mod metrics;
mod names;
mod outbox;
mod probe;
mod publisher;
mod publishers;
mod purge;
mod read;
mod record;
mod replicas;
mod seal;
mod secret;
mod service;
mod setup_error;
#[cfg(feature = "simulation")]
pub mod simulation;
mod state;
mod store;
mod tier;
mod wire;
mod writer;
mod writes;

pub use self::config::{Address, Config, Endpoint, Topology};
pub use self::fill::FillResult;
pub use self::generated_secret::GeneratedSecret;
pub use self::handler::{EventHandler, ResourceForm};
pub use self::metrics::SharedMetrics;
pub use self::probe::{ProbeError, ProbeReport, probe};
pub use self::purge::{PurgeConfirmation, PurgeNames, SharedPurge};
pub use self::read::{SharedFetch, SharedHit};
pub use self::secret::{SecretError, Secrets};
pub use self::service::SharedTier;
pub use self::setup_error::SetupError;
pub use self::state::{Operation, OperationResult, SharedState};
pub use self::tier::Scope;
