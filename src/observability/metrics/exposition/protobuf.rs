//! Prometheus' protobuf format: each family as a message `io.prometheus.client.MetricFamily` with its length before it.
//!
//! The format is the only one with native histograms. The messages use a handful of fields, so the wire format is written
//! here; the numbers are those of `io/prometheus/client/metrics.proto`.

use std::time::UNIX_EPOCH;

use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType};

use super::{Snapshot, buckets};
use crate::observability::metrics::duration_histogram::{Exemplar, HistogramDetail};
use crate::observability::metrics::native_histogram::{NativeBuckets, SCHEMA};

/// Renders all families.
pub(super) fn render(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    for family in &snapshot.families {
        let message = family_message(snapshot, family).0;
        varint(&mut out, message.len() as u64);
        out.extend(message);
    }
    out
}

fn family_message(snapshot: &Snapshot, family: &MetricFamily) -> Message {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => 0,
        MetricType::GAUGE => 1,
        MetricType::HISTOGRAM => 4,
        MetricType::SUMMARY | MetricType::UNTYPED => 3,
    };
    let mut message = Message::default();
    message.text(1, family.name());
    message.text(2, family.help());
    message.number(3, kind);
    for metric in family.get_metric() {
        message.nested(4, &metric_message(snapshot, family, metric));
    }
    message
}

fn metric_message(snapshot: &Snapshot, family: &MetricFamily, metric: &Metric) -> Message {
    let mut message = Message::default();
    for label in metric.get_label() {
        message.nested(1, &label_message(label.name(), label.value()));
    }
    match family.get_field_type() {
        MetricType::HISTOGRAM => {
            let detail = snapshot.detail(family, metric);
            message.nested(7, &histogram_message(metric.get_histogram(), detail));
        }
        MetricType::COUNTER => message.nested(3, &value_message(metric.get_counter().get_value())),
        _ => message.nested(2, &value_message(metric.get_gauge().get_value())),
    }
    message
}

/// Message `Gauge` or `Counter`, whose only field here is the value.
fn value_message(value: f64) -> Message {
    let mut message = Message::default();
    message.double(1, value);
    message
}

fn label_message(name: &str, value: &str) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    message.text(2, value);
    message
}

fn histogram_message(histogram: &Histogram, detail: Option<&HistogramDetail>) -> Message {
    let mut message = Message::default();
    let native = detail.and_then(|detail| detail.native.as_ref());
    // The native buckets were read at another time than the classic ones. Their sum is the count of the message, since
    // Prometheus refuses a native histogram with another count.
    let count = native.map_or(histogram.get_sample_count(), NativeBuckets::count);
    message.number(1, count);
    message.double(2, histogram.get_sample_sum());
    let exemplars = detail.map_or(&[][..], |detail| &detail.exemplars);
    for (number, (bound, cumulative)) in buckets(histogram, count).enumerate() {
        let mut bucket = Message::default();
        bucket.number(1, cumulative);
        bucket.double(2, bound);
        if let Some(Some(exemplar)) = exemplars.get(number) {
            bucket.nested(3, &exemplar_message(exemplar));
        }
        message.nested(3, &bucket);
    }
    if let Some(native) = native {
        write_native(&mut message, native);
    }
    message
}

/// Writes the native buckets: spans of consecutive indexes, and the difference of each count to the one before.
fn write_native(message: &mut Message, native: &NativeBuckets) {
    message.signed(5, i64::from(SCHEMA));
    // All durations are above the zero threshold, so the zero bucket is empty.
    message.double(6, ZERO_THRESHOLD);
    message.number(7, 0);
    let mut spans: Vec<(i32, u32)> = Vec::new();
    let (mut deltas, mut before, mut next) = (Vec::new(), 0_i64, 0_i32);
    for (index, count) in native.non_empty() {
        match spans.last_mut() {
            Some((_, length)) if index == next => *length += 1,
            // The offset of the first span is an index, that of each other one the gap after the span before.
            _ => spans.push((index - next, 1)),
        }
        next = index + 1;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        deltas.push(count - before);
        before = count;
    }
    if spans.is_empty() {
        // A span without buckets shows that the histogram is a native one.
        spans.push((0, 0));
    }
    for (offset, length) in spans {
        let mut span = Message::default();
        span.signed(1, i64::from(offset));
        span.number(2, u64::from(length));
        message.nested(12, &span);
    }
    for delta in deltas {
        message.signed(13, delta);
    }
}

fn exemplar_message(exemplar: &Exemplar) -> Message {
    let mut message = Message::default();
    message.nested(1, &label_message("trace_id", &format!("{:032x}", exemplar.trace_id)));
    message.double(2, exemplar.seconds);
    let since = exemplar.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut timestamp = Message::default();
    timestamp.number(1, since.as_secs());
    timestamp.number(2, u64::from(since.subsec_nanos()));
    message.nested(3, &timestamp);
    message
}

/// A message in the wire format.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    /// Writes a field of the types `uint32`, `uint64`, `int64` or of an enum.
    fn number(&mut self, field: u64, value: u64) {
        varint(&mut self.0, field << 3);
        varint(&mut self.0, value);
    }

    /// Writes a field of the types `sint32` or `sint64`.
    fn signed(&mut self, field: u64, value: i64) {
        self.number(field, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn double(&mut self, field: u64, value: f64) {
        varint(&mut self.0, field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn nested(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, bytes.len() as u64);
        self.0.extend(bytes);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Prometheus' default: values up to this width are in the zero bucket.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;
