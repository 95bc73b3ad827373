//! `ctl`: what a match changes in the engine, for the rest of the transaction.

use std::sync::Arc;

use problem::Finding;
use regex::bytes::Regex;

use crate::chains::ChainSet;
use crate::context::Context;
use crate::seclang::Text;
use crate::select::{Selection, parse_ids};
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
    pub(crate) targets: Box<[Target]>,
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
        match name.lossy().to_ascii_lowercase().as_str() {
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
            "auditlogparts" => Ok(Self::AuditParts(value.lossy().into())),
            "ruleremovebyid" => parse_ids(&value).map(Selection::Ids).map(Self::rules),
            "ruleremovebytag" => regex(&value).map(Selection::Tag).map(Self::rules),
            "ruleremovebymsg" => regex(&value).map(Selection::Message).map(Self::rules),
            "ruleremovetargetbyid" => Self::targets(&value, |text| parse_ids(text).map(Selection::Ids), context),
            "ruleremovetargetbytag" => Self::targets(&value, |text| regex(text).map(Selection::Tag), context),
            "ruleremovetargetbymsg" => Self::targets(&value, |text| regex(text).map(Selection::Message), context),
            "parsexmlintoargs" => {
                let off = value.is("off");
                let refused = if off { Ok(()) } else { context.refuse(&name, "ctl:parseXmlIntoArgs", AS_XML) };
                refused.map(|()| Self::Nothing)
            }
            // What the debug log shows, and links with hashes in them, are not this engine's affair.
            "debugloglevel" | "hashengine" | "hashenforcement" => Ok(Self::Nothing),
            _ => Err(name.finding(0, format!("there is no ctl `{}`: see the list in the reference", name.lossy()))),
        }
    }

    fn targets(
        value: &Text,
        select: impl Fn(&Text) -> Result<Selection, Finding>,
        context: &mut Context,
    ) -> Result<Self, Finding> {
        let Some((which, targets)) = value.split_once(b';') else {
            return Err(value.finding(0, "names no variable: write rules;VARIABLE, such as 942100;ARGS:password"));
        };
        let mut findings = Vec::new();
        let targets = Target::list(&targets, context, &mut findings);
        if let Some(finding) = findings.into_iter().next() {
            Err(finding)
        } else {
            let removal = Removal { chains: ChainSet::default(), targets: targets.into() };
            Ok(Self::RemoveTargets(select(&which)?, Arc::new(removal)))
        }
    }

    fn rules(selection: Selection) -> Self {
        Self::RemoveRules(selection, Arc::default())
    }

    /// Works out which chains are meant.
    pub(crate) fn resolve(&mut self, chains: impl Fn(&Selection) -> ChainSet) {
        match self {
            Self::RemoveRules(selection, removed) => *removed = Arc::new(chains(selection)),
            Self::RemoveTargets(selection, removal) => {
                *removal = Arc::new(Removal { chains: chains(selection), targets: removal.targets.clone() });
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

fn regex(text: &Text) -> Result<Box<Regex>, Finding> {
    patterns::compile(text.bytes()).map(Box::new).map_err(|what| text.finding(0, what))
}
