//! Keys of `log.*` and `telemetry.*`.

use crate::config::key::{Key, key};
use crate::config::reader::ConfigReader;
#[cfg(feature = "otlp")]
use crate::config::rules::CollectorUrl;
use crate::config::rules::{Integer, LogFilter, OneOf};
use crate::observability::{logging, tracing_export};

/// Reads the settings of the log.
pub(in crate::config) fn logging(r: &mut ConfigReader) -> logging::Config {
    let default = logging::Config::default();
    logging::Config {
        format: r.get_optional(
            key(
                "log.format",
                "Format of log lines: JSON (one object per line) or text. Not set: text on a terminal, JSON elsewhere.",
            )
            .sample("\"json\"")
            .chart_default("\"json\""),
            &OneOf::new(),
        ),
        filter: r.get(
            key(
                "log.filter",
                "Level of log lines. Libraries never log below `info`, because such lines contain input of callers.",
            ),
            &LogFilter,
            default.filter,
        ),
        access: r.get(
            key(
                "log.access",
                "Requests with an access log line. `\"misses\"`: all but fresh hits, which the metrics count.",
            ),
            &OneOf::new(),
            default.access,
        ),
        client: r.get(
            key(
                "log.client",
                "Fields of an access log line that identify the caller, which are personal data. `\"address\"`: the address of the \
                 peer (`peer`). `\"certificate\"`: the name in the client certificate (`client`), its first URI, else its first \
                 DNS name; needs `listen.tls.client_ca`. Both also add the user agent (`user_agent`).",
            ),
            &OneOf::new(),
            default.client,
        ),
    }
}

/// Reads the settings of the tracing export.
#[cfg(feature = "otlp")]
pub(in crate::config) fn tracing_export(r: &mut ConfigReader) -> tracing_export::Config {
    let default = tracing_export::Config::default();
    tracing_export::Config {
        endpoint: r.get_optional(ENDPOINT, &CollectorUrl),
        one_in: r.get(ONE_IN, &Integer(0..=1_000_000_000), default.one_in),
    }
}

/// Refuses the endpoint: this build contains no exporter.
#[cfg(not(feature = "otlp"))]
pub(in crate::config) fn tracing_export(r: &mut ConfigReader) -> tracing_export::Config {
    r.refuse(ENDPOINT, "this program was built without the feature otlp; remove the key");
    r.get(ONE_IN, &Integer(0..=1_000_000_000_u64), 1);
    tracing_export::Config::default()
}

const ENDPOINT: Key = key(
    "telemetry.otlp_endpoint",
    "Base URL of an OpenTelemetry collector that accepts OTLP over HTTP as JSON. Spans are sent to `/v1/traces` below \
     it. Not set: no spans. A program that was built without the feature `otlp` refuses the key.",
)
.sample("\"http://collector.example:4318\"")
.chart_note("Allow the connection with `networkPolicy.otlp.to`.");

const ONE_IN: Key = key(
    "telemetry.otlp_one_in",
    "Sampling of requests without a trace context: one in this number begins a trace. `0`: none. The trace context of a \
     caller decides about its own requests.",
);
