//! What `+`, `-`, `*`, `/` and `%` do with values.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::rc::Rc;

use indexmap::IndexMap;
use jaq_core::ops::Math;
use jaq_core::{Error, ValR};

use super::{BYTES, Number, Val};
use crate::budget::spend;

impl Add for Val {
    type Output = ValR<Self>;

    fn add(self, other: Self) -> ValR<Self> {
        spend(1);
        Ok(match (self, other) {
            (Self::Null, value) | (value, Self::Null) => value,
            (Self::Number(one), Self::Number(other)) => {
                Self::Number(one.with(other, i128::checked_add, |one, other| one + other))
            }
            (Self::Text(one), Self::Text(other)) => {
                spend((one.len() + other.len()) / BYTES);
                Self::from([&*one, &*other].concat())
            }
            (Self::List(one), Self::List(other)) => one.items.iter().chain(&other.items).cloned().collect(),
            (Self::Map(one), Self::Map(other)) => {
                spend(one.members.len() + other.members.len());
                let mut members = one.members.clone();
                members.extend(other.members.iter().map(|(name, value)| (name.clone(), value.clone())));
                Self::map(members)
            }
            (one, other) => return Err(Error::math(one, Math::Add, other)),
        })
    }
}

impl Sub for Val {
    type Output = ValR<Self>;

    fn sub(self, other: Self) -> ValR<Self> {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => {
                Ok(Self::Number(one.with(other, i128::checked_sub, |one, other| one - other)))
            }
            (Self::List(one), Self::List(other)) => {
                Ok(one.items.iter().filter(|item| !other.items.contains(item)).cloned().collect())
            }
            (one, other) => Err(Error::math(one, Math::Sub, other)),
        }
    }
}

impl Mul for Val {
    type Output = ValR<Self>;

    fn mul(self, other: Self) -> ValR<Self> {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => {
                Ok(Self::Number(one.with(other, i128::checked_mul, |one, other| one * other)))
            }
            (Self::Text(text), Self::Number(times)) | (Self::Number(times), Self::Text(text)) => {
                Ok(repeated(&text, times))
            }
            (Self::Map(one), Self::Map(other)) => Ok(Self::map(merged(&one.members, &other.members))),
            (one, other) => Err(Error::math(one, Math::Mul, other)),
        }
    }
}

impl Div for Val {
    type Output = ValR<Self>;

    fn div(self, other: Self) -> ValR<Self> {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) if other.float() != 0.0 => {
                let whole =
                    |one: i128, other: i128| (one.checked_rem(other) == Some(0)).then(|| one.checked_div(other))?;
                Ok(Self::Number(one.with(other, whole, |one, other| one / other)))
            }
            (Self::Text(of), Self::Text(by)) => Ok(Self::split(&of, &by)),
            (one, other) => Err(Error::math(one, Math::Div, other)),
        }
    }
}

impl Rem for Val {
    type Output = ValR<Self>;

    fn rem(self, other: Self) -> ValR<Self> {
        match (&self, &other) {
            (Self::Number(one), Self::Number(by)) if by.float() != 0.0 => {
                Ok(Self::Number(one.with(*by, i128::checked_rem, |one, by| one % by)))
            }
            _ => Err(Error::math(self, Math::Rem, other)),
        }
    }
}

impl Neg for Val {
    type Output = ValR<Self>;

    fn neg(self) -> ValR<Self> {
        match self {
            Self::Number(number) => {
                let none = Number::Whole(0);
                Ok(Self::Number(none.with(number, i128::checked_sub, |_, number| -number)))
            }
            other => Err(Error::typ(other, "number")),
        }
    }
}

/// A text so many times, null if that is none.
fn repeated(text: &str, times: Number) -> Val {
    if times.float().is_nan() || times.float() <= 0.0 {
        return Val::Null;
    }
    // What is no index is more than there is memory.
    let times = times.rounded(f64::ceil).index().and_then(|times| usize::try_from(times).ok()).unwrap_or(usize::MAX);
    // Before it is made.
    spend(text.len().saturating_mul(times) / BYTES);
    Val::from(text.repeat(times))
}

/// Members of both; where both have maps, those of both again.
fn merged(one: &IndexMap<Rc<str>, Val>, other: &IndexMap<Rc<str>, Val>) -> IndexMap<Rc<str>, Val> {
    spend(one.len() + other.len());
    let mut members = one.clone();
    for (name, value) in other {
        let both = match (members.get(name), value) {
            (Some(Val::Map(one)), Val::Map(other)) => Some(Val::map(merged(&one.members, &other.members))),
            _ => None,
        };
        members.insert(name.clone(), both.unwrap_or_else(|| value.clone()));
    }
    members
}
