//! What an operation is: where it is asked, and what the description of an API says about it.

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Gives the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The method of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Looks.
    Get,
    /// Makes, or has something done.
    Post,
    /// Makes or replaces.
    Put,
    /// Deletes.
    Delete,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Those who present a token.
    WithToken,
    /// Everybody who reaches the listener, if only programs of this machine do.
    LocallyOpen,
    /// Everybody who reaches the listener.
    Open,
}

/// What a change heeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heeds {
    /// `If-Match` and `dry_run`.
    Both,
    /// Neither: it is done at once.
    Nothing,
}

/// What is sent with an operation.
#[derive(Clone, Copy, Debug)]
pub enum Sent {
    /// No body.
    Nothing,
    /// JSON.
    Json(SchemaOf),
    /// JSON, or no body.
    JsonOrNothing(SchemaOf),
    /// A body of one of these types.
    Text(&'static [&'static str]),
}

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub enum Said {
    /// No body.
    Nothing,
    /// JSON.
    Json(SchemaOf),
    /// Other media, beside JSON if there is a schema.
    Media(&'static [&'static str], Option<SchemaOf>),
}

/// An operation as it is described.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its method.
    pub verb: Verb,
    /// Where it is asked, with parameters in braces.
    pub path: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Who may ask.
    pub asking: Asking,
    /// What a change heeds.
    pub heeds: Heeds,
    /// Its query, each member a parameter.
    pub query: Option<SchemaOf>,
    /// What is sent.
    pub sent: Sent,
    /// The status of an answer that says it was done.
    pub status: StatusCode,
    /// What comes back.
    pub said: Said,
    /// Whether the answer names the revision of an entity.
    pub has_tag: bool,
}

impl Verb {
    #[must_use]
    /// Its word in a description.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

impl Operation {
    /// A `GET` of this path.
    pub const fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new(Verb::Get, path, summary, StatusCode::OK)
    }

    /// A `POST` of this path.
    pub const fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new(Verb::Post, path, summary, StatusCode::OK)
    }

    /// A `PUT` of this path.
    pub const fn put(path: &'static str, summary: &'static str) -> Self {
        Self::new(Verb::Put, path, summary, StatusCode::OK)
    }

    /// A `DELETE` of this path.
    pub const fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new(Verb::Delete, path, summary, StatusCode::NO_CONTENT)
    }

    const fn new(verb: Verb, path: &'static str, summary: &'static str, status: StatusCode) -> Self {
        let (query, sent, said) = (None, Sent::Nothing, Said::Nothing);
        let (asking, heeds) = (Asking::WithToken, Heeds::Both);
        Self { verb, path, summary, asking, heeds, query, sent, status, said, has_tag: false }
    }

    /// Needs no token.
    #[must_use]
    pub fn open(self) -> Self {
        Self { asking: Asking::Open, ..self }
    }

    /// Needs no token on a loopback address.
    #[must_use]
    pub fn locally_open(self) -> Self {
        Self { asking: Asking::LocallyOpen, ..self }
    }

    /// Cannot be tried, and asks for no revision.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self { heeds: Heeds::Nothing, ..self }
    }

    /// Has a query.
    #[must_use]
    pub fn asks<T: JsonSchema>(self) -> Self {
        Self { query: Some(schema_of::<T>), ..self }
    }

    /// Has a JSON body.
    #[must_use]
    pub fn takes<T: JsonSchema>(self) -> Self {
        Self { sent: Sent::Json(schema_of::<T>), ..self }
    }

    /// May have a JSON body.
    #[must_use]
    pub fn may_take<T: JsonSchema>(self) -> Self {
        Self { sent: Sent::JsonOrNothing(schema_of::<T>), ..self }
    }

    /// Has a body of one of these types.
    #[must_use]
    pub fn takes_text(self, media: &'static [&'static str]) -> Self {
        Self { sent: Sent::Text(media), ..self }
    }

    /// Answers JSON.
    #[must_use]
    pub fn answers<T: JsonSchema>(self) -> Self {
        Self { said: Said::Json(schema_of::<T>), ..self }
    }

    /// Answers an entity as it is now.
    #[must_use]
    pub fn shows<T: JsonSchema>(self) -> Self {
        Self { has_tag: true, ..self.answers::<T>() }
    }

    /// Answers what was made, and where it is.
    #[must_use]
    pub fn makes<T: JsonSchema>(self) -> Self {
        Self { status: StatusCode::CREATED, ..self.answers::<T>() }
    }

    /// Answers other media, beside JSON if there is any.
    #[must_use]
    pub fn or_says(self, media: &'static [&'static str]) -> Self {
        let schema = match self.said {
            Said::Json(schema) => Some(schema),
            Said::Nothing | Said::Media(..) => None,
        };
        Self { said: Said::Media(media, schema), ..self }
    }

    /// Answers with another status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
