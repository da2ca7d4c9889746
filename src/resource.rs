//! Path and query to resource, and back.

use crate::words::words;

words! {
    /// The version of Graph's API.
    pub enum ApiVersion {
        /// `v1.0`
        V1 = "v1.0",
        /// `beta`
        Beta = "beta",
    }
}
