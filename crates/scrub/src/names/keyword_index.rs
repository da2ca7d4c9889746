//! Keywords to find in a folded name, by `aho-corasick`.
//!
//! A body can have 200,000 names, so each byte of a name is read once, whatever the number of keywords. Both automata are
//! DFAs, together some 120 KB for each scrubber: a name of 16 letters without a keyword takes 21 ns, in a contiguous
//! NFA 46 ns, and with a table of keywords by their first letter, as before, 30 ns.

use aho_corasick::automaton::Automaton as _;
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, Input, MatchKind, StartKind};

use crate::ScrubbedField;

/// Keywords and the field of each. Of several keywords at one position the first of the lists wins.
#[derive(Clone, Debug)]
pub(super) struct KeywordIndex {
    automaton: DFA,
    /// The fields, in the order of the automaton's patterns.
    fields: Vec<ScrubbedField>,
}

type KeywordLists = &'static [(ScrubbedField, &'static [&'static str])];

impl KeywordIndex {
    /// Creates an index that finds a keyword anywhere in a name.
    pub(super) fn anywhere(keyword_lists: KeywordLists) -> Self {
        Self::build(keyword_lists, StartKind::Unanchored, |keyword| keyword.bytes().collect())
    }

    /// Creates an index that finds a keyword at the end of a name. Keywords and names are read backwards.
    pub(super) fn at_end(keyword_lists: KeywordLists) -> Self {
        Self::build(keyword_lists, StartKind::Anchored, |keyword| keyword.bytes().rev().collect())
    }

    /// Ignores keywords with fewer than two letters, which would match nearly every name.
    fn build(keyword_lists: KeywordLists, start: StartKind, pattern: fn(&str) -> Vec<u8>) -> Self {
        let of_list = |&(field, keywords): &(ScrubbedField, &'static [&'static str])| {
            keywords.iter().map(move |keyword| (*keyword, field))
        };
        let keywords = keyword_lists.iter().flat_map(of_list).filter(|(keyword, _)| keyword.len() >= 2);
        let (patterns, fields): (Vec<_>, Vec<_>) =
            keywords.map(|(keyword, field)| (pattern(keyword), field)).unzip();
        let mut builder = DFA::builder();
        // Hardly any name has a keyword, and names are short: a prefilter takes longer than the search.
        builder.match_kind(MatchKind::LeftmostFirst).start_kind(start).prefilter(false);
        let Ok(automaton) = builder.build(&patterns) else {
            unreachable!("an automaton of some hundred keywords has fewer than 2^31 states")
        };
        Self { automaton, fields }
    }

    /// Returns the field of the first keyword in the name. For an index of [`KeywordIndex::anywhere`].
    pub(super) fn find_first(&self, folded: &str) -> Option<ScrubbedField> {
        let found = self.automaton.try_find(&Input::new(folded)).ok()??;
        self.fields.get(found.pattern().as_usize()).copied()
    }

    /// Returns the field of the keyword at the end of the name. For an index of [`KeywordIndex::at_end`].
    pub(super) fn find_suffix(&self, folded: &str) -> Option<ScrubbedField> {
        let mut state = self.automaton.start_state(Anchored::Yes).ok()?;
        let mut found = None;
        for &byte in folded.as_bytes().iter().rev() {
            state = self.automaton.next_state(Anchored::Yes, state, byte);
            if self.automaton.is_dead(state) {
                break;
            }
            if self.automaton.is_match(state) {
                found = Some(self.automaton.match_pattern(state, 0));
            }
        }
        self.fields.get(found?.as_usize()).copied()
    }
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
        let index = KeywordIndex::anywhere(WORDS);
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
        let index = KeywordIndex::at_end(&WORDS[..2]);
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
        assert_eq!(KeywordIndex::anywhere(words).find_first("aa"), None);
        assert_eq!(KeywordIndex::at_end(words).find_suffix("aa"), None);
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
            prop_assert_eq!(KeywordIndex::anywhere(CONTAINS).find_first(&folded), first.map(|(_, field)| field));
            let end = all(SUFFIXES).find(|(word, _)| folded.ends_with(word));
            prop_assert_eq!(KeywordIndex::at_end(SUFFIXES).find_suffix(&folded), end.map(|(_, field)| field));
        }
    }
}
