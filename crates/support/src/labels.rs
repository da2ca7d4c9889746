//! Closed sets of labels.
//!
//! Metric labels, log fields and details of `Cache-Status` come from enums declared with `labels!`. A variant has one
//! spelling for all of them. Because the set is closed, no path, subject or error text can become a label.

/// A label of a closed set.
pub trait Label: Copy + 'static {
    /// All labels, in the order of [`Label::index`].
    const ALL: &'static [Self];

    /// Returns the spelling.
    fn as_str(self) -> &'static str;

    /// Returns the position in [`Label::ALL`].
    fn index(self) -> usize;

    /// The doc comment of the variant, for the generated reference.
    fn description(self) -> &'static str;
}

/// Declares an enum whose variants each have one spelling, and implements [`Label`] for it.
#[macro_export]
macro_rules! labels {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[doc = $doc:literal])+ $variant:ident = $text:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl $crate::labels::Label for $name {
            const ALL: &'static [Self] = &[$( Self::$variant, )+];

            fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                }
            }

            fn index(self) -> usize {
                self as usize
            }

            fn description(self) -> &'static str {
                match self {
                    $( Self::$variant => concat!($($doc),+).trim_ascii(), )+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::labels::Label::as_str(*self))
            }
        }
    };
}

pub use labels;
