//! Exposition of the metrics: the format that a scraper accepts, and the rendering in this format.
//!
//! Prometheus negotiates the format by `Accept`. The classic text lacks exemplars, which `OpenMetrics` has, and
//! native histograms, which only Prometheus' protobuf format has. All formats have the same names, labels and buckets.

mod openmetrics;
mod protobuf;

use std::collections::BTreeMap;

use prometheus::proto::{Histogram, Metric, MetricFamily};

use super::duration_histogram::HistogramDetail;
use crate::http::negotiation::parse_qvalue;

/// Format of an exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// Prometheus text format, version 0.0.4.
    Text,
    /// `OpenMetrics` text format, version 1.0.0.
    OpenMetrics,
    /// Length-delimited messages `io.prometheus.client.MetricFamily`.
    Protobuf,
}

impl ExpositionFormat {
    /// Returns the format that the scraper prefers by its field `Accept`. Without a known format it is the text.
    pub fn negotiate(accept: &str) -> Self {
        let known = accept.split(',').filter_map(|member| {
            let mut parts = member.split(';').map(str::trim);
            let media_type = parts.next()?.to_ascii_lowercase();
            let parameters: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
            let has = |parameter: &str| parameters.iter().any(|one| one == parameter);
            let format = match media_type.as_str() {
                "application/vnd.google.protobuf"
                    if has("proto=io.prometheus.client.metricfamily") && has("encoding=delimited") =>
                {
                    Self::Protobuf
                }
                "application/openmetrics-text" if !has("version=0.0.1") => Self::OpenMetrics,
                "text/plain" | "text/*" | "*/*" => Self::Text,
                _ => return None,
            };
            let quality = parameters.iter().find_map(|one| one.strip_prefix("q="));
            let quality = quality.map_or(1000, |value| parse_qvalue(value.as_bytes()).unwrap_or(0));
            (quality > 0).then_some((quality, format))
        });
        // Of equal qualities the first counts.
        let best = known.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map_or(Self::Text, |(_, format)| format)
    }

    /// Returns the value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// All families at one time, with the details that the classic text cannot express.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// Families by name.
    pub(super) families: Vec<MetricFamily>,
    /// Details of histograms, by family and value of the first label (empty without a label).
    pub(super) details: BTreeMap<(String, String), HistogramDetail>,
}

impl Snapshot {
    /// Renders the snapshot.
    pub(super) fn render(&self, format: ExpositionFormat) -> prometheus::Result<Vec<u8>> {
        match format {
            ExpositionFormat::Text => {
                prometheus::TextEncoder::new().encode_to_string(&self.families).map(String::into_bytes)
            }
            ExpositionFormat::OpenMetrics => Ok(openmetrics::render(self).into_bytes()),
            ExpositionFormat::Protobuf => Ok(protobuf::render(self)),
        }
    }

    fn detail(&self, family: &MetricFamily, metric: &Metric) -> Option<&HistogramDetail> {
        let label = metric.get_label().first().map_or("", |label| label.value());
        self.details.get(&(family.name().to_owned(), label.to_owned()))
    }
}

/// Returns the upper bounds and cumulative counts of the buckets: the finite ones, and that of `count` values without a bound.
fn buckets(histogram: &Histogram, count: u64) -> impl Iterator<Item = (f64, u64)> {
    let finite = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let finite = finite.map(move |bucket| (bucket.upper_bound(), bucket.cumulative_count().min(count)));
    finite.chain([(f64::INFINITY, count)])
}

#[cfg(test)]
mod tests {
    use super::ExpositionFormat::{self, OpenMetrics, Protobuf, Text};

    #[test]
    fn a_scraper_gets_the_format_that_it_prefers() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                      application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            ("", Text),
            ("*/*", Text),
            ("text/html, */*; q=.2", Text),
            ("application/json", Text),
            (prometheus_2, OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; q=0.2, text/plain", Text),
            ("application/openmetrics-text;version=0.0.1", Text),
            ("application/openmetrics-text;q=0", Text),
            (native, Protobuf),
            ("application/vnd.google.protobuf;proto=other;encoding=delimited", Text),
        ] {
            assert_eq!(ExpositionFormat::negotiate(accept), format, "{accept}");
        }
    }
}
