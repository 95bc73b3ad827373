//! A document, read event by event, and what a parser that is strict would not take.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Attribute, Element, Limits, Run, Xml, markup};

type Fault = Cow<'static, str>;

/// Reads a document until its end, or its first mistake.
pub(super) fn read(document: &str, limits: &Limits, into: &mut Xml) -> Result<(), Fault> {
    let mut reader = Reader::from_str(document);
    reader.config_mut().check_comments = true;
    let mut walk = Walk { limits, xml: into, open: Vec::new(), has_root: false, nodes: 0, hides: false };
    let outcome = walk.run(&mut reader);
    // What is open has the text that was read so far.
    while walk.end().is_some() {}
    outcome
}

struct Walk<'a> {
    limits: &'a Limits,
    xml: &'a mut Xml,
    /// Elements that have not ended.
    open: Vec<usize>,
    has_root: bool,
    /// How many elements and attributes there were.
    nodes: usize,
    /// Whether its document type gives it texts that are not seen here.
    hides: bool,
}

impl Walk<'_> {
    fn run(&mut self, reader: &mut Reader<&[u8]>) -> Result<(), Fault> {
        loop {
            let is_first = reader.buffer_position() == 0;
            let event = reader.read_event().map_err(|fault| format!("XML: {fault}"))?;
            match event {
                Event::Start(element) => self.begin(&element)?,
                Event::Empty(element) => {
                    self.begin(&element)?;
                    self.end();
                }
                Event::End(_) => {
                    self.end().ok_or("XML: an element ends that did not begin")?;
                }
                Event::Text(text) => self.text(&text)?,
                Event::CData(text) => self.character_data(&text)?,
                Event::GeneralRef(reference) => self.reference(&reference)?,
                Event::DocType(_) if self.has_root || self.xml.has_document_type => {
                    return Err("XML: a document type that does not stand before all elements".into());
                }
                Event::DocType(content) => {
                    self.xml.has_document_type = true;
                    if !markup::is_document_type(&content) {
                        return Err("XML: a document type that is not well-formed".into());
                    }
                    self.hides = markup::adds_texts(&content);
                }
                Event::Decl(content) if is_first && markup::is_declaration(&content) => {}
                Event::Decl(_) => {
                    return Err("XML: a declaration that is not well-formed, or not at the beginning".into());
                }
                Event::PI(instruction) if !markup::is_target(instruction.target()) => {
                    return Err("XML: a processing instruction without a name".into());
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        if !self.open.is_empty() {
            return Err("XML: an element does not end".into());
        }
        if !self.has_root {
            return Err("XML: no element".into());
        }
        if self.hides { Err("XML: texts that its document type defines are not looked at".into()) } else { Ok(()) }
    }

    fn begin(&mut self, element: &BytesStart<'_>) -> Result<(), Fault> {
        if self.open.is_empty() && self.has_root {
            return Err("XML: a second root element".into());
        }
        if self.open.len() >= self.limits.depth {
            return Err("XML: too many elements within each other".into());
        }
        let name = self.name(element.name().as_ref())?;
        let place = self.xml.elements.len();
        // An element whose attributes are wrong is none.
        let attributes = self.attributes(element.attributes_raw(), place)?;
        self.has_root = true;
        let start = self.xml.text.len();
        self.xml.elements.push(Element { parent: self.open.last().copied(), name, text: start..start });
        self.xml.attributes.extend(attributes);
        self.open.push(place);
        Ok(())
    }

    fn end(&mut self) -> Option<()> {
        let place = self.open.pop()?;
        let element = self.xml.elements.get_mut(place)?;
        element.text.end = self.xml.text.len();
        Some(())
    }

    fn attributes(&mut self, raw: &str, element: usize) -> Result<Vec<Attribute>, Fault> {
        let mut kept = Vec::new();
        let mut known = HashSet::new();
        for (key, sent) in markup::attributes(raw)? {
            if !known.insert(key) {
                return Err("XML: two attributes of one name".into());
            }
            let name = self.name(key)?;
            let value = self.value(sent)?;
            // Declarations of namespaces are no attributes for XPath.
            if key != "xmlns" && !key.starts_with("xmlns:") {
                kept.push(Attribute { element, name, value });
            }
        }
        Ok(kept)
    }

    /// Keeps a name, and counts what has one.
    fn name(&mut self, name: &str) -> Result<Range<usize>, Fault> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err("XML: too many elements and attributes".into());
        }
        if !markup::is_name(name) {
            return Err("XML: a name that is none".into());
        }
        let start = self.xml.names.len();
        self.xml.names.push_str(name);
        Ok(start..self.xml.names.len())
    }

    /// Keeps the value of an attribute, with its references decoded and each white space made a space.
    fn value(&mut self, sent: &str) -> Result<Range<usize>, Fault> {
        if sent.contains('<') {
            return Err("XML: `<` in the value of an attribute".into());
        }
        let start = self.xml.names.len();
        let sent = sent.replace("\r\n", " ");
        let mut rest = sent.as_str();
        while let Some((before, behind)) = rest.split_once('&') {
            self.plain_value(before);
            let (name, behind) = behind.split_once(';').ok_or("XML: a reference that does not end")?;
            match self.decoded(name)? {
                Some(letter) => self.xml.names.push(letter),
                None => self.xml.names.extend(["&", name, ";"]),
            }
            rest = behind;
        }
        self.plain_value(rest);
        Ok(start..self.xml.names.len())
    }

    fn plain_value(&mut self, text: &str) {
        self.xml
            .names
            .extend(text.chars().map(|letter| if matches!(letter, '\t' | '\n' | '\r') { ' ' } else { letter }));
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        if self.open.is_empty() {
            let is_blank = text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            return if is_blank { Ok(()) } else { Err("XML: text outside of the root element".into()) };
        }
        if text.contains("]]>") {
            return Err("XML: `]]>` in a text".into());
        }
        self.append(text);
        Ok(())
    }

    fn character_data(&mut self, text: &str) -> Result<(), Fault> {
        if self.open.is_empty() {
            return Err("XML: text outside of the root element".into());
        }
        self.append(text);
        Ok(())
    }

    fn reference(&mut self, name: &str) -> Result<(), Fault> {
        if self.open.is_empty() {
            return Err("XML: text outside of the root element".into());
        }
        if let Some(letter) = self.decoded(name)? {
            self.append(letter.encode_utf8(&mut [0; 4]));
        } else {
            self.append("&");
            self.append(name);
            self.append(";");
        }
        Ok(())
    }

    /// What a reference stands for; nothing for an entity that a document type may define. That stays as it is, and is a
    /// mistake in the end: whoever expands it sees what is hidden here.
    fn decoded(&mut self, name: &str) -> Result<Option<char>, Fault> {
        if let Some(number) = name.strip_prefix('#') {
            let number = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            let letter = number.ok().and_then(char::from_u32).filter(
                |letter| !matches!(letter, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}'),
            );
            return letter.map(Some).ok_or_else(|| "XML: a reference to no character".into());
        }
        Ok(Some(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ if self.xml.has_document_type && markup::is_name(name) => {
                self.hides = true;
                return Ok(None);
            }
            _ => return Err("XML: a reference to an entity that is not defined".into()),
        }))
    }

    /// Adds to the text of all that is open; ends of lines become line feeds.
    fn append(&mut self, text: &str) {
        let Some(element) = self.open.last().copied() else { return };
        let start = self.xml.text.len();
        if text.contains('\r') {
            self.xml.text.push_str(&text.replace("\r\n", "\n").replace('\r', "\n"));
        } else {
            self.xml.text.push_str(text);
        }
        let end = self.xml.text.len();
        match self.xml.runs.last_mut() {
            Some(run) if run.element == element && run.text.end == start => run.text.end = end,
            _ => self.xml.runs.push(Run { element, text: start..end }),
        }
    }
}
