//! Where answers and proofs are kept.

/// What the store needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `cache.max_bytes`: weight of keys, headers, bodies and proofs together.
    pub max_bytes: u64,
    /// `limits.proofs_per_token`: resources that one token may hold proofs for.
    pub proofs_per_token: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, proofs_per_token: 1_000 }
    }
}
