//! Spans for an OpenTelemetry collector: one for each request, one for each attempt at Graph.
//!
//! A span that ends goes into a bounded queue, and [`otlp`] sends it from there. If the queue is full, the span is
//! dropped and counted, so that no request waits for the collector. The attributes are numbers, labels of closed
//! sets and GUIDs: no type of this module can hold a token, a path, a flow, a tenant or a subject. The feature `otlp`
//! gates the exporter alone; without it [`Tracer::default`] starts no spans.

#[cfg(feature = "otlp")]
pub mod otlp;

mod span;
mod tracer;

pub use self::span::{Attribute, AttributeValue, FinishedSpan, SpanKind};
pub use self::tracer::{AttemptSpan, Config, RequestSpan, SpanReceiver, Tracer};
