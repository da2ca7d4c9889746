//! Request to Graph: built from the resource and the caller's token, and from nothing else that a caller sends (promise 1).

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Empty;

use crate::auth::Token;
use crate::http::ids::{self, CLIENT_REQUEST_ID_FIELD, Ids, TRACEPARENT};
use crate::resource::Resource;

/// Request to Graph; it never has a body.
pub(super) type GraphRequest = Request<Empty<Bytes>>;

/// Builds the whole request: the fields that the cache key contains, the token, and the correlation ids. Returns `None` if
/// the parts do not form a valid URI or field.
pub(super) fn build_request(
    base: &Uri,
    resource: &Resource,
    token: &Token,
    ids: &Ids,
    span: Option<u64>,
) -> Option<GraphRequest> {
    let mut uri = base.clone().into_parts();
    uri.path_and_query = Some(PathAndQuery::from_maybe_shared(resource.target()).ok()?);
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    let headers = request.headers_mut();
    headers.reserve(MAX_FIELDS);
    headers.insert(header::AUTHORIZATION, token.authorization());
    headers.insert(header::ACCEPT, resource.accept());
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::VIA, HeaderValue::from_static(VIA));
    headers.insert(&CLIENT_REQUEST_ID_FIELD, ids::guid_value(ids.client));
    if let Some(trace) = ids.trace {
        headers.insert(&TRACEPARENT, HeaderValue::try_from(trace.child(span)).ok()?);
    }
    Some(request)
}

const VIA: &str = "1.1 connector-cache";
/// `User-Agent` of each request to Graph.
pub(super) const USER_AGENT: &str = concat!("connector-cache/", env!("CARGO_PKG_VERSION"));
/// Fields of a request, including those of a condition and those that hyper adds.
const MAX_FIELDS: usize = 12;
