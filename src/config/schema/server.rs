//! Keys of `listen.*`, `server.*` and `drain.*`.

use super::{HOUR, MINUTE, at_most, connection_limits, zero_to};
use crate::config::key::key;
use crate::config::reader::ConfigReader;
use crate::config::rules::{BoundedDuration, FilePath, Integer, SocketAddress};
use crate::server;

/// Reads the settings of the data port.
pub(in crate::config) fn read(r: &mut ConfigReader) -> server::Config {
    let default = server::Config::default();
    server::Config {
        address: r.get(
            key(
                "listen.address",
                "Address of the data port. Serves HTTP/1.1, and HTTP/2 with prior knowledge or, under TLS, by ALPN.",
            ),
            &SocketAddress,
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
            &Integer(1..=1024),
        ),
        limits: connection_limits::read(r),
        drain: drain(r),
        evicts_connections: default.evicts_connections,
    }
}

fn tls(r: &mut ConfigReader) -> Option<server::TlsFiles> {
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

fn drain(r: &mut ConfigReader) -> server::Drain {
    let default = server::Config::default().drain;
    server::Drain {
        delay: r.get(
            key(
                "drain.delay",
                "Time after SIGTERM or SIGINT in which the proxy still accepts requests but is not ready, so that load \
                 balancers remove it.",
            )
            .chart_note("The pods therefore need no preStop hook."),
            &BoundedDuration(zero_to(MINUTE * 10)),
            default.delay,
        ),
        timeout: r.get(
            key("drain.timeout", "Time after `drain.delay` for requests in flight. Then their connections are closed.")
                .chart_note(
                    "`drain.delay` and `drain.timeout` together must be at least 5 seconds shorter than \
                     `terminationGracePeriodSeconds`.",
                ),
            &BoundedDuration(at_most(HOUR)),
            default.timeout,
        ),
    }
}
