//! Digests that stand for the keys of the cache in the output.
//!
//! HMAC-SHA-256 under a random key of this run, shortened to 32 bits: equal parts have equal digests within one output, and
//! the digests of two outputs, or of a proxy, cannot be compared.

use ring::hmac;
use ring::rand::SystemRandom;

use super::super::CommandError;
use crate::auth::{Principal, Token};
use crate::resource::Resource;

/// Key of one run.
pub(super) struct RunKey(hmac::Key);

impl RunKey {
    pub(super) fn random() -> Result<Self, CommandError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let no_randomness = |_| CommandError::Failure("the system provides no random bytes".to_owned());
        Ok(Self(key.map_err(no_randomness)?))
    }

    /// Returns the digest of an entry key: the principal and the resource.
    pub(super) fn entry(&self, principal: Principal, resource: &Resource) -> String {
        let mut context = self.context("entry");
        context.update(&principal.to_bytes());
        update_with_resource(&mut context, resource);
        digest(context)
    }

    /// Returns the digest of the key of a proof: the bytes of the token and the resource.
    pub(super) fn proof(&self, token: &Token, resource: &Resource) -> String {
        let mut context = self.context("proof");
        update_with_resource(&mut context, resource);
        token.update_mac(&mut context);
        digest(context)
    }

    /// Returns the digest of the values of a claim.
    pub(super) fn claim(&self, name: &str, values: &[String]) -> String {
        let mut context = self.context(name);
        for value in values {
            context.update(&value.len().to_be_bytes());
            context.update(value.as_bytes());
        }
        digest(context)
    }

    fn context(&self, purpose: &str) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&purpose.len().to_be_bytes());
        context.update(purpose.as_bytes());
        context
    }
}

fn update_with_resource(context: &mut hmac::Context, resource: &Resource) {
    let (target, accept) = (resource.target(), resource.accept());
    for part in [target.as_bytes(), accept.as_bytes()] {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
}

fn digest(context: hmac::Context) -> String {
    let tag = context.sign();
    let begin =
        tag.as_ref().iter().take(DIGEST_BYTES).fold(0_u32, |begin, byte| begin << 8 | u32::from(*byte));
    format!("{begin:08x}")
}

const DIGEST_BYTES: usize = 4;
