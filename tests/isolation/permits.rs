//! Attacks on the permits for requests to Graph.
