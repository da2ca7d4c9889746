//! Work beside the path of a request: large bodies, spans, memory.

mod large_bodies;
mod memory;
#[cfg(feature = "otlp")]
mod partial_success;
