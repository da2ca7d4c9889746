//! Partial success of an OTLP export.

use connector_cache::observability::metrics::SpanResult;

use crate::common::origin::OriginServer;
use crate::common::proxy::Proxy;
use crate::common::reply::Reply;
use crate::common::token;

/// Plays a response of the collector to one batch of two spans, and returns the spans that were sent and refused.
async fn export(answer: &str) -> (u64, u64) {
    let (origin, collector) = (OriginServer::start().await, OriginServer::start().await);
    origin.any(Reply::json("{}"));
    collector.any(Reply::json(answer));
    let endpoint = Some(collector.url().parse().unwrap());
    let proxy = Proxy::with(&origin.url(), |config| config.tracing_export.endpoint = endpoint).await;
    assert_eq!(proxy.read(&token::mint("ada")).await.status, 200);
    let metrics = std::sync::Arc::clone(&proxy.metrics);
    // The last spans are sent when the proxy stops.
    proxy.stop().await;
    // A partial success must not be retried.
    assert_eq!(collector.requests(), 1);
    (metrics.spans.get(SpanResult::Sent), metrics.spans.get(SpanResult::Refused))
}

#[tokio::test]
async fn e4_rejected_spans_of_a_partial_success_are_counted_as_refused() {
    for (answer, counted) in [
        (r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no room"}}"#, (0, 2)),
        (r#"{"partialSuccess":{"rejectedSpans":1}}"#, (1, 1)),
        (r#"{"partial_success":{"rejected_spans":"1"}}"#, (1, 1)),
        (r#"{"partialSuccess":{"rejectedSpans":"99","errorMessage":"no room"}}"#, (0, 2)),
        (r#"{"partialSuccess":{"errorMessage":"a warning"}}"#, (2, 0)),
        (r#"{"partialSuccess":{"rejectedSpans":"0"}}"#, (2, 0)),
        (r#"{"partialSuccess":{"rejectedSpans":"-1"}}"#, (2, 0)),
        (r#"{"partialSuccess":{}}"#, (2, 0)),
        (r#"{"partialSuccess":null}"#, (2, 0)),
        ("{}", (2, 0)),
        ("", (2, 0)),
        ("no JSON", (2, 0)),
    ] {
        assert_eq!(export(answer).await, counted, "{answer}");
    }
}
