//! Keys of `listen.*`, `server.*` and `drain.*`, and of `limits.*` for connections of callers.

use super::{HOUR, KIB, MIB, MINUTE, at_most, key, zero_to};
use crate::config::reader::Reader;
use crate::config::rules::{Address, Count, FilePath, Size, Span};
use crate::server;

/// Reads the settings of the data port.
pub(in crate::config) fn read(r: &mut Reader) -> server::Config {
    let default = server::Config::default();
    server::Config {
        address: r.get(
            key(
                "listen.address",
                "Address of the data port. Serves HTTP/1.1, and HTTP/2 with prior knowledge or, under TLS, by ALPN.",
            ),
            &Address,
            default.address,
        ),
        tls: tls(r),
        threads: r.get_optional(
            key(
                "server.threads",
                "Threads that serve connections. Not set: the cores that the process may use, including a cgroup \
                 quota. With two or more threads, an additional thread accepts connections and serves the admin port.",
            )
            .sample("2"),
            &Count(1..=1024),
        ),
        limits: limits(r),
        drain: drain(r),
        replaces: default.replaces,
    }
}

fn tls(r: &mut Reader) -> Option<server::TlsFiles> {
    let certificate = r.get_optional(
        key(
            "listen.tls.certificate",
            "PEM file with the certificate chain, leaf first. It is read again when it changes. Requires \
             `listen.tls.key`. Not set: plain text.",
        )
        .sample("\"/etc/connector-cache/tls/tls.crt\""),
        &FilePath,
    );
    let private_key = r.get_optional(
        key(
            "listen.tls.key",
            "PEM file with the private key of the certificate. It is read again when it changes. Requires \
             `listen.tls.certificate`.",
        )
        .sample("\"/etc/connector-cache/tls/tls.key\""),
        &FilePath,
    );
    let client_ca = r.get_optional(
        key(
            "listen.tls.client_ca",
            "PEM file with CA certificates. It is read again when it changes. Set: callers must present a certificate \
             that one of them signed. Requires `listen.tls.certificate` and `listen.tls.key`.",
        )
        .sample("\"/etc/connector-cache/tls/ca.crt\""),
        &FilePath,
    );
    match (certificate, private_key) {
        (Some(certificate), Some(key)) => Some(server::TlsFiles { certificate, key, client_ca }),
        (None, None) => {
            if client_ca.is_some() {
                r.conflict(
                    ["listen.tls.client_ca", "listen.tls.certificate"],
                    "client certificates require TLS: expected listen.tls.certificate and listen.tls.key",
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
        connections: r.get(
            key(
                "limits.connections",
                "Open connections of callers. Further connections are closed at once. If the open-file limit leaves \
                 fewer descriptors beside Graph and the admin port, that number is the limit, and a warning is logged.",
            ),
            &Count(1..=1_000_000),
            default.connections,
        ),
        connections_per_address: r.get(
            key(
                "limits.connections_per_address",
                "Share of `limits.connections` for one client address or IPv6 /64. Further connections are closed at \
                 once.",
            ),
            &Count(1..=1_000_000),
            default.connections_per_address,
        ),
        header_bytes: r.get(
            key("limits.header_bytes", "Size of the header section of one request. Larger requests receive 431."),
            &Size(8 * KIB..=MIB),
            default.header_bytes,
        ),
        headers: r.get(
            key("limits.headers", "Header fields of one request. Requests with more fields receive 431."),
            &Count(16..=1_000),
            default.headers,
        ),
        target_bytes: r.get(
            key("limits.target_bytes", "Size of path and query of one request. Longer targets receive 414."),
            &Size(KIB..=32 * KIB),
            default.target_bytes,
        ),
        h2_streams: r.get(
            key("limits.h2_streams", "Concurrent streams of one HTTP/2 connection."),
            &Count(1..=10_000),
            default.h2_streams,
        ),
        tls_timeout: r.get(
            key("limits.tls_timeout", "Time for the TLS handshake. Slower connections are closed."),
            &Span(at_most(MINUTE)),
            default.tls_timeout,
        ),
        header_timeout: r.get(
            key(
                "limits.header_timeout",
                "Time for a header section, from the start of the connection or the first byte of the request. Slower \
                 connections are closed.",
            ),
            &Span(at_most(MINUTE * 5)),
            default.header_timeout,
        ),
        idle_timeout: r.get(
            key("limits.idle_timeout", "Time between two requests of one connection. Then the connection is closed."),
            &Span(at_most(HOUR)),
            default.idle_timeout,
        ),
        write_timeout: r.get(
            key(
                "limits.write_timeout",
                "Time without progress while a response is written. Then the connection is closed; over HTTP/2 only \
                 the stream of a large response is reset.",
            ),
            &Span(at_most(MINUTE * 10)),
            default.write_timeout,
        ),
        request_timeout: r.get(
            key(
                "limits.request_timeout",
                "Time from the header section of a request to its response. Slower requests receive 504.",
            ),
            &Span(at_most(MINUTE * 10)),
            default.request_timeout,
        ),
    }
}

fn drain(r: &mut Reader) -> server::Drain {
    let default = server::Config::default().drain;
    server::Drain {
        delay: r.get(
            key(
                "drain.delay",
                "Time after SIGTERM or SIGINT in which the proxy still accepts requests but is not ready, so that load \
                 balancers remove it.",
            )
            .chart_note("The pods therefore need no preStop hook."),
            &Span(zero_to(MINUTE * 10)),
            default.delay,
        ),
        timeout: r.get(
            key("drain.timeout", "Time after `drain.delay` for requests in flight. Then their connections are closed.")
                .chart_note(
                    "`drain.delay` and `drain.timeout` together must be at least 5 seconds shorter than \
                     `terminationGracePeriodSeconds`.",
                ),
            &Span(at_most(HOUR)),
            default.timeout,
        ),
    }
}
