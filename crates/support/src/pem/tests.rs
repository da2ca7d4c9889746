use super::*;

/// Text of a section. DER is not checked here.
fn section(label: &str) -> String {
    format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n")
}

fn lines(text: impl AsRef<[u8]>) -> Vec<usize> {
    certificates(text.as_ref()).unwrap().iter().map(|certificate| certificate.line).collect()
}

fn problem(text: impl AsRef<[u8]>) -> String {
    certificates(text.as_ref()).unwrap_err().to_string()
}

#[test]
fn e3_variants_with_one_meaning_are_read() {
    let one = section("CERTIFICATE");
    for text in [
        one.clone(),
        format!("\u{feff}{one}"),
        one.replace('\n', "\r\n"),
        one.replace('\n', "\r"),
        one.replace("-----BEGIN", " \t-----BEGIN").replace("MAA=", "  MAA=  "),
        one.trim_end().to_owned(),
        section("X509 CERTIFICATE"),
        one.replace("MAA=", "MA\nA=\n"),
    ] {
        assert_eq!(lines(&text), [1], "{text:?}");
        assert_eq!(&*certificates(text.as_bytes()).unwrap()[0].der, b"0\0", "{text:?}");
    }
    let bundle =
        format!("subject=CN = root, f\u{fc}r\n{one}\n# text\n{one}{}{one}", section("EC PARAMETERS"));
    assert_eq!(lines(&bundle), [2, 7, 13]);
    let latin = [b"Aussteller: f\xfcr\n", one.as_bytes()].concat();
    assert_eq!(lines(latin), [2]);
    assert_eq!(lines(section("RSA PRIVATE KEY") + &one), [4]);
}

#[test]
fn e3_other_variants_are_refused_with_their_line() {
    let one = section("CERTIFICATE");
    let malformed = "a malformed boundary: expected -----BEGIN LABEL-----";
    for (text, expected) in [
        (one.clone() + &section("TRUSTED CERTIFICATE"), "line 4: TRUSTED CERTIFICATE is a format of OpenSSL"),
        (one.clone() + &section("PKCS7"), "line 4: a section \"PKCS7\": expected CERTIFICATE"),
        (one.clone() + &section("X509 CRL"), "line 4: a section \"X509 CRL\": expected CERTIFICATE"),
        (format!("{one}root: {one}"), malformed),
        (one.clone() + &one.replace("-----B", "----B"), malformed),
        (one.clone() + &one.replace("-----BEGIN", "-----begin"), malformed),
        (one.clone() + &one.replace("CERTIFICATE-----\nM", "CERTIFICATE----\nM"), malformed),
        (format!("{one}MAA=\n-----END CERTIFICATE-----\n"), "line 5: a malformed boundary"),
        (format!("{}{one}", one.trim_end()), "line 3: the section \"CERTIFICATE\" of line 1 does not end"),
        (
            one.clone() + "-----BEGIN CERTIFICATE-----\nMAA=\n",
            "line 4: the section \"CERTIFICATE\" does not end",
        ),
        (
            one.clone() + &one.replace("MAA=", "M!A="),
            "line 4: the section \"CERTIFICATE\" is no valid base64",
        ),
        (String::new(), "it contains no certificate"),
        (section("PRIVATE KEY"), "it contains no certificate"),
    ] {
        let found = problem(&text);
        assert!(found.contains(expected), "{text:?}: {found:?}");
    }
    let wide: Vec<u8> = "\u{feff}text".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(problem(wide).contains("UTF-16"));
}

#[test]
fn e3_keys_are_read_and_refused_alike_and_never_shown() {
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        let text = format!("\u{feff}{}{}", section("EC PARAMETERS"), section(label)).replace('\n', "\r\n");
        assert_eq!(private_key(text.as_bytes()).unwrap().secret_der(), b"0\0", "{label}");
    }
    let key = section("PRIVATE KEY");
    for (text, expected) in [
        (section("CERTIFICATE"), "it contains no private key"),
        (key.clone() + &key, "line 4: a second private key"),
        (section("ENCRYPTED PRIVATE KEY"), "line 1: the key is encrypted, and there is no passphrase for it"),
        (
            key.replace("MAA=", "Proc-Type: 4,ENCRYPTED\n\nMAA="),
            "line 1: the key is encrypted, and there is no passphrase for it",
        ),
        (section("OPENSSH PRIVATE KEY"), "line 1: a section \"OPENSSH PRIVATE KEY\": expected PRIVATE KEY"),
        (key.replace("MAA=", "MA!A"), "line 1: the section \"PRIVATE KEY\" is no valid base64"),
    ] {
        assert_eq!(private_key(text.as_bytes()).unwrap_err().to_string(), expected);
    }
}
