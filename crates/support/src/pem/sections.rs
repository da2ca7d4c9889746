//! Sections of a PEM file, with their lines.

use zeroize::Zeroizing;

use super::PemError;

/// One section. Its text may be a key, so it is zeroized when it is dropped.
pub(super) struct Section {
    /// Line of BEGIN, from 1.
    pub(super) line: usize,
    pub(super) label: String,
    text: Zeroizing<Vec<u8>>,
}

impl Section {
    /// Returns the section in the strict form of RFC 7468, with another label.
    pub(super) fn normalized(&self, label: &str) -> Zeroizing<Vec<u8>> {
        let begin = format!("-----BEGIN {label}-----\n");
        let end = format!("-----END {label}-----\n");
        Zeroizing::new([begin.as_bytes(), self.text.as_slice(), end.as_bytes()].concat())
    }

    /// Returns whether the section has the fields of an encrypted key (RFC 1421).
    pub(super) fn is_encrypted(&self) -> bool {
        self.text.contains(&b':')
    }

    pub(super) fn invalid(&self) -> PemError {
        PemError::at(self.line, format!("the section {:?} is no valid base64", self.label))
    }
}

/// Splits a file into its sections. Text outside of them is skipped, unless it resembles a boundary.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section>, PemError> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(PemError::of_file("it is encoded in UTF-16: expected ASCII or UTF-8"));
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut sections = Vec::new();
    let mut open: Option<Section> = None;
    // Old systems end lines with CR alone; CRLF adds empty lines, which do not count.
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        for text in text.split(|byte| *byte == b'\r').map(<[u8]>::trim_ascii) {
            match (boundary(text), &mut open) {
                (Boundary::Begin(label), None) => {
                    open = Some(Section { line, label, text: Zeroizing::default() });
                }
                (Boundary::End(label), Some(section)) if section.label == label => {
                    sections.extend(open.take());
                }
                (Boundary::None, None) => {}
                (Boundary::None, Some(section)) => {
                    section.text.extend_from_slice(text);
                    section.text.push(b'\n');
                }
                (_, None) => {
                    return Err(PemError::at(line, "a malformed boundary: expected -----BEGIN LABEL-----"));
                }
                (_, Some(section)) => {
                    let problem = format!(
                        "the section {:?} of line {} does not end: expected -----END {}----- alone on a line",
                        section.label, section.line, section.label
                    );
                    return Err(PemError::at(line, problem));
                }
            }
        }
    }
    match open {
        None => Ok(sections),
        Some(section) => {
            Err(PemError::at(section.line, format!("the section {:?} does not end", section.label)))
        }
    }
}

enum Boundary {
    Begin(String),
    End(String),
    /// A line that resembles a boundary, such as one with text before it.
    Malformed,
    None,
}

fn boundary(line: &[u8]) -> Boundary {
    let label = |prefix: &[u8]| {
        let label = line.strip_prefix(prefix)?.strip_suffix(b"-----")?;
        let label = std::str::from_utf8(label).ok().filter(|label| is_label(label))?;
        Some(label.to_owned())
    };
    if let Some(label) = label(b"-----BEGIN ") {
        return Boundary::Begin(label);
    }
    if let Some(label) = label(b"-----END ") {
        return Boundary::End(label);
    }
    let upper = line.to_ascii_uppercase();
    let resembles =
        [&b"-BEGIN"[..], b"- BEGIN", b"-END ", b"- END ", b"BEGIN CERTIFICATE", b"END CERTIFICATE"];
    let found = resembles.into_iter().any(|text| upper.windows(text.len()).any(|window| window == text));
    if found { Boundary::Malformed } else { Boundary::None }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b" #_/.".contains(&b))
}

/// Byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
