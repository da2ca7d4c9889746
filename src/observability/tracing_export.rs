//! What happens in a request, told as spans: one for the request, one for each attempt at Graph.
//!
//! A span ends when it is dropped and goes into a queue of bounded length; [`crate::observability::tracing_export::otlp`] takes it from there. What
//! the queue has no room for is dropped and counted, so no request ever waits. Attributes are numbers, words of
//! closed vocabularies and ids of the exact form they should have: there is no type here that could hold a token, a
//! path, a flow, a tenant or a subject. Without the feature `otlp` there are no spans, and nothing of this is built.

#[cfg(feature = "otlp")]
pub mod otlp;

#[cfg(not(feature = "otlp"))]
mod off;
#[cfg(feature = "otlp")]
mod span;
#[cfg(feature = "otlp")]
mod tracer;

#[cfg(not(feature = "otlp"))]
pub use self::off::{Attempt, Config, Served, Tracer};
#[cfg(feature = "otlp")]
pub use self::span::{Attribute, AttributeValue, Finished, SpanKind};
#[cfg(feature = "otlp")]
pub use self::tracer::{Attempt, Config, Served, Spans, Tracer};

#[cfg(feature = "otlp")]
/// The one path that is answered, as conventions for traces spell a template. Who asked for which is nobody's business.
pub const ROUTE: &str = "/{version}/identity/b2xUserFlows/{id}/apiConnectorConfiguration";
