//! The functions that programs can call, beside those of the language itself.

use std::cmp::Ordering;

use jaq_core::load::parse::Def;
use jaq_core::native::{Filter, Fun, bome, run, unary, v};
use jaq_core::{Error, RunPtr, ValR, load};

use crate::Kind;
use crate::budget::spend;
use crate::value::{Number, Val};

/// Functions that are written in the language.
pub(crate) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    // A test sees to it that they can be read.
    load::parse(DEFINITIONS, |parser| parser.defs()).unwrap_or_default().into_iter()
}

/// Functions that are not.
pub(crate) fn natives() -> impl Iterator<Item = Fun<Kind>> {
    all().into_vec().into_iter().map(run::<Kind>)
}

fn all() -> Box<[Filter<RunPtr<Kind>>]> {
    Box::new([
        ("length", v(0), |cv| bome(length(cv.1))),
        ("type", v(0), |cv| bome(Ok(Val::from(cv.1.kind().to_owned())))),
        ("sort", v(0), |cv| bome(list(cv.1, |items| items.sort_by(Val::order)))),
        ("reverse", v(0), |cv| bome(list(cv.1, |items| items.reverse()))),
        ("unique", v(0), |cv| bome(list(cv.1, unique))),
        ("flatten", v(0), |cv| bome(flattened(cv.1))),
        ("sort_pairs", v(0), |cv| bome(list(cv.1, |pairs| pairs.sort_by(by_key)))),
        ("group_pairs", v(0), |cv| bome(grouped(cv.1))),
        ("tonumber", v(0), |cv| bome(number(cv.1))),
        ("tojson", v(0), |cv| bome(Ok(Val::from(cv.1.to_json().to_string())))),
        ("fromjson", v(0), |cv| bome(parsed(cv.1))),
        ("ascii_downcase", v(0), |cv| bome(text(cv.1, str::to_ascii_lowercase))),
        ("ascii_upcase", v(0), |cv| bome(text(cv.1, str::to_ascii_uppercase))),
        ("trim", v(0), |cv| bome(text(cv.1, |text| text.trim().to_owned()))),
        ("floor", v(0), |cv| bome(rounded(cv.1, f64::floor))),
        ("round", v(0), |cv| bome(rounded(cv.1, f64::round))),
        ("ceil", v(0), |cv| bome(rounded(cv.1, f64::ceil))),
        ("@json", v(0), |cv| bome(Ok(Val::from(cv.1.to_json().to_string())))),
        ("has", v(1), |cv| unary(cv, has)),
        ("contains", v(1), |cv| unary(cv, |of, what| Ok(Val::Bool(contains(&of, &what))))),
        ("split", v(1), |cv| unary(cv, |of, by| texts(of, by, "split", Val::split))),
        ("startswith", v(1), |cv| unary(cv, |of, by| texts(of, by, "test", |of, by| of.starts_with(by).into()))),
        ("endswith", v(1), |cv| unary(cv, |of, by| texts(of, by, "test", |of, by| of.ends_with(by).into()))),
        ("ltrimstr", v(1), |cv| unary(cv, |of, by| Ok(trimmed(of, &by, |of, by| of.strip_prefix(by))))),
        ("rtrimstr", v(1), |cv| unary(cv, |of, by| Ok(trimmed(of, &by, |of, by| of.strip_suffix(by))))),
    ])
}

fn length(of: Val) -> ValR<Val> {
    let count = match &of {
        Val::Null => 0,
        Val::Bool(_) => return Err(Error::typ(of, "something with a length")),
        Val::Number(number) => return Ok(Val::Number(number.abs())),
        Val::Text(text) => text.chars().count(),
        Val::List(list) => list.items.len(),
        Val::Map(map) => map.members.len(),
    };
    Ok(Val::from(isize::try_from(count).unwrap_or(isize::MAX)))
}

/// A list with other items.
fn list(of: Val, change: impl FnOnce(&mut Vec<Val>)) -> ValR<Val> {
    let Val::List(list) = of else { return Err(Error::typ(of, "array")) };
    // Comparing costs, too.
    spend(list.items.len().saturating_mul(LOGARITHM));
    let mut items = list.items.clone();
    change(&mut items);
    Ok(items.into_iter().collect())
}

fn unique(items: &mut Vec<Val>) {
    items.sort_by(Val::order);
    items.dedup();
}

/// Orders `[key, value]` by key alone.
fn by_key(one: &Val, other: &Val) -> Ordering {
    key(one).order(key(other))
}

fn key(pair: &Val) -> &Val {
    match pair {
        Val::List(list) => list.items.first().unwrap_or(&Val::Null),
        _ => &Val::Null,
    }
}

/// Lists of the values in `[key, value]`, one for each key.
fn grouped(of: Val) -> ValR<Val> {
    let Val::List(pairs) = list(of, |pairs| pairs.sort_by(by_key))? else { return Ok(Val::Null) };
    let groups = pairs.items.chunk_by(|one, other| by_key(one, other) == Ordering::Equal);
    let value = |pair: &Val| match pair {
        Val::List(list) => list.items.get(1).cloned().unwrap_or(Val::Null),
        _ => Val::Null,
    };
    Ok(groups.map(|group| group.iter().map(value).collect()).collect())
}

fn flattened(of: Val) -> ValR<Val> {
    fn into(item: &Val, flat: &mut Vec<Val>) {
        spend(1);
        match item {
            Val::List(list) => list.items.iter().for_each(|item| into(item, flat)),
            other => flat.push(other.clone()),
        }
    }
    if !matches!(of, Val::List(_)) {
        return Err(Error::typ(of, "array"));
    }
    let mut flat = Vec::new();
    into(&of, &mut flat);
    Ok(flat.into_iter().collect())
}

fn number(of: Val) -> ValR<Val> {
    match &of {
        Val::Number(_) => Ok(of),
        Val::Text(text) => match Number::parse(text.trim()) {
            Some(number) => Ok(Val::Number(number)),
            None => Err(Error::typ(of, "number")),
        },
        Val::Null | Val::Bool(_) | Val::List(_) | Val::Map(_) => Err(Error::typ(of, "number")),
    }
}

fn parsed(of: Val) -> ValR<Val> {
    let Val::Text(text) = &of else { return Err(Error::typ(of, "string")) };
    spend(text.len());
    serde_json::from_str(text).map(|document| Val::of(&document)).map_err(|_error| Error::typ(of, "JSON"))
}

fn text(of: Val, change: impl FnOnce(&str) -> String) -> ValR<Val> {
    match &of {
        Val::Text(text) => Ok(Val::from(change(text))),
        Val::Null | Val::Bool(_) | Val::Number(_) | Val::List(_) | Val::Map(_) => Err(Error::typ(of, "string")),
    }
}

fn texts(of: Val, by: Val, how: &'static str, change: impl FnOnce(&str, &str) -> Val) -> ValR<Val> {
    match (&of, &by) {
        (Val::Text(text), Val::Text(by)) => Ok(change(text, by)),
        (Val::Text(_), _) => Err(Error::typ(by, how)),
        _ => Err(Error::typ(of, "string")),
    }
}

fn trimmed(of: Val, by: &Val, strip: impl for<'a> FnOnce(&'a str, &str) -> Option<&'a str>) -> Val {
    match (&of, by) {
        (Val::Text(text), Val::Text(by)) => match strip(text, by) {
            Some(rest) => Val::from(rest.to_owned()),
            None => of,
        },
        _ => of,
    }
}

fn rounded(of: Val, how: impl FnOnce(f64) -> f64) -> ValR<Val> {
    match of {
        Val::Number(number) => Ok(Val::Number(number.rounded(how))),
        other => Err(Error::typ(other, "number")),
    }
}

fn has(of: Val, what: Val) -> ValR<Val> {
    match (&of, &what) {
        (Val::Map(map), Val::Text(name)) => Ok(Val::Bool(map.members.contains_key(&**name))),
        (Val::List(list), Val::Number(number)) => {
            let index = number.index().and_then(|index| usize::try_from(index).ok());
            Ok(Val::Bool(index.is_some_and(|index| index < list.items.len())))
        }
        _ => Err(Error::index(of, what)),
    }
}

fn contains(of: &Val, what: &Val) -> bool {
    spend(1);
    match (of, what) {
        (Val::Text(of), Val::Text(what)) => of.contains(&**what),
        (Val::List(of), Val::List(what)) => what.items.iter().all(|what| of.items.iter().any(|of| contains(of, what))),
        (Val::Map(of), Val::Map(what)) => {
            what.members.iter().all(|(name, what)| of.members.get(name).is_some_and(|of| contains(of, what)))
        }
        _ => of == what,
    }
}

/// About what sorting costs for each item.
const LOGARITHM: usize = 16;

const DEFINITIONS: &str = r#"
def null: [][0];
def keys: keys_unsorted | sort;
def add: reduce .[] as $x (null; . + $x);
def add(f): reduce f as $x (null; . + $x);
def values: select(. != null);
def nulls: select(. == null);
def booleans: select(type == "boolean");
def numbers: select(type == "number");
def strings: select(type == "string");
def arrays: select(type == "array");
def objects: select(type == "object");
def scalars: select(type | . != "array" and . != "object");
def sort_by(f): map([[f], .]) | sort_pairs | map(.[1]);
def group_by(f): map([[f], .]) | group_pairs;
def unique_by(f): [group_by(f)[] | .[0]];
def min_by(f): sort_by(f) | .[0];
def max_by(f): sort_by(f) | .[-1];
def min: sort | .[0];
def max: sort | .[-1];
def abs: if . < 0 then - . else . end;
def @text: "\(.)";
"#;
