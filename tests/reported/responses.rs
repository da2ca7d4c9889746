//! Responses that Graph sends.

mod bodies;
mod headers;
mod harness;
mod no_content;
