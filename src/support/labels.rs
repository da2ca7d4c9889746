//! Closed vocabularies.
//!
//! Whatever is counted, logged or said in `Cache-Status` comes from an enum declared with `labels!`.
//! A variant has one spelling, and that spelling is the metric label, the log field and the detail.
//! Because the set is closed, no path, subject or error text can become a label.

/// A word of a closed vocabulary.
pub trait Label: Copy + 'static {
    /// Every word there is, in the order of [`Label::index`].
    const ALL: &'static [Self];

    /// The one spelling.
    fn as_str(self) -> &'static str;

    /// The position in [`Label::ALL`].
    fn index(self) -> usize;

    /// The doc comment of the variant, for the generated reference.
    fn description(self) -> &'static str;
}

/// Declares an enum whose variants each have one spelling, and implements [`Label`] for it.
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

        impl $crate::support::labels::Label for $name {
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
                f.write_str($crate::support::labels::Label::as_str(*self))
            }
        }
    };
}

pub(crate) use labels;
