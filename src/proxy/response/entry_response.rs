//! Responses with an entry: the 200 and the 304.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::Full;

use crate::cache::entry::Entry;
use crate::http::error::Response;
use crate::http::headers;
use crate::http::headers::{CACHE_STATUS, ORIGIN_REQUEST_ID};
use crate::http::ids;
use crate::http::ids::{CLIENT_REQUEST_ID_FIELD, Ids, REQUEST_ID_FIELD};
use crate::http::templates;
use crate::http::templates::TemplateKind;
use crate::scrub::GzippedBody;

/// Header fields of an entry that depend on the time.
pub(super) struct EntryFields {
    pub(super) date: HeaderValue,
    pub(super) cache_control: HeaderValue,
    pub(super) cache_status: HeaderValue,
    pub(super) age: Option<HeaderValue>,
}

/// Builds the 200. Returns also whether it has the common header fields. Nearly all responses of Graph have the same fields:
/// for those, a template with the names is copied and filled in, which takes a fifth of the time of inserting field by field.
pub(super) fn full_response(
    entry: &Entry,
    gzip: Option<&GzippedBody>,
    entry_fields: EntryFields,
    ids: &Ids,
) -> (Response, bool) {
    let body = gzip.map_or_else(|| entry.body.clone().into_bytes(), |gzip| gzip.clone().into_bytes());
    let length = templates::header_value(TemplateKind::Number, body.len() as u64);
    let mut response = http::Response::new(Full::new(body));
    if let (None, Some(upstream_id)) = (entry.non_default_headers(), entry.origin_request_id) {
        let mut fields = RESPONSE_TEMPLATES.of(entry_fields.age.is_some(), gzip.is_some()).clone();
        let [etag, upstream_id_value, ours] = ids::guid_values(|[etag, upstream_id_text, ours]| {
            entry.etag.write_to(etag);
            ids::write_guid(upstream_id.get(), upstream_id_text);
            ids::write_guid(ids.request, ours);
        });
        let [client, ours] = ids.header_values_with(ours);
        let EntryFields { date, cache_control, cache_status, age } = entry_fields;
        let values = [length, etag, date, upstream_id_value, cache_control, cache_status, client, ours];
        let mut slots = fields.values_mut();
        // In the order of `template`. `Age` comes after these.
        for (value, slot) in values.into_iter().zip(slots.by_ref()) {
            *slot = value;
        }
        if let (Some(slot), Some(age)) = (slots.next(), age) {
            *slot = age;
        }
        *response.headers_mut() = fields;
        return (response, true);
    }
    let fields = response.headers_mut();
    fields.reserve(MAX_RESPONSE_FIELDS);
    fields.insert(header::CONTENT_LENGTH, length);
    if gzip.is_some() {
        fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static(GZIP));
    }
    fields.extend(entry.headers().iter().cloned());
    insert_entry_fields(fields, entry, entry_fields);
    (response, false)
}

/// Header fields of responses: all names, and the values that are the same in all responses.
static RESPONSE_TEMPLATES: LazyLock<ResponseTemplates> = LazyLock::new(|| ResponseTemplates {
    first: [false, true].map(|is_gzip| template(false, is_gzip)),
    aged: [false, true].map(|is_gzip| template(true, is_gzip)),
});

/// Templates, each without and with gzip.
struct ResponseTemplates {
    /// Without `Age`: Graph responded to this request.
    first: [HeaderMap; 2],
    /// With `Age`: the entry was stored before.
    aged: [HeaderMap; 2],
}

impl ResponseTemplates {
    fn of(&self, is_aged: bool, is_gzip: bool) -> &HeaderMap {
        let [plain, gzip] = if is_aged { &self.aged } else { &self.first };
        if is_gzip { gzip } else { plain }
    }
}

fn template(is_aged: bool, is_gzip: bool) -> HeaderMap {
    let mut template = HeaderMap::with_capacity(MAX_RESPONSE_FIELDS);
    // In the order of the values in `full_response`.
    for name in [
        header::CONTENT_LENGTH,
        header::ETAG,
        header::DATE,
        ORIGIN_REQUEST_ID,
        header::CACHE_CONTROL,
        CACHE_STATUS,
        CLIENT_REQUEST_ID_FIELD.clone(),
        REQUEST_ID_FIELD.clone(),
    ]
    .into_iter()
    .chain(is_aged.then_some(header::AGE))
    {
        template.insert(name, HeaderValue::from_static(""));
    }
    template.extend(headers::common_headers().iter().cloned());
    template.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    template.insert(header::VARY, HeaderValue::from_static(VARY));
    if is_gzip {
        template.insert(header::CONTENT_ENCODING, HeaderValue::from_static(GZIP));
    }
    template
}

/// Inserts the fields that both a 200 and a 304 have (RFC 9110, section 15.4.5).
fn insert_entry_fields(fields: &mut HeaderMap, entry: &Entry, entry_fields: EntryFields) {
    fields.insert(header::ETAG, entry.etag.to_header_value());
    fields.insert(header::DATE, entry_fields.date);
    fields.insert(header::VARY, HeaderValue::from_static(VARY));
    fields.insert(header::CACHE_CONTROL, entry_fields.cache_control);
    if let Some(age) = entry_fields.age {
        fields.insert(header::AGE, age);
    }
    if let Some(id) = entry.origin_request_id {
        fields.insert(ORIGIN_REQUEST_ID, ids::guid_value(id.get()));
    }
    fields.insert(CACHE_STATUS, entry_fields.cache_status);
}

pub(super) fn not_modified(entry: &Entry, entry_fields: EntryFields) -> Response {
    let mut response = http::Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    insert_entry_fields(response.headers_mut(), entry, entry_fields);
    response
}

/// Header fields of a 200, at most.
const MAX_RESPONSE_FIELDS: usize = 20;
const VARY: &str = "Authorization, Accept, Accept-Encoding";
const GZIP: &str = "gzip";
