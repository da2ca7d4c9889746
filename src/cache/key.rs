//! Keys of stored responses and of requests in flight.
//!
//! Both keys are typed: their parts are not concatenated as text, have no defaults, and are redacted in `Debug`.

use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::auth::{Principal, TokenHash};
use crate::resource::Resource;

/// Hasher of tables whose keys are keyed hashes already: token hashes, principals and digests of resources. No party
/// outside of the process can choose or learn their bits, so a hash under another key would protect nothing.
pub type KeyHasher = FxBuildHasher;

/// Key of the stored responses for one principal and one resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryKey {
    /// The group of tokens that may use the responses, each with a proof of its own.
    pub principal: Principal,
    /// The resource of the responses.
    pub resource: Arc<Resource>,
}

impl EntryKey {
    /// Creates the key for a principal and a resource.
    pub fn new(principal: Principal, resource: &Arc<Resource>) -> Self {
        let resource = resource.clone();
        Self { principal, resource }
    }
}

/// Key of a request to Graph in flight. It contains the token hash, so no token waits for another token's request
/// (promise 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CoalesceKey {
    /// The token of the request.
    pub token_hash: TokenHash,
    /// The requested resource.
    pub resource: Arc<Resource>,
    /// The number of the request's lease: a request that begins after a purge, or after an error response that revokes
    /// proofs, does not wait for one from before.
    pub lease: u64,
}
