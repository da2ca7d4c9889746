//! The machine around the proxy: descriptors, certificates, collectors, probes, memory.
//!
//! The descriptors (`e1`) are in `tests/isolation/descriptors.rs`.

mod pem_files;
mod tls;
