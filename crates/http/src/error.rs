//! Error responses in Graph's shape: clients of Graph branch on `error.code`.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Full;

use crate::ids::{CLIENT_REQUEST_ID, Ids, REQUEST_ID};
use connector_cache_support::clock::Now;

/// Response to a caller. Its body is complete before it is sent.
pub type Response = http::Response<Full<Bytes>>;

/// `innerError.source` of each error that comes from the proxy and not from Graph, and the beginning of its message.
const SOURCE: &str = "connector-cache";

/// Status, code and message of an error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorBody {
    /// Status of the response.
    pub status: StatusCode,
    /// `error.code`: a code that Graph itself uses.
    pub code: &'static str,
    /// `error.message` after the name of the proxy: sentences without data from Graph, and without data from the request
    /// except the name of a query option.
    pub message: Cow<'static, str>,
}

impl ErrorBody {
    /// Builds the response with the reason for it. It is never stored (`Cache-Control: no-store`).
    pub fn response(&self, reason: &str, ids: &Ids, now: Now) -> Response {
        let body = self.json(reason, ids, now);
        let length = HeaderValue::from(body.len());
        let mut response = http::Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Renders the body as JSON text.
    ///
    /// A user of an SDK often sees only the exception, which has code and message of the error. So the message begins with
    /// the name of the proxy, and `innerError` has `source` and `reason`: no error of Graph has these.
    pub fn json(&self, reason: &str, ids: &Ids, now: Now) -> Bytes {
        // Graph writes the date in UTC, without a zone.
        let stamp = humantime::format_rfc3339_seconds(now.wall()).to_string();
        let date = stamp.trim_end_matches('Z');
        let message = format!("{SOURCE}: {}", self.message);
        let value = serde_json::json!({ "error": { "code": self.code, "message": message, "innerError": {
            "date": date, REQUEST_ID: ids.request.to_string(), CLIENT_REQUEST_ID: ids.client.to_string(),
            "source": SOURCE, "reason": reason,
        }}});
        Bytes::from(value.to_string())
    }
}

/// Returns the code that clients of Graph expect with a status.
pub fn code_for(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "InvalidAuthenticationToken",
        403 => "Forbidden",
        404 => "NotFound",
        429 => "TooManyRequests",
        503 => "ServiceNotAvailable",
        504 => "GatewayTimeout",
        400..500 => "BadRequest",
        _ => "UnknownError",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use connector_cache_support::clock::Clock;

    #[test]
    fn the_date_has_graphs_form() {
        let now = Clock::manual(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_785_102_361)).now();
        let error = ErrorBody { status: StatusCode::BAD_REQUEST, code: "c", message: "m".into() };
        let text = error.json("query", &Ids::from_headers(&HeaderMap::new()), now);
        let body: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(body["error"]["innerError"]["date"], "2026-07-26T21:46:01");
    }

    #[test]
    fn an_error_of_the_proxy_names_the_proxy_and_the_reason() {
        let error = ErrorBody { status: StatusCode::BAD_REQUEST, code: "c", message: "Sentence.".into() };
        let text = error.json("query", &Ids::from_headers(&HeaderMap::new()), Clock::system().now());
        let error = &serde_json::from_slice::<serde_json::Value>(&text).unwrap()["error"];
        assert_eq!(error["message"], "connector-cache: Sentence.");
        assert_eq!(
            (&error["innerError"]["source"], &error["innerError"]["reason"]),
            (&"connector-cache".into(), &"query".into())
        );
    }
}
