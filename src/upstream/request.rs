//! Request to Graph: built from the resource and the caller's token, and from nothing else that a caller sends (promise 1).

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, header};
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
    /// Header fields of a request over HTTP/1, and over HTTP/2: see [`template`].
    templates: [HeaderMap; 2],
}

impl BaseAddress {
    /// Creates the address from a URI with scheme and authority. `Host` omits the default port of the scheme.
    pub(super) fn new(uri: Uri) -> Self {
        let host = uri.host().unwrap_or_default();
        let host = match uri.port_u16() {
            Some(port) if port != default_port(&uri) => HeaderValue::try_from(format!("{host}:{port}")),
            _ => HeaderValue::from_str(host),
        };
        let host = host.unwrap_or(HeaderValue::from_static(""));
        let templates = [template(Some(&host)), template(None)];
        Self { uri, host, templates }
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
        *request.uri_mut() = self.uri_of(target, protocol)?;
        if protocol == Protocol::Http1 {
            request.headers_mut().insert(header::HOST, self.host.clone());
        }
        Ok(())
    }

    fn uri_of(&self, target: PathAndQuery, protocol: Protocol) -> Result<Uri, http::Error> {
        match protocol {
            Protocol::Http1 => Ok(target.into()),
            Protocol::Http2 => {
                let mut uri = self.uri.clone().into_parts();
                uri.path_and_query = Some(target);
                Ok(Uri::from_parts(uri)?)
            }
        }
    }

    /// Returns the header fields of a request. A copy of a template takes less time than the insertion of each field.
    fn fields(&self, protocol: Protocol, [token, accept, id]: [HeaderValue; 3]) -> HeaderMap {
        let [http1, http2] = &self.templates;
        let mut fields = if protocol == Protocol::Http1 { http1.clone() } else { http2.clone() };
        // In the order of `template`.
        fields.values_mut().zip([token, accept, id]).for_each(|(slot, value)| *slot = value);
        fields
    }
}

/// Returns the header fields of all requests. The values of the first three differ between requests.
fn template(host: Option<&HeaderValue>) -> HeaderMap {
    let empty = HeaderValue::from_static("");
    let mut fields = HeaderMap::with_capacity(MAX_FIELDS);
    fields.insert(header::AUTHORIZATION, empty.clone());
    fields.insert(header::ACCEPT, empty.clone());
    fields.insert(&CLIENT_REQUEST_ID_FIELD, empty);
    if let Some(host) = host {
        fields.insert(header::HOST, host.clone());
    }
    fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    fields.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    fields.insert(header::VIA, HeaderValue::from_static(VIA));
    fields
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
    let values = [token.authorization(), resource.accept(), ids::guid_value(ids.client)];
    let mut headers = address.fields(protocol, values);
    if let Some(trace) = ids.trace {
        headers.insert(&TRACEPARENT, HeaderValue::try_from(trace.child(span)).ok()?);
    }
    condition.inspect(|condition| condition.apply_to(&mut headers));
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = address.uri_of(target, protocol).ok()?;
    *request.headers_mut() = headers;
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
