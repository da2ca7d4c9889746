//! Selection of events: the operator's filter, and a level cap that no filter can lift.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::{EnvFilter, Layer};

/// Parses a filter: a level, or directives with commas between them. `None`: the filter is malformed.
pub fn parse_filter(text: &str) -> Option<EnvFilter> {
    // `EnvFilter` reads a single word that is no level as a target: a slip in "info" would silence all other targets.
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    let is_slip = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric()) && !is_level(part);
    if text.split(',').any(is_slip) {
        return None;
    }
    EnvFilter::builder().with_regex(false).parse(text).ok()
}

/// Stops events and spans below INFO of all crates but this one.
///
/// At DEBUG and TRACE the HTTP and TLS libraries print header maps, frames and names, which hold callers' tokens. The cap
/// is a list of allowed targets, so that a library that is added or renamed is silent, too. `filter::Targets` of
/// tracing-subscriber does not fit: it compares prefixes of text, so `connector_cache_x` would pass, and it would raise the
/// maximum level of the process to TRACE, so that each trace point of the libraries would cost more than one comparison.
#[derive(Debug)]
pub(super) struct LevelCap;

impl<S: Subscriber> Layer<S> for LevelCap {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_allowed(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_allowed(metadata)
    }
}

fn is_allowed(metadata: &Metadata<'_>) -> bool {
    let path = metadata.target().strip_prefix(CRATE);
    *metadata.level() <= Level::INFO || path.is_some_and(|path| path.is_empty() || path.starts_with("::"))
}

/// First part of the targets of this crate.
const CRATE: &str = "connector_cache";
