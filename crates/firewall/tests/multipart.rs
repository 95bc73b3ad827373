//! What rules are told of multipart bodies that programs read differently.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use waf::{Compatibility, Environment, Phase, Rules, Transaction};

const FLAGS: &str = "
    BOUNDARY_QUOTED BOUNDARY_WHITESPACE CRLF_LF_LINES CRLF_LINE DATA_AFTER DATA_BEFORE FILE_LIMIT_EXCEEDED
    HEADER_FOLDING INVALID_HEADER_FOLDING INVALID_PART INVALID_QUOTING LF_LINE MISSING_SEMICOLON STRICT_ERROR
    UNMATCHED_BOUNDARY
";

/// The flags that rules see, each asked for by a rule.
fn flags(content_type: &str, body: &str) -> Vec<&'static str> {
    let mut content = "SecUploadFileLimit 1\n".to_owned();
    for (id, flag) in (1..).zip(FLAGS.split_whitespace()) {
        writeln!(content, "SecRule MULTIPART_{flag} \"@eq 1\" \"id:{id},phase:2,pass,t:none\"").unwrap();
    }
    let rules = Rules::parse("a.conf", content.as_bytes(), Compatibility::Strict).unwrap();
    let mut transaction = Transaction::new(Arc::new(rules), Environment::default());
    transaction.request_line(b"POST", b"/", b"HTTP/1.1");
    transaction.request_header(b"Content-Type", content_type.as_bytes());
    transaction.phase(Phase::RequestHead);
    transaction.request_body(Bytes::copy_from_slice(body.as_bytes()));
    transaction.phase(Phase::RequestBody);
    let ids = transaction.matches().filter_map(|matched| matched.rule()?.id());
    ids.map(|id| FLAGS.split_whitespace().nth(usize::try_from(id - 1).unwrap()).unwrap()).collect()
}

fn part(more: &str, data: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; name=\"a\"{more}\r\n\r\n{data}\r\n")
}

#[test]
fn each_peculiarity_of_a_multipart_body_is_a_flag_for_rules_and_nearly_all_are_strict_errors() {
    let whole = |parts: &str| format!("{parts}--B--\r\n");
    let file = part("; filename=\"f\"", "1");
    for (body, expected) in [
        (whole(&part("", "1")), "CRLF_LINE"),
        (format!("x\r\n{}", whole(&part("", "1"))), "CRLF_LINE DATA_BEFORE STRICT_ERROR"),
        (format!("{}x", whole(&part("", "1"))), "CRLF_LINE DATA_AFTER STRICT_ERROR"),
        (whole(&part("", "1")).replace('\r', ""), "LF_LINE STRICT_ERROR"),
        (whole(&part("", "1")).replacen('\r', "", 1), "CRLF_LF_LINES CRLF_LINE LF_LINE STRICT_ERROR"),
        (whole(&part("\r\nX: y\r\n z", "1")), "CRLF_LINE HEADER_FOLDING STRICT_ERROR"),
        (whole(&part("\r\nX: y\r\n\x0Bz", "1")), "CRLF_LINE HEADER_FOLDING INVALID_HEADER_FOLDING STRICT_ERROR"),
        (whole(&part("", "--Bx\r\n1")), "CRLF_LINE INVALID_PART STRICT_ERROR"),
        (whole(&part("", "1\r\n--b\r\n2")), "CRLF_LINE UNMATCHED_BOUNDARY"),
        (
            whole("--B\r\nContent-Disposition: form-data; name='a'\r\n\r\n1\r\n"),
            "CRLF_LINE INVALID_QUOTING STRICT_ERROR",
        ),
        (whole(&format!("{file}{}", file.replace("\"a\"", "\"b\""))), "CRLF_LINE FILE_LIMIT_EXCEEDED STRICT_ERROR"),
    ] {
        let found = flags("multipart/form-data; boundary=B", &body);
        assert_eq!(found, expected.split_whitespace().collect::<Vec<_>>(), "{body}");
    }
    let plain = whole(&part("", "1"));
    for (content_type, expected) in [
        ("multipart/form-data; boundary=\"B\"", "BOUNDARY_QUOTED CRLF_LINE STRICT_ERROR"),
        // The blank belongs to it.
        ("multipart/form-data; boundary= B", "BOUNDARY_WHITESPACE DATA_BEFORE STRICT_ERROR UNMATCHED_BOUNDARY"),
        ("multipart/form-data boundary=B", "CRLF_LINE MISSING_SEMICOLON STRICT_ERROR"),
    ] {
        assert_eq!(flags(content_type, &plain), expected.split_whitespace().collect::<Vec<_>>(), "{content_type}");
    }
}
