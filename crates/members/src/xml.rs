//! Elements and attributes of XML bodies: everything but the member itself stays as it was, byte for byte.

mod read;

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::{BytesDecl, BytesStart, Event};

pub use self::read::read;
use crate::{Change, Decide, Presence, Wrong};

/// Where a member stands: the elements that lead to it from the root on, and perhaps an attribute of the last.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    elements: Vec<String>,
    attribute: Option<String>,
}

impl Path {
    /// Reads a path such as `order/customer/@id`, or says what is wrong with it.
    pub fn parse(written: &str) -> Result<Self, String> {
        let mut elements: Vec<_> = written.split('/').map(str::to_owned).collect();
        let attribute = elements.last().and_then(|last| last.strip_prefix('@')).map(str::to_owned);
        if attribute.is_some() {
            elements.pop();
        }
        if let Some(name) = elements.iter().chain(&attribute).find(|name| !is_name(name)) {
            return Err(format!("`{name}` is no name in XML; write a path such as `order/customer/@id`"));
        }
        if elements.is_empty() || (elements.len() == 1 && attribute.is_none()) {
            return Err("names nothing within a root element; write a path such as `order/customer`".to_owned());
        }
        Ok(Self { elements, attribute })
    }
}

/// Names that need no care: letters, digits and a few signs, with one prefix at most.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'))
    };
    let mut parts = name.split(':');
    parts.clone().count() <= 2 && parts.all(is_part)
}

/// Completes one member of a document.
pub fn complete<E>(document: &str, path: &Path, decide: Decide<'_, E>) -> Result<String, Wrong<E>> {
    let mut walk = Walk { document, path, decide, open: Vec::new(), edits: Vec::new(), has_root: false };
    walk.run()?;
    let mut new = String::with_capacity(document.len() + 64);
    let mut done = 0;
    // An element that is removed may hold what was edited before it ended.
    walk.edits.sort_by_key(|(range, _)| range.start);
    for (range, text) in &walk.edits {
        new.push_str(document.get(done..range.start).unwrap_or_default());
        new.push_str(text);
        done = range.end.max(done);
    }
    new.push_str(document.get(done..).unwrap_or_default());
    Ok(new)
}

struct Walk<'a, E> {
    document: &'a str,
    path: &'a Path,
    decide: Decide<'a, E>,
    open: Vec<Open>,
    edits: Vec<(Range<usize>, String)>,
    has_root: bool,
}

/// An element that has begun.
struct Open {
    /// Whether it and all around it are on the path.
    leads: bool,
    /// Whether the path's next element was seen in it.
    found: bool,
    tag: Range<usize>,
}

impl<E> Walk<'_, E> {
    fn run(&mut self) -> Result<(), Wrong<E>> {
        let document = self.document;
        let mut reader = Reader::from_str(document);
        loop {
            let start = position(reader.buffer_position());
            let event = reader.read_event().map_err(|error| unfit(&error))?;
            let tag = start..position(reader.buffer_position());
            match event {
                Event::Start(element) => self.begin(&element, tag)?,
                Event::Empty(element) => {
                    self.begin(&element, tag.clone())?;
                    self.end(None)?;
                }
                Event::End(_) => self.end(Some(tag))?,
                Event::Decl(declaration) => is_utf8(&declaration)?,
                Event::DocType(_) => return Err(Wrong::Unfit("A document type is not taken.".to_owned())),
                Event::Eof => break,
                Event::Text(text) if self.open.is_empty() && !text.trim().is_empty() => {
                    return Err(Wrong::Unfit("There is text outside of the root element.".to_owned()));
                }
                Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::PI(_) | Event::GeneralRef(_) => {}
            }
        }
        if self.open.is_empty() && self.has_root {
            return Ok(());
        }
        Err(Wrong::Unfit("An element does not end, or there is none.".to_owned()))
    }

    fn begin(&mut self, element: &BytesStart<'_>, tag: Range<usize>) -> Result<(), Wrong<E>> {
        let depth = self.open.len();
        if depth == DEEPEST || (depth == 0 && self.has_root) {
            return Err(Wrong::Unfit("It has a second root element, or is too deep.".to_owned()));
        }
        let wanted = self.path.elements.get(depth);
        let is_wanted = wanted.is_some_and(|wanted| is_named(element.name().as_ref(), wanted));
        let parent_leads = self.open.last().is_none_or(|parent| parent.leads);
        let leads = parent_leads && is_wanted;
        if depth == 0 {
            self.has_root = true;
            if !leads {
                let root = wanted.map_or("", String::as_str);
                return Err(Wrong::Unfit(format!("Its root element is not `{root}`.")));
            }
        }
        if leads && let Some(parent) = self.open.last_mut() {
            parent.found = true;
        }
        if leads
            && depth + 1 == self.path.elements.len()
            && let Some(attribute) = &self.path.attribute
        {
            self.attribute(element, attribute, &tag)?;
        }
        self.open.push(Open { leads, found: false, tag });
        Ok(())
    }

    /// The innermost element ends, by this tag or by its own.
    fn end(&mut self, tag: Option<Range<usize>>) -> Result<(), Wrong<E>> {
        let Some(open) = self.open.pop() else {
            return Err(Wrong::Unfit("An element ends that did not begin.".to_owned()));
        };
        let depth = self.open.len() + 1;
        let last = self.path.elements.len();
        if !open.leads || (depth == last && self.path.attribute.is_some()) {
            return Ok(());
        }
        if depth == last {
            match (self.decide)(Presence::Present)? {
                Change::Leave => {}
                Change::Set(value) => self.fill(&open, tag, &text(&value), Keep::Nothing),
                Change::Remove => {
                    let end = tag.map_or(open.tag.end, |tag| tag.end);
                    self.edits.push((open.tag.start..end, String::new()));
                }
            }
        } else if !open.found
            && let Change::Set(value) = (self.decide)(Presence::Absent)?
        {
            let content = self.missing(depth, &value);
            self.fill(&open, tag, &content, Keep::Content);
        }
        Ok(())
    }

    /// The elements that are missing below one of this depth.
    fn missing(&self, depth: usize, value: &str) -> String {
        let names = self.path.elements.get(depth..).unwrap_or_default();
        let Some((last, around)) = names.split_last() else { return String::new() };
        let innermost = match &self.path.attribute {
            Some(attribute) => format!("<{last} {attribute}=\"{}\"/>", text(value)),
            None => format!("<{last}>{}</{last}>", text(value)),
        };
        around.iter().rev().fold(innermost, |content, name| format!("<{name}>{content}</{name}>"))
    }

    fn fill(&mut self, open: &Open, end: Option<Range<usize>>, content: &str, keep: Keep) {
        match (end, keep) {
            (Some(end), Keep::Content) => self.edits.push((end.start..end.start, content.to_owned())),
            (Some(end), Keep::Nothing) => {
                // What was edited within it goes with it.
                self.edits.retain(|(range, _)| range.start < open.tag.end);
                self.edits.push((open.tag.end..end.start, content.to_owned()));
            }
            (None, _) => {
                let tag = self.document.get(open.tag.clone()).unwrap_or_default();
                let name: String =
                    tag.trim_start_matches('<').chars().take_while(|letter| is_in_name(*letter)).collect();
                let slash = open.tag.end.saturating_sub("/>".len());
                self.edits.push((slash..open.tag.end, format!(">{content}</{name}>")));
            }
        }
    }

    fn attribute(&mut self, element: &BytesStart<'_>, name: &str, tag: &Range<usize>) -> Result<(), Wrong<E>> {
        let mut old = None;
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| unfit(&error))?;
            if is_named(attribute.key.as_ref(), name) {
                old = Some((attribute.key.as_ref().to_owned(), attribute.value.into_owned()));
            }
        }
        let after_name = tag.start + 1 + element.name().as_ref().len();
        let Some((key, value)) = old else {
            if let Change::Set(value) = (self.decide)(Presence::Absent)? {
                self.edits.push((after_name..after_name, format!(" {name}=\"{}\"", text(&value))));
            }
            return Ok(());
        };
        let change = (self.decide)(Presence::Present)?;
        let Some(place) = self.place_of(&key, &value, after_name..tag.end) else {
            return Err(Wrong::Unfit(format!("Its attribute `{name}` cannot be found.")));
        };
        match change {
            Change::Leave => {}
            Change::Set(value) => self.edits.push((place, format!("{key}=\"{}\"", text(&value)))),
            Change::Remove => self.edits.push((place, String::new())),
        }
        Ok(())
    }

    /// Where an attribute stands within a tag: from its name to its closing quote.
    fn place_of(&self, key: &str, value: &str, within: Range<usize>) -> Option<Range<usize>> {
        let mut from = within.start;
        while from < within.end {
            let rest = self.document.get(from..within.end)?;
            let skipped = rest.len() - rest.trim_start().len();
            let rest = rest.trim_start();
            let name_len = rest.find(|letter: char| !is_in_name(letter))?;
            let (name, after) = rest.split_at(name_len);
            let quote_at = after.find(['"', '\''])?;
            let quote = after.get(quote_at..)?.chars().next()?;
            let content = after.get(quote_at + 1..)?;
            let length = content.find(quote)?;
            let end = skipped + name_len + quote_at + 1 + length + 1;
            if name == key && content.get(..length) == Some(value) {
                return Some(from + skipped..from + end);
            }
            from += end;
        }
        None
    }
}

/// What stays of an element's content.
#[derive(Clone, Copy)]
enum Keep {
    Content,
    Nothing,
}

fn position(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// Whether a name in a document is the one of a path; a path without a prefix means any.
fn is_named(name: &str, wanted: &str) -> bool {
    if wanted.contains(':') {
        return name == wanted;
    }
    name.rsplit(':').next() == Some(wanted)
}

fn is_in_name(letter: char) -> bool {
    !letter.is_whitespace() && !matches!(letter, '=' | '/' | '>' | '"' | '\'')
}

fn is_utf8<E>(declaration: &BytesDecl<'_>) -> Result<(), Wrong<E>> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err(Wrong::Unfit("It is not encoded in UTF-8.".to_owned())),
    }
}

/// A value as it stands in content or between quotes. Controls cannot stand in XML at all.
fn text(value: &str) -> String {
    let plain: String = value.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    escape(plain.as_str()).into_owned()
}

fn unfit<E>(error: &dyn std::fmt::Display) -> Wrong<E> {
    Wrong::Unfit(format!("It is no XML that can be read: {error}."))
}

/// How deep elements stand within each other at most.
const DEEPEST: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complete(document: &str, path: &Path, decide: Decide<'_, ()>) -> Result<String, Wrong<()>> {
        super::complete(document, path, decide)
    }

    fn set(document: &str, path: &str) -> String {
        complete(document, &Path::parse(path).unwrap(), &|_| Ok(Change::Set("<7>".to_owned()))).unwrap()
    }

    #[test]
    fn what_is_not_the_member_stays_byte_for_byte() {
        for (document, path, expected) in [
            ("<o>\n <a>x</a ><b c='1'/> </o>", "o/a", "<o>\n <a>&lt;7&gt;</a ><b c='1'/> </o>"),
            ("<o> <a>x<a>y</a></a><a/></o>", "o/a", "<o> <a>&lt;7&gt;</a><a>&lt;7&gt;</a></o>"),
            ("<o> <b/> </o>", "o/a", "<o> <b/> <a>&lt;7&gt;</a></o>"),
            ("<n:o n:x='1' />", "o/a/b", "<n:o n:x='1' ><a><b>&lt;7&gt;</b></a></n:o>"),
            ("<o><a><b/></a><c><a/></c></o>", "o/c/a", "<o><a><b/></a><c><a>&lt;7&gt;</a></c></o>"),
            ("<o x = 'a>b' y=\"2\"><a/></o>", "o/@x", "<o x=\"&lt;7&gt;\" y=\"2\"><a/></o>"),
            ("<o><a/></o>", "o/a/@x", "<o><a x=\"&lt;7&gt;\"/></o>"),
            ("<o/>", "o/a/@x", "<o><a x=\"&lt;7&gt;\"/></o>"),
            (
                "<?xml version='1.0' encoding='utf-8'?><!-- <o> --><o><![CDATA[<a>]]></o>",
                "o/a",
                "<?xml version='1.0' encoding='utf-8'?><!-- <o> --><o><![CDATA[<a>]]><a>&lt;7&gt;</a></o>",
            ),
            (
                "<s:E xmlns:s='u'><s:B><m:G/></s:B></s:E>",
                "E/B/m:G",
                "<s:E xmlns:s='u'><s:B><m:G>&lt;7&gt;</m:G></s:B></s:E>",
            ),
        ] {
            assert_eq!(set(document, path), expected, "{document} {path}");
        }
    }

    #[test]
    fn what_is_removed_is_gone_with_everything_in_it() {
        for (document, path, expected) in [
            ("<o><a><a/>x</a><b/><a/></o>", "o/a", "<o><b/></o>"),
            ("<o x='1' y='2'/>", "o/@x", "<o  y='2'/>"),
            ("<o/>", "o/a", "<o/>"),
        ] {
            let done = complete(document, &Path::parse(path).unwrap(), &|_| Ok(Change::Remove)).unwrap();
            assert_eq!(done, expected);
        }
    }

    #[test]
    fn what_cannot_be_read_for_certain_is_unfit() {
        for document in [
            "",
            "text",
            "<a/>",
            "<o>",
            "<o></a></o>",
            "<o/><o/>",
            "<!DOCTYPE o [<!ENTITY x 'y'>]><o/>",
            "<o/>x",
            "<?xml version='1.0' encoding='utf-16'?><o/>",
            "</o>",
            "<o x=1><a/></o>",
        ] {
            let wrong = complete(document, &Path::parse("o/@x").unwrap(), &|_| Ok(Change::Set(String::new())));
            assert!(matches!(wrong, Err(Wrong::Unfit(_))), "{document}: {wrong:?}");
        }
        let deep = "<o>".repeat(DEEPEST + 1);
        assert!(complete(&deep, &Path::parse("o/a").unwrap(), &|_| Ok(Change::Leave)).is_err());
    }

    #[test]
    fn a_path_that_leads_nowhere_is_a_mistake() {
        for path in ["", "o", "@x", "o//a", "o/a b", "o/@x/a", "o/a:b:c", "o/<a>"] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_completed_or_refused_without_a_panic(text: String, tags in "(<o>|</o>|<a x='ü'>|</a>|<a/>|x| |<o/>){0,9}") {
            for document in [&text, &tags] {
                for path in ["o/a", "o/a/b", "o/a/@x"] {
                    for change in [Change::Remove, Change::Set("ü\u{1}".to_owned())] {
                        let _done = complete(document, &Path::parse(path).unwrap(), &|_| Ok(change.clone()));
                    }
                }
            }
        }

        #[test]
        fn a_document_that_was_completed_can_be_completed_again(tags in "(<a>x</a>|<a x='1'/>|<b/>|x| ){0,9}", value: String) {
            let document = format!("<o>{tags}</o>");
            for path in ["o/a", "o/b/@x"] {
                let path = Path::parse(path).unwrap();
                let set = |document: &str| complete(document, &path, &|_| Ok(Change::Set(value.clone())));
                let once = set(&document).unwrap();
                prop_assert_eq!(set(&once).unwrap(), once);
            }
        }
    }
}
