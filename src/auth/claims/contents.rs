//! Claims in the clear, for the command `explain`. The proxy itself uses only their hashes.

use super::{NumericDate, RawClaims, principal_parts};

/// Claims that the proxy reads, as the token carries them. The type has no `Debug`, because the values are personal data.
pub struct TokenContents {
    /// Parts of the principal.
    pub parts: Vec<ClaimPart>,
    /// `exp`, seconds since the Unix epoch, if it is a plain number.
    pub exp: Option<u64>,
    /// `nbf`, if it is a plain number.
    pub nbf: Option<u64>,
    /// The token has `cnf`.
    pub is_bound: bool,
}

/// A claim that is part of the principal.
#[derive(PartialEq, Eq)]
pub struct ClaimPart {
    /// Name of the claim; `app` is `appid` or `azp`.
    pub name: &'static str,
    /// Values, sorted and each once. `None` if the token does not have the claim.
    pub values: Option<Vec<String>>,
}

impl TokenContents {
    /// Reads the claims without a check. Returns `None` if they are not of the expected form.
    pub(in crate::auth) fn parse(json: &[u8]) -> Option<Self> {
        let raw: RawClaims<'_> = serde_json::from_slice(json).ok()?;
        let seconds = |date| match date {
            NumericDate::Seconds(seconds) => Some(seconds),
            NumericDate::Absent | NumericDate::Invalid => None,
        };
        let parts = principal_parts(&raw).map(|(name, values)| {
            let values = values.map(|values| {
                let mut values: Vec<_> = values.into_iter().map(str::to_owned).collect();
                values.sort_unstable();
                values.dedup();
                values
            });
            ClaimPart { name, values }
        });
        let (exp, nbf) = (seconds(raw.exp), seconds(raw.nbf));
        Some(Self { parts: parts.into(), exp, nbf, is_bound: raw.cnf })
    }
}
