//! Rules for values. Each rule has its bounds; its `accepted` is the message for an operator whose value is refused.

mod bare_url;
mod base_url;
#[cfg(feature = "otlp")]
mod collector_url;
mod path;
mod quantity;
mod store_url;
mod text;

pub(super) use base_url::BaseUrl;
#[cfg(feature = "otlp")]
pub(super) use collector_url::CollectorUrl;
pub(super) use path::FilePath;
pub(super) use quantity::{BoundedDuration, Integer, Size};
pub(super) use store_url::{KeyPrefix, StoreUrl};
pub(super) use text::{LogFilter, NameList, OneOf, ShortText, SocketAddress};
