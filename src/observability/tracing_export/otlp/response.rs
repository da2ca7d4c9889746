//! Response of a collector to an export: the number of rejected spans in a partial success.
//!
//! A collector that rejects a part of a batch responds 200 and says so in the body
//! (<https://opentelemetry.io/docs/specs/otlp/#partial-success-1>). The text of the message is not read: the log has no text
//! from outside of the process.

use serde::Deserialize;

/// `ExportTraceServiceResponse`. Parsers of Protobuf's JSON accept names in camel case and in snake case.
#[derive(Deserialize, Default)]
struct ExportResponse {
    #[serde(alias = "partial_success", rename = "partialSuccess", default)]
    partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`.
#[derive(Deserialize)]
struct PartialSuccess {
    #[serde(alias = "rejected_spans", rename = "rejectedSpans", default)]
    rejected_spans: Option<Int64>,
}

/// An `int64` in Protobuf's JSON: a string, or a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Int64 {
    Number(i64),
    Text(String),
}

/// Returns the number of rejected spans, at most `sent`. A body without a readable number, also an empty one, means that all
/// spans were accepted.
pub(super) fn rejected_spans(body: &[u8], sent: usize) -> usize {
    let response: ExportResponse = serde_json::from_slice(body).unwrap_or_default();
    let rejected = response.partial_success.and_then(|partial| partial.rejected_spans);
    let rejected = match rejected {
        Some(Int64::Number(number)) => number,
        Some(Int64::Text(text)) => text.parse().unwrap_or_default(),
        None => 0,
    };
    usize::try_from(rejected).unwrap_or_default().min(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_has_a_number_of_rejected_spans() {
        for (body, rejected) in [
            (r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"m"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":3,"unknown":[1]},"unknown":{}}"#, 3),
            (r#"{"partial_success":{"rejected_spans":"3"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":"9223372036854775807"}}"#, 7),
            (r#"{"partialSuccess":{"rejectedSpans":"99999999999999999999"}}"#, 0),
            (r#"{"partialSuccess":{"rejectedSpans":"-1"}}"#, 0),
            (r#"{"partialSuccess":{"rejectedSpans":-1}}"#, 0),
            (r#"{"partialSuccess":{"rejectedSpans":null}}"#, 0),
            (r#"{"partialSuccess":{"errorMessage":"a warning"}}"#, 0),
            (r#"{"partialSuccess":null}"#, 0),
            ("{}", 0),
            ("", 0),
            ("\n\x0b", 0),
            ("[3]", 0),
        ] {
            assert_eq!(rejected_spans(body.as_bytes(), 7), rejected, "{body}");
        }
    }
}
