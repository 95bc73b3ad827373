//! What paths lead to, and what is not well-formed.

use proptest::prelude::*;

use super::*;

fn values(body: &str, path: &str) -> Vec<String> {
    let xml = read(body.as_bytes(), &Limits::default());
    assert_eq!(xml.error, None, "{body}");
    let path = Path::parse(path).unwrap();
    xml.values(&path).into_iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

const ORDER: &str = "<?xml version=\"1.0\"?>\n<order id='7' xmlns='urn:x' xmlns:a='urn:a'>\n<item n=\"1\">one<b/>two</item>\
                     <item n='2'><![CDATA[<three>]]></item><!-- not --><a:x y='&lt;z&#62;'/></order>\n";

#[test]
fn paths_lead_to_texts_and_attributes() {
    for (path, expected) in [
        ("/*", &["\nonetwo<three>"][..]),
        ("//@*", &["7", "1", "2", "<z>"]),
        ("/order/item", &["onetwo", "<three>"]),
        ("/order/item/@n", &["1", "2"]),
        ("/order/@*", &["7"]),
        ("/order//@n", &["1", "2"]),
        ("//item/text()", &["onetwo", "<three>"]),
        ("//a:x/@y", &["<z>"]),
        ("//b", &[""]),
        ("/item", &[]),
        ("//nothing", &[]),
    ] {
        assert_eq!(values(ORDER, path), expected, "{path}");
    }
}

#[test]
fn elements_and_attributes_have_names() {
    let xml = read(b"<a b='1'>x<c>y</c></a>", &Limits::default());
    assert_eq!(xml.named().collect::<Vec<_>>(), [(&b"a"[..], &b"xy"[..]), (b"c", b"y"), (b"b", b"1")]);
}

#[test]
fn what_is_no_simple_path_is_a_mistake() {
    for path in ["", "a", "/", "//", "/a[1]", "/a/@b/c", "count(//a)", "/a/", "/a/parent::b", "/a/text()/b"] {
        assert!(Path::parse(path).is_err(), "{path}");
    }
}

#[test]
fn entities_are_never_expanded_and_whoever_refers_to_them_is_told() {
    let body = "<!DOCTYPE x [<!ENTITY a 'boom'><!ENTITY b SYSTEM 'file:///etc/passwd'>]><x y='&a;'>&a;&b;&amp;</x>";
    let xml = read(body.as_bytes(), &Limits::default());
    assert_eq!(xml.error.as_deref(), Some("XML: texts that its document type defines are not looked at"));
    let values = |path: &str| xml.values(&Path::parse(path).unwrap());
    assert_eq!(values("/*"), [b"&a;&b;&"]);
    assert_eq!(values("//@*"), [b"&a;"]);
}

#[test]
fn what_a_document_type_gives_an_element_is_told() {
    for (subset, is_told) in [
        ("<!ENTITY a 'boom'>", false),
        ("<!ATTLIST x y CDATA #IMPLIED z CDATA #REQUIRED>", false),
        ("<!ATTLIST x y CDATA 'boom'>", true),
        ("<!ENTITY % a \"&#60;!ATTLIST x y CDATA 'boom'>\">", false),
        ("<!ENTITY % a \"&#60;!ATTLIST x y CDATA 'boom'>\"> %a;", true),
    ] {
        let xml = read(format!("<!DOCTYPE x [{subset}]><x>a</x>").as_bytes(), &Limits::default());
        assert_eq!(xml.error.is_some(), is_told, "{subset}: {:?}", xml.error);
        assert_eq!(xml.values(&Path::parse("/*").unwrap()), [b"a"]);
    }
}

#[test]
fn white_space_is_made_alike_as_the_standard_says() {
    assert_eq!(values("<x y='a\r\n\tb'>c\r\nd\re</x>", "/*"), ["c\nd\ne"]);
    assert_eq!(values("<x y='a\r\n\tb'/>", "//@*"), ["a  b"]);
}

#[test]
fn what_is_not_well_formed_is_an_error_and_what_was_before_stays() {
    for (body, text) in [
        ("<x>a</y>", "a"),
        ("<x>a", "a"),
        ("<x>a<y b=c/></x>", "a"),
        ("<x>a<y b='1' b='2'/></x>", "a"),
        ("<x>a<y b='<'/></x>", "a"),
        ("<x>a&nothing;</x>", "a"),
        ("<x>a&#0;</x>", "a"),
        ("<x>a& b</x>", "a"),
        ("<x>a<1/></x>", "a"),
        ("<x>a</x><x/>", "a"),
        ("<x>a</x>b", "a"),
        ("<x>a<y>]]></y></x>", "a"),
        ("<x>a<!-- -- --></x>", "a"),
        ("<x>a\u{1}</x>", "a"),
        ("<x>a</x><!DOCTYPE x>", "a"),
        ("<x>a<y b='1'c='2'/></x>", "a"),
        ("<x>a<y b/></x>", "a"),
        ("<x>a<?b?><?=?></x>", "a"),
        ("<x>a<?xml version='1.0'?></x>", "a"),
    ] {
        let xml = read(body.as_bytes(), &Limits::default());
        assert!(xml.error.is_some(), "{body}");
        assert_eq!(xml.values(&Path::parse("/*").unwrap()), [text.as_bytes()], "{body}");
    }
    for body in [
        "<?xml version='2.0'?><x/>",
        "<?xml version='1.0' encoding='=' ?><x/>",
        " <?xml version='1.0'?><x/>",
        "<!DOCTYPE><x/>",
        "<!DOCTYPE x [<!ELEMENT>]><x/>",
        "<!DOCTYPE x SYSTEM y><x/>",
    ] {
        assert!(read(body.as_bytes(), &Limits::default()).error.is_some(), "{body}");
    }
    for body in [
        "<?xml version='1.0' encoding='utf-8' standalone='yes'?><x/>",
        "<!DOCTYPE x PUBLIC 'a' \"b\" [<!ENTITY % a '>'> <!-- --> <?b?> <!ATTLIST x y CDATA #IMPLIED> ]><x/>",
    ] {
        assert_eq!(read(body.as_bytes(), &Limits::default()).error, None, "{body}");
    }
    for body in ["", "plain", "<!-- -->", "<", "<x", "&lt;"] {
        let xml = read(body.as_bytes(), &Limits::default());
        assert!(xml.error.is_some(), "{body}");
    }
}

#[test]
fn another_encoding_hides_nothing() {
    let utf_16 = |text: &str, write: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(write).collect::<Vec<u8>>();
    let text = "<x>a\u{E9}</x>";
    let bodies = [
        utf_16(&format!("\u{FEFF}{text}"), u16::to_le_bytes),
        utf_16(&format!("\u{FEFF}{text}"), u16::to_be_bytes),
        utf_16(text, u16::to_le_bytes),
        utf_16(text, u16::to_be_bytes),
        [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
        b"<?xml version='1.0' encoding = 'ISO-8859-1'?><x>a\xE9</x>".to_vec(),
    ];
    for body in bodies {
        let xml = read(&body, &Limits::default());
        assert_eq!(xml.error, None, "{body:?}");
        assert_eq!(xml.values(&Path::parse("/*").unwrap()), ["a\u{E9}".as_bytes()], "{body:?}");
    }
    let unknown = read(b"<?xml version='1.0' encoding='UTF-7'?><x>a</x>", &Limits::default());
    assert_eq!(unknown.error.as_deref(), Some("XML: an encoding that is not known here"));
    let broken = read(b"<x>a\xFF</x>", &Limits::default());
    assert_eq!(broken.error.as_deref(), Some("XML: bytes that are no UTF-8"));
    assert_eq!(broken.values(&Path::parse("/*").unwrap()), [b"a"]);
}

#[test]
fn depth_and_nodes_have_limits() {
    let limits = Limits { depth: 3, nodes: 5 };
    let said = |body: &str| read(body.as_bytes(), &limits).error.map(Cow::into_owned);
    assert_eq!(said("<a><b><c/></b></a>"), None);
    assert_eq!(said("<a><b><c><d/></c></b></a>").as_deref(), Some("XML: too many elements within each other"));
    assert_eq!(said("<a b='1' c='2' d='3' e='4'/>"), None);
    assert_eq!(said("<a b='1' c='2' d='3' e='4' f='5'/>").as_deref(), Some("XML: too many elements and attributes"));
}

proptest! {
    #[test]
    fn any_bytes_are_read(body: Vec<u8>) {
        read(&body, &Limits::default());
    }

    #[test]
    fn any_markup_is_read(body in "(<x|<y>|</x>|</y>|/>|>| a='|'|&lt;|&|;|<!--|-->|<!\\[CDATA\\[|\\]\\]>|t|<!DOCTYPE x>){0,20}") {
        let xml = read(body.as_bytes(), &Limits::default());
        let all = xml.values(&Path::parse("//*").unwrap());
        prop_assert_eq!(all.len(), xml.elements.len());
    }
}
