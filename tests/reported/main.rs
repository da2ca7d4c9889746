//! Regression tests for inputs that users of Graph clients, caches and proxies reported in public.
//!
//! Each test begins with the letter and number of its input: `a` requests, `b` shared state and caching, `c` responses of
//! Graph, `d` the path to Graph, `e` the machine. Each input stands for its kind: a test plays the siblings as well.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

#[path = "../common/mod.rs"]
mod common;

mod caching;
mod machine;
mod requests;
mod responses;
mod upstream;
mod work;
