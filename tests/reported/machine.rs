//! The machine around the proxy: descriptors, certificates, collectors, probes, memory.
