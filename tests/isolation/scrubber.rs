//! Credentials in places that no list of words names.
