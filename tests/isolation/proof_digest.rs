//! Attacks on promise 2: tokens that Graph could answer differently.
