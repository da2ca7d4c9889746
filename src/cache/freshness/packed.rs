//! Compact form of a lifetime, for entries.

use std::time::Duration;

use super::Lifetime;

/// A [`Lifetime`] with millisecond precision, in 16 bytes instead of 56. A duration of more than 49 days is stored as 49
/// days: it is shortened, never extended.
#[derive(Clone, Copy, Debug)]
pub struct PackedLifetime {
    fresh_ms: u32,
    /// Whole seconds, as in `Age`.
    age_s: u32,
    /// [`NEVER`] if the grace has no limit of its own.
    grace_ms: u32,
    /// Whole seconds in the lower 31 bits, all set if the grace after an error has no limit of its own. The highest bit is set
    /// if a stale response must be validated.
    error_grace_s: u32,
}

impl From<Lifetime> for PackedLifetime {
    fn from(lifetime: Lifetime) -> Self {
        let millis = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(NEVER).min(NEVER - 1);
        let error_grace = match lifetime.error_grace_ends {
            Duration::MAX => NO_ERROR_GRACE,
            limit => u32::try_from(limit.as_secs()).unwrap_or(u32::MAX).min(NO_ERROR_GRACE - 1),
        };
        Self {
            fresh_ms: millis(lifetime.fresh_for),
            age_s: u32::try_from(lifetime.initial_age.as_secs()).unwrap_or(u32::MAX),
            grace_ms: if lifetime.grace_ends == Duration::MAX { NEVER } else { millis(lifetime.grace_ends) },
            error_grace_s: error_grace | if lifetime.must_revalidate { MUST_REVALIDATE } else { 0 },
        }
    }
}

impl From<PackedLifetime> for Lifetime {
    fn from(packed: PackedLifetime) -> Self {
        let millis = |span: u32| Duration::from_millis(span.into());
        Self {
            fresh_for: millis(packed.fresh_ms),
            initial_age: Duration::from_secs(packed.age_s.into()),
            must_revalidate: packed.error_grace_s & MUST_REVALIDATE != 0,
            grace_ends: if packed.grace_ms == NEVER { Duration::MAX } else { millis(packed.grace_ms) },
            error_grace_ends: match packed.error_grace_s & NO_ERROR_GRACE {
                NO_ERROR_GRACE => Duration::MAX,
                seconds => Duration::from_secs(seconds.into()),
            },
        }
    }
}

const NEVER: u32 = u32::MAX;
const MUST_REVALIDATE: u32 = 1 << 31;
const NO_ERROR_GRACE: u32 = MUST_REVALIDATE - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(lifetime: Lifetime) -> Lifetime {
        PackedLifetime::from(lifetime).into()
    }

    #[test]
    fn a_lifetime_survives_the_round_trip() {
        let spans = [0, 1, 299_999, 86_400_000].map(Duration::from_millis);
        for fresh_for in spans {
            for grace_ends in [fresh_for, Duration::ZERO, Duration::MAX] {
                for must_revalidate in [false, true] {
                    let initial_age = Duration::from_secs(fresh_for.as_secs());
                    let error_grace_ends = match grace_ends {
                        Duration::MAX => Duration::MAX,
                        grace => Duration::from_secs(grace.as_secs()),
                    };
                    let lifetime =
                        Lifetime { fresh_for, initial_age, must_revalidate, grace_ends, error_grace_ends };
                    assert_eq!(round_trip(lifetime), lifetime);
                }
            }
        }
    }

    #[test]
    fn a_duration_that_does_not_fit_is_shortened_and_an_age_is_not() {
        let year = Duration::from_hours(24 * 365);
        let restored = round_trip(Lifetime {
            fresh_for: year,
            initial_age: year,
            must_revalidate: false,
            grace_ends: year,
            error_grace_ends: year * 100,
        });
        let most = Duration::from_millis(u64::from(u32::MAX) - 1);
        assert_eq!((restored.fresh_for, restored.grace_ends), (most, most), "the grace is limited");
        assert!(restored.error_grace_ends < year * 100);
        assert_eq!(restored.initial_age, year, "an age is stored in seconds");
    }
}
