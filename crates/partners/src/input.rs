//! What callers send, and how it becomes something that cannot be wrong.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use model::read::advice;
use problem::{Finding, Pointer};
use schemars::JsonSchema;
use serde::Deserialize;
use store::{AlertId, BadName, Environment, Quota, UnixMicros};

use crate::{Error, Known};

/// Characters of a title.
const LONGEST_TITLE: usize = 200;

/// Characters of a scope, and scopes of a key.
const LONGEST_SCOPE: usize = 128;
const MOST_SCOPES: usize = 64;

/// Characters of a key's beginning that are shown.
const LONGEST_PREFIX: usize = 12;

/// Characters of an address for mail (RFC 5321, section 4.5.3.1.3).
const LONGEST_EMAIL: usize = 254;

/// Operations of a product.
const MOST_OPERATIONS: usize = 1_000;

/// A company to be made.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCompany {
    /// Its name, in kebab case.
    pub name: String,
    /// What people call it; the name, if it is left out.
    pub title: Option<String>,
}

/// An app to be made.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApp {
    /// Its name, in kebab case.
    pub name: String,
    /// What people call it; the name, if it is left out.
    pub title: Option<String>,
}

/// A developer to be made or changed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeveloper {
    /// The person's name within the company, in kebab case.
    pub name: String,
    /// What people call the person; the name, if it is left out.
    pub title: Option<String>,
    /// Where mail reaches the person.
    pub email: String,
}

/// A contract to be made or changed, whose dates are dates.
#[derive(Clone, Debug, Default)]
pub struct NewContract {
    /// Its name within the company, in kebab case.
    pub name: String,
    /// The rate plan.
    pub plan: String,
    /// Its first day, such as `2026-01-31`.
    pub start: String,
    /// The day after its last one, if it has one.
    pub end: Option<String>,
}

/// An endpoint of webhooks to be made or changed, whose URL was looked at.
#[derive(Clone, Debug, Default)]
pub struct NewWebhook {
    /// Its name, in kebab case.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What it is told.
    pub kinds: Vec<String>,
}

/// A silence to be made.
#[derive(Clone, Debug, Default)]
pub struct NewSilence {
    /// Only this alert.
    pub alert: Option<AlertId>,
    /// Only alerts of this rule.
    pub rule: Option<String>,
    /// Only alerts with these labels.
    pub labels: BTreeMap<String, String>,
    /// That nothing of this is said on purpose: it is for all alerts.
    pub all: bool,
    /// Why.
    pub reason: String,
    /// How long it lasts.
    pub lasts: Duration,
}

/// A product to be made or changed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    /// Its name, in kebab case.
    pub name: String,
    /// What it allows, such as `orders: GET /**`.
    pub operations: Vec<String>,
    /// How much of it an app may use; without, it is unlimited.
    pub quota: Option<Quota>,
}

/// A key to be made.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for; live traffic, if it is left out.
    pub environment: Option<Environment>,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When it stops working by itself; never, if it is left out.
    pub expires: Option<UnixMicros>,
}

/// A key that another program made.
#[derive(Clone, Debug)]
pub struct ImportedKey {
    /// What is known of it.
    pub known: Known,
    /// What every key has.
    pub key: NewKey,
    /// How it begins, so that people recognise it; up to 12 characters.
    pub prefix: Option<String>,
    /// How it ends, so that people recognise it.
    pub last_four: Option<String>,
}

/// Collects what is wrong.
#[derive(Default)]
pub(crate) struct Checking(Vec<Finding>);

impl Checking {
    /// A name, if it is one.
    pub(crate) fn name<T: FromStr<Err = BadName>>(&mut self, member: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error: BadName| self.wrong(&Pointer::default().at(member), error.to_string())).ok()
    }

    /// A title, or the name in its place.
    pub(crate) fn title(&mut self, title: Option<String>, name: &str) -> String {
        let title = title.unwrap_or_else(|| name.to_owned());
        let length = title.chars().count();
        if LONGEST_TITLE < length || title.trim().is_empty() || title.contains(char::is_control) {
            let reason = format!("is no title: 1 to {LONGEST_TITLE} characters, none of them a control character");
            self.wrong(&Pointer::default().at("title"), reason);
        }
        title
    }

    /// An address that mail may reach: nobody knows before it did.
    pub(crate) fn email(&mut self, email: String) -> String {
        let is_one = email.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && !host.is_empty() && !host.contains('@') && email.len() <= LONGEST_EMAIL
        });
        if !is_one || email.contains(|letter: char| letter.is_control() || letter.is_whitespace()) {
            self.wrong(&Pointer::default().at("email"), "is no address for mail, such as `ann@acme.example`");
        }
        email
    }

    /// Operations that can be compiled, of APIs that there are.
    pub(crate) fn operations(&mut self, operations: &[String], apis: Option<&Vec<String>>) {
        let at = Pointer::default().at("operations");
        if operations.is_empty() || MOST_OPERATIONS < operations.len() {
            self.wrong(&at, format!("has {} operations; a product has 1 to {MOST_OPERATIONS}", operations.len()));
            return;
        }
        let compiled = match crate::product::compiled(operations, &at) {
            Ok(compiled) => compiled,
            Err(findings) => return self.0.extend(findings),
        };
        let Some(apis) = apis else { return };
        let known: Vec<_> = apis.iter().map(String::as_str).collect();
        for (index, operation) in compiled.iter().enumerate().filter(|(_, operation)| !known.contains(&operation.api()))
        {
            let api = operation.api();
            self.wrong(&at.at(index), format!("there is no api `{api}`{}", advice(api, &known)));
        }
    }

    /// A quota that lets something pass.
    pub(crate) fn quota(&mut self, quota: Option<Quota>) {
        if quota.is_some_and(|quota| quota.requests == 0 || i64::try_from(quota.requests).is_err()) {
            let at = Pointer::default().at("quota").at("requests");
            self.wrong(&at, "is no number of requests: at least 1; suspend the subscription to stop an app");
        }
    }

    /// Scopes as OAuth has them (RFC 6749, section 3.3).
    pub(crate) fn scopes(&mut self, at: &Pointer, scopes: &[String]) {
        let at = at.at("scopes");
        if MOST_SCOPES < scopes.len() {
            self.wrong(&at, format!("has {} scopes; a key has at most {MOST_SCOPES}", scopes.len()));
            return;
        }
        for (index, scope) in scopes.iter().enumerate() {
            let is_plain = scope.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'));
            if scope.is_empty() || LONGEST_SCOPE < scope.len() || !is_plain {
                let reason =
                    format!("is no scope: 1 to {LONGEST_SCOPE} visible ASCII characters without `\"` and `\\`");
                self.wrong(&at.at(index), reason);
            }
        }
    }

    /// An expiry that is yet to come.
    pub(crate) fn expires(&mut self, at: &Pointer, expires: Option<UnixMicros>, now: UnixMicros) {
        if expires.is_some_and(|expires| expires <= now) {
            self.wrong(&at.at("expires"), "is over: write a time to come, or none");
        }
    }

    /// What is said of a key that was made elsewhere.
    pub(crate) fn import(&mut self, at: &Pointer, import: &ImportedKey, now: UnixMicros) {
        self.scopes(at, &import.key.scopes);
        self.expires(at, import.key.expires, now);
        for (member, text, most) in [("prefix", &import.prefix, LONGEST_PREFIX), ("last_four", &import.last_four, 4)] {
            let is_plain = |text: &String| text.len() <= most && text.bytes().all(|byte| byte.is_ascii_graphic());
            if !text.as_ref().is_none_or(is_plain) {
                self.wrong(&at.at(member), format!("is longer than {most} visible ASCII characters, or has others"));
            }
        }
    }

    /// The value, if nothing was wrong.
    pub(crate) fn done<T>(self, value: Option<T>) -> Result<T, Error> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Error::Invalid(self.0)),
        }
    }

    pub(crate) fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub(crate) fn wrong(&mut self, at: &Pointer, reason: impl Into<String>) {
        self.0.push(Finding::new(at, reason));
    }
}
