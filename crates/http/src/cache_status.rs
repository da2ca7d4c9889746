//! The response field `Cache-Status` (RFC 9211).

use std::fmt::Write;

use http::{HeaderValue, StatusCode};

use crate::headers::PSEUDONYM;
use crate::templates;
use crate::templates::TemplateKind;
use connector_cache_support::labels::{Label, labels};

labels! {
    /// Reason why a request was forwarded to Graph: the parameter `fwd` of `Cache-Status` (RFC 9211, section 2.2).
    pub enum Forward {
        /// No usable response is stored for this token.
        UriMiss = "uri-miss",
        /// The stored response is past its freshness.
        Stale = "stale",
        /// The caller's directives require a request to Graph.
        Request = "request",
        /// The request may not use the cache.
        Bypass = "bypass",
    }
}

/// The proxy's own member of the list. Graph sends none, and a caller's member is not forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// A hit: seconds until the entry becomes stale; negative if it is stale.
    pub hit: Option<i64>,
    /// The reason for forwarding the request to Graph.
    pub forward: Option<Forward>,
    /// The status of Graph's response.
    pub forward_status: Option<StatusCode>,
    /// True if Graph's response was stored.
    pub stored: bool,
    /// True if the request joined the fetch of an earlier request with the same token.
    pub collapsed: bool,
    /// A reason, from a closed set of tokens.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Returns the field's value.
    #[inline]
    pub fn header_value(&self) -> HeaderValue {
        if let Self { hit: Some(ttl), forward: None, detail: None, .. } = *self
            && let Ok(ttl) = u64::try_from(ttl)
        {
            return templates::header_value(TemplateKind::Hit, ttl);
        }
        if *self == STORED_MISS {
            return HeaderValue::from_static(STORED_MISS_VALUE);
        }
        let mut text = String::with_capacity(64);
        text.push_str(PSEUDONYM);
        // Writing to a string cannot fail.
        if let Some(ttl) = self.hit {
            let _ = write!(text, "; hit; ttl={ttl}");
        }
        if let Some(forward) = self.forward {
            let _ = write!(text, "; fwd={}", forward.as_str());
        }
        if let Some(status) = self.forward_status {
            let _ = write!(text, "; fwd-status={}", status.as_u16());
        }
        if self.stored {
            text.push_str("; stored");
        }
        if self.collapsed {
            text.push_str("; collapsed");
        }
        if let Some(detail) = self.detail {
            let _ = write!(text, "; detail={detail}");
        }
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(PSEUDONYM))
    }
}

/// Status of nearly all misses.
const STORED_MISS: CacheStatus = CacheStatus {
    hit: None,
    forward: Some(Forward::UriMiss),
    forward_status: Some(StatusCode::OK),
    stored: true,
    collapsed: false,
    detail: None,
};
const STORED_MISS_VALUE: &str = "connector-cache; fwd=uri-miss; fwd-status=200; stored";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l79_the_examples_of_the_documentation_are_rendered_exactly() {
        let hit = CacheStatus { hit: Some(243), ..CacheStatus::default() };
        assert_eq!(hit.header_value(), "connector-cache; hit; ttl=243");
        let miss = CacheStatus {
            forward: Some(Forward::UriMiss),
            forward_status: Some(StatusCode::OK),
            stored: true,
            ..CacheStatus::default()
        };
        assert_eq!(miss.header_value(), "connector-cache; fwd=uri-miss; fwd-status=200; stored");
        let renewed = CacheStatus { forward: Some(Forward::Stale), ..miss };
        assert_eq!(renewed.header_value(), "connector-cache; fwd=stale; fwd-status=200; stored");
    }
}
