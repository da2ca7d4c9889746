//! Keys of `cache.*`, and the limit of proofs.

use super::{DAY, HOUR, at_most, zero_to};
use crate::cache::{freshness, store};
use crate::config::key::key;
use crate::config::reader::ConfigReader;
use crate::config::rules::{BoundedDuration, Integer, OneOf, Size};

/// Reads the rules of freshness.
pub(in crate::config) fn freshness(r: &mut ConfigReader) -> freshness::Config {
    let default = freshness::Config::default();
    freshness::Config {
        ttl: r.get(
            key("cache.ttl", "Time for which a stored response is fresh."),
            &BoundedDuration(at_most(DAY)),
            default.ttl,
        ),
        proof_ttl: r.get(
            key(
                "cache.proof_ttl",
                "Time for which a proof (Graph's 200 to a token for a resource) is valid. A permission that Graph \
                 withdraws can stay unnoticed for this time.",
            ),
            &BoundedDuration(at_most(HOUR)),
            default.proof_ttl,
        ),
        stale_while_revalidate: r.get(
            key(
                "cache.stale_while_revalidate",
                "Time for which a stale response is used while a new one is fetched. `0s`: never. With \
                 `cache.freshness` = `\"origin\"` only if Graph's `stale-while-revalidate` allows it, and no longer.",
            ),
            &BoundedDuration(zero_to(DAY)),
            default.stale_while_revalidate,
        ),
        stale_if_error: r.get(
            key(
                "cache.stale_if_error",
                "Time for which a stale response is used when Graph fails, or when a limit of the proxy refuses a \
                 request with a live proof. `0s`: never.",
            ),
            &BoundedDuration(zero_to(DAY)),
            default.stale_if_error,
        ),
        freshness: r.get(
            key(
                "cache.freshness",
                "Source of the freshness lifetime. `\"operator\"`: `cache.ttl` replaces Graph's `no-cache` and \
                 `max-age`. `\"origin\"`: RFC 9111 as written, with `cache.ttl` as the maximum.",
            ),
            &OneOf::new(),
            default.freshness,
        ),
        client_directives: r.get(
            key(
                "cache.client_directives",
                "Treatment of `Cache-Control` in requests. `\"ignore\"` is the default because the .NET SDK sends \
                 `no-store, no-cache` with every request.",
            ),
            &OneOf::new(),
            default.client_directives,
        ),
    }
}

/// Reads the sizes of the store.
pub(in crate::config) fn store(r: &mut ConfigReader) -> store::Config {
    let default = store::Config::default();
    store::Config {
        max_bytes: r.get(
            key(
                "cache.max_bytes",
                "Memory of keys, header fields, bodies, proofs and the caches of the threads, together.",
            )
            .chart_note("At most three quarters of the memory limit, and at least 40 MiB less than it."),
            &Size(1 << 20..=1 << 40),
            default.max_bytes,
        ),
        proofs_per_token: r.get(
            key("limits.proofs_per_token", "Resources for which one token may hold proofs."),
            &Integer(1..=1_000_000),
            default.proofs_per_token,
        ),
        keep: r.get(
            key(
                "cache.keep",
                "Time for which entries and proofs stay in memory at most, if there is room. A reload can extend \
                 `cache.ttl`, `cache.proof_ttl` and the `stale_*` windows up to this time for stored responses. It never \
                 makes a response usable by itself. A shorter time than these keys need has no effect.",
            ),
            &BoundedDuration(at_most(2 * DAY)),
            default.keep,
        ),
        // The application sets the number of its threads.
        threads: default.threads,
    }
}
