//! What an operation is: where it is asked, and what the description of the Admin API says about it.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{delete, get, post, put};
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::Admin;
use crate::page::{Listed, Page};

/// Gives the schema of a type.
pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The method of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Those who present a token.
    WithToken,
    /// Everybody who reaches the listener, if only programs of this machine do.
    LocallyOpen,
    /// Everybody who reaches the listener.
    Open,
}

/// What a change heeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heeds {
    /// `If-Match` and `dry_run`.
    Both,
    /// Neither: it is done at once.
    Nothing,
}

/// What is sent with an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sent {
    Nothing,
    Json(SchemaOf),
    JsonOrNothing(SchemaOf),
    Text(&'static [&'static str]),
}

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    Nothing,
    Json(SchemaOf),
    /// Other media, beside JSON if there is a schema.
    Media(&'static [&'static str], Option<SchemaOf>),
}

/// An operation as it is described.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) asking: Asking,
    pub(crate) heeds: Heeds,
    pub(crate) query: Option<SchemaOf>,
    pub(crate) sent: Sent,
    pub(crate) status: StatusCode,
    pub(crate) said: Said,
    /// Whether the answer names the revision of an entity.
    pub(crate) has_tag: bool,
}

impl Verb {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

impl Operation {
    pub(crate) const fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new(Verb::Get, path, summary, StatusCode::OK)
    }

    pub(crate) const fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new(Verb::Post, path, summary, StatusCode::OK)
    }

    pub(crate) const fn put(path: &'static str, summary: &'static str) -> Self {
        Self::new(Verb::Put, path, summary, StatusCode::OK)
    }

    pub(crate) const fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new(Verb::Delete, path, summary, StatusCode::NO_CONTENT)
    }

    const fn new(verb: Verb, path: &'static str, summary: &'static str, status: StatusCode) -> Self {
        let (query, sent, said) = (None, Sent::Nothing, Said::Nothing);
        let (asking, heeds) = (Asking::WithToken, Heeds::Both);
        Self { verb, path, summary, asking, heeds, query, sent, status, said, has_tag: false }
    }

    /// Needs no token.
    pub(crate) fn open(self) -> Self {
        Self { asking: Asking::Open, ..self }
    }

    /// Needs no token on a loopback address.
    pub(crate) fn locally_open(self) -> Self {
        Self { asking: Asking::LocallyOpen, ..self }
    }

    /// Cannot be tried, and asks for no revision.
    pub(crate) fn at_once(self) -> Self {
        Self { heeds: Heeds::Nothing, ..self }
    }

    /// Has a query.
    pub(crate) fn asks<T: JsonSchema>(self) -> Self {
        Self { query: Some(schema_of::<T>), ..self }
    }

    /// Has a JSON body.
    pub(crate) fn takes<T: JsonSchema>(self) -> Self {
        Self { sent: Sent::Json(schema_of::<T>), ..self }
    }

    /// May have a JSON body.
    pub(crate) fn may_take<T: JsonSchema>(self) -> Self {
        Self { sent: Sent::JsonOrNothing(schema_of::<T>), ..self }
    }

    /// Has a body of one of these types.
    pub(crate) fn takes_text(self, media: &'static [&'static str]) -> Self {
        Self { sent: Sent::Text(media), ..self }
    }

    /// Answers JSON.
    pub(crate) fn answers<T: JsonSchema>(self) -> Self {
        Self { said: Said::Json(schema_of::<T>), ..self }
    }

    /// Answers an entity as it is now.
    pub(crate) fn shows<T: JsonSchema>(self) -> Self {
        Self { has_tag: true, ..self.answers::<T>() }
    }

    /// Answers what was made, and where it is.
    pub(crate) fn makes<T: JsonSchema>(self) -> Self {
        Self { status: StatusCode::CREATED, ..self.answers::<T>() }
    }

    /// Answers a page of a list.
    pub(crate) fn lists<T: JsonSchema>(self) -> Self {
        self.answers::<Listed<T>>().asks::<Page>()
    }

    /// Answers other media, beside JSON if there is any.
    pub(crate) fn or_says(self, media: &'static [&'static str]) -> Self {
        let schema = match self.said {
            Said::Json(schema) => Some(schema),
            Said::Nothing | Said::Media(..) => None,
        };
        Self { said: Said::Media(media, schema), ..self }
    }

    /// Answers with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

/// Operations, each with what does it.
#[derive(Default)]
pub(crate) struct Operations {
    pub(crate) router: Router<Admin>,
    pub(crate) described: Vec<Operation>,
}

impl Operations {
    /// Adds an operation: what is served is described, and what is described is served.
    pub(crate) fn on<H: Handler<T, Admin>, T: 'static>(mut self, operation: Operation, handler: H) -> Self {
        let by_method = match operation.verb {
            Verb::Get => get(handler),
            Verb::Post => post(handler),
            Verb::Put => put(handler),
            Verb::Delete => delete(handler),
        };
        self.router = self.router.route(operation.path, by_method);
        self.described.push(operation);
        self
    }

    /// Adds others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.router = self.router.merge(others.router);
        self.described.extend(others.described);
        self
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
