//! Operators: what a value is compared with, and how.

mod read;
mod text;

use std::ops::Range;

use patterns::Search;
use payload::addresses::Networks;
use payload::numbers;
use payload::phrases::Phrases;
use payload::validate::{self, ByteRanges};
use regex::bytes::Regex;
use smallvec::SmallVec;

pub(crate) use self::text::integer;
use crate::template::Template;

/// An operator with what it compares with.
#[derive(Debug)]
pub(crate) enum Operator {
    Matches(Box<Matcher>),
    /// An expression with macros in it. What comes from outside stands for itself there.
    MatchesTemplate(Template),
    Phrases(Box<Phrases>),
    Compare(Comparison, Template),
    Text(Relation, Template),
    Networks(Box<Networks>),
    Sqli,
    Xss,
    ByteRange(Box<ByteRanges>),
    UrlEncoding,
    Utf8Encoding,
    Number(Kind, Box<Regex>),
    Always,
    Never,
}

/// An expression and how many groups it has.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) search: Search,
    /// Whether captures come from every match, not from the first alone.
    pub(crate) global: bool,
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    AtLeast,
    Above,
    AtMost,
    Below,
}

/// How texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equals,
    BeginsWith,
    EndsWith,
    Contains,
    ContainsWord,
    Within,
}

/// A kind of number with a check sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Card,
    Cpf,
    Ssn,
    Svnr,
}

/// Whether a value is what an operator looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// It cannot be told, which is no match, whether the operator is negated or not.
    Unclear,
}

impl From<bool> for Answer {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What an operator leaves in `TX` for rules that capture.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    /// By number; what is behind the last one is taken away.
    pub(crate) groups: SmallVec<[Range<usize>; 10]>,
    /// Put into `TX:0` instead, with all others as they are.
    pub(crate) text: Option<Box<[u8]>>,
}

impl Operator {
    /// What stands in it that macros change.
    pub(crate) fn template(&self) -> Option<&Template> {
        match self {
            Self::MatchesTemplate(template) | Self::Compare(_, template) | Self::Text(_, template) => Some(template),
            Self::Matches(_)
            | Self::Phrases(_)
            | Self::Networks(_)
            | Self::Sqli
            | Self::Xss
            | Self::ByteRange(_)
            | Self::UrlEncoding
            | Self::Utf8Encoding
            | Self::Number(..)
            | Self::Always
            | Self::Never => None,
        }
    }

    /// Asks about a value. `parameter` is the expanded template, if there is one.
    pub(crate) fn ask(&self, value: &[u8], parameter: &[u8], captures: Option<&mut Captures>) -> Answer {
        match self {
            Self::Matches(matcher) => matches(matcher, value, captures).into(),
            Self::MatchesTemplate(_) => text::matches_expanded(parameter, value, captures),
            Self::Phrases(phrases) => find_phrase(phrases, value, captures).into(),
            Self::Compare(comparison, _) => comparison.holds(integer(value), integer(parameter)).into(),
            Self::Text(relation, _) => relation.holds(value, parameter).into(),
            Self::Networks(networks) => match std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok())
            {
                Some(address) => networks.contain(address).into(),
                None => Answer::Unclear,
            },
            Self::Sqli => find_sqli(value, captures).into(),
            Self::Xss => find_xss(value, captures).into(),
            Self::ByteRange(ranges) => (ranges.outside(value) > 0).into(),
            Self::UrlEncoding => validate::url_fault(value).is_some().into(),
            Self::Utf8Encoding => validate::utf8_fault(value).is_some().into(),
            Self::Number(kind, regex) => find_number(*kind, regex, value, captures).into(),
            Self::Always => Answer::Yes,
            Self::Never => Answer::No,
        }
    }
}

fn matches(matcher: &Matcher, value: &[u8], captures: Option<&mut Captures>) -> bool {
    // The groups cost more than the answer, which is no most of the time.
    if !matcher.search.is_match(value) {
        return false;
    }
    if let Some(captures) = captures {
        for found in matcher.search.groups(value, if matcher.global { Captures::LIMIT } else { 1 }) {
            let last = found.iter().rposition(Option::is_some).unwrap_or_default();
            let groups = found.into_iter().take(last + 1).map(|group| group.unwrap_or(0..0));
            captures.groups.extend(groups.take(Captures::LIMIT.saturating_sub(captures.groups.len())));
        }
    }
    true
}

fn find_phrase(phrases: &Phrases, value: &[u8], captures: Option<&mut Captures>) -> bool {
    let Some(found) = phrases.find(value) else { return false };
    if let Some(captures) = captures {
        captures.groups.push(found.range);
    }
    true
}

fn find_sqli(value: &[u8], captures: Option<&mut Captures>) -> bool {
    let Some(fingerprint) = payload::sqli(value) else { return false };
    if let Some(captures) = captures {
        captures.text = Some(fingerprint.as_str().as_bytes().into());
    }
    true
}

fn find_xss(value: &[u8], captures: Option<&mut Captures>) -> bool {
    let found = payload::xss(value);
    if let Some(captures) = captures.filter(|_| found) {
        captures.text = Some(value.into());
    }
    found
}

fn find_number(kind: Kind, regex: &Regex, value: &[u8], captures: Option<&mut Captures>) -> bool {
    let is_one = |found: &[u8]| match kind {
        Kind::Card => numbers::is_card(found),
        Kind::Cpf => numbers::is_cpf(found),
        Kind::Ssn => numbers::is_ssn(found),
        Kind::Svnr => text::is_svnr(found),
    };
    let Some(found) = regex.find_iter(value).find(|found| is_one(found.as_bytes())) else { return false };
    if let Some(captures) = captures {
        captures.groups.push(found.range());
    }
    true
}

impl Captures {
    const LIMIT: usize = 10;
}

impl Comparison {
    pub(crate) fn holds(self, value: i64, parameter: i64) -> bool {
        match self {
            Self::Equal => value == parameter,
            Self::AtLeast => value >= parameter,
            Self::Above => value > parameter,
            Self::AtMost => value <= parameter,
            Self::Below => value < parameter,
        }
    }
}

impl Relation {
    fn holds(self, value: &[u8], parameter: &[u8]) -> bool {
        match self {
            Self::Equals => value == parameter,
            Self::BeginsWith => value.starts_with(parameter),
            Self::EndsWith => value.ends_with(parameter),
            Self::Contains => text::contains(value, parameter),
            Self::ContainsWord => text::contains_word(value, parameter),
            Self::Within => text::contains(parameter, value),
        }
    }
}
