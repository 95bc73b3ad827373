//! Forms that a text can have to have, known to the schema by the name of their `format`.
//!
//! A schema says by name what a pattern cannot say exactly; the type that reads the text says what is wrong with it.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::money::{MONEY_FORM, Money};
use crate::rooms::Moment;
use crate::share::Share;
use crate::units::{Rate, Size, Span};

/// The schema of an address with a port, for `#[schemars(with = "…")]`.
pub struct SocketAddress;

/// The schema of a network or an address, for `#[schemars(with = "…")]`.
pub struct Network;

/// A form that a text can have to have.
pub struct Format {
    /// The value of the schema's `format`.
    pub name: &'static str,
    /// What to write, with examples.
    pub form: &'static str,
    /// What is wrong with a text, unless it has the form.
    pub complaint: fn(&str) -> Option<String>,
}

/// The format of this name, if it is one of ours.
pub fn named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

impl JsonSchema for SocketAddress {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SocketAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "socket-address", "examples": ["0.0.0.0:8080", "[::]:8443"] })
    }
}

impl JsonSchema for Network {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "network", "examples": ["10.0.0.0/8", "2001:db8::/32"] })
    }
}

/// The complaint of a type whose own message does not say what to write.
fn unless<T: FromStr>(text: &str, form: &str) -> Option<String> {
    text.parse::<T>().is_err().then(|| format!("`{text}` is not {form}"))
}

const SOCKET_ADDRESS: &str = "an address with a port, such as `0.0.0.0:8080` or `[::]:8443`";
const NETWORK: &str = "a network, such as `10.0.0.0/8` or `2001:db8::/32`";
const ADDRESS: &str = "an address, such as `10.0.0.5` or `2001:db8::5`";

const FORMATS: &[Format] = &[
    Format {
        name: "size",
        form: "a size such as `64KiB` or `1MB`",
        complaint: |text| text.parse::<Size>().err().map(|error| error.to_string()),
    },
    Format {
        name: "span",
        form: "a span of time such as `250ms`, `5s` or `1h30m`",
        complaint: |text| text.parse::<Span>().err().map(|error| error.to_string()),
    },
    Format {
        name: "moment",
        form: "a moment such as `2026-12-01T10:00:00Z`",
        complaint: |text| text.parse::<Moment>().err().map(|error| error.to_string()),
    },
    Format {
        name: "rate",
        form: "a rate such as `100/s`, `10/m` or `500/15m`",
        complaint: |text| text.parse::<Rate>().err().map(|error| error.to_string()),
    },
    Format {
        name: "share",
        form: "a share from `0%` to `100%`",
        complaint: |text| serde_json::from_value::<Share>(text.into()).err().map(|error| error.to_string()),
    },
    Format {
        name: "money",
        form: MONEY_FORM,
        complaint: |text| text.parse::<Money>().err().map(|error| error.to_string()),
    },
    Format {
        name: "socket-address",
        form: SOCKET_ADDRESS,
        complaint: |text| unless::<SocketAddr>(text, SOCKET_ADDRESS),
    },
    Format { name: "network", form: NETWORK, complaint: |text| unless::<IpNet>(text, NETWORK) },
    Format { name: "ip", form: ADDRESS, complaint: |text| unless::<IpAddr>(text, ADDRESS) },
];
