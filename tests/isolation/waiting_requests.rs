//! Attacks on memory by requests that wait.
