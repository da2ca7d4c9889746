//! Bytes that are zeroed when they are dropped.

use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

/// A vector whose whole capacity is zeroed when it is dropped, sixteen bytes at a time.
///
/// `Zeroizing<Vec<u8>>` writes each byte by itself, because a volatile write has the size of an element. A vector that grows
/// leaves its smaller buffers in memory without zeroing them.
pub(super) struct ZeroedBytes(Vec<u8>);

impl ZeroedBytes {
    /// Creates an empty vector.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Overwrites the whole capacity with zeros. The vector then has the length of its capacity.
    fn zero(&mut self) {
        // A decoder may have written bytes beyond the length.
        self.0.resize(self.0.capacity(), 0);
        let (first, middle, last) = bytemuck::pod_align_to_mut::<u8, u128>(&mut self.0);
        first.zeroize();
        middle.zeroize();
        last.zeroize();
    }
}

impl Drop for ZeroedBytes {
    fn drop(&mut self) {
        self.zero();
    }
}

impl Deref for ZeroedBytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for ZeroedBytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_capacity_is_zeroed() {
        for length in [0, 1, 15, 16, 17, 1_200] {
            let mut bytes = ZeroedBytes::with_capacity(length + 5);
            let capacity = bytes.capacity();
            bytes.resize(capacity, 7);
            // As after a decoder that has written further than it has counted.
            bytes.truncate(length);
            bytes.zero();
            assert_eq!(**bytes, vec![0; capacity], "{length}");
        }
    }
}
