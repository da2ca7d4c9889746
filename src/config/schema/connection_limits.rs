//! Keys of `limits.*` for connections of callers.

use super::{HOUR, KIB, MIB, MINUTE, at_most};
use crate::config::key::key;
use crate::config::reader::ConfigReader;
use crate::config::rules::{BoundedDuration, Integer, Size};
use crate::server;

/// Reads the limits of connections, in number, size and time.
pub(super) fn read(r: &mut ConfigReader) -> server::ServerLimits {
    let default = server::ServerLimits::default();
    server::ServerLimits {
        connections: r.get(
            key(
                "limits.connections",
                "Open connections of callers. Further connections are closed at once. If the open-file limit leaves \
                 fewer descriptors beside Graph and the admin port, that number is the limit, and a warning is logged.",
            ),
            &Integer(1..=1_000_000),
            default.connections,
        ),
        connections_per_address: r.get(
            key(
                "limits.connections_per_address",
                "Share of `limits.connections` for one client address or IPv6 /64. Further connections are closed at \
                 once.",
            ),
            &Integer(1..=1_000_000),
            default.connections_per_address,
        ),
        header_bytes: r.get(
            key("limits.header_bytes", "Size of the header section of one request. Larger requests receive 431."),
            &Size(8 * KIB..=MIB),
            default.header_bytes,
        ),
        headers: r.get(
            key("limits.headers", "Header fields of one request. Requests with more fields receive 431."),
            &Integer(16..=1_000),
            default.headers,
        ),
        target_bytes: r.get(
            key("limits.target_bytes", "Size of path and query of one request. Longer targets receive 414."),
            &Size(KIB..=32 * KIB),
            default.target_bytes,
        ),
        h2_streams: r.get(
            key("limits.h2_streams", "Concurrent streams of one HTTP/2 connection."),
            &Integer(1..=10_000),
            default.h2_streams,
        ),
        ..timeouts(r)
    }
}

/// Reads the timeouts. The other fields have their defaults.
fn timeouts(r: &mut ConfigReader) -> server::ServerLimits {
    let default = server::ServerLimits::default();
    server::ServerLimits {
        tls_timeout: r.get(
            key("limits.tls_timeout", "Time for the TLS handshake. Slower connections are closed."),
            &BoundedDuration(at_most(MINUTE)),
            default.tls_timeout,
        ),
        header_timeout: r.get(
            key(
                "limits.header_timeout",
                "Time for a header section, from the start of the connection or the first byte of the request, and then for \
                 the end of a body without content. Slower connections are closed.",
            ),
            &BoundedDuration(at_most(MINUTE * 5)),
            default.header_timeout,
        ),
        idle_timeout: r.get(
            key("limits.idle_timeout", "Time between two requests of one connection. Then the connection is closed."),
            &BoundedDuration(at_most(HOUR)),
            default.idle_timeout,
        ),
        write_timeout: r.get(
            key(
                "limits.write_timeout",
                "Time without progress while a response is written. Then the connection is closed; over HTTP/2 only \
                 the stream of a large response is reset.",
            ),
            &BoundedDuration(at_most(MINUTE * 10)),
            default.write_timeout,
        ),
        request_timeout: r.get(
            key(
                "limits.request_timeout",
                "Time from the header section of a request to its response. Slower requests receive 504.",
            ),
            &BoundedDuration(at_most(MINUTE * 10)),
            default.request_timeout,
        ),
        ..default
    }
}
