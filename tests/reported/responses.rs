//! Responses that Graph sends.

mod bodies;
mod harness;
mod headers;
mod no_content;
