//! Attacks on the log, the start line and the scrape.
