//! Reading an operator from a rule.

use std::path::{Path, PathBuf};

use payload::addresses::Networks;
use payload::phrases::{self, Phrases};
use payload::validate::ByteRanges;
use problem::Finding;

use super::{Comparison, Kind, Matcher, Operator, Relation};
use crate::context::Context;
use crate::seclang::{Text, nearest};
use crate::template::Template;
use crate::variable::Variable;

impl Operator {
    /// Reads `!@name parameter`, and whether it is negated. Without a name it is an expression.
    pub(crate) fn read(text: &Text, context: &mut Context) -> Result<(Self, bool), Finding> {
        let text = text.trimmed();
        let negated = text.byte(0) == Some(b'!');
        let text = text.from(usize::from(negated)).trimmed();
        let before = context.left_out.len();
        let operator = Self::read_one(&text, context)?;
        // What is left out never matches, be it negated or not.
        let left_out = context.left_out.len() > before && matches!(operator, Self::Never);
        Ok((operator, negated && !left_out))
    }

    fn read_one(text: &Text, context: &mut Context) -> Result<Self, Finding> {
        if text.byte(0) != Some(b'@') {
            return expression(text, context, false);
        }
        let end = text.bytes().iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let name = text.slice(1..end);
        let rest = text.from(end);
        let start = rest.bytes().iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len());
        let parameter = rest.from(start);
        Self::named(&name, &parameter, context)
    }

    fn named(name: &Text, parameter: &Text, context: &mut Context) -> Result<Self, Finding> {
        let lower = name.lossy().to_ascii_lowercase();
        if let Some((_, why)) = REFUSED.iter().find(|(known, _)| *known == lower) {
            // It never holds.
            return context.refuse(name, &format!("@{}", name.lossy()), why).map(|()| Self::Never);
        }
        let template = |context: &mut Context| Template::read(parameter, context);
        Ok(match lower.as_str() {
            "rx" => expression(parameter, context, false)?,
            "rxglobal" => expression(parameter, context, true)?,
            "pm" => compiled(phrases::of_parameter(parameter.bytes()), parameter)?,
            "pmfromfile" | "pmf" => compiled(phrases_of_files(parameter, context)?, parameter)?,
            "eq" => Self::Compare(Comparison::Equal, template(context)?),
            "ge" => Self::Compare(Comparison::AtLeast, template(context)?),
            "gt" => Self::Compare(Comparison::Above, template(context)?),
            "le" => Self::Compare(Comparison::AtMost, template(context)?),
            "lt" => Self::Compare(Comparison::Below, template(context)?),
            "streq" => Self::Text(Relation::Equals, template(context)?),
            "beginswith" => Self::Text(Relation::BeginsWith, template(context)?),
            "endswith" => Self::Text(Relation::EndsWith, template(context)?),
            "contains" => Self::Text(Relation::Contains, template(context)?),
            "strmatch" => Self::Text(Relation::Contains, Template::plain(parameter.bytes())),
            "containsword" => Self::Text(Relation::ContainsWord, template(context)?),
            "within" => Self::Text(Relation::Within, template(context)?),
            "ipmatch" => Self::Networks(Box::new(read(parameter, Networks::parse)?)),
            "ipmatchfromfile" | "ipmatchf" => networks_of_file(parameter, context)?,
            "detectsqli" => Self::Sqli,
            "detectxss" => Self::Xss,
            "validatebyterange" => Self::ByteRange(Box::new(read(parameter, ByteRanges::parse)?)),
            "validateurlencoding" => Self::UrlEncoding,
            "validateutf8encoding" => Self::Utf8Encoding,
            "verifycc" => number(Kind::Card, parameter, context)?,
            "verifycpf" => number(Kind::Cpf, parameter, context)?,
            "verifyssn" => number(Kind::Ssn, parameter, context)?,
            "verifysvnr" => number(Kind::Svnr, parameter, context)?,
            "unconditionalmatch" => Self::Always,
            "nomatch" => Self::Never,
            _ => {
                let near = nearest(name.bytes(), KNOWN.iter().copied());
                let hint =
                    near.map_or_else(|| "see the list in the reference".to_owned(), |near| format!("is it @{near}?"));
                return Err(name.finding(0, format!("there is no operator @{}: {hint}", name.lossy())));
            }
        })
    }

    /// The operator as it is written, shortened.
    pub(crate) fn shown(&self) -> String {
        let cut = |text: &str| match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text.to_owned(),
        };
        match self {
            Self::Matches(matcher) => format!("@rx {}", cut(matcher.search.text())),
            Self::MatchesTemplate(template) => format!("@rx {}", cut(&template.shown())),
            Self::Phrases(phrases) => format!("@pm ({} phrases)", phrases.all().len()),
            Self::Compare(comparison, template) => format!("@{} {}", comparison.name(), template.shown()),
            Self::Text(relation, template) => format!("@{} {}", relation.name(), cut(&template.shown())),
            Self::Networks(_) => "@ipMatch".to_owned(),
            Self::Sqli => "@detectSQLi".to_owned(),
            Self::Xss => "@detectXSS".to_owned(),
            Self::ByteRange(_) => "@validateByteRange".to_owned(),
            Self::UrlEncoding => "@validateUrlEncoding".to_owned(),
            Self::Utf8Encoding => "@validateUtf8Encoding".to_owned(),
            Self::Number(kind, regex) => format!("@{} {}", kind.name(), cut(regex.as_str())),
            Self::Always => "@unconditionalMatch".to_owned(),
            Self::Never => "@noMatch".to_owned(),
        }
    }
}

impl Comparison {
    fn name(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::AtLeast => "ge",
            Self::Above => "gt",
            Self::AtMost => "le",
            Self::Below => "lt",
        }
    }
}

impl Relation {
    fn name(self) -> &'static str {
        match self {
            Self::Equals => "streq",
            Self::BeginsWith => "beginsWith",
            Self::EndsWith => "endsWith",
            Self::Contains => "contains",
            Self::ContainsWord => "containsWord",
            Self::Within => "within",
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Card => "verifyCC",
            Self::Cpf => "verifyCPF",
            Self::Ssn => "verifySSN",
            Self::Svnr => "verifySVNR",
        }
    }
}

/// An expression; what looks like a macro is one only if its variable is known, for `%{` may be meant as it is.
fn expression(text: &Text, context: &mut Context, global: bool) -> Result<Operator, Finding> {
    let names_variable = memchr::memmem::find_iter(text.bytes(), b"%{").any(|at| {
        let inner = text.bytes().get(at + 2..).unwrap_or_default();
        let name = inner.split(|byte| matches!(byte, b'.' | b'}')).next().unwrap_or_default();
        Variable::named(name).is_some()
    });
    if names_variable {
        return Template::read(text, context).map(Operator::MatchesTemplate);
    }
    let search = context.compiled(text, patterns::Search::compile(text.bytes()))?;
    // What is left out never holds.
    let Some(search) = search else { return Ok(Operator::Never) };
    if patterns::keeps_what_it_matched(text.bytes()) {
        let what = "what `a++` and `(?>a)` keep is given back here where the rest asks for it: they are read as `a+` and \
                    `(?:a)`, which match the same, and sometimes more";
        context.notes.push(text.finding(0, what));
    }
    Ok(Operator::Matches(Box::new(Matcher { search, global })))
}

fn number(kind: Kind, text: &Text, context: &mut Context) -> Result<Operator, Finding> {
    let regex = context.compiled(text, patterns::compile(text.bytes()))?;
    Ok(regex.map_or(Operator::Never, |regex| Operator::Number(kind, Box::new(regex))))
}

fn read<T>(text: &Text, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Finding> {
    parse(&text.lossy()).map_err(|what| text.finding(0, what))
}

fn compiled(phrases: Vec<Vec<u8>>, text: &Text) -> Result<Operator, Finding> {
    Phrases::compile(phrases).map(Box::new).map(Operator::Phrases).map_err(|what| text.finding(0, what))
}

fn phrases_of_files(parameter: &Text, context: &mut Context) -> Result<Vec<Vec<u8>>, Finding> {
    let mut all = Vec::new();
    for name in parameter.lossy().split_whitespace() {
        all.extend(phrases::of_file(&content(parameter, name, context)?));
    }
    if all.is_empty() {
        return Err(parameter.finding(0, "has no phrase in it: write at least one, of two bytes or more"));
    }
    Ok(all)
}

fn networks_of_file(parameter: &Text, context: &mut Context) -> Result<Operator, Finding> {
    let content = content(parameter, &parameter.lossy(), context)?;
    let networks = Networks::parse_file(&String::from_utf8_lossy(&content));
    networks.map(Box::new).map(Operator::Networks).map_err(|what| parameter.finding(0, what))
}

/// What stands in a file beside the rule.
fn content(parameter: &Text, name: &str, context: &mut Context) -> Result<Vec<u8>, Finding> {
    if name.contains("://") {
        return Err(parameter.finding(0, "must be a file: rules and their lists are never fetched over the network"));
    }
    let beside: PathBuf = Path::new(parameter.spot(0).file.as_ref()).parent().unwrap_or(Path::new("")).join(name);
    context.files.push(beside.clone());
    std::fs::read(&beside)
        .map_err(|cause| parameter.finding(0, format!("{} cannot be read: {cause}", beside.display())))
}

/// How much of an expression is shown.
const SHOWN: usize = 200;

const KNOWN: &[&str] = &[
    "rx",
    "rxGlobal",
    "pm",
    "pmFromFile",
    "eq",
    "ge",
    "gt",
    "le",
    "lt",
    "streq",
    "beginsWith",
    "endsWith",
    "contains",
    "strmatch",
    "containsWord",
    "within",
    "ipMatch",
    "ipMatchFromFile",
    "detectSQLi",
    "detectXSS",
    "validateByteRange",
    "validateUrlEncoding",
    "validateUtf8Encoding",
    "verifyCC",
    "verifyCPF",
    "verifySSN",
    "verifySVNR",
    "unconditionalMatch",
    "noMatch",
];

/// Operators that cannot be done here, and why.
const REFUSED: &[(&str, &str)] = &[
    ("inspectfile", "a gateway starts no program for a request"),
    ("rbl", "no name server is asked about clients"),
    ("geolookup", "there is no database of places"),
    ("gsblookup", "there is no database of unsafe addresses"),
    ("validatehash", "links are not signed here"),
    ("validatedtd", "validate bodies against a schema with a policy of the gateway"),
    ("validateschema", "validate bodies against a schema with a policy of the gateway"),
    ("fuzzyhash", "bodies are not compared by fuzzy hashes"),
    ("rsub", "rules do not rewrite bodies; write a policy that transforms them"),
];
