//! What a rule looks at: variables, and the selectors that say which of their values.

use payload::xml::Path;
use problem::Finding;
use regex::bytes::Regex;

use crate::action::Initialised;
use crate::context::Context;
use crate::seclang::{Item, Text, items};
use crate::slots::{Slot, Slots};
use crate::variable::{Shape, Variable};

/// One variable in the list of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) manner: Manner,
    pub(crate) variable: Variable,
    pub(crate) selector: Selector,
    /// The places of `TX` that the selector takes, if it is one that takes several. Known once all rules are read.
    pub(crate) slots: Option<Box<[Slot]>>,
}

/// What is done with the values of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Manner {
    /// They are looked at.
    Include,
    /// They are taken out of those that variables before it gave.
    Exclude,
    /// Their number is looked at.
    Count,
}

/// Which values of a collection are meant.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    Every,
    /// By name, in whatever case.
    Named(Box<[u8]>),
    /// By the place that a name of `TX` has.
    Slot(Slot),
    /// By a part of the name, in small letters; it is written as an expression.
    Having(Box<[u8]>),
    /// By how the name begins, in small letters; it is written as an expression.
    Beginning(Box<[u8]>),
    /// By an expression over names, and what all names begin with that it matches.
    Matching(Box<(Regex, Box<[u8]>)>),
    /// By a path of `XPath`, as it is written and as it is read.
    Path(Box<(Box<[u8]>, Path)>),
}

impl Selector {
    /// Whether two selectors were written alike.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Every, Self::Every) => true,
            (Self::Named(a), Self::Named(b)) => a.eq_ignore_ascii_case(b),
            (Self::Slot(a), Self::Slot(b)) => a == b,
            (Self::Having(a), Self::Having(b)) | (Self::Beginning(a), Self::Beginning(b)) => a == b,
            (Self::Matching(a), Self::Matching(b)) => a.0.as_str() == b.0.as_str(),
            (Self::Path(a), Self::Path(b)) => a.0 == b.0,
            (
                Self::Every
                | Self::Named(_)
                | Self::Slot(_)
                | Self::Having(_)
                | Self::Beginning(_)
                | Self::Matching(_)
                | Self::Path(_),
                _,
            ) => false,
        }
    }

    /// Whether a value of this name is meant. Slots are looked up, not compared.
    pub(crate) fn takes(&self, name: &[u8]) -> bool {
        match self {
            Self::Every => true,
            Self::Named(wanted) => wanted.eq_ignore_ascii_case(name),
            Self::Having(part) => name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part)),
            Self::Beginning(start) => begins(name, start),
            Self::Matching(pattern) => begins(name, &pattern.1) && pattern.0.is_match(name),
            Self::Path(path) => path.0.as_ref() == name,
            Self::Slot(_) => false,
        }
    }
}

impl Target {
    /// Reads `ARGS|!ARGS:a|&REQUEST_HEADERS:Host`, each item with its own findings.
    pub(crate) fn list(text: &Text, context: &mut Context, findings: &mut Vec<Finding>) -> Vec<Self> {
        let items = match items(text) {
            Ok(items) => items,
            Err(finding) => {
                findings.push(finding);
                return Vec::new();
            }
        };
        if items.is_empty() {
            findings.push(text.finding(0, "names no variable: write at least one, such as ARGS"));
        }
        items
            .iter()
            .filter_map(|item| Self::one(item, context).map_err(|finding| findings.push(finding)).ok())
            .collect()
    }

    fn one(item: &Item, context: &mut Context) -> Result<Self, Finding> {
        let (manner, name) = match item.name.byte(0) {
            Some(b'!') => (Manner::Exclude, item.name.from(1)),
            Some(b'&') => (Manner::Count, item.name.from(1)),
            _ => (Manner::Include, item.name.clone()),
        };
        let target = Self::named(&name, item.value.as_ref(), context)?;
        if manner == Manner::Count && target.variable.shape() == Shape::Scalar {
            return Err(name.finding(
                0,
                format!("`&` counts what a collection holds, and {} is none: leave `&` out", name.lossy()),
            ));
        }
        let is_whole = target.variable == Variable::Xml && matches!(target.selector, Selector::Every);
        if is_whole && manner != Manner::Exclude {
            context.refuse(&name, "XML as a whole", "write a path, such as XML:/* or XML://@*")?;
        }
        Ok(Self { manner, ..target })
    }

    /// The variable of that name with a selector, as in a list or in `%{NAME.selector}`.
    pub(crate) fn named(name: &Text, selector: Option<&Text>, context: &mut Context) -> Result<Self, Finding> {
        // Old rules write HTTP_USER_AGENT for the header.
        if name.bytes().get(..5).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"HTTP_")) && name.len() > 5 {
            let header = name.from(5);
            let selector = Selector::Named(header.bytes().into());
            return Ok(Self { manner: Manner::Include, variable: Variable::RequestHeaders, selector, slots: None });
        }
        let Some(variable) = Variable::named(name.bytes()) else {
            let nearest = Variable::nearest(name.bytes());
            let hint =
                nearest.map_or_else(|| "see the list in the reference".to_owned(), |near| format!("is it {near}?"));
            return Err(name.finding(0, format!("there is no variable {}: {hint}", name.lossy())));
        };
        let selector = match (variable.shape(), selector) {
            // It never has a value.
            (Shape::Absent(reason), _) => {
                context.refuse(name, variable.name(), reason)?;
                Selector::Every
            }
            (Shape::Scalar, Some(selector)) => {
                let what = format!(
                    "{} holds one value and takes no selector: leave out `:{}`",
                    variable.name(),
                    selector.lossy()
                );
                return Err(selector.finding(0, what));
            }
            // All of it, to take it out.
            (Shape::Keyed, None) if variable == Variable::Xml => Selector::Every,
            (Shape::Keyed, None) => {
                return Err(
                    name.finding(0, format!("{} needs a selector: write {}:name", variable.name(), variable.name()))
                );
            }
            (_, None) => Selector::Every,
            (_, Some(selector)) => Self::selector(variable, selector, context)?,
        };
        Ok(Self { manner: Manner::Include, variable, selector, slots: None })
    }

    fn selector(variable: Variable, text: &Text, context: &mut Context) -> Result<Selector, Finding> {
        let bytes = text.bytes();
        if variable == Variable::Xml {
            return Ok(match Path::parse(&text.lossy()) {
                Ok(path) => Selector::Path(Box::new((bytes.into(), path))),
                Err(what) => context.refuse(text, "this path", &what).and_then(|()| Self::nothing(text))?,
            });
        }
        if let [b'/', inner @ .., b'/'] = bytes
            && !inner.is_empty()
        {
            if is_word(inner) {
                return Ok(Selector::Having(inner.to_ascii_lowercase().into()));
            }
            if let Some(start) = inner.strip_prefix(b"^").filter(|start| is_word(start)) {
                return Ok(Selector::Beginning(start.to_ascii_lowercase().into()));
            }
            return Ok(match context.compiled(&text.from(1), patterns::selector(inner))? {
                Some(compiled) => Selector::Matching(Box::new((compiled, start_of(inner).into()))),
                None => Self::nothing(text)?,
            });
        }
        if Initialised::of(variable).is_some() && UNCOUNTED.iter().any(|member| text.is(member)) {
            let why = "collections do not keep since when they are there and how often they were changed; count in a \
                       variable of your own";
            context.refuse(text, &text.lossy(), why)?;
        }
        if variable == Variable::Tx {
            return Ok(Selector::Slot(context.slots.of(bytes)));
        }
        Ok(Selector::Named(bytes.into()))
    }

    /// A selector that takes nothing, for what is left out.
    fn nothing(text: &Text) -> Result<Selector, Finding> {
        let never = patterns::selector(br"[^\s\S]").map_err(|what| text.finding(0, what))?;
        Ok(Selector::Matching(Box::new((never, Box::default()))))
    }

    /// Works out which places of `TX` it takes.
    pub(crate) fn resolve(&mut self, slots: &Slots) {
        if self.variable == Variable::Tx
            && matches!(self.selector, Selector::Having(_) | Selector::Beginning(_) | Selector::Matching(_))
        {
            self.slots = Some(slots.all().filter(|slot| self.selector.takes(slots.name(*slot))).collect());
        }
    }

    /// Whether two targets mean the same values.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.manner == other.manner && self.variable == other.variable && self.selector.is_same(&other.selector)
    }
}

/// Members of collections that only `ModSecurity` keeps.
const UNCOUNTED: &[&str] = &["CREATE_TIME", "UPDATE_COUNTER", "UPDATE_RATE"];

/// Whether an expression has signs only that stand for themselves.
fn is_word(expression: &[u8]) -> bool {
    !expression.is_empty() && expression.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn begins(name: &[u8], start: &[u8]) -> bool {
    name.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// What every text begins with that an expression matches.
fn start_of(pattern: &[u8]) -> &[u8] {
    let Some(rest) = pattern.strip_prefix(b"^").filter(|rest| !rest.contains(&b'|')) else { return &[] };
    let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"_-".contains(byte)).unwrap_or(rest.len());
    // The last sign of these may be there several times, or not at all.
    let is_repeated = rest.get(end).is_some_and(|byte| b"?*+{".contains(byte));
    rest.get(..end.saturating_sub(usize::from(is_repeated))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_by_a_beginning_takes_names_in_whatever_case() {
        let start = Selector::Beginning(b"_ga".as_slice().into());
        for (name, is_taken) in [("_ga", true), ("_GA_x", true), ("_g", false), ("x_ga", false), ("", false)] {
            assert_eq!(start.takes(name.as_bytes()), is_taken, "{name}");
        }
    }

    #[test]
    fn the_start_of_an_expression_is_that_of_all_it_matches() {
        for (pattern, start) in [
            ("^_ga(?:_\\w+)?$", "_ga"),
            ("^ab?c", "a"),
            ("^a|b", ""),
            ("ab", ""),
            ("^pbjs-\\w+$", "pbjs-"),
            ("^[a]", ""),
        ] {
            assert_eq!(start_of(pattern.as_bytes()), start.as_bytes(), "{pattern}");
        }
    }
}
