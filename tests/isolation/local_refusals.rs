//! Attacks that turn a refusal of the proxy into an outage of Graph.
