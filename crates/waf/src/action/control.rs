//! `ctl`: what a match changes in the engine, for the rest of the transaction.

use std::sync::Arc;

use problem::Finding;

use crate::chains::ChainSet;
use crate::context::Context;
use crate::seclang::Text;
use crate::select::Selection;
use crate::settings::{AS_XML, Engine};
use crate::target::Target;

/// A change of the engine.
#[derive(Clone, Debug)]
pub(crate) enum Control {
    Engine(Engine),
    RequestBodyAccess(bool),
    ResponseBodyAccess(bool),
    ForceRequestBodyVariable(bool),
    RequestBodyProcessor(Processor),
    RequestBodyLimit(u64),
    ResponseBodyLimit(u64),
    Audit(Audit),
    /// `auditLogParts`, as it is written.
    AuditParts(Box<str>),
    /// Rules that are not looked at any more; which those are, the loader works out.
    RemoveRules(Selection, Arc<ChainSet>),
    /// Values that rules do not look at any more.
    RemoveTargets(Selection, Arc<Removal>),
    /// What is accepted and has no effect here.
    Nothing,
}

/// Values that some rules do not look at any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removal {
    pub(crate) chains: ChainSet,
    pub(crate) reach: Reach,
    pub(crate) targets: Box<[Target]>,
}

/// Which rules of a chain do not look at a value any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The first one, as `ctl` has it in `ModSecurity` 2.
    #[default]
    Head,
    /// All of them.
    Chain,
}

/// What reads the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// `application/x-www-form-urlencoded`.
    Urlencoded,
    /// `multipart/form-data`.
    Multipart,
    /// JSON, whose members become arguments.
    Json,
    /// XML.
    Xml,
    /// Of a type that does not say what it is, as most programs read such a body: JSON, or else one value.
    Any,
}

impl Processor {
    /// The name that rules see.
    pub fn name(self) -> &'static str {
        match self {
            Self::Urlencoded => "URLENCODED",
            Self::Multipart => "MULTIPART",
            Self::Json => "JSON",
            Self::Xml => "XML",
            Self::Any => "ANY",
        }
    }

    fn named(name: &Text) -> Option<Self> {
        let all = [Self::Urlencoded, Self::Multipart, Self::Json, Self::Xml, Self::Any];
        all.into_iter().find(|known| name.is(known.name()))
    }
}

/// What goes to the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Every transaction.
    On,
    /// None.
    Off,
    /// Those that a rule matched that logs, and those whose status is relevant.
    RelevantOnly,
}

impl Audit {
    pub(crate) fn read(text: &Text) -> Result<Self, Finding> {
        match text.lossy().to_ascii_lowercase().as_str() {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            "relevantonly" => Ok(Self::RelevantOnly),
            _ => Err(text.finding(0, "must be On, Off or RelevantOnly")),
        }
    }
}

impl Control {
    pub(crate) fn read(text: &Text, context: &mut Context) -> Result<Self, Finding> {
        let Some((name, value)) = text.split_once(b'=') else {
            return Err(text.finding(0, "needs a value: write ctl:name=value"));
        };
        let value = value.trimmed();
        let lower = name.lossy().to_ascii_lowercase();
        match lower.as_str() {
            "ruleengine" => Engine::read(&value).map(Self::Engine),
            "requestbodyaccess" => on_off(&value).map(Self::RequestBodyAccess),
            "responsebodyaccess" => on_off(&value).map(Self::ResponseBodyAccess),
            "forcerequestbodyvariable" => on_off(&value).map(Self::ForceRequestBodyVariable),
            "requestbodyprocessor" => Processor::named(&value)
                .map(Self::RequestBodyProcessor)
                .ok_or_else(|| value.finding(0, "must be URLENCODED, MULTIPART, JSON, XML or ANY")),
            "requestbodylimit" => number(&value).map(Self::RequestBodyLimit),
            "responsebodylimit" => number(&value).map(Self::ResponseBodyLimit),
            "auditengine" => Audit::read(&value).map(Self::Audit),
            "auditlogparts" => {
                let sign = usize::from(matches!(value.byte(0), Some(b'+' | b'-')));
                audit_parts(&value.from(sign)).map(|_| Self::AuditParts(value.lossy().into()))
            }
            "ruleremovebyid" | "ruleremovebytag" | "ruleremovebymsg" => {
                let selection = Selection::read(&lower, &value, context)?;
                Ok(selection.map_or(Self::Nothing, |selection| Self::RemoveRules(selection, Arc::default())))
            }
            "ruleremovetargetbyid" | "ruleremovetargetbytag" | "ruleremovetargetbymsg" => {
                Self::targets(&lower, &value, context)
            }
            "parsexmlintoargs" => unless_off(&name, &value, AS_XML, context),
            "hashengine" | "hashenforcement" => unless_off(&name, &value, "links are not signed here", context),
            "debugloglevel" => {
                let what = "ctl:debugLogLevel has no effect: there is no debug log; `explain` shows what rules do";
                context.notes.push(name.finding(0, what));
                Ok(Self::Nothing)
            }
            _ => Err(name.finding(0, format!("there is no ctl `{}`: see the list in the reference", name.lossy()))),
        }
    }

    fn targets(name: &str, value: &Text, context: &mut Context) -> Result<Self, Finding> {
        let Some((which, targets)) = value.split_once(b';') else {
            return Err(value.finding(0, "names no variable: write rules;VARIABLE, such as 942100;ARGS:password"));
        };
        let mut findings = Vec::new();
        let targets = Target::list(&targets, context, &mut findings);
        if let Some(finding) = findings.into_iter().next() {
            return Err(finding);
        }
        let removal = Removal { targets: targets.into(), ..Removal::default() };
        let selection = Selection::read(name, &which, context)?;
        Ok(selection.map_or(Self::Nothing, |selection| Self::RemoveTargets(selection, Arc::new(removal))))
    }

    /// Works out which chains are meant.
    pub(crate) fn resolve(&mut self, chains: impl Fn(&Selection) -> ChainSet) {
        match self {
            Self::RemoveRules(selection, removed) => *removed = Arc::new(chains(selection)),
            Self::RemoveTargets(selection, removal) => {
                *removal = Arc::new(Removal { chains: chains(selection), ..(**removal).clone() });
            }
            _ => {}
        }
    }
}

pub(crate) fn on_off(text: &Text) -> Result<bool, Finding> {
    match text.lossy().to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(text.finding(0, "must be On or Off")),
    }
}

pub(crate) fn number(text: &Text) -> Result<u64, Finding> {
    let number = text.lossy().parse().ok();
    number.ok_or_else(|| text.finding(0, format!("`{}` is no whole number", text.lossy())))
}

/// What can only be said to be off here.
fn unless_off(name: &Text, value: &Text, why: &str, context: &mut Context) -> Result<Control, Finding> {
    if !value.is("off") {
        context.refuse(name, &format!("ctl:{}", name.lossy()), why)?;
    }
    Ok(Control::Nothing)
}

/// Letters of parts of an audit log.
pub(crate) fn audit_parts(value: &Text) -> Result<Box<str>, Finding> {
    let parts = value.lossy();
    match parts.bytes().position(|part| !matches!(part, b'A'..=b'K' | b'Z')) {
        Some(at) => Err(value.finding(at, "there is no such part of an audit log: write letters from A to K, and Z")),
        None => Ok(parts.into()),
    }
}
