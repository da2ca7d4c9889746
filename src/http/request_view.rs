//! A request's head, with the fields found that decide how it is answered at once.
//!
//! One pass over the header section in place of a look-up for each name: a hit looks for a dozen names, and most
//! are not there. Only names are told apart here; what a field says is for those who read it. It shows nothing of
//! itself in `Debug`, since the token is among what it holds.

use std::time::Instant;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;

use crate::http::headers::WISH;
use crate::http::ids::{CLIENT_ID, TRACE_PARENT};

/// A request's head and what there is in it.
pub struct RequestView<'a> {
    /// When it was looked at: a hit asks for the time here and at its end.
    pub at: Instant,
    /// The whole head.
    pub head: &'a Parts,
    /// `Accept`.
    pub accept: FieldLines<'a>,
    /// `Authorization`.
    pub authorization: FieldLines<'a>,
    /// `client-request-id`.
    pub client_id: FieldLines<'a>,
    /// `Host`.
    pub host: FieldLines<'a>,
    /// `traceparent`.
    pub trace_parent: FieldLines<'a>,
    /// There is a condition: `If-None-Match` or `If-Modified-Since`.
    pub is_conditional: bool,
    /// There is a wish of the caller's: `Connector-Cache`.
    pub has_wish: bool,
    /// There is a field that message framing or routing depends on: see [`super::validate::check`].
    pub is_special: bool,
}

/// The lines of one field.
#[derive(Clone, Copy, Default)]
pub enum FieldLines<'a> {
    /// It is not there.
    #[default]
    None,
    /// It is there once.
    One(&'a HeaderValue),
    /// It is there more than once; this is the first.
    Several(&'a HeaderValue),
}

impl<'a> RequestView<'a> {
    /// Looks through a head.
    pub fn new(head: &'a Parts) -> Self {
        let mut view = Self {
            at: Instant::now(),
            head,
            accept: FieldLines::None,
            authorization: FieldLines::None,
            client_id: FieldLines::None,
            host: FieldLines::None,
            trace_parent: FieldLines::None,
            is_conditional: false,
            has_wish: false,
            is_special: false,
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
                | header::VIA => view.is_special = true,
                ref other if *other == CLIENT_ID => view.client_id.add(value),
                ref other if *other == TRACE_PARENT => view.trace_parent.add(value),
                ref other if *other == WISH => view.has_wish = true,
                _ => {}
            }
        }
        view
    }

    /// The header section.
    pub fn headers(&self) -> &'a HeaderMap {
        &self.head.headers
    }
}

impl<'a> FieldLines<'a> {
    fn add(&mut self, line: &'a HeaderValue) {
        *self = match *self {
            Self::None => Self::One(line),
            Self::One(first) | Self::Several(first) => Self::Several(first),
        };
    }

    /// The first line.
    pub fn first(self) -> Option<&'a HeaderValue> {
        match self {
            Self::None => None,
            Self::One(line) | Self::Several(line) => Some(line),
        }
    }

    /// The only line.
    pub fn only(self) -> Option<&'a HeaderValue> {
        match self {
            Self::One(line) => Some(line),
            Self::None | Self::Several(_) => None,
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
            ("Client-Request-Id", |it| it.client_id),
            ("host", |it| it.host),
            ("TraceParent", |it| it.trace_parent),
        ];
        for (name, found) in &fields {
            let head = head(&[("x-other", "0"), (name, "1")]);
            let view = RequestView::new(&head);
            assert!(found(&view).only().is_some_and(|line| line == "1"), "{name}");
            let others =
                fields.iter().filter(|(other, found)| other != name && found(&view).first().is_some());
            assert_eq!(others.count(), 0, "{name}");
        }
    }

    #[test]
    fn of_several_lines_the_first_is_known_and_none_is_the_only_one() {
        let head = head(&[("accept", "a"), ("host", "x"), ("accept", "b"), ("accept", "c")]);
        let accept = RequestView::new(&head).accept;
        assert!(accept.first().is_some_and(|line| line == "a") && accept.only().is_none());
        assert!(FieldLines::None.first().is_none() && FieldLines::None.only().is_none());
    }

    #[test]
    fn what_is_there_whatever_it_says_is_marked() {
        let marks = |name: &str| {
            let head = head(&[(name, "")]);
            let view = RequestView::new(&head);
            (view.is_conditional, view.has_wish, view.is_special)
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
