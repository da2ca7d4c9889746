//! Attacks on file descriptors.
