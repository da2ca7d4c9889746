//! Keys of `admin.*`.

use std::net::{IpAddr, SocketAddr};

use crate::admin;
use crate::config::key::key;
use crate::config::reader::ConfigReader;
use crate::config::rules::{FilePath, SocketAddress};

/// Reads the settings of the admin port, which may not use the address of the data port.
pub(in crate::config) fn read(r: &mut ConfigReader, data: SocketAddr) -> admin::Config {
    let default = admin::Config::default();
    let admin = admin::Config {
        address: r.get(
            key(
                "admin.address",
                "Address of the admin port: metrics, probes, and the view and purge of the cache. Must differ from \
                 `listen.address`.",
            ),
            &SocketAddress,
            default.address,
        ),
        token_file: r.get_optional(
            key(
                "admin.token_file",
                "File with the bearer token that `/cache` requires. It is read again when it changes. Not set: only \
                 requests from this machine to a loopback address may purge. Set it if a relay forwards requests to \
                 the admin port.",
            )
            .sample("\"/etc/connector-cache/admin-token\""),
            &FilePath,
        ),
    };
    if overlap(data, admin.address) {
        r.conflict(["listen.address", "admin.address"], "expected two different addresses");
    }
    admin
}

/// Returns whether two listeners cannot be bound at the same time. Port 0 selects a free port for each.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| match all {
        IpAddr::V4(all) => all.is_unspecified() && one.is_ipv4(),
        IpAddr::V6(all) => all.is_unspecified(),
    };
    let same_host = a.ip() == b.ip() || covers(a.ip(), b.ip()) || covers(b.ip(), a.ip());
    a.port() == b.port() && a.port() != 0 && same_host
}
