//! Native histogram: exponential buckets as Prometheus defines them, with counters of one thread.
//!
//! Schema 3: eight buckets for each power of two, so that two neighbours differ by 9 %. An observation is an index and an
//! atomic addition. Values below a microsecond and above two minutes count in the outermost buckets.

use std::f64::consts::SQRT_2;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of the buckets.
#[derive(Debug)]
pub(super) struct NativeHistogram(Box<[AtomicU64]>);

/// Count of each bucket, from [`MIN_INDEX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NativeBuckets(Vec<u64>);

/// Resolution: 2 to the power of this number is the number of buckets for each power of two.
pub(super) const SCHEMA: i32 = 3;

impl NativeHistogram {
    /// Creates the histogram with empty buckets.
    pub(super) fn new() -> Self {
        Self((MIN_INDEX..=MAX_INDEX).map(|_| AtomicU64::new(0)).collect())
    }

    /// Counts one value, in seconds.
    pub(super) fn observe(&self, seconds: f64) {
        self.add(seconds, 1);
    }

    /// Counts `count` values in the bucket of `seconds`.
    pub(super) fn add(&self, seconds: f64, count: u64) {
        let slot = (bucket_index(seconds).clamp(MIN_INDEX, MAX_INDEX) - MIN_INDEX).unsigned_abs() as usize;
        if let Some(bucket) = self.0.get(slot) {
            bucket.fetch_add(count, Relaxed);
        }
    }

    /// Returns the counts.
    pub(super) fn buckets(&self) -> NativeBuckets {
        NativeBuckets(self.0.iter().map(|count| count.load(Relaxed)).collect())
    }
}

impl NativeBuckets {
    /// Adds the counts of another histogram.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(sum, more)| *sum += more);
    }

    /// Returns the number of all values.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns index and count of each bucket that is not empty, in order.
    pub(super) fn non_empty(&self) -> impl Iterator<Item = (i32, u64)> {
        (MIN_INDEX..).zip(self.0.iter().copied()).filter(|(_, count)| *count > 0)
    }
}

/// Returns the index of the bucket of a value: bucket `i` has the values above `2^((i-1)/8)`, up to `2^(i/8)`.
fn bucket_index(seconds: f64) -> i32 {
    // NaN, zero, negative and subnormal values.
    if !seconds.is_normal() || seconds < 0.0 {
        return if seconds == f64::INFINITY { MAX_INDEX } else { MIN_INDEX };
    }
    let bits = seconds.to_bits();
    let exponent = i32::try_from(bits >> MANTISSA_BITS).unwrap_or(0) - EXPONENT_BIAS;
    // The mantissa as a fraction in [1, 2).
    let fraction = f64::from_bits((bits & MANTISSA_MASK) | 1.0_f64.to_bits());
    let within = FRACTIONS.iter().take_while(|bound| **bound < fraction).count();
    exponent * (1 << SCHEMA) + i32::try_from(within).unwrap_or(0)
}

const MANTISSA_BITS: u32 = 52;
const MANTISSA_MASK: u64 = (1 << MANTISSA_BITS) - 1;
const EXPONENT_BIAS: i32 = 1023;
/// Upper bounds of the buckets within a power of two: `2^(i/8)` for 0 to 7.
const FRACTIONS: [f64; 8] = [
    1.0,
    1.090_507_732_665_257_7,
    1.189_207_115_002_721,
    1.296_839_554_651_009_6,
    SQRT_2,
    1.542_210_825_407_940_7,
    1.681_792_830_507_429,
    1.834_008_086_409_342_4,
];
/// Bucket up to a microsecond: `2^-20` seconds.
const MIN_INDEX: i32 = -20 * 8;
/// Bucket up to `2^7` seconds.
const MAX_INDEX: i32 = 7 * 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_bucket_whose_bounds_contain_it() {
        for index in MIN_INDEX..=MAX_INDEX {
            let bound = |index: i32| (f64::from(index) / 8.0).exp2();
            let (lower, upper) = (bound(index - 1), bound(index));
            let middle = f64::midpoint(lower, upper);
            assert_eq!(bucket_index(middle), index, "{lower} to {upper}");
            assert_eq!(bucket_index(upper * 0.999_999), index, "the upper bound of {index}");
            assert_eq!(bucket_index(upper * 1.000_001), index + 1, "above the upper bound of {index}");
        }
        assert_eq!(
            (bucket_index(1.0), bucket_index(2.0), bucket_index(0.5)),
            (0, 8, -8),
            "bounds are inclusive"
        );
    }

    #[test]
    fn values_outside_of_the_range_count_in_the_outermost_buckets() {
        let histogram = NativeHistogram::new();
        for value in [0.0, -1.0, f64::NAN, 1e-12, 1e6, f64::INFINITY] {
            histogram.observe(value);
        }
        let counts: Vec<_> = histogram.buckets().non_empty().collect();
        assert_eq!(counts, [(MIN_INDEX, 4), (MAX_INDEX, 2)]);
    }
}
