//! Path, query and `Accept` to resource. What passes is forwarded, so what passes must be plain.
//!
//! Input: the path, a line feed, the query, a line feed, the value of `Accept`. Without the second or third
//! part there is no query or no such field.
#![no_main]

use connector_cache::resource::{ApiVersion, Resource};
use http::{HeaderMap, HeaderValue, Uri, header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let text = |part: Option<&'_ [u8]>| part.map(|part| String::from_utf8_lossy(part).into_owned());
    let (path, query) = (text(parts.next()).unwrap_or_default(), text(parts.next()));
    let mut headers = HeaderMap::new();
    if let Some(accept) = parts.next().and_then(|value| HeaderValue::from_bytes(value).ok()) {
        headers.insert(header::ACCEPT, accept);
    }
    for default in [ApiVersion::V1, ApiVersion::Beta] {
        if let Ok(resource) = Resource::parse(&path, query.as_deref(), &headers, default) {
            check(&resource);
        }
    }
});

fn check(resource: &Resource) {
    let target = resource.target();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-?$=&,()".contains(&byte);
    assert!(target.bytes().all(plain), "the target is not plain: {target:?}");
    assert!(target.len() < 8192, "the target is longer than Graph reads");
    let collections =
        ["v1.0/identity/b2xUserFlows", "beta/identity/b2xUserFlows", "beta/identity/b2cUserFlows"];
    let starts = collections.map(|collection| format!("/{collection}/{}/", resource.flow()));
    assert!(starts.iter().any(|start| target.starts_with(start)), "{target:?}");

    let uri: Uri = target.parse().expect("the target is a URI");
    let headers = HeaderMap::from_iter([(header::ACCEPT, resource.accept())]);
    // The other version as default: a target names its own.
    let default = if target.starts_with("/beta") { ApiVersion::V1 } else { ApiVersion::Beta };
    let again =
        Resource::parse(uri.path(), uri.query(), &headers, default).expect("the target is one of ours");
    assert!(again == *resource, "the target asks for something else: {target:?}");
    assert_eq!(again.target(), target);
}
