//! Tag of a token in the log.

/// Tag that tells tokens apart in the log. It cannot be joined to a cache key or to a list of tokens: it is 32 bits of
/// a hash of the token hash under a key of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogTag(pub [u8; 4]);

impl std::fmt::Display for LogTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}
