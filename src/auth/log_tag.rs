//! Tag of a token in the log.

/// Short keyed hash that distinguishes tokens in the log. Its key is used for nothing else, so the tag matches neither a
/// cache key nor a list of tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogTag(pub [u8; 4]);

impl std::fmt::Display for LogTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}
