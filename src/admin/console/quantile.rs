//! Estimate of a quantile from the buckets of a histogram.

use crate::observability::metrics::{bucket_bounds, upstream_bucket_bounds};

/// Returns the quantile of `percent` in microseconds, or 0 without observations. Within a bucket the observations count as
/// evenly distributed, as in Prometheus' `histogram_quantile`. `counts` has one bucket more than `bounds`. A quantile above
/// the last bound is the bound and one microsecond.
pub(super) fn quantile_micros(bounds: &[f64], counts: &[u64], percent: u64) -> u32 {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return 0;
    }
    let rank = (total * percent).div_ceil(100).max(1);
    let (mut lower, mut before) = (0.0, 0);
    for (upper, count) in bounds.iter().zip(counts) {
        if before + count >= rank {
            return micros(lower, *upper, rank - before, *count);
        }
        (lower, before) = (*upper, before + count);
    }
    micros(lower, lower, 0, 1).saturating_add(1)
}

/// Returns the bounds of all buckets in ascending order. A quantile that is one of them may be any value of its bucket.
pub(super) fn bounds_micros() -> Vec<u32> {
    let bounds = bucket_bounds().iter().chain(upstream_bucket_bounds());
    let mut bounds: Vec<u32> = bounds.map(|bound| micros(0.0, *bound, 1, 1)).collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds
}

fn micros(lower: f64, upper: f64, part: u64, of: u64) -> u32 {
    let share =
        f64::from(u32::try_from(part).unwrap_or(u32::MAX)) / f64::from(u32::try_from(of).unwrap_or(u32::MAX));
    let duration = std::time::Duration::from_secs_f64(lower + (upper - lower) * share);
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_of_one_observation_is_a_known_bound() {
        for bounds in [bucket_bounds(), upstream_bucket_bounds()] {
            for at in 0..bounds.len() {
                let mut counts = vec![0; bounds.len() + 1];
                counts[at] = 1;
                assert!(bounds_micros().contains(&quantile_micros(bounds, &counts, 50)), "{at}");
            }
        }
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let bounds = [0.001, 0.002, 0.01];
        assert_eq!(quantile_micros(&bounds, &[0, 0, 0, 0], 50), 0);
        assert_eq!(quantile_micros(&bounds, &[0, 10, 0, 0], 50), 1_500);
        assert_eq!(quantile_micros(&bounds, &[99, 0, 1, 0], 99), 1_000);
        assert_eq!(quantile_micros(&bounds, &[0, 0, 0, 4], 50), 10_001, "above the last bound");
    }
}
