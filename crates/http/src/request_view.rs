//! A request's head and its indexed fields.
//!
//! One pass over the header section replaces a lookup for each name: a hit needs a dozen names, and most are absent.
//! This module compares names only; values are interpreted elsewhere. The view has no `Debug`, since it holds the
//! token.

use std::time::Instant;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;

use crate::headers::REFRESH_FIELD;
use crate::ids::{CLIENT_REQUEST_ID_FIELD, TRACEPARENT};

/// A request's head and the fields that a hit needs.
pub struct RequestView<'a> {
    /// The time at which the view was created. A hit reads the clock here and at its end.
    pub created_at: Instant,
    /// The whole head.
    pub head: &'a Parts,
    /// `Accept`.
    pub accept: FieldLines<'a>,
    /// `Authorization`.
    pub authorization: FieldLines<'a>,
    /// `client-request-id`.
    pub client_request_id: FieldLines<'a>,
    /// `Host`.
    pub host: FieldLines<'a>,
    /// `traceparent`.
    pub trace_parent: FieldLines<'a>,
    /// True if the request has `If-None-Match` or `If-Modified-Since`.
    pub is_conditional: bool,
    /// True if the request has `Connector-Cache`, which forces a refresh.
    pub has_refresh_field: bool,
    /// True if the request has a field that framing or routing depends on: see [`super::validate::check`].
    pub has_special_fields: bool,
}

/// The lines of one field.
#[derive(Clone, Copy, Default)]
pub enum FieldLines<'a> {
    /// The field is absent.
    #[default]
    None,
    /// The field has one line.
    Single(&'a HeaderValue),
    /// The field has several lines; this is the first.
    Multiple(&'a HeaderValue),
}

impl<'a> RequestView<'a> {
    /// Indexes the fields of a head.
    #[inline]
    pub fn new(head: &'a Parts) -> Self {
        let mut view = Self {
            created_at: Instant::now(),
            head,
            accept: FieldLines::None,
            authorization: FieldLines::None,
            client_request_id: FieldLines::None,
            host: FieldLines::None,
            trace_parent: FieldLines::None,
            is_conditional: false,
            has_refresh_field: false,
            has_special_fields: false,
        };
        for (name, value) in &head.headers {
            match *name {
                header::ACCEPT => view.accept.add(value),
                header::AUTHORIZATION => view.authorization.add(value),
                header::HOST => view.host.add(value),
                header::IF_MODIFIED_SINCE | header::IF_NONE_MATCH => view.is_conditional = true,
                header::CONNECTION
                | header::CONTENT_LENGTH
                | header::EXPECT
                | header::TRANSFER_ENCODING
                | header::VIA => view.has_special_fields = true,
                ref other if *other == CLIENT_REQUEST_ID_FIELD => view.client_request_id.add(value),
                ref other if *other == TRACEPARENT => view.trace_parent.add(value),
                ref other if *other == REFRESH_FIELD => view.has_refresh_field = true,
                _ => {}
            }
        }
        view
    }

    /// Returns the header section.
    #[inline]
    pub fn headers(&self) -> &'a HeaderMap {
        &self.head.headers
    }
}

impl<'a> FieldLines<'a> {
    fn add(&mut self, line: &'a HeaderValue) {
        *self = match *self {
            Self::None => Self::Single(line),
            Self::Single(first) | Self::Multiple(first) => Self::Multiple(first),
        };
    }

    /// Returns the first line.
    #[inline]
    pub fn first(self) -> Option<&'a HeaderValue> {
        match self {
            Self::None => None,
            Self::Single(line) | Self::Multiple(line) => Some(line),
        }
    }

    /// Returns the line if the field has exactly one.
    #[inline]
    pub fn single(self) -> Option<&'a HeaderValue> {
        match self {
            Self::Single(line) => Some(line),
            Self::None | Self::Multiple(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(fields: &[(&str, &str)]) -> Parts {
        let request =
            fields.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn each_field_is_found_under_its_own_name_in_any_case() {
        type Found = for<'a> fn(&RequestView<'a>) -> FieldLines<'a>;
        let fields: [(&str, Found); 5] = [
            ("Accept", |it| it.accept),
            ("AUTHORIZATION", |it| it.authorization),
            ("Client-Request-Id", |it| it.client_request_id),
            ("host", |it| it.host),
            ("TraceParent", |it| it.trace_parent),
        ];
        for (name, found) in &fields {
            let head = head(&[("x-other", "0"), (name, "1")]);
            let view = RequestView::new(&head);
            assert!(found(&view).single().is_some_and(|line| line == "1"), "{name}");
            let others =
                fields.iter().filter(|(other, found)| other != name && found(&view).first().is_some());
            assert_eq!(others.count(), 0, "{name}");
        }
    }

    #[test]
    fn several_lines_have_a_first_one_and_no_single_one() {
        let head = head(&[("accept", "a"), ("host", "x"), ("accept", "b"), ("accept", "c")]);
        let accept = RequestView::new(&head).accept;
        assert!(accept.first().is_some_and(|line| line == "a") && accept.single().is_none());
        assert!(FieldLines::None.first().is_none() && FieldLines::None.single().is_none());
    }

    #[test]
    fn a_field_is_flagged_whatever_its_value() {
        let marks = |name: &str| {
            let head = head(&[(name, "")]);
            let view = RequestView::new(&head);
            (view.is_conditional, view.has_refresh_field, view.has_special_fields)
        };
        for name in ["if-none-match", "if-modified-since"] {
            assert_eq!(marks(name), (true, false, false), "{name}");
        }
        assert_eq!(marks("connector-cache"), (false, true, false));
        for name in ["connection", "content-length", "expect", "transfer-encoding", "via"] {
            assert_eq!(marks(name), (false, false, true), "{name}");
        }
        assert_eq!(marks("accept"), (false, false, false));
    }
}
