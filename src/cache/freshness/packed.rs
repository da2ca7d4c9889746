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
    must_revalidate: bool,
}

impl From<Lifetime> for PackedLifetime {
    fn from(lifetime: Lifetime) -> Self {
        let millis = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(NEVER).min(NEVER - 1);
        Self {
            fresh_ms: millis(lifetime.fresh_for),
            age_s: u32::try_from(lifetime.initial_age.as_secs()).unwrap_or(u32::MAX),
            grace_ms: if lifetime.grace_ends == Duration::MAX { NEVER } else { millis(lifetime.grace_ends) },
            must_revalidate: lifetime.must_revalidate,
        }
    }
}

impl From<PackedLifetime> for Lifetime {
    fn from(packed: PackedLifetime) -> Self {
        let millis = |span: u32| Duration::from_millis(span.into());
        Self {
            fresh_for: millis(packed.fresh_ms),
            initial_age: Duration::from_secs(packed.age_s.into()),
            must_revalidate: packed.must_revalidate,
            grace_ends: if packed.grace_ms == NEVER { Duration::MAX } else { millis(packed.grace_ms) },
        }
    }
}

const NEVER: u32 = u32::MAX;

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
                    let lifetime = Lifetime { fresh_for, initial_age, must_revalidate, grace_ends };
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
        });
        let most = Duration::from_millis(u64::from(u32::MAX) - 1);
        assert_eq!((restored.fresh_for, restored.grace_ends), (most, most), "the grace is limited");
        assert_eq!(restored.initial_age, year, "an age is stored in seconds");
    }
}
