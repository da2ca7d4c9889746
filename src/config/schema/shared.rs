//! Keys of `shared.*`: the tier that replicas share.

use super::{KIB, MIB, SECOND, at_most};
use crate::config::key::key;
use crate::config::reader::ConfigReader;
use crate::config::rules::{BoundedDuration, FilePath, KeyPrefix, ShortText, Size, StoreUrl};
use crate::shared;

/// Reads the settings of the shared tier.
pub(in crate::config) fn read(r: &mut ConfigReader) -> shared::Config {
    let shared = read_keys(r);
    if shared.endpoint.is_some() && shared.secret_file.is_none() {
        r.conflict(
            ["shared.url", "shared.secret_file"],
            "shared.url requires shared.secret_file, a file with one or two lines of at least 32 bytes",
        );
    }
    if shared.certificate.is_some() != shared.key.is_some() {
        r.conflict(["shared.certificate", "shared.key"], "expected both or neither");
    }
    shared
}

fn read_keys(r: &mut ConfigReader) -> shared::Config {
    let default = shared::Config::default();
    shared::Config {
        endpoint: r.get_optional(
            key(
                "shared.url",
                "Servers of the shared tier, Redis 6.2 or later, or Valkey: `redis://` or `rediss://` (TLS) for one server, \
                 `redis+cluster://` or several URLs with commas between them for a cluster, \
                 `redis+sentinel://HOST:PORT,HOST:PORT/MASTER` for Sentinels. Not set: each replica caches for itself.",
            )
            .sample("\"rediss://valkey.example:6379\""),
            &StoreUrl,
        ),
        username: r.get_optional(
            key("shared.username", "User of the shared tier. Not set: the default user.")
                .sample("\"connector-cache\""),
            &ShortText,
        ),
        password_file: r.get_optional(
            key("shared.password_file", "File with the password of the shared tier. It is read at each connection.")
                .sample("\"/etc/connector-cache/shared-password\""),
            &FilePath,
        ),
        ca_file: r.get_optional(
            key(
                "shared.ca_file",
                "PEM file with root certificates of the shared tier, used in addition to those of the platform.",
            )
            .sample("\"/etc/connector-cache/shared-ca.crt\""),
            &FilePath,
        ),
        certificate: r.get_optional(
            key(
                "shared.certificate",
                "PEM file with the client certificate for the shared tier. Requires `shared.key`.",
            )
            .sample("\"/etc/connector-cache/shared-client.crt\""),
            &FilePath,
        ),
        key: r.get_optional(
            key("shared.key", "PEM file with the key of `shared.certificate`.")
                .sample("\"/etc/connector-cache/shared-client.key\""),
            &FilePath,
        ),
        secret_file: r.get_optional(
            key(
                "shared.secret_file",
                "File with the secret that seals and names everything in the shared tier: one or two lines of at least 32 \
                 bytes. The first line seals, both open. Required with `shared.url`, and equal on all replicas.",
            )
            .sample("\"/etc/connector-cache/shared-secret\""),
            &FilePath,
        ),
        generated_secret: None,
        timeout: r.get(
            key("shared.timeout", "Time for an operation on the shared tier during a request. A later reply is a miss."),
            &BoundedDuration(at_most(SECOND * 10)),
            default.timeout,
        ),
        max_value: r.get(
            key("shared.max_value", "Size of a value in the shared tier. Larger responses stay on their replica."),
            &Size(KIB..=16 * MIB),
            default.max_value,
        ),
        prefix: r.get(
            key("shared.prefix", "Begin of all key names in the shared tier, for stores that others use as well."),
            &KeyPrefix,
            default.prefix,
        ),
    }
}
