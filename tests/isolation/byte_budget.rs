//! Attacks on the byte budget of answers in flight.
