//! Keys of `graph.*`, and the concurrency limit of requests to Graph.

use super::{KIB, MIB, MINUTE, at_most};
use crate::config::key::key;
use crate::config::reader::ConfigReader;
use crate::config::rules::{BaseUrl, BoundedDuration, FilePath, Integer, OneOf, Size};
use crate::resource::ApiVersion;
use crate::upstream::{self, ForwardProxy};

/// Reads the settings of the Graph client, and the variables of a forward proxy.
pub(in crate::config) fn read(
    r: &mut ConfigReader,
    proxy_variables: &[(String, String)],
) -> upstream::Config {
    let mut upstream = read_keys(r);
    match ForwardProxy::from_variables(proxy_variables, &upstream.base_url) {
        Ok(proxy) => upstream.proxy = proxy,
        Err(error) => r.problem(error.to_string()),
    }
    if upstream.connect_timeout > upstream.timeout {
        r.conflict(
            ["graph.connect_timeout", "graph.timeout"],
            "graph.connect_timeout may not be longer than graph.timeout",
        );
    }
    upstream
}

fn read_keys(r: &mut ConfigReader) -> upstream::Config {
    let default = upstream::Config::default();
    upstream::Config {
        base_url: r.get(
            key("graph.base_url", "Scheme, host and port of Graph.")
                .chart_note("Empty: the address of `cloud`.")
                .chart_default("\"\""),
            &BaseUrl,
            default.base_url,
        ),
        ca_file: r.get_optional(
            key("graph.ca_file", "PEM file with root certificates, used in addition to those of the platform.")
                .sample("\"/etc/connector-cache/graph-ca.crt\"")
                .chart_note("Mount it with `extraVolumes`."),
            &FilePath,
        ),
        connect_timeout: r.get(
            key(
                "graph.connect_timeout",
                "Time for name resolution, TCP and TLS together. Must not be longer than `graph.timeout`.",
            ),
            &BoundedDuration(at_most(MINUTE)),
            default.connect_timeout,
        ),
        first_byte_timeout: r.get(
            key(
                "graph.first_byte_timeout",
                "Time from the start of an attempt, including a new connection, to the first byte of the response. \
                 Slower attempts result in 504. A shorter `graph.timeout` takes precedence.",
            ),
            &BoundedDuration(at_most(MINUTE * 10)),
            default.first_byte_timeout,
        ),
        timeout: r.get(
            key("graph.timeout", "Time for a request to Graph and its complete response, including a retry."),
            &BoundedDuration(at_most(MINUTE * 10)),
            default.timeout,
        ),
        max_body: r.get(
            key(
                "graph.max_body",
                "Size of a response body from Graph, as received and as decoded. Larger bodies result in 502. \
                 Bodies of more than 32 KiB are decoded and scrubbed by other threads than those that serve connections, on \
                 at most half of the CPUs.",
            ),
            &Size(KIB..=16 * MIB),
            default.max_body,
        ),
        in_flight: r.get(
            key(
                "limits.origin_requests",
                "Concurrent requests to Graph. Further requests wait for at most half of `graph.timeout`, then receive \
                 503. Tenants, applications and tokens share these permits fairly: one tenant alone uses at most four \
                 fifths of them, and tokens without a proof use at most three quarters.",
            ),
            &Integer(1..=100_000),
            default.in_flight,
        ),
        proxy: None,
    }
}

/// Reads the API version of paths without one.
pub(in crate::config) fn default_version(r: &mut ConfigReader) -> ApiVersion {
    r.get(
        key("graph.default_version", "API version of request paths without a version.")
            .chart_note("The clouds of the US government have user flows in `beta` only."),
        &OneOf::new(),
        ApiVersion::Beta,
    )
}
