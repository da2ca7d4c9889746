//! What may come back on a connection: read strictly, and by other code than the server's.

/// A request as the server understood it.
#[derive(Debug)]
pub struct RequestView {
    pub head: bool,
    /// It had a body, which nobody read.
    pub body: bool,
}

/// Every answer is whole and belongs to a request; only one more may say that what followed was no HTTP.
pub fn check(asked: &[RequestView], mut answered: &[u8]) {
    // The server speaks HTTP/2 only to those who do: a frame then, and SETTINGS first.
    if answered.len() >= 9 && !answered.starts_with(b"HTTP/") {
        return frames(answered);
    }
    let mut count = 0;
    let mut closed = false;
    while !answered.is_empty() {
        assert!(!closed, "an answer after the last one");
        let request = asked.get(count);
        let (answer, rest) = answer(answered, request.is_some_and(|request| request.head));
        if answer.interim {
            assert!(request.is_some_and(|request| request.body), "an interim answer to nobody");
            answered = rest;
            continue;
        }
        if let Some(request) = request {
            assert!(!request.body || answer.close, "the connection stays open after a body");
        } else {
            assert!(answer.status >= 400 && answer.close, "an answer without a request: {answer:?}");
        }
        closed = answer.close;
        count += 1;
        answered = rest;
    }
    assert!(count <= asked.len() + 1, "{count} answers to {asked:?}");
    let after_body = asked.iter().position(|request| request.body).map_or(0, |at| asked.len() - at - 1);
    assert_eq!(after_body, 0, "what followed a body was taken for a request: {asked:?}");
}

#[derive(Debug)]
struct HandlerResponse {
    status: u16,
    close: bool,
    interim: bool,
}

/// Reads one answer of HTTP/1. `head`: it is one to HEAD.
fn answer(text: &[u8], head: bool) -> (HandlerResponse, &[u8]) {
    let end = text.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has an end of its head");
    let (before, rest) = (std::str::from_utf8(&text[..end]).expect("a head is ASCII"), &text[end + 4..]);
    let mut lines = before.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let version = &status[..9];
    assert!(version == "HTTP/1.1 " || version == "HTTP/1.0 ", "{status:?}");
    let number: u16 = status[9..12].parse().expect("a status is a number");
    let (mut length, mut close) = (None, version == "HTTP/1.0 ");
    for line in lines {
        let (name, value) =
            line.split_once(": ").or_else(|| line.split_once(':')).expect("a field has a colon");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        assert!(!name.is_empty() && name.bytes().all(plain), "{line:?}");
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let said: usize = value.parse().expect("a length is a number");
                assert!(length.replace(said).is_none(), "two lengths");
            }
            "transfer-encoding" => panic!("an answer of ours has a length"),
            "connection" => close = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let interim = number < 200;
    let length = if interim || head || number == 304 { 0 } else { length.expect("an answer has a length") };
    assert!(rest.len() >= length, "an answer is cut short");
    (HandlerResponse { status: number, close, interim }, &rest[length..])
}

/// Frames of HTTP/2 (RFC 9113, section 4.1).
fn frames(mut bytes: &[u8]) {
    let mut first = true;
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(9).expect("a frame has a head");
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        assert!(!first || head[3] == 4, "SETTINGS come first");
        assert!(head[3] <= 9 && length <= 1 << 14, "no frame of ours: {head:?}");
        bytes = rest.get(length..).expect("a frame is whole");
        first = false;
    }
}
