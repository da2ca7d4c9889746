//! Suggestions for misspelled keys.

/// Returns the known key that is most similar to `written`, or `None` if no key is similar.
pub(super) fn nearest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let written = written.to_ascii_lowercase();
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let (distance, key) = known.iter().map(|key| (distance(&written, key), *key)).min()?;
    if distance <= written.chars().count() / 4 {
        return Some(key);
    }
    // A correct name in the wrong table, if only one table has this name.
    let mut same_name = known.iter().filter(|key| last(key) == last(&written));
    same_name.next().filter(|_| same_name.next().is_none()).copied()
}

/// Returns the Levenshtein distance: the insertions, removals and replacements of characters between two texts.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let replaced = corner + usize::from(from != *to);
            corner = *cell;
            left = replaced.min(corner + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_edits() {
        for (a, b, edits) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("ttl", "tll", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn a_misspelled_name_or_table_is_recognised_and_any_other_text_is_not() {
        let known = ["cache.ttl", "cache.proof_ttl", "graph.timeout", "graph.base_url", "drain.timeout"];
        assert_eq!(nearest("cache.tll", &known), Some("cache.ttl"));
        assert_eq!(nearest("Cache.Proof_TTL", &known), Some("cache.proof_ttl"));
        assert_eq!(nearest("origin.base_url", &known), Some("graph.base_url"));
        assert_eq!(nearest("x.timeout", &known), None, "two tables have it");
        assert_eq!(nearest("colour", &known), None);
    }
}
