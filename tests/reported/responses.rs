//! Responses that Graph sends.
