//! A lifetime as entries keep it: there are as many of those as the cache has room for.

use std::time::Duration;

use super::Lifetime;

/// A [`Lifetime`] to the millisecond, in 16 bytes in place of 56. What is longer than 49 days is kept as 49 days: it
/// ends early, and not late.
#[derive(Clone, Copy, Debug)]
pub struct PackedLifetime {
    fresh_ms: u32,
    /// Whole seconds, as `Age` has them.
    age_s: u32,
    /// [`NEVER`] where the grace has no end of its own.
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

    fn kept(lifetime: Lifetime) -> Lifetime {
        PackedLifetime::from(lifetime).into()
    }

    #[test]
    fn a_lifetime_is_kept_as_it_was() {
        let spans = [0, 1, 299_999, 86_400_000].map(Duration::from_millis);
        for fresh_for in spans {
            for grace_ends in [fresh_for, Duration::ZERO, Duration::MAX] {
                for must_revalidate in [false, true] {
                    let initial_age = Duration::from_secs(fresh_for.as_secs());
                    let lifetime = Lifetime { fresh_for, initial_age, must_revalidate, grace_ends };
                    assert_eq!(kept(lifetime), lifetime);
                }
            }
        }
    }

    #[test]
    fn what_has_no_room_ends_early_and_is_no_younger_than_it_can_be_told() {
        let year = Duration::from_hours(24 * 365);
        let kept =
            kept(Lifetime { fresh_for: year, initial_age: year, must_revalidate: false, grace_ends: year });
        let most = Duration::from_millis(u64::from(u32::MAX) - 1);
        assert_eq!((kept.fresh_for, kept.grace_ends), (most, most), "and the grace has an end");
        assert_eq!(kept.initial_age, year, "an age is told in seconds, as it came");
    }
}
