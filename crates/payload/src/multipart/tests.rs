//! What is read of bodies, and what is flagged.

use proptest::prelude::*;

use super::*;

const TYPE: &str = "multipart/form-data; boundary=B";

fn read(body: &str) -> Multipart {
    read_as(TYPE, body)
}

fn read_as(content_type: &str, body: &str) -> Multipart {
    Multipart::read(Some(content_type.as_bytes()), body.as_bytes(), &Limits::default())
}

/// The names of the flags that are set.
fn set(read: &Multipart) -> Vec<&'static str> {
    let flags = &read.flags;
    [
        ("error", flags.error),
        ("boundary_quoted", flags.boundary_quoted),
        ("boundary_whitespace", flags.boundary_whitespace),
        ("data_before", flags.data_before),
        ("data_after", flags.data_after),
        ("header_folding", flags.header_folding),
        ("lf_line", flags.lf_line),
        ("missing_semicolon", flags.missing_semicolon),
        ("invalid_quoting", flags.invalid_quoting),
        ("invalid_part", flags.invalid_part),
        ("invalid_header_folding", flags.invalid_header_folding),
        ("file_limit_exceeded", flags.file_limit_exceeded),
        ("unmatched_boundary", flags.unmatched_boundary),
    ]
    .into_iter()
    .filter_map(|(name, is_set)| is_set.then_some(name))
    .collect()
}

fn part(name: &str, more: &str, data: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{data}\r\n")
}

#[test]
fn arguments_and_files_are_read_where_they_stand() {
    let file = part("f", "; filename=\"a.txt\"\r\nContent-Type: text/plain", "one\r\ntwo\0\r\n");
    let body = format!("{}{file}--B--\r\n", part("a", "", "1"));

    let read = read(&body);

    assert_eq!((read.error.as_deref(), set(&read)), (None, vec![]));
    assert!(read.flags.crlf_line && !read.flags.strict_error());
    let data: Vec<_> = read.parts.iter().map(|part| &body.as_bytes()[part.data.clone()]).collect();
    assert_eq!(data, [&b"1"[..], b"one\r\ntwo\0\r\n"]);
    let file = read.files().next().unwrap();
    assert_eq!((&file.name[..], file.file_name.as_deref()), (&b"f"[..], Some(&b"a.txt"[..])));
    assert_eq!(
        file.headers,
        [&b"Content-Disposition: form-data; name=\"f\"; filename=\"a.txt\""[..], b"Content-Type: text/plain"]
    );
    let arguments = read.arguments(10);
    assert_eq!(arguments.iter(body.as_bytes()).collect::<Vec<_>>(), [(&b"a"[..], &b"1"[..])]);
    assert_eq!((read.last_name.as_deref(), read.last_file_name.as_deref()), (Some(&b"f"[..]), Some(&b"a.txt"[..])));
}

#[test]
fn each_peculiarity_of_a_body_sets_its_flag() {
    let whole = |part: &str| format!("{part}--B--\r\n");
    for (body, expected) in [
        (format!("x\r\n{}", whole(&part("a", "", "1"))), &["data_before"][..]),
        (format!("{}x", whole(&part("a", "", "1"))), &["data_after"]),
        (whole(&part("a", "", "1")).replace('\r', ""), &["lf_line"]),
        (whole(&part("a", "\r\nX: y\r\n z", "1")), &["header_folding"]),
        (whole(&part("a", "\r\nX: y\r\n\x0Bz", "1")), &["header_folding", "invalid_header_folding"]),
        (whole(&part("a", "", "1\r\n--Bx")), &["error"]),
        (whole(&part("a", "", "--Bx\r\n1")), &["invalid_part"]),
        (whole(&part("a", "", "1\r\n--b\r\n2")), &["unmatched_boundary"]),
        (whole(&part("a", "", "1\r\nx--B\r\n2")), &["unmatched_boundary"]),
        (whole("--B\r\nContent-Disposition: form-data; name='a'\r\n\r\n1\r\n"), &["invalid_quoting"]),
        (whole("--B\r\nContent-Disposition: form-data; name=a'b\r\n\r\n1\r\n"), &["invalid_quoting"]),
        (whole("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"), &["invalid_part"]),
    ] {
        let read = read(&body);
        assert_eq!(set(&read), expected, "{body}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error_that_says_why() {
    let long = "x".repeat(5000);
    for (body, expected) in [
        ("--B\r\nX: y\r\n\r\n1\r\n--B--", "Multipart: Part missing Content-Disposition header."),
        ("--B\r\nX y\r\n", "Multipart: Invalid part header (colon missing): X y\\r\\n."),
        ("--B\r\n: y\r\n", "Multipart: Invalid part header (header name missing)."),
        ("--B\r\nX: y\r\nx: z\r\n", "Multipart: Duplicate part header: x."),
        ("--B\r\n y\r\n", "Multipart: Invalid part header (folding error)."),
        ("--B\r\nX: \0\r\n", "Multipart: Nul byte in part headers."),
        (&format!("--B\r\nX: {long}\r\n"), "Multipart: Part header line over 4096 bytes long"),
        (
            "--B\r\nContent-Disposition: attachment; name=a\r\n\r\n",
            "Multipart: Invalid Content-Disposition header (-1): attachment; name=a.",
        ),
        (
            "--B\r\nContent-Disposition: form-data; filename=a\r\n\r\n",
            "Multipart: Content-Disposition header missing name field.",
        ),
        (
            "--B\r\nContent-Disposition: form-data; name=a; filename =b\r\n\r\n",
            "Multipart: Invalid Content-Disposition header (filename).",
        ),
        ("-- B\r\n", "Multipart: Invalid boundary (whitespace)."),
        ("--B--x\r\n", "Multipart: Invalid boundary: --B--x\\r\\n"),
        ("x\r\n", "Multipart: No boundaries found in payload."),
        ("--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1", "Multipart: Final boundary missing."),
    ] {
        let read = read(body);
        assert_eq!(read.error.as_deref(), Some(expected), "{body}");
        assert!(read.arguments(10).is_empty(), "{body}");
    }
    assert_eq!(read("").error, None);
}

#[test]
fn a_quoted_boundary_must_not_be_quoted_in_the_body() {
    let quoted = read_as("multipart/form-data; boundary=\"B\"", "--\"B\r\n");
    assert_eq!(quoted.error.as_deref(), Some("Multipart: Invalid boundary (quotes)."));
    assert!(quoted.flags.boundary_quoted);
    assert!(read("--\"B\r\n").flags.unmatched_boundary);
}

#[test]
fn the_boundary_is_taken_strictly() {
    let body = "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--";
    for (content_type, expected) in [
        ("multipart/form-data;boundary=B", Ok(&[][..])),
        ("Multipart/Form-Data; boundary=\"B\"", Ok(&["boundary_quoted"])),
        ("multipart/form-data boundary=B", Ok(&["missing_semicolon"])),
        ("multipart/form-data; boundary =B", Ok(&["boundary_whitespace"])),
        ("multipart/form-data", Err("Boundary not found in C-T.")),
        ("multipart/form-data; Boundary=B", Err("Invalid boundary in C-T (case sensitivity).")),
        ("multipart/form-data; boundary=B; boundary=C", Err("Multiple boundary parameters in C-T.")),
        ("multipart/form-data; x; boundary=B", Err("Invalid boundary in C-T (malformed).")),
        ("multipart/form-data; boundary", Err("Invalid boundary in C-T (malformed).")),
        ("multipart/form-data; boundaryx=B", Err("Invalid boundary in C-T (parameter name).")),
        ("multipart/form-data; boundary=\"B", Err("Invalid boundary in C-T (quote).")),
        ("multipart/form-data; boundary=B;x", Err("Invalid boundary in C-T (characters).")),
        ("multipart/form-data; boundary=", Err("Invalid boundary in C-T (empty).")),
        ("multipart/mixed; boundary=B", Err("Invalid MIME type.")),
    ] {
        let read = read_as(content_type, body);
        match expected {
            Ok(flags) => assert_eq!((read.error.as_deref(), set(&read)), (None, flags.to_vec()), "{content_type}"),
            Err(message) => {
                assert_eq!(read.error.as_deref(), Some(format!("Multipart: {message}").as_str()), "{content_type}");
                assert!(read.flags.error && read.parts.is_empty(), "{content_type}");
            }
        }
    }
    let missing = Multipart::read(None, body.as_bytes(), &Limits::default());
    assert_eq!(missing.error.as_deref(), Some("Multipart: Content-Type header not available."));
}

#[test]
fn names_may_be_escaped_or_bare_and_come_once() {
    let named = |said: &str| read(&format!("--B\r\nContent-Disposition: form-data{said}\r\n\r\n1\r\n--B--"));
    for (said, name) in [
        ("; name=\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d"),
        (" ; name = bare ", "bare"),
        ("; name=\"a;b\"; filename=\"C:\\x.txt\"", "a;b"),
        ("; name=\"\"", ""),
    ] {
        let read = named(said);
        assert_eq!(read.error, None, "{said}");
        assert_eq!(read.parts[0].name, name.as_bytes(), "{said}");
    }
    for (said, code) in [
        ("x; name=a", -2),
        ("; ", -3),
        ("; name", -4),
        ("; name ", -5),
        ("; name=", -6),
        ("; name=\"", -7),
        ("; name=\"a\\", -8),
        ("; name=\"a", -10),
        ("; other=a", -11),
        ("; name=\"a\" b", -12),
        ("; na me=a", -13),
        ("; name=a; name=b", -14),
        ("; name=a; filename=b; filename=c", -15),
    ] {
        let message = named(said).error.unwrap_or_default();
        assert!(message.contains(&format!("header ({code}):")), "{said}: {message}");
    }
}

#[test]
fn lines_of_data_may_be_of_any_length() {
    for length in [4093, 4094, 4095, 4096, 4097, 8191, 8192, 8193] {
        for end in ["", "\r", "\r\n", "\n"] {
            let data = format!("{}{end}", "x".repeat(length));
            let body = format!("{}--B--\r\n", part("a", "", &data));
            let read = read(&body);
            assert_eq!(read.error, None);
            assert_eq!(&body.as_bytes()[read.parts[0].data.clone()], data.as_bytes(), "{length} {end:?}");
        }
    }
}

#[test]
fn there_are_no_more_parts_headers_and_files_than_allowed() {
    let limits = Limits { parts: 2, headers: 2, files: Some(1) };
    let read = |body: String| Multipart::read(Some(TYPE.as_bytes()), format!("{body}--B--").as_bytes(), &limits);
    assert_eq!(read(part("a", "", "1").repeat(2)).error, None);
    assert_eq!(read(part("a", "", "1").repeat(3)).error.as_deref(), Some("Multipart: More than 2 parts."));
    let headers = read(part("a", "\r\nX: 1\r\nY: 2", "1"));
    assert_eq!(headers.error.as_deref(), Some("Multipart: More than 2 headers in a part."));
    assert!(!read(part("a", "; filename=x", "1")).flags.file_limit_exceeded);
    assert!(read(part("a", "; filename=x", "1").repeat(2)).flags.file_limit_exceeded);
}

proptest! {
    #[test]
    fn what_is_put_together_is_read_again(
        parts in prop::collection::vec(("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 1..300)), 1..5),
    ) {
        let mut body = Vec::new();
        for (name, data) in &parts {
            body.extend_from_slice(format!("--B0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes());
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--B0undary--\r\n");
        prop_assume!(!parts.iter().any(|(_, data)| data.windows(2).any(|pair| pair == b"--")));

        let content_type = b"multipart/form-data; boundary=B0undary";
        let read = Multipart::read(Some(content_type), &body, &Limits::default());

        prop_assert_eq!(&read.error, &None);
        prop_assert!(!read.flags.strict_error());
        let again: Vec<_> = read.parts.iter().map(|part| (part.name.clone(), body[part.data.clone()].to_vec())).collect();
        let expected: Vec<_> = parts.into_iter().map(|(name, data)| (name.into_bytes(), data)).collect();
        prop_assert_eq!(again, expected);
    }

    #[test]
    fn any_body_is_read(body in "(--B|\r\n|\n|Content-Disposition: form-data; name=|\"|a|;| |--|:|\0|x){0,60}") {
        let read = Multipart::read(Some(TYPE.as_bytes()), body.as_bytes(), &Limits::default());
        for part in &read.parts {
            prop_assert!(body.get(part.data.clone()).is_some());
        }
        // An error is told, or everything is complete.
        prop_assert!(read.error.is_some() || body.is_empty() || body.contains("--B--"));
    }
}
