//! The text at a place of an XML document.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::{DEEPEST, Path, is_named};

/// The text of the first element or attribute that a path leads to, without what stands in elements within it.
///
/// There is none in a document that is not well-formed up to there, or has a document type.
pub fn read(document: &str, path: &Path) -> Option<String> {
    let mut reader = Reader::from_str(document);
    // Whether each open element, and all around it, are on the path.
    let mut open: Vec<bool> = Vec::new();
    let mut found: Option<String> = None;
    loop {
        let is_within = open.len() == path.elements.len() && open.last() == Some(&true);
        match (reader.read_event().ok()?, &mut found) {
            (Event::Start(element), _) => {
                let leads = leads(&open, &element, path)?;
                open.push(leads);
                if leads && open.len() == path.elements.len() && found.is_none() {
                    match &path.attribute {
                        Some(name) => found = attribute(&element, name),
                        None => found = Some(String::new()),
                    }
                    if path.attribute.is_some() && found.is_some() {
                        return found;
                    }
                }
            }
            (Event::Empty(element), None) if leads(&open, &element, path)? && open.len() + 1 == path.elements.len() => {
                match &path.attribute {
                    None => return Some(String::new()),
                    Some(name) => {
                        if let Some(value) = attribute(&element, name) {
                            return Some(value);
                        }
                    }
                }
            }
            (Event::End(_), _) => {
                open.pop()?;
                if is_within && found.is_some() {
                    return found.map(|text| text.trim().to_owned());
                }
            }
            (Event::Text(text), Some(found)) if is_within => found.push_str(&text),
            (Event::CData(text), Some(found)) if is_within => found.push_str(&text),
            (Event::GeneralRef(reference), Some(found)) if is_within => found.push(letter(&reference)?),
            (Event::DocType(_) | Event::Eof, _) => return None,
            _ => {}
        }
    }
}

/// Whether an element that begins is the next on the path; nothing if it is too deep.
fn leads(open: &[bool], element: &BytesStart<'_>, path: &Path) -> Option<bool> {
    if open.len() == DEEPEST {
        return None;
    }
    let wanted = path.elements.get(open.len());
    let is_wanted = wanted.is_some_and(|wanted| is_named(element.name().as_ref(), wanted));
    Some(is_wanted && open.last().is_none_or(|leads| *leads))
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut known = element.attributes().map_while(Result::ok);
    let own = known.find(|attribute| is_named(attribute.key.as_ref(), name))?;
    Some(unescape(&own.value).ok()?.into_owned())
}

/// What a reference stands for: a number, or one of the five names that need no document type.
fn letter(reference: &BytesRef<'_>) -> Option<char> {
    if let Some(letter) = reference.resolve_char_ref().ok()? {
        return Some(letter);
    }
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_at(document: &str, path: &str) -> Option<String> {
        read(document, &Path::parse(path).unwrap())
    }

    #[test]
    fn a_text_is_found_where_its_path_leads() {
        for (document, path, expected) in [
            ("<o><a>x</a></o>", "o/a", Some("x")),
            (
                "<o><b><a>no</a></b>\n<a> &lt;x&#65;&amp;<i>y</i><![CDATA[<z>]]> </a><a>2</a></o>",
                "o/a",
                Some("<xA&<z>"),
            ),
            ("<s:E xmlns:s='u'><s:B><t>7</t></s:B></s:E>", "E/s:B/t", Some("7")),
            ("<s:E xmlns:s='u'><s:B><t>7</t></s:B></s:E>", "E/x:B/t", None),
            ("<o><a/></o>", "o/a", Some("")),
            ("<o><a/><a id='1 &gt; 0'>x</a></o>", "o/a/@id", Some("1 > 0")),
            ("<o id=\"7\"/>", "o/@id", Some("7")),
            ("<o/>", "o/@id", None),
            ("<o><b/></o>", "o/a", None),
        ] {
            assert_eq!(read_at(document, path).as_deref(), expected, "{document} {path}");
        }
    }

    #[test]
    fn nothing_is_found_in_what_is_no_document() {
        for document in ["", "text", "<o><a>x", "<o><a>x</b></o>", "<!DOCTYPE o><o><a>x</a></o>", "<o><a>&x;</a></o>"] {
            assert_eq!(read_at(document, "o/a"), None, "{document}");
        }
    }

    proptest! {
        #[test]
        fn a_text_that_was_set_is_read(tags in "(<b>x</b>|<b/>|x| ){0,9}", value in "[a-z<>&'\"ü]{0,9}") {
            let path = Path::parse("o/a").unwrap();
            let set = crate::Change::Set(value.clone());
            let document = super::super::complete::<()>(&format!("<o>{tags}</o>"), &path, &|_| Ok(set.clone())).unwrap();
            prop_assert_eq!(read(&document, &path), Some(value));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String, tags in "(<o>|</o>|<a x='ü'>|</a>|<a/>|&x;|x| |<o/>){0,9}") {
            for document in [&text, &tags] {
                for path in ["o/a", "o/a/@x"] {
                    let _read = read_at(document, path);
                }
            }
        }
    }
}
