//! Work beside the path of a request: large bodies, spans, memory.

mod large_bodies;
#[cfg(feature = "otlp")]
mod partial_success;
