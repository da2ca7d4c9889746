//! Keys of `shared.*`, which are reserved for a cache tier that replicas share.
//!
//! The reader knows the keys, so that a message can name the reason for which they are refused.

use std::time::Duration;

use super::{SECOND, at_most};
use crate::config::key::key;
use crate::config::reader::ConfigReader;
use crate::config::rules::BoundedDuration;

/// Refuses the keys of the shared tier. No module uses a value.
pub(in crate::config) fn read(r: &mut ConfigReader) {
    let reason = "the shared tier is not in this version; remove the key";
    let url =
        key("shared.url", "Address of the shared tier. Refused: the shared tier is not in this version.");
    r.refuse(url.sample("\"rediss://valkey.example:6379\""), reason);
    let secret =
        key("shared.secret_file", "File with the secret of the shared tier. Refused in this version.");
    r.refuse(secret.sample("\"/etc/connector-cache/shared-secret\""), reason);
    let roots =
        key("shared.ca_file", "PEM file with root certificates of the shared tier. Refused in this version.");
    r.refuse(roots.sample("\"/etc/connector-cache/shared-ca.crt\""), reason);
    r.get(
        key("shared.timeout", "Time for an operation of the shared tier. Without effect in this version."),
        &BoundedDuration(at_most(SECOND * 10)),
        Duration::from_millis(50),
    );
}
