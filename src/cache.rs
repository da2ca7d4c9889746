//! The cache: words, rules and machines. The decision that uses them is in [`crate::proxy`].

pub mod status;
