//! Attacks on the circuit breakers.
