//! Attacks by tokens without a proof on the other callers of their address.
