//! Reasons why a request is not one for the resource, and the message of each.
//!
//! A message names the option and lists the accepted names. The only text of a request in a message is the name of a query
//! option, within [`MAX_NAME_BYTES`] and without digits, so that no token fits.

use std::borrow::Cow;

use super::ApiVersion;
use super::properties::{SelectPlace, accepted, steps};
use crate::http::error::ErrorBody;
use crate::http::rejection::Rejection;

/// Reason why a path, a query or an `Accept` is not one for the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidRequest {
    /// The path is not a path of the resource.
    Path,
    /// The path is one of a B2C flow on v1.0, which has no such flows.
    B2cOnV1,
    /// The path has a percent sign.
    PercentInPath,
    /// The flow id has invalid characters or an invalid length.
    FlowId,
    /// The query is not supported.
    Query(QueryError),
    /// `Accept` allows no form of the response.
    Accept,
}

/// Reason why a query is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// The option is neither `$expand` nor `$select`.
    UnknownOption(Option<OptionName>),
    /// An option, also a nested one, has a value and no name.
    UnnamedOption,
    /// The option occurs twice.
    RepeatedOption(Option<OptionName>),
    /// An item of `$expand` is not a step of this version.
    UnknownStep(ApiVersion),
    /// A step occurs twice in `$expand`, with different options.
    AmbiguousStep,
    /// The options in parentheses are not one `$select`.
    NestedOption,
    /// A name in a `$select` is not a property.
    UnknownProperty(SelectPlace, ApiVersion),
    /// The query has a plus sign.
    Plus,
}

impl InvalidRequest {
    /// Returns the reason for the log, the metric and `Cache-Status`.
    pub fn rejection(self) -> Rejection {
        match self {
            Self::Path | Self::B2cOnV1 => Rejection::Path,
            Self::PercentInPath => Rejection::PercentInPath,
            Self::FlowId => Rejection::FlowId,
            Self::Query(_) => Rejection::Query,
            Self::Accept => Rejection::Accept,
        }
    }

    /// Returns status, code and message of the response. The message begins with the message of [`Self::rejection`].
    pub fn error(self) -> ErrorBody {
        let error = self.rejection().error();
        let more = match self {
            Self::B2cOnV1 => Cow::Borrowed("v1.0 has no b2cUserFlows: request them from beta."),
            Self::Query(query) => query.message(),
            _ => return error,
        };
        ErrorBody { message: format!("{} {more}", error.message).into(), ..error }
    }
}

impl QueryError {
    fn message(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::UnknownOption(Some(name)) => {
                return format!("The option {} is not supported.", name.as_str()).into();
            }
            Self::UnnamedOption => {
                "An option has no name: a shell probably replaced $expand or $select. Put the URL in single quotes."
            }
            Self::UnknownOption(None) => "Another option is not supported.",
            Self::RepeatedOption(name) => {
                let name = name.as_ref().map_or("One option", OptionName::as_str);
                return format!("{name} occurs more than once.").into();
            }
            Self::UnknownStep(version) => {
                let names = join(steps(version));
                return format!("On {version}, each item of $expand must be one of: {names}.").into();
            }
            Self::AmbiguousStep => "$expand lists a step more than once, with different options.",
            Self::NestedOption => "In $expand, the parentheses after a step must contain one $select.",
            Self::UnknownProperty(place, version) => {
                let option = if place == SelectPlace::Nested { "a nested $select" } else { "$select" };
                let names = join(accepted(place, version));
                return format!("On {version}, each name in {option} must be one of: {names}.").into();
            }
            Self::Plus => "A plus sign is not a blank: write %20, or no blank.",
        })
    }
}

fn join(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// Name of a query option that a message may repeat: up to [`MAX_NAME_BYTES`] letters, `$`, `-` and `_`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OptionName {
    bytes: [u8; MAX_NAME_BYTES],
    length: usize,
}

impl OptionName {
    /// Copies a name. Returns `None` if a message must not repeat it.
    pub(super) fn new(name: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'$' | b'-' | b'_');
        let mut bytes = [0; MAX_NAME_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        let is_valid = !name.is_empty() && name.bytes().all(is_plain);
        is_valid.then_some(Self { bytes, length: name.len() })
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Shows no text of the request.
impl std::fmt::Debug for OptionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OptionName").finish_non_exhaustive()
    }
}

/// Longer than the options of OData, shorter than a token.
const MAX_NAME_BYTES: usize = 24;
