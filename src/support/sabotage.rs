//! Deliberate faults, so that the tests can show that they would notice them.
//!
//! A promise is kept by a line here and there. At such a line stands [`sabotaged!`] with two expressions: the
//! faulty one and the sound one. Without the feature `sabotage`, which only the tests turn on, the faulty one
//! is not even compiled, and nothing else of this module exists.
//!
//! A fault is switched on for one thread, so that tests run side by side, each in a runtime of its own thread.

#[cfg(feature = "sabotage")]
mod switch;

#[cfg(feature = "sabotage")]
pub use self::switch::{Fault, is_on, switch};

/// `sabotaged!(Fault, faulty, sound)` is `sound`, and `sabotaged!(Fault, faulty)` is nothing, unless a test has
/// switched that fault on.
#[cfg(feature = "sabotage")]
macro_rules! sabotaged {
    ($fault:ident, $faulty:expr, $sound:expr) => {
        if $crate::support::sabotage::is_on($crate::support::sabotage::Fault::$fault) {
            $faulty
        } else {
            $sound
        }
    };
    ($fault:ident, $faulty:expr) => {
        if $crate::support::sabotage::is_on($crate::support::sabotage::Fault::$fault) {
            $faulty
        }
    };
}

/// `sabotaged!(Fault, faulty, sound)` is `sound`, and `sabotaged!(Fault, faulty)` is nothing.
#[cfg(not(feature = "sabotage"))]
macro_rules! sabotaged {
    ($fault:ident, $faulty:expr, $sound:expr) => {
        $sound
    };
    ($fault:ident, $faulty:expr) => {};
}

pub(crate) use sabotaged;
