//! What each part of the proxy is told: the keys, their bounds, and what goes together.
//!
//! The one place where a key is named. Defaults are the parts' own.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::base_url::BaseUrl;
#[cfg(feature = "otlp")]
use super::endpoint::Endpoint;
use super::reader::Reader;
use super::rules::{Address, Count, FilePath, Filter, NameList, OneOf, Size, Span, Text};
use crate::cache::{coalesce, freshness, store};
use crate::observability::{logging, tracing_export};
use crate::proxy::{refresh_limit, waiting_requests};
use crate::resource::ApiVersion;
use crate::upstream::unproven_limit;
use crate::{admin, scrub, server, upstream};

pub(super) fn server(r: &mut Reader) -> server::Config {
    let default = server::Config::default();
    server::Config {
        address: r.get("listen.address", &Address, default.address),
        tls: tls(r),
        threads: r.get_optional("server.threads", &Count(1..=1024)),
        limits: limits(r),
        drain: server::Drain {
            delay: r.get("drain.delay", &Span(up_to(MINUTE * 10)), default.drain.delay),
            timeout: r.get("drain.timeout", &Span(within(HOUR)), default.drain.timeout),
        },
        evicts_connections: default.evicts_connections,
    }
}

fn tls(r: &mut Reader) -> Option<server::TlsFiles> {
    let certificate = r.get_optional("listen.tls.certificate", &FilePath);
    let key = r.get_optional("listen.tls.key", &FilePath);
    let client_ca = r.get_optional("listen.tls.client_ca", &FilePath);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(server::TlsFiles { certificate, key, client_ca }),
        (None, None) => {
            if client_ca.is_some() {
                r.conflict(
                    ["listen.tls.client_ca", "listen.tls.certificate"],
                    "callers can show a certificate only where listen.tls.certificate and listen.tls.key are set",
                );
            }
            None
        }
        _ => {
            r.conflict(["listen.tls.certificate", "listen.tls.key"], "expected both or neither");
            None
        }
    }
}

fn limits(r: &mut Reader) -> server::ServerLimits {
    let default = server::ServerLimits::default();
    server::ServerLimits {
        connections: r.get("limits.connections", &Count(1..=1_000_000), default.connections),
        connections_per_address: r.get(
            "limits.connections_per_address",
            &Count(1..=1_000_000),
            default.connections_per_address,
        ),
        header_bytes: r.get("limits.header_bytes", &Size(8 * KIB..=MIB), default.header_bytes),
        headers: r.get("limits.headers", &Count(16..=1_000), default.headers),
        target_bytes: r.get("limits.target_bytes", &Size(KIB..=32 * KIB), default.target_bytes),
        h2_streams: r.get("limits.h2_streams", &Count(1..=10_000), default.h2_streams),
        tls_timeout: r.get("limits.tls_timeout", &Span(within(MINUTE)), default.tls_timeout),
        header_timeout: r.get("limits.header_timeout", &Span(within(MINUTE * 5)), default.header_timeout),
        idle_timeout: r.get("limits.idle_timeout", &Span(within(HOUR)), default.idle_timeout),
        write_timeout: r.get("limits.write_timeout", &Span(within(MINUTE * 10)), default.write_timeout),
        request_timeout: r.get("limits.request_timeout", &Span(within(MINUTE * 10)), default.request_timeout),
    }
}

/// The admin port. It may not be where the data port is.
pub(super) fn admin(r: &mut Reader, data: SocketAddr) -> admin::Config {
    let default = admin::Config::default();
    let admin = admin::Config {
        address: r.get("admin.address", &Address, default.address),
        token_file: r.get_optional("admin.token_file", &FilePath),
    };
    if overlap(data, admin.address) {
        r.conflict(["listen.address", "admin.address"], "expected two different addresses");
    }
    admin
}

pub(super) fn origin(r: &mut Reader) -> upstream::Config {
    let default = upstream::Config::default();
    let origin = upstream::Config {
        base_url: r.get("graph.base_url", &BaseUrl, default.base_url),
        ca_file: r.get_optional("graph.ca_file", &FilePath),
        connect_timeout: r.get("graph.connect_timeout", &Span(within(MINUTE)), default.connect_timeout),
        first_byte_timeout: r.get(
            "graph.first_byte_timeout",
            &Span(within(MINUTE * 10)),
            default.first_byte_timeout,
        ),
        timeout: r.get("graph.timeout", &Span(within(MINUTE * 10)), default.timeout),
        max_body: r.get("graph.max_body", &Size(KIB..=64 * MIB), default.max_body),
        in_flight: r.get("limits.origin_requests", &Count(1..=100_000), default.in_flight),
    };
    if origin.connect_timeout > origin.timeout {
        r.conflict(
            ["graph.connect_timeout", "graph.timeout"],
            "graph.connect_timeout may not be longer than graph.timeout",
        );
    }
    origin
}

pub(super) fn default_version(r: &mut Reader) -> ApiVersion {
    r.get("graph.default_version", &OneOf::new(), ApiVersion::Beta)
}

pub(super) fn freshness(r: &mut Reader) -> freshness::Config {
    let default = freshness::Config::default();
    freshness::Config {
        ttl: r.get("cache.ttl", &Span(within(DAY)), default.ttl),
        proof_ttl: r.get("cache.proof_ttl", &Span(within(HOUR)), default.proof_ttl),
        stale_while_revalidate: r.get(
            "cache.stale_while_revalidate",
            &Span(up_to(DAY)),
            default.stale_while_revalidate,
        ),
        stale_if_error: r.get("cache.stale_if_error", &Span(up_to(DAY)), default.stale_if_error),
        freshness: r.get("cache.freshness", &OneOf::new(), default.freshness),
        client_directives: r.get("cache.client_directives", &OneOf::new(), default.client_directives),
    }
}

pub(super) fn store(r: &mut Reader) -> store::Config {
    let default = store::Config::default();
    store::Config {
        max_bytes: r.get("cache.max_bytes", &Size(1 << 20..=1 << 40), default.max_bytes),
        proofs_per_token: r.get("limits.proofs_per_token", &Count(1..=1_000_000), default.proofs_per_token),
        // Known once they run.
        threads: default.threads,
    }
}

pub(super) fn flight(r: &mut Reader) -> coalesce::Config {
    let default = coalesce::Config::default();
    coalesce::Config {
        followers: r.get("limits.followers", &Count(0..=1_000_000), default.followers),
        wait: r.get("limits.follower_wait", &Span(within(MINUTE * 10)), default.wait),
    }
}

pub(super) fn unproven(r: &mut Reader) -> unproven_limit::Config {
    let default = unproven_limit::Config::default();
    unproven_limit::Config {
        in_flight: r.get("limits.unproven_requests", &Count(1..=100_000), default.in_flight),
        in_flight_per_address: r.get(
            "limits.unproven_per_address",
            &Count(1..=100_000),
            default.in_flight_per_address,
        ),
        in_flight_per_token: r.get(
            "limits.unproven_per_token",
            &Count(1..=100_000),
            default.in_flight_per_token,
        ),
        failures: r.get("limits.unproven_failures", &Count(1..=1_000_000), default.failures),
        failures_per_address: r.get(
            "limits.unproven_failures_per_address",
            &Count(1..=1_000_000),
            default.failures_per_address,
        ),
        paced: r.get("limits.unproven_paced", &Count(1..=100_000), default.paced),
        paced_per_address: r.get(
            "limits.unproven_paced_per_address",
            &Count(1..=100_000),
            default.paced_per_address,
        ),
    }
}

pub(super) fn waiting(r: &mut Reader) -> waiting_requests::Config {
    let default = waiting_requests::Config::default();
    waiting_requests::Config {
        requests: r.get("limits.waiting_requests", &Count(1..=1_000_000), default.requests),
        bytes: r.get("limits.waiting_bytes", &Size(MIB..=1 << 40), default.bytes),
    }
}

pub(super) fn bytes_in_flight(r: &mut Reader) -> usize {
    r.get("limits.bytes_in_flight", &Size(MIB..=1 << 40), super::Config::default().bytes_in_flight)
}

pub(super) fn refresh(r: &mut Reader) -> refresh_limit::Config {
    let default = refresh_limit::Config::default();
    refresh_limit::Config {
        per_token: r.get("limits.refreshes_per_token", &Count(0..=60_000), default.per_token),
    }
}

pub(super) fn scrub(r: &mut Reader) -> scrub::Config {
    let default = scrub::Config::default();
    let scrub = scrub::Config {
        mask: r.get("scrub.mask", &Text, default.mask),
        usernames: r.get("scrub.usernames", &OneOf::new(), default.usernames),
        unknown: r.get("scrub.unknown", &OneOf::new(), default.unknown),
        allow_fields: r.get("scrub.allow_fields", &NameList, default.allow_fields),
        extra_fields: r.get("scrub.extra_fields", &NameList, default.extra_fields),
        keep_query: r.get("scrub.keep_query", &NameList, default.keep_query),
    };
    if scrub.allow_fields.iter().any(|name| scrub.extra_fields.contains(name)) {
        r.conflict(
            ["scrub.allow_fields", "scrub.extra_fields"],
            "a member is either allowed or masked: expected each name in one of the two lists",
        );
    }
    scrub
}

/// The tier that replicas share. Its keys are known, so that they are not taken for a slip; nobody is told of it.
pub(super) fn shared(r: &mut Reader) {
    for key in ["shared.url", "shared.secret_file", "shared.ca_file"] {
        r.refuse(key, "the shared tier is not in this version; remove the key");
    }
    r.get("shared.timeout", &Span(within(SECOND * 10)), Duration::from_millis(50));
}

pub(super) fn telemetry(r: &mut Reader) -> logging::Config {
    let default = logging::Config::default();
    logging::Config {
        format: r.get_optional("log.format", &OneOf::new()),
        filter: r.get("log.filter", &Filter, default.filter),
        access: r.get("log.access", &OneOf::new(), default.access),
    }
}

#[cfg(feature = "otlp")]
pub(super) fn trace(r: &mut Reader) -> tracing_export::Config {
    let default = tracing_export::Config::default();
    tracing_export::Config {
        endpoint: r.get_optional("telemetry.otlp_endpoint", &Endpoint),
        one_in: r.get("telemetry.otlp_one_in", &Count(0..=1_000_000_000), default.one_in),
    }
}

/// The keys are known, so that they are not taken for a slip.
#[cfg(not(feature = "otlp"))]
pub(super) fn trace(r: &mut Reader) -> tracing_export::Config {
    r.refuse("telemetry.otlp_endpoint", "this program was built without the feature otlp; remove the key");
    r.get("telemetry.otlp_one_in", &Count(0..=1_000_000_000_u64), 1);
    tracing_export::Config::default()
}

/// More than nothing. The clock of the rules counts milliseconds.
fn within(max: Duration) -> RangeInclusive<Duration> {
    Duration::from_millis(1)..=max
}

/// Zero turns it off.
fn up_to(max: Duration) -> RangeInclusive<Duration> {
    Duration::ZERO..=max
}

/// Whether the second of two listeners would find its port taken. Port 0 is a new one each time.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| match all {
        IpAddr::V4(all) => all.is_unspecified() && one.is_ipv4(),
        IpAddr::V6(all) => all.is_unspecified(),
    };
    let same_host = a.ip() == b.ip() || covers(a.ip(), b.ip()) || covers(b.ip(), a.ip());
    a.port() == b.port() && a.port() != 0 && same_host
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
