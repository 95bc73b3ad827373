//! The values that programs work on: those of JSON, each paid for when it is made.

mod number;
mod operators;

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use indexmap::IndexMap;
use jaq_core::box_iter::{BoxIter, box_once};
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Error, Exn, ValR, ValT, ValX};
use serde_json::Value;

pub(crate) use self::number::Number;
use crate::budget::{at_depth, spend};

/// A value. What is shared is never changed.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    Null,
    Bool(bool),
    Number(Number),
    Text(Rc<str>),
    List(Rc<List>),
    Map(Rc<Map>),
}

#[derive(Debug)]
pub(crate) struct List {
    pub(crate) items: Vec<Val>,
    depth: usize,
}

#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) members: IndexMap<Rc<str>, Val>,
    depth: usize,
}

impl Val {
    /// The value of a document.
    pub(crate) fn of(document: &Value) -> Self {
        match document {
            Value::Null => Self::Null,
            Value::Bool(known) => Self::Bool(*known),
            Value::Number(number) => Self::Number(Number::of(number)),
            Value::String(text) => Self::text(text),
            Value::Array(items) => items.iter().map(Self::of).collect(),
            Value::Object(members) => {
                Self::map(members.iter().map(|(name, value)| (name.as_str().into(), Self::of(value))).collect())
            }
        }
    }

    /// The document that it is. What is no number in JSON is null.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(known) => Value::Bool(*known),
            Self::Number(number) => number.to_json(),
            Self::Text(text) => {
                spend(text.len() / BYTES);
                Value::from(&**text)
            }
            Self::List(list) => {
                spend(list.items.len());
                list.items.iter().map(Self::to_json).collect()
            }
            Self::Map(map) => {
                spend(map.members.len());
                map.members.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect()
            }
        }
    }

    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        spend(text.len() / BYTES + 1);
        Self::Text(text.into())
    }

    fn list(items: Vec<Self>) -> Self {
        let deepest = items.iter().map(Self::depth).max().unwrap_or(0);
        Self::List(Rc::new(List { items, depth: at_depth(deepest + 1) }))
    }

    fn map(members: IndexMap<Rc<str>, Self>) -> Self {
        spend(members.len() + 1);
        let deepest = members.values().map(Self::depth).max().unwrap_or(0);
        Self::Map(Rc::new(Map { members, depth: at_depth(deepest + 1) }))
    }

    fn depth(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => 0,
            Self::List(list) => list.depth,
            Self::Map(map) => map.depth,
        }
    }

    /// The parts of a text between others.
    pub(crate) fn split(of: &str, by: &str) -> Self {
        match (of.is_empty(), by.is_empty()) {
            (true, _) => Self::list(Vec::new()),
            (false, true) => of.chars().map(|letter| Self::text(letter.encode_utf8(&mut [0; 4]))).collect(),
            (false, false) => of.split(by).map(Self::text).collect(),
        }
    }

    /// What kind of value it is.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "object",
        }
    }

    /// The order of all values: null, false, true, numbers, texts, lists, maps.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        spend(1);
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Number(one), Self::Number(other)) => one.order(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::List(one), Self::List(other)) => {
                different(&one.items, &other.items).unwrap_or_else(|| one.items.len().cmp(&other.items.len()))
            }
            (Self::Map(one), Self::Map(other)) => {
                let ((names, values), (others, other_values)) = (sorted(one), sorted(other));
                names.cmp(&others).then_with(|| different(&values, &other_values).unwrap_or(Ordering::Equal))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::List(_) => 4,
            Self::Map(_) => 5,
        }
    }

    /// Where an index stands in so many items, if it is one of them.
    fn place(index: &Self, count: usize) -> Option<usize> {
        let Self::Number(number) = index else { return None };
        let index = number.index()?;
        let count = i64::try_from(count).ok()?;
        let place = if index < 0 { index + count } else { index };
        usize::try_from(place).ok().filter(|place| i64::try_from(*place).is_ok_and(|place| place < count))
    }

    /// The first and last place of a slice of so many items.
    fn bounds(range: &Range<&Self>, count: usize) -> Option<(usize, usize)> {
        let place = |bound: Option<&Self>, otherwise: usize| match bound {
            None | Some(Self::Null) => Some(otherwise),
            Some(Self::Number(number)) => {
                let (index, most) = (number.index()?, i64::try_from(count).ok()?);
                let place = if index < 0 { index.saturating_add(most) } else { index };
                usize::try_from(place.clamp(0, most)).ok()
            }
            Some(_) => None,
        };
        let (start, end) = (place(range.start, 0)?, place(range.end, count)?);
        Some((start, end.max(start)))
    }
}

/// How the first two that differ are ordered.
fn different(some: &[Val], others: &[Val]) -> Option<Ordering> {
    some.iter().zip(others).map(|(one, other)| one.order(other)).find(|order| order.is_ne())
}

/// Names and values in the order of the names.
fn sorted(map: &Map) -> (Vec<Rc<str>>, Vec<Val>) {
    spend(map.members.len());
    let mut members: Vec<_> = map.members.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    members.into_iter().unzip()
}

impl ValT for Val {
    fn from_num(text: &str) -> ValR<Self> {
        Number::parse(text).map(Self::Number).ok_or_else(|| Error::str(format_args!("`{text}` is no number")))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(members: I) -> ValR<Self> {
        let mut made = IndexMap::new();
        for (name, value) in members {
            let Self::Text(name) = name else { return Err(Error::typ(name, "string")) };
            spend(1);
            made.insert(name, value);
        }
        Ok(Self::map(made))
    }

    fn key_values(self) -> BoxIter<'static, ValR<(Self, Self), Self>> {
        match self {
            Self::List(list) => Box::new((0..list.items.len()).filter_map(move |index| {
                let value = list.items.get(index)?.clone();
                Some(Ok((Self::from(isize::try_from(index).ok()?), value)))
            })),
            Self::Map(map) => Box::new((0..map.members.len()).filter_map(move |index| {
                let (name, value) = map.members.get_index(index)?;
                Some(Ok((Self::Text(name.clone()), value.clone())))
            })),
            other => box_once(Err(Error::typ(other, "iterable"))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<Self>>> {
        match self {
            Self::List(list) => {
                Box::new((0..list.items.len()).filter_map(move |index| list.items.get(index).cloned().map(Ok)))
            }
            Self::Map(map) => Box::new(
                (0..map.members.len())
                    .filter_map(move |index| map.members.get_index(index).map(|(_, value)| Ok(value.clone()))),
            ),
            other => box_once(Err(Error::typ(other, "iterable"))),
        }
    }

    fn index(self, index: &Self) -> ValR<Self> {
        match (&self, index) {
            (Self::Null, Self::Text(_) | Self::Number(_)) => Ok(Self::Null),
            (Self::Map(map), Self::Text(name)) => Ok(map.members.get(&**name).cloned().unwrap_or(Self::Null)),
            (Self::List(list), Self::Number(_)) => {
                let found = Self::place(index, list.items.len()).and_then(|place| list.items.get(place));
                Ok(found.cloned().unwrap_or(Self::Null))
            }
            _ => Err(Error::index(self, index.clone())),
        }
    }

    fn range(self, range: Range<&Self>) -> ValR<Self> {
        match &self {
            Self::Null => Ok(Self::Null),
            Self::List(list) => match Self::bounds(&range, list.items.len()) {
                Some((start, end)) => Ok(list.items.iter().take(end).skip(start).cloned().collect()),
                None => Err(Error::typ(self, "something with such a slice")),
            },
            Self::Text(text) => match Self::bounds(&range, text.chars().count()) {
                Some((start, end)) => Ok(Self::from(text.chars().take(end).skip(start).collect::<String>())),
                None => Err(Error::typ(self, "something with such a slice")),
            },
            Self::Bool(_) | Self::Number(_) | Self::Map(_) => Err(Error::typ(self, "array")),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(self, opt: Opt, f: impl Fn(Self) -> I) -> ValX<'a, Self> {
        match self {
            Self::List(list) => list.items.iter().cloned().flat_map(f).collect(),
            Self::Map(map) => {
                let mut members = IndexMap::with_capacity(map.members.len());
                for (name, value) in &map.members {
                    if let Some(value) = f(value.clone()).next() {
                        members.insert(name.clone(), value?);
                    }
                }
                Ok(Self::map(members))
            }
            other => opt.fail(other, |other| Exn::from(Error::typ(other, "iterable"))),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        match (&self, index) {
            (Self::Map(_) | Self::Null, Self::Text(name)) => {
                let mut members = if let Self::Map(map) = &self { map.members.clone() } else { IndexMap::new() };
                match f(members.get(&**name).cloned().unwrap_or(Self::Null)).next().transpose()? {
                    Some(value) => drop(members.insert(name.clone(), value)),
                    None => drop(members.shift_remove(&**name)),
                }
                Ok(Self::map(members))
            }
            (Self::List(list), Self::Number(_)) => {
                let Some(place) = Self::place(index, list.items.len()) else {
                    return opt.fail(self.clone(), |list| Exn::from(Error::index(list, index.clone())));
                };
                let mut items = list.items.clone();
                let Some(item) = items.get_mut(place) else { return Ok(self) };
                match f(item.clone()).next().transpose()? {
                    Some(value) => *item = value,
                    None => drop(items.remove(place)),
                }
                Ok(items.into_iter().collect())
            }
            _ => opt.fail(self, |value| Exn::from(Error::index(value, index.clone()))),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: Range<&Self>,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        let Self::List(list) = &self else {
            return opt.fail(self, |value| Exn::from(Error::typ(value, "array")));
        };
        let Some((start, end)) = Self::bounds(&range, list.items.len()) else {
            return opt.fail(self, |value| Exn::from(Error::typ(value, "something with such a slice")));
        };
        let part = |from: usize, to: usize| list.items.iter().take(to).skip(from).cloned();
        let middle = match f(part(start, end).collect()).next().transpose()? {
            Some(Self::List(middle)) => middle.items.clone(),
            Some(other) => return Err(Error::typ(other, "array").into()),
            None => Vec::new(),
        };
        Ok(part(0, start).chain(middle).chain(part(end, usize::MAX)).collect())
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    fn into_string(self) -> Self {
        match self {
            Self::Text(_) => self,
            other => Self::from(other.to_json().to_string()),
        }
    }
}

impl FromIterator<Val> for Val {
    fn from_iter<T: IntoIterator<Item = Self>>(items: T) -> Self {
        spend(1);
        Self::list(items.into_iter().inspect(|_item| spend(1)).collect())
    }
}

impl From<bool> for Val {
    fn from(known: bool) -> Self {
        Self::Bool(known)
    }
}

impl From<isize> for Val {
    fn from(number: isize) -> Self {
        Self::Number(Number::from(number))
    }
}

impl From<String> for Val {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

impl From<Range<Self>> for Val {
    fn from(range: Range<Self>) -> Self {
        let member = |name: &str, bound: Option<Self>| bound.map(|bound| (Rc::from(name), bound));
        Self::map(member("start", range.start).into_iter().chain(member("end", range.end)).collect())
    }
}

impl PartialEq for Val {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.order(other))
    }
}

impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

/// Bytes of a text that cost as much as a step.
const BYTES: usize = 16;
