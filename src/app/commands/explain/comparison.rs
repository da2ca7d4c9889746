//! Comparison of two tokens: the parts of the keys that differ.

use serde_json::{Value, json};

use super::explanation::TokenFacts;
use super::shorten::one;

/// Difference between the keys of two tokens for one resource.
pub(super) struct Comparison {
    /// The other token has readable claims and may use the cache.
    pub(super) is_other_cacheable: bool,
    /// Both tokens have the same bytes.
    pub(super) is_same_token: bool,
    /// Parts of the principal that differ: name, and the values that only one of the tokens has.
    pub(super) differing: Vec<Difference>,
}

/// Part of the principal that differs.
pub(super) struct Difference {
    pub(super) name: &'static str,
    /// Digest of all values of each token that has the claim. Tells hidden values apart.
    pub(super) digests: (Option<String>, Option<String>),
    pub(super) only_first: Vec<String>,
    pub(super) only_second: Vec<String>,
}

impl Comparison {
    pub(super) fn new(first: &TokenFacts, second: &TokenFacts) -> Self {
        let (parts, others) = (first.parts(), second.parts());
        let mut differing = Vec::new();
        // Of an opaque token nothing is known.
        let is_readable = !parts.is_empty() && !others.is_empty();
        let names = parts.iter().chain(others).map(|part| part.name).filter(|_| is_readable);
        let mut seen = Vec::new();
        for name in names {
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let values = |facts: &TokenFacts| {
                facts.parts().iter().find(|part| part.name == name).and_then(|part| part.values.clone())
            };
            let (one_side, other_side) = (values(first), values(second));
            if one_side != other_side {
                let only = |of: &Option<Vec<String>>, without: &Option<Vec<String>>| {
                    let missing =
                        |value: &&String| !without.as_ref().is_some_and(|list| list.contains(value));
                    of.iter().flatten().filter(missing).map(|value| one(name, value)).collect()
                };
                differing.push(Difference {
                    name,
                    digests: (first.digest(name), second.digest(name)),
                    only_first: only(&one_side, &other_side),
                    only_second: only(&other_side, &one_side),
                });
            }
        }
        let is_same_token = first.proof.is_some() && first.proof == second.proof;
        Self { is_other_cacheable: second.is_cacheable(), is_same_token, differing }
    }

    /// Returns the consequence in one sentence.
    pub(super) fn conclusion(&self) -> &'static str {
        if self.is_same_token {
            "The tokens are the same."
        } else if !self.is_other_cacheable {
            "The other token may not use the cache, so it shares nothing."
        } else if self.differing.is_empty() {
            "The tokens share entries. Each needs a proof of its own: one 200 of Graph for each resource."
        } else {
            "The tokens share no entry, because these parts of the entry key differ."
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let differing = self.differing.iter().map(|difference| {
            json!({
                "part": difference.name,
                "first_digest": difference.digests.0,
                "second_digest": difference.digests.1,
                "only_first": difference.only_first,
                "only_second": difference.only_second,
            })
        });
        json!({
            "same_token": self.is_same_token,
            "other_cacheable": self.is_other_cacheable,
            "differing": differing.collect::<Vec<_>>(),
            "conclusion": self.conclusion(),
        })
    }
}
