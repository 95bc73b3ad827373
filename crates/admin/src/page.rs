//! Lists, a page at a time: `?after=LAST&limit=N`.

use std::borrow::Cow;

use axum::response::{IntoResponse, Json, Response};
use problem::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::parts::BAD_QUERY;

/// Which page of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// The list goes on after this one: `next` of the page before.
    after: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Listed<T> {
    /// What is on this page.
    items: Vec<T>,
    /// What `after` is for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<T: JsonSchema> JsonSchema for Listed<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Page", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "items": { "description": "What is on this page.", "type": "array", "items": generator.subschema_for::<T>() },
                "next": { "description": "What `after` is for the next page; absent on the last one.", "type": "string" },
            },
            "required": ["items"],
        })
    }
}

impl<T> Listed<T> {
    /// A page of these, with what follows them.
    pub(crate) fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }
}

impl Page {
    /// A page as a query with further members asks for it.
    pub(crate) fn new(after: Option<String>, limit: Option<usize>) -> Self {
        Self { after, limit }
    }

    /// After which one the list goes on, read by `parse`.
    pub(crate) fn after<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Failure> {
        let Some(after) = &self.after else { return Ok(None) };
        match parse(after) {
            Some(after) => Ok(Some(after)),
            None => Err(bad("`after` is the `next` of the page before, as it was")),
        }
    }

    /// How many to ask for: one more than shown, which tells whether there is a next page.
    pub(crate) fn fetched(&self) -> Result<usize, Failure> {
        Ok(self.shown()? + 1)
    }

    /// The page of these, which are at most [`Self::fetched`].
    pub(crate) fn of<T, S>(
        &self,
        mut found: Vec<T>,
        cursor: impl Fn(&T) -> String,
        show: impl Fn(T) -> S,
    ) -> Result<Listed<S>, Failure> {
        let shown = self.shown()?;
        let has_more = shown < found.len();
        found.truncate(shown);
        let next = found.last().filter(|_| has_more).map(cursor);
        Ok(Listed { items: found.into_iter().map(show).collect(), next })
    }

    /// The page of a whole list, which is short enough to be read at once.
    pub(crate) fn out_of<T, S, I: Ord + std::fmt::Display>(
        &self,
        mut all: Vec<T>,
        after: Option<&I>,
        id: impl Fn(&T) -> I,
        show: impl Fn(T) -> S,
    ) -> Result<Listed<S>, Failure> {
        all.retain(|item| after.is_none_or(|after| *after < id(item)));
        all.sort_by_key(&id);
        self.of(all, |item| id(item).to_string(), show)
    }

    /// How many are shown.
    pub(crate) fn shown(&self) -> Result<usize, Failure> {
        match self.limit.unwrap_or(USUAL) {
            limit @ 1..=MOST => Ok(limit),
            _ => Err(bad(&format!("`limit` is 1 to {MOST}"))),
        }
    }
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

fn bad(reason: &str) -> Failure {
    Problem::new(&BAD_QUERY).detail(format!("The query is wrong: {reason}.")).into()
}

/// Items of a page where nobody asks for another number.
const USUAL: usize = 100;

/// Items of a page at most.
const MOST: usize = 1000;
