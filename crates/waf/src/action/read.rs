//! Reading the list of actions of a rule.

use payload::transform::Transformation;
use problem::Finding;

use super::effect::Masked;
use super::{Action, Change, Control, Disruptive, Effect, Initialised, Scope};
use crate::Phase;
use crate::context::Context;
use crate::seclang::{Item, Text, items, nearest};
use crate::template::Template;
use crate::variable::Variable;

/// Reads a list of actions; every action that cannot be read is a finding of its own.
pub(crate) fn read(text: &Text, context: &mut Context, findings: &mut Vec<Finding>) -> Vec<Action> {
    let items = match items(text) {
        Ok(items) => items,
        Err(finding) => {
            findings.push(finding);
            return Vec::new();
        }
    };
    let mut actions = Vec::with_capacity(items.len());
    for item in &items {
        match action(item, context) {
            Ok(action) => actions.extend(action),
            Err(finding) => findings.push(finding),
        }
    }
    actions
}

fn action(item: &Item, context: &mut Context) -> Result<Option<Action>, Finding> {
    let name = item.name.lossy().to_ascii_lowercase();
    if let Some(action) = bare(&name) {
        return match &item.value {
            None => Ok(Some(action)),
            // How much of what matched may be seen: here nothing of it is.
            Some(_) if name.ends_with("matchedbytes") => Ok(Some(action)),
            Some(value) => Err(value.finding(0, format!("`{name}` takes no value: leave it out"))),
        };
    }
    if name == "allow" {
        return item
            .value
            .as_ref()
            .map_or(Ok(Scope::Transaction), scope)
            .map(|scope| Some(Action::Disruptive(Disruptive::Allow(scope))));
    }
    if !WITH_VALUE.contains(&name.as_str()) {
        return Err(unknown(&item.name, &name));
    }
    let Some(value) = &item.value else {
        return Err(item.name.finding(0, format!("`{name}` needs a value: write {name}:value")));
    };
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return context.refuse(&item.name, &format!("`{name}`"), reason).map(|()| None);
    }
    valued(&name, value, context).map(Some)
}

fn bare(name: &str) -> Option<Action> {
    Some(match name {
        "pass" => Action::Disruptive(Disruptive::Pass),
        "deny" => Action::Disruptive(Disruptive::Deny),
        "drop" => Action::Disruptive(Disruptive::Drop),
        "block" => Action::Block,
        "log" => Action::Log(true),
        "nolog" => Action::Log(false),
        "auditlog" => Action::AuditLog(true),
        "noauditlog" => Action::AuditLog(false),
        "capture" => Action::Capture,
        "multimatch" => Action::MultiMatch,
        "chain" => Action::Chain,
        "sanitisematched" | "sanitizematched" => Action::Effect(Effect::Mask(Masked::Matched)),
        "sanitisematchedbytes" | "sanitizematchedbytes" => Action::Effect(Effect::Mask(Masked::MatchedBytes)),
        _ => return None,
    })
}

/// The actions that need a value.
const WITH_VALUE: &[&str] = &[
    "accuracy",
    "append",
    "ctl",
    "deprecatevar",
    "exec",
    "expirevar",
    "id",
    "initcol",
    "logdata",
    "maturity",
    "msg",
    "pause",
    "phase",
    "prepend",
    "proxy",
    "redirect",
    "rev",
    "sanitisearg",
    "sanitizearg",
    "sanitiserequestheader",
    "sanitizerequestheader",
    "sanitiseresponseheader",
    "sanitizeresponseheader",
    "setenv",
    "setrsc",
    "setsid",
    "setuid",
    "setvar",
    "severity",
    "skip",
    "skipafter",
    "status",
    "t",
    "tag",
    "ver",
    "xmlns",
];

/// Actions that are not done here, and why.
const REFUSED: &[(&str, &str)] = &[
    ("exec", "a gateway starts no program for a request; send what happened to a log sink, and act there"),
    ("proxy", "a rule cannot choose where a request goes; write a route"),
    ("pause", "holding requests costs the gateway more than the client; limit the client's rate"),
    ("append", "rules do not change answers; write a policy that transforms them"),
    ("prepend", "rules do not change answers; write a policy that transforms them"),
    ("xmlns", "namespaces serve XPath expressions, of which only `/*` and `//@*` are known"),
];

fn valued(name: &str, value: &Text, context: &mut Context) -> Result<Action, Finding> {
    Ok(match name {
        "id" => Action::Id(small(value, 1, u64::MAX, "a number above zero")?),
        "phase" => Action::Phase(phase(value)?),
        "msg" => Action::Message(Template::read(value, context)?),
        "logdata" => Action::Data(Template::read(value, context)?),
        "tag" => Action::Tag(Template::shown_only(value, context)?),
        "severity" => Action::Severity(severity(value)?),
        "rev" => Action::Revision(value.lossy().into()),
        "ver" => Action::Version(value.lossy().into()),
        "maturity" => Action::Maturity(small(value, 0, 9, "a number from 0 to 9")?),
        "accuracy" => Action::Accuracy(small(value, 0, 9, "a number from 0 to 9")?),
        "redirect" => Action::Disruptive(Disruptive::Redirect(Template::read(value, context)?)),
        "status" => Action::Status(small(value, 100, 599, "a status from 100 to 599")?),
        "skip" => Action::Skip(small(value, 1, 1_000_000, "how many rules to skip")?),
        "skipafter" => Action::SkipAfter(value.bytes().into()),
        "t" => transformation(value)?,
        _ => Action::Effect(effect(name, value, context)?),
    })
}

fn effect(name: &str, value: &Text, context: &mut Context) -> Result<Effect, Finding> {
    let text = || value.lossy().into_boxed_str();
    Ok(match name {
        "setvar" => set(value, context)?,
        "expirevar" => {
            let (collection, name, after) = member(value, context)?;
            Effect::Expire { collection, name, after: needed(after, value, "a number of seconds", context)? }
        }
        "deprecatevar" => deprecate(value, context)?,
        "initcol" => initialise(value, context)?,
        "setsid" => Effect::Initialise { collection: Initialised::Session, key: Template::read(value, context)? },
        "setuid" => Effect::Initialise { collection: Initialised::User, key: Template::read(value, context)? },
        "setrsc" => Effect::Initialise { collection: Initialised::Resource, key: Template::read(value, context)? },
        "setenv" => {
            let (name, given) =
                value.split_once(b'=').map_or((value.clone(), None), |(name, given)| (name, Some(given)));
            let given = given.map(|given| Template::read(&given, context)).transpose()?;
            Effect::SetEnv { name: Template::read(&name, context)?, value: given }
        }
        "ctl" => Effect::Control(Control::read(value, context)?),
        "sanitisearg" | "sanitizearg" => Effect::Mask(Masked::Argument(text())),
        "sanitiserequestheader" | "sanitizerequestheader" => Effect::Mask(Masked::RequestHeader(text())),
        _ => Effect::Mask(Masked::ResponseHeader(text())),
    })
}

/// `tx.name=value`, `tx.name=+1`, `!tx.name`, or `tx.name`, which sets it to 1.
fn set(value: &Text, context: &mut Context) -> Result<Effect, Finding> {
    let unset = value.byte(0) == Some(b'!');
    let (collection, name, given) = member(&value.from(usize::from(unset)), context)?;
    let change = match given {
        _ if unset => Change::Unset,
        None => Change::To(Template::plain(b"1")),
        Some(given) => match given.byte(0) {
            Some(b'+') => Change::Up(Template::read(&given.from(1), context)?),
            Some(b'-') => Change::Down(Template::read(&given.from(1), context)?),
            _ => Change::To(Template::read(&given, context)?),
        },
    };
    Ok(match (collection, name.constant()) {
        (Variable::Tx, Some(name)) => Effect::Set { slot: context.slots.of(name), change },
        _ => Effect::SetNamed { collection, name, change },
    })
}

/// `collection.name`, and what stands behind the equals sign.
fn member(text: &Text, context: &mut Context) -> Result<(Variable, Template, Option<Text>), Finding> {
    let (left, given) = text.split_once(b'=').map_or((text.clone(), None), |(left, given)| (left, Some(given)));
    let Some((collection, name)) = left.split_once(b'.') else {
        return Err(
            text.finding(0, "names no collection: write tx.name, ip.name, session.name, user.name or global.name")
        );
    };
    let variable = Variable::named(collection.bytes())
        .filter(|variable| *variable == Variable::Tx || Initialised::of(*variable).is_some());
    if let Some(variable) = variable {
        Ok((variable, Template::read(&name, context)?, given))
    } else {
        let what = format!("`{}` cannot be set: write tx, ip, session, user, resource or global", collection.lossy());
        Err(collection.finding(0, what))
    }
}

fn needed(given: Option<Text>, value: &Text, what: &str, context: &mut Context) -> Result<Template, Finding> {
    match given {
        Some(given) => Template::read(&given, context),
        None => Err(value.finding(0, format!("needs `=` and {what}"))),
    }
}

fn deprecate(value: &Text, context: &mut Context) -> Result<Effect, Finding> {
    let (collection, name, given) = member(value, context)?;
    let given = given.map(|given| given.lossy()).unwrap_or_default();
    let parsed = given.split_once('/').and_then(|(by, every)| by.parse().ok().zip(every.parse().ok()));
    match parsed.filter(|(_, every)| *every > 0) {
        Some((by, every)) => Ok(Effect::Deprecate { collection, name, by, every }),
        None => Err(value.finding(0, "needs `=amount/seconds`, such as session.score=60/300")),
    }
}

fn initialise(value: &Text, context: &mut Context) -> Result<Effect, Finding> {
    let Some((name, key)) = value.split_once(b'=') else {
        return Err(value.finding(0, "needs a key: write initcol:ip=%{REMOTE_ADDR}"));
    };
    match Variable::named(name.bytes()).and_then(Initialised::of) {
        Some(collection) => Ok(Effect::Initialise { collection, key: Template::read(&key, context)? }),
        None => Err(name.finding(0, "must be ip, global, resource, session or user")),
    }
}

fn scope(value: &Text) -> Result<Scope, Finding> {
    match value.lossy().to_ascii_lowercase().as_str() {
        "phase" => Ok(Scope::Phase),
        "request" => Ok(Scope::Request),
        _ => Err(value.finding(0, "must be `allow`, `allow:phase` or `allow:request`")),
    }
}

fn phase(value: &Text) -> Result<Phase, Finding> {
    match value.lossy().to_ascii_lowercase().as_str() {
        "1" => Ok(Phase::RequestHead),
        "2" | "request" => Ok(Phase::RequestBody),
        "3" => Ok(Phase::ResponseHead),
        "4" | "response" => Ok(Phase::ResponseBody),
        "5" | "logging" => Ok(Phase::Logging),
        _ => Err(value.finding(0, "there are phases 1 to 5, `request`, `response` and `logging`")),
    }
}

fn severity(value: &Text) -> Result<u8, Finding> {
    let names = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];
    let written = value.lossy().to_ascii_lowercase();
    let named = names.iter().position(|name| *name == written).or_else(|| written.parse().ok());
    named
        .filter(|level| *level < names.len())
        .and_then(|level| u8::try_from(level).ok())
        .ok_or_else(|| value.finding(0, format!("must be a number from 0 to 7, or one of {}", names.join(", "))))
}

fn transformation(value: &Text) -> Result<Action, Finding> {
    let written = value.lossy();
    match Transformation::from_name(&written) {
        Some(Transformation::None) => Ok(Action::TransformNothing),
        Some(transformation) => Ok(Action::Transform(transformation)),
        None => {
            let near = nearest(value.bytes(), Transformation::ALL.iter().map(|known| known.name()));
            let hint = near.map_or_else(|| "see the list in the reference".to_owned(), |near| format!("is it {near}?"));
            Err(value.finding(0, format!("there is no transformation {written}: {hint}")))
        }
    }
}

/// A number between two others.
fn small<T: TryFrom<u64>>(value: &Text, least: u64, most: u64, what: &str) -> Result<T, Finding> {
    let number = value.lossy().parse().ok().filter(|number| (least..=most).contains(number));
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| value.finding(0, format!("`{}` must be {what}", value.lossy())))
}

fn unknown(name: &Text, lower: &str) -> Finding {
    let known = WITH_VALUE.iter().copied().chain(BARE.iter().copied());
    let near = nearest(lower.as_bytes(), known);
    let hint = near.map_or_else(|| "see the list in the reference".to_owned(), |near| format!("is it {near}?"));
    name.finding(0, format!("there is no action {}: {hint}", name.lossy()))
}

/// The actions without a value, to be suggested.
const BARE: &[&str] = &[
    "pass",
    "deny",
    "drop",
    "block",
    "allow",
    "log",
    "nolog",
    "auditlog",
    "noauditlog",
    "capture",
    "multiMatch",
    "chain",
];
