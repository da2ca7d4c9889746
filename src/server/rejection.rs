//! Reasons why the server refuses or ends a connection. The connection is closed, in most cases without a response.

use crate::support::labels::labels;

labels! {
    /// Reason why a connection was refused or ended: a label of `rejected_total`, beside those of requests.
    pub enum ConnRejection {
        /// Open connections have reached `limits.connections`.
        Connections = "connections",
        /// Open connections of the address have reached `limits.connections_per_address`.
        AddressConnections = "connections-per-address",
        /// The bytes are not HTTP as defined by RFC 9112 or RFC 9113.
        Malformed = "malformed",
        /// The peer sends more HTTP/2 control frames, or resets more streams, than requests need.
        Flood = "flood",
        /// A handshake, a request head or the transfer of a response exceeded its time limit (`limits.*`).
        Slow = "slow",
        /// The TLS handshake failed.
        Handshake = "tls-handshake",
        /// The request target is longer than `limits.target_bytes`.
        TargetTooLong = "target-too-long",
        /// The header section is larger than `limits.header_bytes`.
        HeadersTooLarge = "headers-too-large",
        /// Unsent responses of the address have used its share of `limits.bytes_in_flight`.
        BytesInFlight = "bytes-in-flight",
    }
}
