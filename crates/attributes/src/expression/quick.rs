//! Simple expressions, decided without the interpreter and without allocation.
//!
//! Nothing here can fail or mean something else than CEL: what is not certain is left to the interpreter.

use std::borrow::Cow;

use cel::common::ast::operators;
use cel::common::ast::{CallExpr, Expr, LiteralValue};
use cel::parser::Expression as Ast;
use ipnet::IpNet;
use pipeline::{Condition, Exchange, Failure};

use super::names::{Meaning, chain, meaning};
use crate::attribute::Attribute;

/// A condition made of comparisons of an attribute with literals.
#[derive(Debug)]
pub(super) enum QuickCondition {
    Always(bool),
    Not(Box<Self>),
    All(Box<[Self; 2]>),
    Any(Box<[Self; 2]>),
    Test(Attribute, Test),
    Present(Attribute),
    Scope(Box<str>),
    Within(IpNet),
}

/// What an attribute's text must be.
#[derive(Debug)]
pub(super) enum Test {
    Is(Box<str>),
    OneOf(Vec<Box<str>>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    Contains(Box<str>),
}

impl QuickCondition {
    /// The short cut for an expression, if there is one.
    pub(super) fn of(expression: &Ast) -> Option<Self> {
        match &expression.expr {
            Expr::Literal(LiteralValue::Boolean(known)) => Some(Self::Always(*known.inner())),
            Expr::Call(call) => Self::of_call(call),
            _ => None,
        }
    }

    fn of_call(call: &CallExpr) -> Option<Self> {
        let name = call.func_name.as_str();
        match (&call.target, call.args.as_slice()) {
            (None, [one]) if name == operators::LOGICAL_NOT => Some(Self::Not(Box::new(Self::of(one)?))),
            (None, [one, other]) => match name {
                operators::LOGICAL_AND => Some(Self::All(Box::new([Self::of(one)?, Self::of(other)?]))),
                operators::LOGICAL_OR => Some(Self::Any(Box::new([Self::of(one)?, Self::of(other)?]))),
                operators::EQUALS => Self::is(one, other).or_else(|| Self::is(other, one)),
                operators::NOT_EQUALS => {
                    let same = Self::is(one, other).or_else(|| Self::is(other, one))?;
                    Some(Self::Not(Box::new(same)))
                }
                operators::IN => Self::is_in(one, other),
                _ => None,
            },
            (Some(target), [argument]) => {
                let attribute = attribute(target)?;
                let argument = literal(argument)?;
                let test = match name {
                    "startsWith" => Test::StartsWith(argument.into()),
                    "endsWith" => Test::EndsWith(argument.into()),
                    "contains" => Test::Contains(argument.into()),
                    // An address is always one, so that only the network could be wrong.
                    "isIn" if attribute == Attribute::ClientAddress => return argument.parse().ok().map(Self::Within),
                    _ => return None,
                };
                Some(Self::Test(attribute, test))
            }
            _ => None,
        }
    }

    fn is(one: &Ast, other: &Ast) -> Option<Self> {
        Some(Self::Test(attribute(one)?, Test::Is(literal(other)?.into())))
    }

    fn is_in(one: &Ast, other: &Ast) -> Option<Self> {
        if let Expr::List(list) = &other.expr
            && list.optional_indices.is_empty()
        {
            let words = list.elements.iter().map(|element| literal(element).map(Into::into)).collect::<Option<_>>()?;
            return Some(Self::Test(attribute(one)?, Test::OneOf(words)));
        }
        let name = literal(one)?;
        let of = chain(&other.expr)?;
        match meaning(&of)? {
            Meaning::Scopes => Some(Self::Scope(name.into())),
            Meaning::Table(table) => Some(Self::Present(table.entry(name)?)),
            Meaning::Group => Attribute::named(&format!("{of}.{name}")).ok().map(Self::Present),
            Meaning::Attribute(_) => None,
        }
    }

    fn decide(&self, exchange: &Exchange) -> bool {
        match self {
            Self::Always(known) => *known,
            Self::Not(inner) => !inner.decide(exchange),
            Self::All(both) => both.iter().all(|one| one.decide(exchange)),
            Self::Any(both) => both.iter().any(|one| one.decide(exchange)),
            Self::Present(attribute) => attribute.find(exchange).is_some(),
            Self::Scope(scope) => {
                exchange.caller.as_deref().is_some_and(|caller| caller.scopes.iter().any(|known| **known == **scope))
            }
            Self::Within(network) => network.contains(&exchange.client),
            Self::Test(attribute, test) => {
                let text = attribute.text(exchange);
                match test {
                    Test::Is(word) => *text == **word,
                    Test::OneOf(words) => words.iter().any(|word| *text == **word),
                    Test::StartsWith(word) => text.starts_with(&**word),
                    Test::EndsWith(word) => text.ends_with(&**word),
                    Test::Contains(word) => text.contains(&**word),
                }
            }
        }
    }
}

impl Condition for QuickCondition {
    fn holds(&self, exchange: &Exchange) -> Result<bool, Failure> {
        Ok(self.decide(exchange))
    }
}

/// A text made of attributes and literals, one after another.
#[derive(Debug)]
pub(super) enum QuickText {
    Literal(Box<str>),
    Attribute(Attribute),
    Joined(Box<[Self; 2]>),
}

impl QuickText {
    /// The short cut for an expression, if there is one.
    pub(super) fn of(expression: &Ast) -> Option<Self> {
        if let Some(text) = literal(expression) {
            return Some(Self::Literal(text.into()));
        }
        if let Some(attribute) = attribute(expression) {
            return Some(Self::Attribute(attribute));
        }
        match &expression.expr {
            Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::ADD => {
                let [one, other] = args.as_slice() else { return None };
                Some(Self::Joined(Box::new([Self::of(one)?, Self::of(other)?])))
            }
            _ => None,
        }
    }

    /// The text for an exchange.
    pub(super) fn text<'a>(&'a self, exchange: &'a Exchange) -> Cow<'a, str> {
        match self {
            Self::Literal(text) => (&**text).into(),
            Self::Attribute(attribute) => attribute.text(exchange),
            Self::Joined(both) => {
                let [one, other] = &**both;
                one.text(exchange) + other.text(exchange)
            }
        }
    }
}

/// The attribute that an expression is, if it is one and is text.
fn attribute(expression: &Ast) -> Option<Attribute> {
    if let Expr::Call(CallExpr { func_name, target: None, args }) = &expression.expr
        && func_name == operators::INDEX
    {
        let [table, name] = args.as_slice() else { return None };
        return match meaning(&chain(&table.expr)?)? {
            Meaning::Table(table) => table.entry(literal(name)?),
            Meaning::Attribute(_) | Meaning::Scopes | Meaning::Group => None,
        };
    }
    match meaning(&chain(&expression.expr)?)? {
        Meaning::Attribute(attribute) => Some(attribute),
        Meaning::Scopes | Meaning::Table(_) | Meaning::Group => None,
    }
}

fn literal(expression: &Ast) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
