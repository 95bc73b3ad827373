//! Text with attributes of the exchange in it: `{request.host}`, and `{{` and `}}` for braces themselves.
//!
//! Values come from outside, so each is made harmless for the [`Place`] that it goes to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use pipeline::Exchange;
use problem::{Finding, Pointer};
use serde_json::Value;
use thiserror::Error;

use crate::attribute::{Attribute, nearest_of};

/// Where a rendered text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A body of plain text: values stay as they are.
    Text,
    /// A body of HTML: markup in values is escaped.
    Html,
    /// Inside a string of a JSON body.
    Json,
    /// A header: line breaks and other controls become spaces.
    Header,
    /// A URI: values are percent-encoded, unless they are parts of a URI already.
    Uri,
}

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Attribute(Attribute),
    Secret(Secret),
}

/// Values that templates name as `{secret.NAME}`. Unlike a reference, a brace in one means nothing, and no finding shows it.
#[derive(Default)]
pub struct Secrets(BTreeMap<String, Secret>);

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
struct Secret(Arc<str>);

/// An attribute that an exchange does not have, so that a template cannot be rendered in full.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no `{0}`")]
pub struct Missing(pub Attribute);

impl Secrets {
    /// The secrets of a policy's settings.
    pub fn new(written: BTreeMap<String, String>) -> Self {
        Self(written.into_iter().map(|(name, value)| (name, Secret(value.into()))).collect())
    }

    fn named(&self, name: &str) -> Result<Secret, String> {
        let advice = || nearest_of(name, self.0.keys().map(String::as_str));
        let advice =
            || advice().map_or_else(|| "; write it into `secrets`".into(), |near| format!("; did you mean `{near}`?"));
        self.0.get(name).cloned().ok_or_else(|| format!("there is no secret `{name}`{}", advice()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Template {
    /// Reads a template, or says what is wrong with it.
    pub fn parse(source: &str, at: &Pointer) -> Result<Self, Finding> {
        Self::parse_with(source, &Secrets::default(), at)
    }

    /// As [`Self::parse`], where secrets may be named.
    pub fn parse_with(source: &str, secrets: &Secrets, at: &Pointer) -> Result<Self, Finding> {
        let mut template = Self { parts: Vec::new() };
        template.read(source, secrets).map_err(|message| Finding::new(at, message))?;
        Ok(template)
    }

    /// Reads a JSON document whose strings are templates.
    pub fn parse_json(document: &Value, at: &Pointer) -> Result<Self, Finding> {
        let mut template = Self { parts: Vec::new() };
        template.read_json(document, at)?;
        Ok(template)
    }

    /// Whether what is written beside its attributes can stand in a header. Attributes are made fit when they are put
    /// in: see [`Place::Header`].
    pub fn check_for_header(&self, at: &Pointer) -> Result<(), Finding> {
        let is_fit = |part: &Part| !matches!(part, Part::Text(text) if HeaderValue::from_str(text).is_err());
        let message = "cannot stand in a header: it has a line break or another control";
        if self.parts.iter().all(is_fit) { Ok(()) } else { Err(Finding::new(at, message)) }
    }

    /// The text, if no attribute is in it.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The attributes in it.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.parts.iter().filter_map(|part| match part {
            Part::Attribute(attribute) => Some(attribute),
            Part::Text(_) | Part::Secret(_) => None,
        })
    }

    /// The attribute that is all of it, if it is one.
    pub fn lone_attribute(&self) -> Option<&Attribute> {
        match self.parts.as_slice() {
            [Part::Attribute(attribute)] => Some(attribute),
            _ => None,
        }
    }

    /// The text for an exchange that has every attribute in it.
    pub fn render_in_full(&self, exchange: &Exchange, place: Place) -> Result<Cow<'_, str>, Missing> {
        match self.attributes().find(|attribute| attribute.find(exchange).is_none()) {
            Some(missing) => Err(Missing(missing.clone())),
            None => Ok(self.render(exchange, place)),
        }
    }

    /// The text for an exchange.
    pub fn render(&self, exchange: &Exchange, place: Place) -> Cow<'_, str> {
        if let Some(text) = self.constant() {
            return text.into();
        }
        let mut rendered = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Attribute(attribute) => {
                    write(attribute.is_raw(), &attribute.text(exchange), place, &mut rendered);
                }
                Part::Secret(secret) => write(false, &secret.0, place, &mut rendered),
            }
        }
        rendered.into()
    }

    fn read(&mut self, source: &str, secrets: &Secrets) -> Result<(), String> {
        let mut rest = source;
        while let Some((before, brace, after)) = split_at_brace(rest) {
            self.push_text(before);
            if let Some(after) = after.strip_prefix(brace) {
                self.push_text(brace.encode_utf8(&mut [0; 4]));
                rest = after;
                continue;
            }
            if brace == '}' {
                return Err("has a `}` without its `{`; write `}}` for the letter itself".into());
            }
            let Some((name, after)) = after.split_once('}') else {
                return Err("has a `{` without its `}`; write `{{` for the letter itself".into());
            };
            let name = name.trim();
            self.parts.push(match name.strip_prefix("secret.") {
                Some(name) => Part::Secret(secrets.named(name)?),
                None => Part::Attribute(Attribute::named(name).map_err(|unknown| unknown.to_string())?),
            });
            rest = after;
        }
        self.push_text(rest);
        Ok(())
    }

    fn read_json(&mut self, document: &Value, at: &Pointer) -> Result<(), Finding> {
        match document {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.push_text(&document.to_string()),
            Value::String(text) => {
                let template = Self::parse(text, at)?;
                self.push_text("\"");
                for part in template.parts {
                    match part {
                        Part::Text(text) => self.push_text(&json_escaped(&text)),
                        other @ (Part::Attribute(_) | Part::Secret(_)) => self.parts.push(other),
                    }
                }
                self.push_text("\"");
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.push_text(if index == 0 { "[" } else { "," });
                    self.read_json(item, &at.at(index))?;
                }
                self.push_text(if items.is_empty() { "[]" } else { "]" });
            }
            Value::Object(members) => {
                for (index, (name, value)) in members.iter().enumerate() {
                    self.push_text(if index == 0 { "{\"" } else { ",\"" });
                    self.push_text(&json_escaped(name));
                    self.push_text("\":");
                    self.read_json(value, &at.at(name))?;
                }
                self.push_text(if members.is_empty() { "{}" } else { "}" });
            }
        }
        Ok(())
    }

    fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }
}

/// A header's value that is made once, if it can be.
#[derive(Clone, Debug)]
pub enum HeaderText {
    /// The same for every exchange.
    Constant(HeaderValue),
    /// Made for each exchange.
    Template(Template),
}

impl HeaderText {
    /// Reads a template for a header, or says what is wrong with it.
    pub fn parse(source: &str, at: &Pointer) -> Result<Self, Finding> {
        let template = Template::parse(source, at)?;
        template.check_for_header(at)?;
        let constant = template.constant().map(HeaderValue::from_str).and_then(Result::ok);
        Ok(constant.map_or(Self::Template(template), Self::Constant))
    }

    /// The value for an exchange, or nothing if it comes out empty.
    pub fn render(&self, exchange: &Exchange) -> Option<HeaderValue> {
        match self {
            Self::Constant(value) => Some(value.clone()),
            Self::Template(template) => {
                let value = template.render(exchange, Place::Header);
                let value = value.trim();
                if value.is_empty() { None } else { HeaderValue::from_str(value).ok() }
            }
        }
    }
}

/// The text before the first brace, the brace, and what follows.
fn split_at_brace(text: &str) -> Option<(&str, char, &str)> {
    let at = text.find(['{', '}'])?;
    let (before, rest) = text.split_at(at);
    let mut rest = rest.chars();
    let brace = rest.next()?;
    Some((before, brace, rest.as_str()))
}

fn write(is_raw: bool, value: &str, place: Place, rendered: &mut String) {
    match place {
        Place::Text => rendered.push_str(value),
        Place::Json => rendered.push_str(&json_escaped(value)),
        Place::Header => rendered.extend(value.chars().map(|letter| if letter.is_control() { ' ' } else { letter })),
        Place::Html => {
            for letter in value.chars() {
                match letter {
                    '&' => rendered.push_str("&amp;"),
                    '<' => rendered.push_str("&lt;"),
                    '>' => rendered.push_str("&gt;"),
                    '"' => rendered.push_str("&quot;"),
                    '\'' => rendered.push_str("&#39;"),
                    _ => rendered.push(letter),
                }
            }
        }
        Place::Uri => {
            let set = if is_raw { URI } else { COMPONENT };
            // Writing to a `String` cannot fail.
            let _written = write!(rendered, "{}", utf8_percent_encode(value, set));
        }
    }
}

/// `text` as it stands between the quotes of a JSON string.
fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// What must be encoded in one component of a URI: everything but the unreserved letters (RFC 3986, section 2.3).
pub const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What must be encoded even in what is a URI already: letters that RFC 3986 does not know, and that browsers mend.
const URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'#');

#[cfg(test)]
mod tests {
    use http::Request;
    use pipeline::tester::exchange;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn template(source: &str) -> Template {
        Template::parse(source, &Pointer::default()).unwrap()
    }

    fn finding(source: &str) -> String {
        Template::parse(source, &Pointer::default().at("location")).unwrap_err().to_string()
    }

    #[test]
    fn names_are_replaced_and_doubled_braces_are_braces() {
        let exchange = exchange(Request::get("/a?x=1"));
        let rendered = template("{{{request.method}}} { client.address }:{request.query.x}{request.query.y}");
        assert_eq!(rendered.render(&exchange, Place::Text), "{GET} 192.0.2.1:1");
    }

    #[test]
    fn a_text_without_names_costs_no_formatting() {
        assert_eq!(template("a {{b}} c").constant(), Some("a {b} c"));
        assert_eq!(template("").constant(), Some(""));
        assert_eq!(template("{product}").constant(), None);
    }

    #[test]
    fn mistakes_are_found_with_their_place_and_a_remedy() {
        assert_eq!(finding("{request.hosts}"), "/location: there is no `request.hosts`; did you mean `request.host`?");
        assert_eq!(finding("a { b"), "/location: has a `{` without its `}`; write `{{` for the letter itself");
        assert_eq!(finding("a } b"), "/location: has a `}` without its `{`; write `}}` for the letter itself");
    }

    #[test]
    fn values_are_made_harmless_for_their_place() {
        let mut exchange = exchange(Request::get("/a%20b/c?q=1"));
        exchange.parameters.push(("id".into(), "a/../\"<\r\nx: y%20".into()));
        let render = |source: &str, place| template(source).render(&exchange, place).into_owned();

        assert_eq!(render("{parameters.id}", Place::Header), "a/../\"<  x: y%20");
        assert_eq!(render("{parameters.id}", Place::Html), "a/../&quot;&lt;\r\nx: y%20");
        assert_eq!(render("{parameters.id}", Place::Json), "a/../\\\"<\\r\\nx: y%20");
        assert_eq!(render("/x/{parameters.id}", Place::Uri), "/x/a%2F..%2F%22%3C%0D%0Ax%3A%20y%2520");
        assert_eq!(render("{request.path}?{request.query}", Place::Uri), "/a%20b/c?q=1");
    }

    #[test]
    fn the_strings_of_a_document_are_templates() {
        let document = json!({"a": ["{request.method} \"x\"", 1, null, [], {}], "b{": true});
        let template = Template::parse_json(&document, &Pointer::default()).unwrap();
        let exchange = exchange(Request::get("/"));
        let rendered = template.render(&exchange, Place::Json);
        let read: Value = serde_json::from_str(&rendered).unwrap();
        assert_eq!(read, json!({"a": ["GET \"x\"", 1, null, [], {}], "b{": true}));
    }

    proptest! {
        #[test]
        fn any_source_is_read_or_refused_without_a_panic(source: String, braces in "[{}a.]{0,12}") {
            for source in [source, braces] {
                let _read = Template::parse(&source, &Pointer::default());
            }
        }

        #[test]
        fn a_doubled_text_comes_back_as_it_was(text: String) {
            let source = text.replace('{', "{{").replace('}', "}}");
            let read = template(&source);
            prop_assert_eq!(read.constant(), Some(text.as_str()));
        }

        #[test]
        fn a_value_never_breaks_out_of_its_header_or_its_uri_component(value: String) {
            let mut exchange = exchange(Request::get("/"));
            exchange.parameters.push(("id".into(), value));
            let header = template("{parameters.id}").render(&exchange, Place::Header).into_owned();
            prop_assert!(HeaderValue::from_str(&header).is_ok());
            let uri = template("{parameters.id}").render(&exchange, Place::Uri).into_owned();
            prop_assert!(uri.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        }
    }
}
