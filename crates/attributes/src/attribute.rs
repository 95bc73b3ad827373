//! The attributes of an exchange that expressions and templates can name, such as `request.host`.

use std::borrow::Cow;

use http::HeaderName;
use percent_encoding::percent_decode_str;
use pipeline::{Exchange, Record};

/// One attribute that is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// The exchange's id, 32 hexadecimal digits.
    RequestId,
    /// The method as it was requested.
    Method,
    /// The path as it was requested, still percent-encoded.
    Path,
    /// The query as it was requested, still percent-encoded, without `?`.
    RawQuery,
    /// The host as it was requested, in lower case and without a port.
    Host,
    /// `http` or `https`.
    Scheme,
    /// The first value of a query parameter, decoded.
    Query(Box<str>),
    /// A header's values, joined by commas.
    Header(HeaderName),
    /// The client's address.
    ClientAddress,
    /// The server name that the client asked for by TLS.
    ServerName,
    /// The API's name.
    Api,
    /// The route's path template.
    RouteTemplate,
    /// A parameter of the path, decoded.
    Parameter(Box<str>),
    /// The caller's company.
    Company,
    /// The caller's app.
    App,
    /// What identifies the caller's credential and is no secret.
    Credential,
    /// The caller's scopes, joined by spaces.
    Scopes,
    /// The product by which the caller may do this.
    Product,
    /// A member of the caller's record.
    Record(Box<str>),
    /// What is known of the session.
    Session(Box<str>),
}

/// The names that stand for themselves.
const NAMES: [(&str, Attribute); 15] = [
    ("request.id", Attribute::RequestId),
    ("request.method", Attribute::Method),
    ("request.path", Attribute::Path),
    ("request.query", Attribute::RawQuery),
    ("request.host", Attribute::Host),
    ("request.scheme", Attribute::Scheme),
    ("client.address", Attribute::ClientAddress),
    ("tls.server_name", Attribute::ServerName),
    ("route.api", Attribute::Api),
    ("route.template", Attribute::RouteTemplate),
    ("caller.company", Attribute::Company),
    ("caller.app", Attribute::App),
    ("caller.credential", Attribute::Credential),
    ("caller.scopes", Attribute::Scopes),
    ("product", Attribute::Product),
];

/// The names that take one more step.
const TABLES: [(&str, Table); 5] = [
    ("request.headers", Table::Headers),
    ("request.query", Table::Query),
    ("parameters", Table::Parameters),
    ("record", Table::Record),
    ("session", Table::Session),
];

/// Attributes that are named by the request or by its route, not by the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Headers,
    Query,
    Parameters,
    Record,
    Session,
}

impl Table {
    /// The table of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TABLES.iter().find(|(known, _)| *known == name).map(|(_, table)| *table)
    }

    /// One attribute of the table, unless no such attribute can ever be.
    pub(crate) fn entry(self, name: &str) -> Option<Attribute> {
        match self {
            Self::Headers => HeaderName::from_bytes(name.as_bytes()).ok().map(Attribute::Header),
            Self::Query => Some(Attribute::Query(name.into())),
            Self::Parameters => Some(Attribute::Parameter(name.into())),
            Self::Record => Some(Attribute::Record(name.into())),
            Self::Session => Some(Attribute::Session(name.into())),
        }
    }

    /// The names that an exchange has in this table, each once.
    pub(crate) fn names(self, exchange: &Exchange) -> Vec<Cow<'_, str>> {
        match self {
            Self::Headers => exchange.headers().keys().map(|name| name.as_str().into()).collect(),
            Self::Parameters => exchange.parameters.iter().map(|(name, _)| (&**name).into()).collect(),
            Self::Record => member_names(exchange.record.as_deref()),
            Self::Session => member_names(exchange.session.as_deref()),
            Self::Query => {
                let mut names: Vec<Cow<'_, str>> = Vec::new();
                for (name, _) in pairs(exchange.target.query().unwrap_or_default()) {
                    let name = form_decoded(name);
                    // A bound on what an outsider makes this look through.
                    if names.len() < 256 && !names.contains(&name) {
                        names.push(name);
                    }
                }
                names
            }
        }
    }
}

fn member_names(record: Option<&Record>) -> Vec<Cow<'_, str>> {
    record.iter().flat_map(|record| &record.members).map(|(name, _)| (&**name).into()).collect()
}

impl Attribute {
    /// The attribute of this name, or the name that was perhaps meant.
    pub fn named(name: &str) -> Result<Self, Unknown> {
        if let Some((_, attribute)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(attribute.clone());
        }
        TABLES
            .iter()
            .find_map(|(table, of)| {
                of.entry(name.strip_prefix(table)?.strip_prefix('.').filter(|rest| !rest.is_empty())?)
            })
            .ok_or_else(|| Unknown::new(name))
    }

    /// The attribute's value in an exchange, if it has one.
    pub fn find<'a>(&self, exchange: &'a Exchange) -> Option<Cow<'a, str>> {
        let caller = exchange.caller.as_deref();
        match self {
            Self::RequestId => Some(exchange.id.to_string().into()),
            Self::Method => Some(exchange.method.as_str().into()),
            Self::Path => Some(exchange.target.path().into()),
            Self::RawQuery => exchange.target.query().map(Into::into),
            Self::Host => Some((&*exchange.host).into()),
            Self::Scheme => Some(exchange.scheme.into()),
            Self::Query(name) => query_value(exchange.target.query()?, name),
            Self::Header(name) => header_value(exchange, name),
            Self::ClientAddress => Some(exchange.client.to_string().into()),
            Self::ServerName => exchange.connection.tls.as_ref()?.server_name.as_deref().map(Into::into),
            Self::Api => Some((&*exchange.route.api).into()),
            Self::RouteTemplate => Some((&*exchange.route.template).into()),
            Self::Parameter(name) => exchange.parameter(name).map(Into::into),
            Self::Company => caller?.company.as_deref().map(Into::into),
            Self::App => caller?.app.as_deref().map(Into::into),
            Self::Credential => caller.map(|caller| (&*caller.credential).into()),
            Self::Scopes => caller.map(|caller| caller.scopes.join(" ").into()),
            Self::Product => exchange.product.as_deref().map(Into::into),
            Self::Record(name) => exchange.record.as_deref()?.member(name).map(Into::into),
            Self::Session(name) => exchange.session.as_deref()?.member(name).map(Into::into),
        }
    }

    /// The attribute's value in an exchange, or no text.
    pub fn text<'a>(&self, exchange: &'a Exchange) -> Cow<'a, str> {
        self.find(exchange).unwrap_or_default()
    }

    /// Whether the value is part of a URI already, with its reserved letters in their places.
    pub(crate) fn is_raw(&self) -> bool {
        matches!(self, Self::Path | Self::RawQuery | Self::Host | Self::Scheme)
    }

    /// The member of the caller's record that it is, if it is one.
    pub fn record_member(&self) -> Option<&str> {
        match self {
            Self::Record(name) => Some(name),
            _ => None,
        }
    }

    /// Whether the value is known only once the caller is.
    pub fn is_of_caller(&self) -> bool {
        matches!(self, Self::Company | Self::App | Self::Credential | Self::Scopes | Self::Product | Self::Record(_))
    }
}

/// A name that stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    name: String,
    meant: Option<&'static str>,
}

impl Unknown {
    /// Looks for the name that was perhaps meant.
    pub(crate) fn new(name: &str) -> Self {
        let known = NAMES.iter().map(|(known, _)| *known).chain(TABLES.iter().map(|(known, _)| *known));
        Self { name: name.to_owned(), meant: nearest(name, known) }
    }
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no `{}`", self.name)?;
        if let Some(meant) = self.meant {
            return write!(f, "; did you mean `{meant}`?");
        }
        f.write_str("; known are ")?;
        for (name, _) in &NAMES {
            write!(f, "`{name}`, ")?;
        }
        f.write_str("and by name `request.headers`, `request.query`, `parameters`, `record`, `session`")
    }
}

impl std::fmt::Display for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Query(name) => write!(f, "request.query.{name}"),
            Self::Header(name) => write!(f, "request.headers.{name}"),
            Self::Parameter(name) => write!(f, "parameters.{name}"),
            Self::Record(name) => write!(f, "record.{name}"),
            Self::Session(name) => write!(f, "session.{name}"),
            one => f.write_str(NAMES.iter().find(|(_, known)| known == one).map_or("", |(name, _)| name)),
        }
    }
}

/// The known name that is most like `name`, if one is like it at all.
pub(crate) fn nearest(name: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    nearest_of(name, known)
}

/// As [`nearest`], of names that are not known before.
pub(crate) fn nearest_of<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

/// The pairs of a query string, as written.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Decodes a part of a query string: `%XX` and `+`.
pub fn form_decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return text.into();
    }
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned().into()
}

fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(query).find(|(known, _)| form_decoded(known) == name).map(|(_, value)| form_decoded(value))
}

fn header_value<'a>(exchange: &'a Exchange, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut values = exchange.headers().get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = values.next()?;
    Some(values.fold(first, |joined, value| joined + ", " + value))
}

#[cfg(test)]
mod tests {
    use http::Request;
    use pipeline::tester::exchange;

    use super::*;

    fn text(name: &str, exchange: &Exchange) -> String {
        Attribute::named(name).unwrap().text(exchange).into_owned()
    }

    #[test]
    fn every_attribute_is_found_by_its_name() {
        let request = Request::get("/a%20b?x=1&y=two+words&y=3&%7a=z")
            .header("x-foo", "one")
            .header("X-Foo", "two")
            .method("PATCH");
        let mut exchange = exchange(request);
        exchange.parameters.push(("id".into(), "a/b".into()));

        for (name, value) in [
            ("request.id", "00000000000000000000000000000001"),
            ("request.method", "PATCH"),
            ("request.path", "/a%20b"),
            ("request.query", "x=1&y=two+words&y=3&%7a=z"),
            ("request.query.y", "two words"),
            ("request.query.z", "z"),
            ("request.query.none", ""),
            ("request.headers.X-Foo", "one, two"),
            ("request.headers.none", ""),
            ("request.host", "example.com"),
            ("request.scheme", "http"),
            ("client.address", "192.0.2.1"),
            ("tls.server_name", ""),
            ("route.api", "test"),
            ("route.template", "/{path}"),
            ("parameters.id", "a/b"),
            ("caller.company", ""),
            ("product", ""),
        ] {
            assert_eq!(text(name, &exchange), value, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_comes_with_the_nearest_known_one() {
        let said = |name: &str| Attribute::named(name).unwrap_err().to_string();
        assert_eq!(said("request.hots"), "there is no `request.hots`; did you mean `request.host`?");
        assert_eq!(said("request.header.x"), "there is no `request.header.x`; did you mean `request.headers`?");
        assert!(said("zzz").starts_with("there is no `zzz`; known are `request.id`, "));
        assert!(said("request.headers.").starts_with("there is no `request.headers.`"));
    }
}
