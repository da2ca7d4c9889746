//! Caching: which responses a request may share, and how long a stored response is used.

mod age;
mod failed_revalidation;
mod graph_date;
mod harness;
mod shared_state;
mod sharing;
mod superseded;
