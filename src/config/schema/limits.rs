//! Keys of `limits.*` for requests: tokens without a proof, waiting requests, request coalescing, refreshes, memory.

use std::time::Duration;

use super::{MIB, MINUTE, TIB, at_most};
use crate::cache::coalesce;
use crate::config::Config;
use crate::config::key::key;
use crate::config::reader::ConfigReader;
use crate::config::rules::{BoundedDuration, Integer, Size};
use crate::proxy::{refresh_limit, waiting_requests};
use crate::upstream::unproven_limit;

/// Reads the limits of tokens without a proof.
pub(in crate::config) fn unproven(r: &mut ConfigReader) -> unproven_limit::Config {
    let default = unproven_limit::Config::default();
    unproven_limit::Config {
        in_flight: r.get(
            key(
                "limits.unproven_requests",
                "Share of `limits.origin_requests` for requests with a token that has no proof yet. Client addresses, \
                 connections and tokens share it fairly.",
            ),
            &Integer(1..=100_000),
            default.in_flight,
        ),
        in_flight_per_address: r.get(
            key("limits.unproven_per_address", "Share of `limits.unproven_requests` for one client address."),
            &Integer(1..=100_000),
            default.in_flight_per_address,
        ),
        in_flight_per_token: r.get(
            key(
                "limits.unproven_per_token",
                "Share of `limits.unproven_requests` for one token, until the first 200 of Graph to this token.",
            ),
            &Integer(1..=100_000),
            default.in_flight_per_token,
        ),
        failures: r.get(
            key(
                "limits.unproven_failures",
                "Distinct tokens without a proof that Graph may refuse (401) in a minute. Above this limit, new tokens \
                 of addresses with a refused token in the last minute are paced.",
            ),
            &Integer(1..=1_000_000),
            default.failures,
        ),
        failures_per_address: r.get(
            key(
                "limits.unproven_failures_per_address",
                "The same limit for one client address. Above this limit, new tokens of this address are paced. Tokens \
                 with a proof are not affected.",
            ),
            &Integer(1..=1_000_000),
            default.failures_per_address,
        ),
        paced: r.get(
            key(
                "limits.unproven_paced",
                "Requests per second of all paced addresses together. A request that would wait longer than half of \
                 `graph.timeout` receives 429.",
            ),
            &Integer(1..=100_000),
            default.paced,
        ),
        paced_per_address: r.get(
            key("limits.unproven_paced_per_address", "Requests per second of one paced address."),
            &Integer(1..=100_000),
            default.paced_per_address,
        ),
    }
}

/// Reads the limits of requests that wait for Graph.
pub(in crate::config) fn waiting(r: &mut ConfigReader) -> waiting_requests::Config {
    let default = waiting_requests::Config::default();
    waiting_requests::Config {
        requests: r.get(
            key(
                "limits.waiting_requests",
                "Requests that wait for Graph, for a permit, or for the fetch of an equal request. Above this limit, \
                 requests receive 503. One client address uses at most two thirds, and one of its tokens four \
                 sevenths.",
            ),
            &Integer(1..=1_000_000),
            default.requests,
        ),
        bytes: r.get(
            key(
                "limits.waiting_bytes",
                "Memory of waiting requests: 8KiB for each, and its header fields. Above this limit, requests receive \
                 503.",
            ),
            &Size(MIB..=TIB),
            default.bytes,
        ),
    }
}

/// Reads the byte budget of bodies.
pub(in crate::config) fn bytes_in_flight(r: &mut ConfigReader) -> usize {
    r.get(
        key(
            "limits.bytes_in_flight",
            "Memory of response bodies that arrive from Graph and of responses that callers have not read, together. \
             Above this limit, requests receive 503. One client address or IPv6 /64 uses at most as much as is still \
             free.",
        ),
        &Size(MIB..=TIB),
        Config::default().bytes_in_flight,
    )
}

/// Reads the rate limit of forced refreshes.
pub(in crate::config) fn refresh(r: &mut ConfigReader) -> refresh_limit::Config {
    let default = refresh_limit::Config::default();
    refresh_limit::Config {
        per_token: r.get(
            key(
                "limits.refreshes_per_token",
                "Forced refreshes (`Connector-Cache: refresh`) per minute and token. Above this limit, the caller \
                 receives the stored response. `0`: never.",
            ),
            &Integer(0..=60_000),
            default.per_token,
        ),
    }
}

/// Reads the limits of request coalescing.
/// Reads the limits on followers. `graph_timeout` is `graph.timeout`.
pub(in crate::config) fn coalescing(r: &mut ConfigReader, graph_timeout: Duration) -> coalesce::Config {
    let default = coalesce::Config::default();
    let coalesce = coalesce::Config {
        followers: r.get(
            key(
                "limits.followers",
                "Requests that may wait for the fetch of an equal request. Further requests are sent to Graph.",
            ),
            &Integer(0..=1_000_000),
            default.followers,
        ),
        wait: r.get(
            key(
                "limits.follower_wait",
                "Time that a request waits for the fetch of an equal request before it is sent to Graph. Longer than \
                 `graph.timeout`, so that a failed fetch fails its followers too, and they are not all sent to Graph.",
            ),
            &BoundedDuration(at_most(MINUTE * 10)),
            default.wait,
        ),
    };
    if coalesce.wait < graph_timeout {
        r.conflict(
            ["limits.follower_wait", "graph.timeout"],
            "limits.follower_wait may not be shorter than graph.timeout",
        );
    }
    coalesce
}
