//! Graph's responses: data or an error, with the header fields that Graph sends.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::time::SystemTime;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use uuid::Uuid;

use super::request::ODataMetadata;

/// A body of unknown length, so that it is sent chunked, as by Graph.
pub(crate) type ChunkedBody = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// A response before its header fields and body are rendered.
pub(crate) struct GraphResponse {
    status: StatusCode,
    content: ResponseContent,
    /// Fields beside those of every response.
    headers: Vec<(HeaderName, HeaderValue)>,
}

enum ResponseContent {
    /// The body, the metadata level, and whether 64-bit numbers are strings.
    Data(Value, ODataMetadata, bool),
    Error(&'static str, String),
}

/// Request fields that change the form of the response.
pub(crate) struct ResponsePreferences {
    gzip: bool,
    client_request_id: Option<HeaderValue>,
}

impl ResponsePreferences {
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let codings = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        let accepts_gzip = |coding: &str| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim().eq_ignore_ascii_case("gzip")
                && !["q=0", "q=0.0", "q=0.00", "q=0.000"].contains(&weight.trim())
        };
        Self {
            gzip: codings.flat_map(|line| line.split(',')).any(accepts_gzip),
            client_request_id: headers.get(CLIENT_REQUEST_ID).cloned(),
        }
    }
}

impl GraphResponse {
    /// Creates a 200 with a body.
    pub(crate) fn data(body: Value, metadata: ODataMetadata, numbers_as_strings: bool) -> Self {
        let content = ResponseContent::Data(body, metadata, numbers_as_strings);
        Self { status: StatusCode::OK, content, headers: Vec::new() }
    }

    /// Creates an error response with the code that clients check.
    pub(crate) fn error(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, content: ResponseContent::Error(code, message.into()), headers: Vec::new() }
    }

    /// Adds a header field. Ignores a value that is invalid in a field.
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// Renders the response at the time `now`.
    pub(crate) fn into_response(
        self,
        preferences: &ResponsePreferences,
        now: SystemTime,
    ) -> Response<ChunkedBody> {
        let request_id = Uuid::new_v4().to_string();
        let mut headers: HeaderMap = self.headers.into_iter().collect();
        set(&mut headers, REQUEST_ID, &request_id);
        match &preferences.client_request_id {
            Some(given) => headers.insert(CLIENT_REQUEST_ID, given.clone()),
            None => set(&mut headers, CLIENT_REQUEST_ID, &request_id),
        };
        add_common(&mut headers, now);
        let text = match self.content {
            ResponseContent::Data(body, metadata, numbers_as_strings) => {
                add_data(&mut headers, metadata, numbers_as_strings);
                body.to_string()
            }
            ResponseContent::Error(code, message) => {
                set(&mut headers, header::CONTENT_TYPE, "application/json");
                let client = headers.get(CLIENT_REQUEST_ID).and_then(|value| value.to_str().ok());
                let ids =
                    json!({"date": zoneless(now), "request-id": request_id, "client-request-id": client});
                json!({"error": {"code": code, "message": message, "innerError": ids}}).to_string()
            }
        };
        let mut body = text.into_bytes();
        if preferences.gzip
            && let Ok(smaller) = gzip(&body)
        {
            set(&mut headers, header::CONTENT_ENCODING, "gzip");
            body = smaller;
        }
        let mut response = Response::new(split_into_two_chunks(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

fn add_common(headers: &mut HeaderMap, now: SystemTime) {
    set(headers, header::DATE, &httpdate::fmt_http_date(now));
    set(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    set(headers, header::VARY, "Accept-Encoding");
    set(headers, DIAGNOSTIC, SERVER_INFO);
}

fn add_data(headers: &mut HeaderMap, metadata: ODataMetadata, numbers_as_strings: bool) {
    let content_type = format!(
        "application/json;odata.metadata={};odata.streaming=true;IEEE754Compatible={numbers_as_strings};charset=utf-8",
        metadata.as_str()
    );
    set(headers, header::CONTENT_TYPE, &content_type);
    set(headers, header::CACHE_CONTROL, "no-cache");
    set(headers, header::LOCATION, "https://graph.microsoft.com");
    set(headers, ODATA_VERSION, "4.0");
    set(headers, RESOURCE_UNIT, "1");
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Option<HeaderValue> {
    headers.insert(name, HeaderValue::from_str(value).ok()?)
}

/// Formats a time without a zone, as Graph does: `2026-07-26T21:46:01`.
fn zoneless(now: SystemTime) -> String {
    humantime::format_rfc3339_seconds(now).to_string().trim_end_matches('Z').to_owned()
}

fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn split_into_two_chunks(body: Vec<u8>) -> ChunkedBody {
    let mut rest = Bytes::from(body);
    let first = rest.split_to(rest.len() / 2);
    StreamBody::new(stream::iter(vec![Ok(Frame::data(first)), Ok(Frame::data(rest))]))
}

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const DIAGNOSTIC: HeaderName = HeaderName::from_static("x-ms-ags-diagnostic");
const ODATA_VERSION: HeaderName = HeaderName::from_static("odata-version");
const RESOURCE_UNIT: HeaderName = HeaderName::from_static("x-ms-resource-unit");
const SERVER_INFO: &str = r#"{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5","ScaleUnit":"003","RoleInstance":"AM4PEPF00027AFA"}}"#;
