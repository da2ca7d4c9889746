//! The level that no filter can lift.
//!
//! At DEBUG and TRACE the HTTP and TLS libraries print header maps, frames and names: the callers' tokens.
//! Below INFO only our own targets speak, whatever `log.filter` says. It is a list of who may, so that a
//! library that is added or renamed is silent too.

use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Stops events and spans of others below INFO.
#[derive(Debug)]
pub(super) struct LevelCap;

impl<S: Subscriber> Layer<S> for LevelCap {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if passes(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        passes(metadata)
    }
}

fn passes(metadata: &Metadata<'_>) -> bool {
    let rest = metadata.target().strip_prefix(OURS);
    *metadata.level() <= Level::INFO || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// This crate, as the target of an event has it.
const OURS: &str = "connector_cache";
