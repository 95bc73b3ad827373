//! What becomes of values, and what is promised of all transformations.

use proptest::prelude::*;

use super::*;

fn apply(transformation: Transformation, input: &[u8]) -> Vec<u8> {
    let mut out = b"something old".to_vec();
    if transformation.apply(input, &mut out) {
        assert_ne!(out, input, "{transformation:?}");
        return out;
    }
    assert_eq!(out, b"something old", "{transformation:?}");
    input.to_vec()
}

fn expect(name: &str, cases: &[(&[u8], &[u8])]) {
    let transformation = Transformation::from_name(name).unwrap();
    for (input, expected) in cases {
        let found = apply(transformation, input);
        assert_eq!(found, *expected, "{name} of {}: {}", input.escape_ascii(), found.escape_ascii());
    }
}

#[test]
fn a_name_is_found_in_whatever_case_and_spelling() {
    for transformation in Transformation::ALL {
        assert_eq!(Transformation::from_name(transformation.name()), Some(*transformation));
        assert_eq!(Transformation::from_name(&transformation.name().to_uppercase()), Some(*transformation));
    }
    assert_eq!(Transformation::from_name("normalisePathWin"), Some(Transformation::NormalizePathWin));
    assert_eq!(Transformation::from_name("rot13"), None);
}

#[test]
fn base64_is_written_and_read() {
    expect("base64Encode", &[(b"", b""), (b"f", b"Zg=="), (b"fo", b"Zm8="), (b"foo", b"Zm9v"), (b"\xFF\xFE", b"//4=")]);
    expect(
        "base64Decode",
        &[
            (b"Zm9vYmE=", b"fooba"),
            (b"Zm9v\0YmFy", b"foo"),
            (b"Zm9v YmFy", b"foo"),
            (b"Zm9", b"fo"),
            (b"Z", b""),
            (b"=", b""),
            (b"hello world", b"\x85\xE9\x65"),
        ],
    );
    expect(
        "base64DecodeExt",
        &[
            (b"Z.m9v\nYm.Fy", b"foobar"),
            (b"Zm9v=YmFy", b"foobar"),
            (b"Zm9vY=", b""),
            (b"Zm9vY==", b""),
            (b"Zm9vYm==", b"foob"),
            (b"Zm9v\0Ym", b"foo"),
        ],
    );
}

#[test]
fn hexadecimal_digits_are_written_and_read() {
    expect("hexEncode", &[(b"\0\xAFz", b"00af7a")]);
    expect("hexDecode", &[(b"00aF7a", b"\0\xAFz"), (b"414", b"A"), (b"4", b""), (b"4g", b"\x50"), (b"!!", b"\x01")]);
    expect(
        "sqlHexDecode",
        &[
            (b"x 0x414243 y", b"x ABC y"),
            (b"0X4x", b"0X4x"),
            (b"0x4142g0x43", b"ABgC"),
            (b"0x41420x43", b"AB\x30x43"),
            (b"0x410", b"A0"),
            (b"0x410042", b"A"),
            (b"ab\0cd", b"ab"),
            (b"00x41", b"0A"),
        ],
    );
}

#[test]
fn digests_and_lengths_are_taken() {
    expect("md5", &[(b"", b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e")]);
    expect("sha1", &[(b"abc", b"\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d")]);
    expect("length", &[(b"", b"0"), (b"0123456789", b"10"), (b"1", b"1")]);
}

#[test]
fn commands_lose_their_disguise() {
    expect(
        "cmdLine",
        &[
            (b"C^OMMAND  /C  \"DIR\"", b"command/c dir"),
            (b"a,;\t\r\n b", b"a b"),
            (b"ping ( x", b"ping( x"),
            (b"a \"/b", b"a/b"),
            (b"a\0b", b"a"),
            (b"c:\\x", b"c:x"),
        ],
    );
}

#[test]
fn white_space_and_zeros_are_taken_out() {
    expect("compressWhitespace", &[(b" a \t\xA0 b\x0B", b" a b "), (b"\t", b" "), (b"a b", b"a b")]);
    expect("removeWhitespace", &[(b" a \t\xA0 b\x0B\0", b"ab\0")]);
    expect("trim", &[(b" \x0B a b \n", b"a b"), (b"  ", b"")]);
    expect("trimLeft", &[(b" \t a ", b"a "), (b"  ", b"")]);
    expect("trimRight", &[(b" a \0 ", b" a \0"), (b"  ", b"")]);
    expect("removeNulls", &[(b"a\0b\0", b"ab")]);
    expect("replaceNulls", &[(b"a\0b\0", b"a b ")]);
}

#[test]
fn letters_and_parities_change() {
    expect("lowercase", &[(b"AbZ\xC4", b"abz\xC4")]);
    expect("uppercase", &[(b"aBz\xE4", b"ABZ\xE4")]);
    expect("parityEven7bit", &[(b"ab", b"\xE1\xE2"), (b"c", b"c")]);
    expect("parityOdd7bit", &[(b"ab", b"ab"), (b"c", b"\xE3")]);
    expect("parityZero7bit", &[(b"\xE1b", b"ab")]);
    expect("none", &[(b"aB", b"aB")]);
}

#[test]
fn comments_are_taken_out() {
    expect(
        "removeComments",
        &[
            (b"a/* b */c", b"ac"),
            (b"a/* b */", b"a\0"),
            (b"a/* b */#c", b"a#c"),
            (b"a/* b", b"a "),
            (b"a<!-- b -->c", b"ac"),
            (b"a<!-- b */c", b"ac"),
            (b"a/* b -->c", b"ac"),
            (b"a-- b", b"a"),
            (b"a#b", b"a"),
            (b"a*b-c", b"a*b-c"),
        ],
    );
    expect(
        "removeCommentsChar",
        &[(b"/*a*/<!--b-->--c#", b"abc"), (b"a/b*c-d<!-e", b"a/b*c-d<!-e"), (b"/*/", b"/"), (b"--->", b"->")],
    );
    expect("replaceComments", &[(b"a/* b */c/*d", b"a c "), (b"/**/", b" "), (b"/*/", b" "), (b"*/a", b"*/a")]);
}

#[test]
fn escapes_are_decoded() {
    expect(
        "htmlEntityDecode",
        &[
            (b"&lt;&GT&quot;&amp;&nbsp;&nothing;", b"<>\"&\xA0&nothing;"),
            (b"&#65;&#x42&#X43;&#256;&#", b"ABC\0&#"),
            (b"&#x;&#;&;&", b"&#x;&#;&;&"),
            (b"&#99999999999999999999;", b"\xFF"),
            (b"&ltx;&amp;lt;", b"&ltx;&lt;"),
        ],
    );
    expect(
        "jsDecode",
        &[
            (b"\\x41\\u0042\\uff23\\uFF00\\103\\7", b"ABC\0C\x07"),
            (b"\\a\\b\\f\\n\\r\\t\\v\\q\\\\\\'", b"\x07\x08\x0C\n\r\t\x0Bq\\'"),
            (b"\\400\\777", b" 0?7"),
            (b"\\x4\\u004\\", b"x4u004\\"),
        ],
    );
    expect(
        "escapeSeqDecode",
        &[(b"\\x41\\X42\\103\\777\\?\\\"", b"ABC\xFF?\""), (b"\\xg\\8\\", b"xg8\\"), (b"\\n\\\\n", b"\n\\n")],
    );
    expect(
        "cssDecode",
        &[
            (b"\\41 b\\000042g\\0ff23\\ff24", b"AbBgCD"),
            (b"\\1ff25 \\a\\z\\\nq\\", b"\x25\nzq"),
            (b"ja\\vascript", b"javascript"),
            (b"\\4", b"\x04"),
        ],
    );
}

#[test]
fn paths_are_normalized() {
    expect(
        "normalizePath",
        &[
            (b"", b""),
            (b".", b""),
            (b"./", b""),
            (b"./..", b".."),
            (b"../.", b".."),
            (b"/a//b///c/", b"/a/b/c/"),
            (b"a/./b/../c", b"a/c"),
            (b"a/../../b", b"../b"),
            (b"/../../b", b"/b"),
            (b"/a/..", b""),
            (b"/a/../", b"/"),
            (b"a/..", b""),
            (b"//", b"/"),
            (b"a\\..\\b", b"a\\..\\b"),
            (b"/...", b""),
            (b"..a/b..", b"..a"),
        ],
    );
    expect("normalizePathWin", &[(b"a\\..\\\\b\\c\\", b"b/c/"), (b"\\a\\..", b""), (b"C:\\x", b"C:/x")]);
}

#[test]
fn urls_are_decoded_and_encoded() {
    expect("urlDecode", &[(b"%41+%zz%4%", b"A %zz%4%"), (b"%u0041", b"%u0041")]);
    expect(
        "urlDecodeUni",
        &[
            (b"%u0041%U0042%43+", b"ABC "),
            (b"%uff1cscript%uff1e", b"<script>"),
            (b"%u2039%u00e9%u2018", b"<e'"),
            (b"%u4e2d", b"\x2d"),
            (b"%u00zz%u004", b"%u00zz%u004"),
            (b"%u%41", b"%uA"),
            (b"%4%41", b"%4A"),
        ],
    );
    expect("urlEncode", &[(b"a B*-_.~/\xFF", b"a+B*%2d%5f%2e%7e%2f%ff")]);
}

#[test]
fn utf8_becomes_numbers() {
    expect(
        "utf8toUnicode",
        &[
            ("aé€😀".as_bytes(), b"a%u00e9%u20ac%u1f600"),
            (b"a\0b", b"ab"),
            (b"\xC3a\xE2\x82", b"a\x82"),
            (b"\x80\xFF", b"\x80\xFF"),
            (b"\xC0\xAF", b"%u002f\xC0"),
            (b"\xED\xA0\x80", b"%ud800\xED"),
            (b"\xF5\x80\x80\x80", b"\xF5%u140000"),
        ],
    );
}

#[test]
fn what_counts_as_a_change_is_what_the_reference_says() {
    for (name, input, expected) in [
        ("cmdLine", &b"a"[..], true),
        ("compressWhitespace", b"\t", false),
        ("compressWhitespace", b"  ", true),
        ("utf8toUnicode", b"\0", false),
        ("utf8toUnicode", b"\xC3\xA9", true),
        ("lowercase", b"a", false),
        ("lowercase", b"A", true),
        ("base64Decode", b"!", false),
    ] {
        let transformation = Transformation::from_name(name).unwrap();
        let output = apply(transformation, input);
        assert_eq!(transformation.counts_as_change(input, &output), expected, "{name}");
    }
}

/// Bytes that transformations have an eye on, and others.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let interesting = prop::sample::select(b"\\%+&#;xXuU0123456789aAfFgGzZ/.*-<!>\"'^ ,()\t\r\n\0\x0B\xA0=".to_vec());
    prop::collection::vec(prop_oneof![4 => interesting, 1 => any::<u8>()], 0..40)
}

fn any_transformation() -> impl Strategy<Value = Transformation> {
    prop::sample::select(Transformation::ALL)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_value_without_the_bytes_that_may_change_stays_as_it_is(transformation in any_transformation(), value in bytes()) {
        let mut forced = Vec::new();
        transformation.append(&value, &mut forced);
        if transformation.leaves(&ByteSet::of(&value), &value) {
            prop_assert_eq!(&forced, &value);
        }
        prop_assert_eq!(apply(transformation, &value), forced);
    }

    #[test]
    fn values_grow_no_more_than_sixfold(transformation in any_transformation(), value in bytes()) {
        prop_assert!(apply(transformation, &value).len() <= value.len() * 6 + 20);
    }

    #[test]
    fn encodings_can_be_undone(value in bytes()) {
        for (encode, decode) in [
            (Transformation::Base64Encode, Transformation::Base64Decode),
            (Transformation::Base64Encode, Transformation::Base64DecodeExt),
            (Transformation::HexEncode, Transformation::HexDecode),
            (Transformation::UrlEncode, Transformation::UrlDecode),
        ] {
            prop_assert_eq!(&apply(decode, &apply(encode, &value)), &value);
        }
    }

    #[test]
    fn what_is_normal_once_stays_so(value in bytes()) {
        for transformation in [
            Transformation::Lowercase,
            Transformation::Trim,
            Transformation::CompressWhitespace,
            Transformation::RemoveWhitespace,
            Transformation::RemoveNulls,
            Transformation::ParityZero7Bit,
        ] {
            let once = apply(transformation, &value);
            prop_assert_eq!(&apply(transformation, &once), &once);
        }
    }
}
