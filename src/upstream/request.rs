//! Request to Graph: built from the resource and the caller's token, and from nothing else that a caller sends (promise 1).

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Empty;

use crate::auth::Token;
use crate::cache::conditional::Validators;
use crate::http::ids::{self, CLIENT_REQUEST_ID_FIELD, Ids, TRACEPARENT};
use crate::resource::Resource;

/// Request to Graph; it never has a body.
pub(super) type GraphRequest = Request<Empty<Bytes>>;

/// Protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1: the request has its target in origin-form, and `Host` (RFC 9112, section 3.2.1).
    Http1,
    /// HTTP/2: the request has scheme and authority.
    Http2,
}

/// Scheme and authority of the requests, from `graph.base_url`.
#[derive(Clone, Debug)]
pub(super) struct BaseAddress {
    uri: Uri,
    host: HeaderValue,
}

impl BaseAddress {
    /// Creates the address from a URI with scheme and authority. `Host` omits the default port of the scheme.
    pub(super) fn new(uri: Uri) -> Self {
        let host = uri.host().unwrap_or_default();
        let host = match uri.port_u16() {
            Some(port) if port != default_port(&uri) => HeaderValue::try_from(format!("{host}:{port}")),
            _ => HeaderValue::from_str(host),
        };
        Self { uri, host: host.unwrap_or(HeaderValue::from_static("")) }
    }

    /// Returns scheme and authority.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Addresses a request to a target of Graph.
    pub(super) fn apply_to<B>(
        &self,
        request: &mut Request<B>,
        target: PathAndQuery,
        protocol: Protocol,
    ) -> Result<(), http::Error> {
        *request.uri_mut() = match protocol {
            Protocol::Http1 => {
                request.headers_mut().insert(header::HOST, self.host.clone());
                target.into()
            }
            Protocol::Http2 => {
                let mut uri = self.uri.clone().into_parts();
                uri.path_and_query = Some(target);
                Uri::from_parts(uri)?
            }
        };
        Ok(())
    }
}

/// Parts of a request.
#[derive(Clone, Copy)]
pub(super) struct RequestParts<'a> {
    pub(super) resource: &'a Resource,
    pub(super) token: &'a Token,
    pub(super) ids: &'a Ids,
    pub(super) span: Option<u64>,
    pub(super) condition: Option<&'a Validators>,
}

/// Builds the whole request: the fields that the cache key contains, the token, the correlation ids and the condition.
/// Returns `None` if the parts do not form a valid URI or field.
pub(super) fn build_request(
    address: &BaseAddress,
    protocol: Protocol,
    parts: RequestParts<'_>,
) -> Option<GraphRequest> {
    let RequestParts { resource, token, ids, span, condition } = parts;
    let target = PathAndQuery::from_maybe_shared(resource.target()).ok()?;
    let mut request = Request::new(Empty::new());
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
    condition.inspect(|condition| condition.apply_to(headers));
    address.apply_to(&mut request, target, protocol).ok()?;
    Some(request)
}

/// Returns the port of a URI that names none.
pub(super) fn default_port(uri: &Uri) -> u16 {
    if uri.scheme_str() == Some("https") { 443 } else { 80 }
}

const VIA: &str = "1.1 connector-cache";
/// `User-Agent` of each request to Graph.
pub(super) const USER_AGENT: &str = concat!("connector-cache/", env!("CARGO_PKG_VERSION"));
/// Fields of a request, including those of a condition and `Host`.
const MAX_FIELDS: usize = 12;
