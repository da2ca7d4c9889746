//! Keyed hash of tokens and requests.
//!
//! POLYVAL (RFC 8452, section 3) of the bytes, in blocks of 16 that are padded with zeros, and of a last block with the
//! lengths, under a random key of the process. POLYVAL is a universal hash: without the key, an attacker who chooses two
//! different inputs of n blocks makes their hashes equal with a probability of n in 2^128. This is sufficient because no
//! hash is ever shown: it does not leave the process, it is only compared with other hashes, and before its bits select a
//! slot of a table they pass through `SipHash` under another key: once for the tables of tokens, which a request uses about
//! ten times ([`KeyedHash::for_tables`]). Hashes that leave the process are HMAC-SHA-256.
//!
//! POLYVAL takes a third of the time of HMAC-SHA-256 for a token of 1.7 KB: `docs/performance.md`.

use std::hash::{BuildHasher, RandomState};

use polyval::universal_hash::UniversalHash;
use polyval::{Block, Key, Polyval};

/// POLYVAL and `SipHash` with their keys.
#[derive(Clone)]
pub(super) struct KeyedHash {
    polyval: Polyval,
    siphash: RandomState,
}

impl KeyedHash {
    /// Creates a hash under `key`, which must be random and secret.
    pub(super) fn new(key: [u8; 16]) -> Self {
        // A key of zeros would give every input the same hash. The probability of drawing it is 2^-128; setting one bit
        // excludes it and does not weaken other keys.
        let [first, rest @ ..] = key;
        let mut whole = [first | 1; 16];
        whole.iter_mut().skip(1).zip(rest).for_each(|(to, from)| *to = from);
        Self { polyval: Polyval::new(&Key::from(whole)), siphash: RandomState::new() }
    }

    /// Hashes up to four values in sequence. Another order, or the same bytes divided otherwise, gives another hash.
    pub(super) fn hash<const N: usize>(&self, values: &[&[u8]; N]) -> [u8; 16] {
        const { assert!(N <= 4, "four lengths of 32 bits fill the last block") };
        let mut hash = self.polyval.clone();
        let mut lengths = [0_u8; 16];
        for (value, length) in values.iter().zip(lengths.chunks_exact_mut(4)) {
            hash.update_padded(value);
            // The length plus one, so that an empty value differs from an absent one. Parts of a request are far
            // shorter than 4 GiB.
            let counted = u32::try_from(value.len()).unwrap_or(u32::MAX).saturating_add(1);
            length.iter_mut().zip(counted.to_le_bytes()).for_each(|(to, from)| *to = from);
        }
        hash.update(&[Block::from(lengths)]);
        hash.finalize().into()
    }

    /// Replaces the first half of a hash by a `SipHash` of the whole: its bits may select slots of tables.
    pub(super) fn for_tables(&self, hash: [u8; 16]) -> [u8; 16] {
        let hash = u128::from_le_bytes(hash);
        (u128::from(self.siphash.hash_one(hash)) | hash >> 64 << 64).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_computes_polyval_of_rfc_8452() {
        // Appendix A: POLYVAL(H, X_1, X_2).
        let number = |hex: &str| u128::from_str_radix(hex, 16).unwrap().to_be_bytes();
        let mut polyval = Polyval::new(&Key::from(number("25629347589242761d31f826ba4b757b")));
        polyval.update(&[
            Block::from(number("4f4f95668c83dfb6401762bb2d01a262")),
            Block::from(number("d1a24ddd2721d006bbe45f20d3c9f362")),
        ]);
        let result: [u8; 16] = polyval.finalize().into();
        assert_eq!(result, number("f7a3b47b846119fae5b7866cf5e5b77e"));
    }

    /// Builds the layout block by block, independently of the code under test.
    #[test]
    fn the_input_is_every_byte_followed_by_the_lengths() {
        let key: [u8; 16] = std::array::from_fn(|at| 2 + u8::try_from(at).unwrap());
        let mut polyval =
            Polyval::new(&Key::from(u128::to_be_bytes(0x0303_0405_0607_0809_0a0b_0c0d_0e0f_1011)));
        polyval.update(&[
            Block::from(*b"sixteen bytes, a"),
            Block::from(*b"nd one\0\0\0\0\0\0\0\0\0\0"),
            Block::from(*b"abc\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            Block::from([23, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        ]);
        let result: [u8; 16] = polyval.finalize().into();
        assert_eq!(KeyedHash::new(key).hash(&[b"sixteen bytes, and one", b"abc", b""]), result);
    }

    #[test]
    fn every_byte_of_the_key_changes_the_hash() {
        let key: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        for at in 0..16 {
            let mut other = key;
            other[at] ^= 0x80;
            assert_ne!(KeyedHash::new(other).hash(&[b"a"]), KeyedHash::new(key).hash(&[b"a"]), "{at}");
        }
    }

    #[test]
    fn another_order_division_padding_or_count_gives_another_hash() {
        let hash = KeyedHash::new([7; 16]);
        let all = [
            hash.hash(&[b"ab"]),
            hash.hash(&[b"ab\0"]),
            hash.hash(&[b""]),
            hash.hash(&[b"ab", b""]),
            hash.hash(&[b"", b"ab"]),
            hash.hash(&[b"a", b"b"]),
            hash.hash(&[b"ab", b"", b""]),
            KeyedHash::new([8; 16]).hash(&[b"ab"]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| one != other), "{at}");
        }
    }

    #[test]
    fn a_key_of_zeros_or_nearly_zeros_does_not_make_all_hashes_equal() {
        let one = u128::to_le_bytes(1);
        for key in [[0; 16], one] {
            let hash = KeyedHash::new(key);
            assert_ne!(hash.hash(&[b"a"]), hash.hash(&[b"b"]));
        }
    }
}
