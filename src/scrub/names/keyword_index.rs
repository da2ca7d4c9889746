//! Keywords to find in a folded name.
//!
//! A body can have 200,000 names, so at most positions in a name no keyword is compared, and at the others few.

use crate::cache::outcome::ScrubbedField;

/// Keywords and the field of each, grouped by one of their letters. In a group the order of the lists is kept.
#[derive(Clone, Debug)]
pub(super) struct KeywordIndex([LetterKeywords; 26]);

/// The keywords of one letter.
#[derive(Clone, Debug, Default)]
struct LetterKeywords {
    /// Bit set of the letters next to that letter in any of the keywords.
    neighbors: u32,
    keywords: Vec<(&'static str, ScrubbedField)>,
}

type KeywordLists = &'static [(ScrubbedField, &'static [&'static str])];

impl KeywordIndex {
    /// Groups by the first letter, to find a keyword anywhere in a name. Ignores keywords that do not begin with two
    /// letters.
    pub(super) fn by_first_letter(keyword_lists: KeywordLists) -> Self {
        Self::build(keyword_lists, |word| match word {
            [first, second, ..] => Some((*first, *second)),
            _ => None,
        })
    }

    /// Groups by the last letter, to find a keyword at the end of a name. Ignores keywords that do not end in two
    /// letters.
    pub(super) fn by_last_letter(keyword_lists: KeywordLists) -> Self {
        Self::build(keyword_lists, |word| match word {
            [.., second, last] => Some((*last, *second)),
            _ => None,
        })
    }

    fn build(keyword_lists: KeywordLists, letters: fn(&[u8]) -> Option<(u8, u8)>) -> Self {
        let mut index = Self(Default::default());
        for &(field, words) in keyword_lists {
            for word in words {
                let Some((one, neighbor)) = letters(word.as_bytes()) else { continue };
                if let Some(words) = index.0.get_mut(alphabet_index(one)) {
                    words.neighbors |= 1 << alphabet_index(neighbor);
                    words.keywords.push((*word, field));
                }
            }
        }
        index
    }

    /// Returns the field of the first keyword in the name.
    pub(super) fn find_first(&self, folded: &str) -> Option<ScrubbedField> {
        let bytes = folded.as_bytes();
        bytes.windows(2).enumerate().find_map(|(at, pair)| {
            let words = self.candidates(pair[0], pair[1])?;
            words.iter().find(|(word, _)| bytes[at..].starts_with(word.as_bytes())).map(|&(_, field)| field)
        })
    }

    /// Returns the field of the keyword at the end of the name.
    pub(super) fn find_suffix(&self, folded: &str) -> Option<ScrubbedField> {
        let &[.., second, last] = folded.as_bytes() else { return None };
        let words = self.candidates(last, second)?;
        words.iter().find(|(word, _)| folded.ends_with(word)).map(|&(_, field)| field)
    }

    /// Returns the keywords of a letter, if one of them has `neighbor` next to that letter.
    fn candidates(&self, one: u8, neighbor: u8) -> Option<&[(&'static str, ScrubbedField)]> {
        let words = self.0.get(alphabet_index(one))?;
        let others = words.neighbors.checked_shr(u32::from(neighbor.wrapping_sub(b'a')))?;
        (others & 1 == 1).then_some(&words.keywords)
    }
}

/// Returns the position of a lower-case letter in the alphabet; for any other byte a number beyond its end.
fn alphabet_index(byte: u8) -> usize {
    usize::from(byte.wrapping_sub(b'a'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::{CONTAINS, SUFFIXES};
    use super::ScrubbedField::{Key, Password, Secret, Token};
    use super::*;

    const WORDS: KeywordLists =
        &[(Key, &["abc", "abd"]), (Token, &["bc", "xbc"]), (Secret, &["abcd", "zz1"])];

    #[test]
    fn the_first_position_wins_and_there_the_order_of_the_list() {
        let index = KeywordIndex::by_first_letter(WORDS);
        for (folded, found) in [
            ("abc", Some(Key)),
            ("xxabdxx", Some(Key)),
            ("bcabc", Some(Token)),
            ("abcd", Some(Key)),
            ("zz1", Some(Secret)),
            ("azz1a", Some(Secret)),
            ("", None),
            ("a", None),
            ("ab", None),
            ("b", None),
            ("a{c", None),
            ("b@", None),
            ("zz", None),
            ("\u{e9}bc", Some(Token)),
            ("b\u{e9}c", None),
        ] {
            assert_eq!(index.find_first(folded), found, "{folded}");
        }
    }

    #[test]
    fn only_the_end_counts_and_there_the_order_of_the_list() {
        let index = KeywordIndex::by_last_letter(&WORDS[..2]);
        for (folded, found) in [
            ("abc", Some(Key)),
            ("xabd", Some(Key)),
            ("xbc", Some(Token)),
            ("bc", Some(Token)),
            ("abcx", None),
            ("c", None),
            ("", None),
            ("1c", None),
            ("cc", None),
            ("\u{e9}bc", Some(Token)),
        ] {
            assert_eq!(index.find_suffix(folded), found, "{folded}");
        }
    }

    #[test]
    fn a_word_too_short_for_two_letters_is_not_indexed() {
        let words: KeywordLists = &[(Password, &["a", ""])];
        assert_eq!(KeywordIndex::by_first_letter(words).find_first("aa"), None);
        assert_eq!(KeywordIndex::by_last_letter(words).find_suffix("aa"), None);
    }

    fn all(keyword_lists: KeywordLists) -> impl Iterator<Item = (&'static str, ScrubbedField)> {
        keyword_lists.iter().flat_map(|&(field, words)| words.iter().map(move |word| (*word, field)))
    }

    fn folded() -> impl Strategy<Value = String> {
        let words: Vec<_> = all(CONTAINS).chain(all(SUFFIXES)).map(|(word, _)| word).collect();
        let piece = prop_oneof![3 => select(words).prop_map(str::to_owned), 2 => "[a-z0-9@\u{e9}{`]{0,3}"];
        let cut = any::<prop::sample::Index>();
        proptest::collection::vec((piece, cut), 0..5).prop_map(|pieces| {
            let whole = |(piece, cut): (String, prop::sample::Index)| {
                let length = cut.index(piece.len() * 2 + 1);
                piece.get(..length).unwrap_or(&piece).to_owned()
            };
            pieces.into_iter().map(whole).collect()
        })
    }

    proptest! {
        #[test]
        fn the_index_finds_the_same_as_a_search_word_by_word(folded in folded()) {
            let places = || folded.char_indices().map(|(at, _)| &folded[at..]);
            let first = places().find_map(|rest| all(CONTAINS).find(|(word, _)| rest.starts_with(word)));
            prop_assert_eq!(KeywordIndex::by_first_letter(CONTAINS).find_first(&folded), first.map(|(_, field)| field));
            let end = all(SUFFIXES).find(|(word, _)| folded.ends_with(word));
            prop_assert_eq!(KeywordIndex::by_last_letter(SUFFIXES).find_suffix(&folded), end.map(|(_, field)| field));
        }
    }
}
