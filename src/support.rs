//! General building blocks, independent of HTTP and of the cache.

pub mod byte_budget;
pub mod client_subnet;
pub mod client_tls;
pub mod clock;
pub mod detach_on_drop;
pub mod labels;
pub mod watched_files;
