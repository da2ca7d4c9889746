//! `OpenMetrics` text format, version 1.0.0.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{Snapshot, buckets};
use crate::observability::metrics::duration_histogram::Exemplar;

/// Renders all families.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for family in &snapshot.families {
        let kind = family.get_field_type();
        // The name of a counter is without the suffix of its samples.
        let name = match kind {
            MetricType::COUNTER => family.name().strip_suffix(TOTAL).unwrap_or(family.name()),
            _ => family.name(),
        };
        let kind_name = match kind {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            MetricType::SUMMARY | MetricType::UNTYPED => "unknown",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind_name}", escape(family.help()));
        for metric in family.get_metric() {
            let labels = labels(metric);
            match kind {
                MetricType::COUNTER => {
                    sample(&mut out, (name, TOTAL), &labels, metric.get_counter().get_value());
                }
                MetricType::HISTOGRAM => histogram(&mut out, snapshot, (family, metric), &labels),
                _ => sample(&mut out, (name, ""), &labels, metric.get_gauge().get_value()),
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

fn histogram(
    out: &mut String,
    snapshot: &Snapshot,
    (family, metric): (&MetricFamily, &Metric),
    labels: &str,
) {
    let (name, histogram) = (family.name(), metric.get_histogram());
    let exemplars = snapshot.detail(family, metric).map_or(&[][..], |detail| &detail.exemplars);
    let count = histogram.get_sample_count();
    for (number, (bound, cumulative)) in buckets(histogram, count).enumerate() {
        let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
        let comma = if labels.is_empty() { "" } else { "," };
        let _ = write!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {cumulative}");
        if let Some(Some(exemplar)) = exemplars.get(number) {
            write_exemplar(out, exemplar);
        }
        out.push('\n');
    }
    sample(out, (name, "_sum"), labels, histogram.get_sample_sum());
    let _ = writeln!(out, "{name}_count{} {count}", braced(labels));
}

fn sample(out: &mut String, (name, suffix): (&str, &str), labels: &str, value: f64) {
    let _ = writeln!(out, "{name}{suffix}{} {value}", braced(labels));
}

fn write_exemplar(out: &mut String, exemplar: &Exemplar) {
    let at = exemplar.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let Exemplar { trace_id, seconds, .. } = exemplar;
    let _ = write!(out, " # {{trace_id=\"{trace_id:032x}\"}} {seconds} {at:.3}");
}

/// Returns the labels without braces.
fn labels(metric: &Metric) -> String {
    let pairs =
        metric.get_label().iter().map(|label| format!("{}=\"{}\"", label.name(), escape(label.value())));
    pairs.collect::<Vec<_>>().join(",")
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n").replace('"', "\\\"")
}

const TOTAL: &str = "_total";
