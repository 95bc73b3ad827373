//! Reading the directives that set something.

use problem::Finding;

use super::{Beyond, CookieFormat, Engine, Settings};
use crate::action::{Audit, audit_parts, number, on_off};
use crate::context::Context;
use crate::seclang::{Text, nearest};

/// What became of a directive.
pub(crate) enum Outcome {
    Done,
    /// It has no effect here, for this reason.
    Noted(&'static str),
    /// No directive of that name sets anything.
    Unknown,
}

/// Does what a directive says that sets something.
pub(crate) fn set(
    settings: &mut Settings,
    directive: &Text,
    arguments: &[Text],
    context: &mut Context,
) -> Result<Outcome, Finding> {
    let name = directive.lossy().to_ascii_lowercase();
    if let Some((_, why)) = NOTED.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
        return Ok(Outcome::Noted(why));
    }
    if let Some((_, unless, why)) = REFUSED.iter().find(|(known, _, _)| known.eq_ignore_ascii_case(&name)) {
        let off = arguments.first().is_some_and(|argument| argument.is(unless));
        if !off {
            context.refuse(directive, &directive.lossy(), why)?;
        }
        return Ok(Outcome::Done);
    }
    if !TAKEN.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
        return Ok(Outcome::Unknown);
    }
    let Some(value) = arguments.first() else {
        if name == "secresponsebodymimetypesclear" {
            settings.response_types.clear();
            return Ok(Outcome::Done);
        }
        return Err(directive.finding(0, format!("{} needs a value", directive.lossy())));
    };
    take(settings, &name, value, arguments)?;
    Ok(Outcome::Done)
}

fn take(settings: &mut Settings, name: &str, value: &Text, arguments: &[Text]) -> Result<(), Finding> {
    match name {
        "secruleengine" => settings.engine = Engine::read(value)?,
        "secrequestbodyaccess" => settings.request_body = on_off(value)?,
        "secresponsebodyaccess" => settings.response_body = on_off(value)?,
        "secrequestbodylimit" => settings.request_body_limit = number(value)?,
        "secrequestbodynofileslimit" => settings.request_body_no_files_limit = number(value)?,
        "secrequestbodylimitaction" => settings.request_body_beyond = beyond(value)?,
        "secresponsebodylimit" => settings.response_body_limit = number(value)?,
        "secresponsebodylimitaction" => settings.response_body_beyond = beyond(value)?,
        "secresponsebodymimetype" => types(settings, arguments),
        "secrequestbodyjsondepthlimit" => settings.json_depth = count(value)?,
        "secargumentslimit" => settings.arguments_limit = count(value)?,
        "secuploadfilelimit" => settings.files_limit = count(value)?,
        "secargumentseparator" => settings.argument_separator = letter(value)?,
        "seccookiev0separator" => settings.cookie_separator = letter(value)?,
        "seccookieformat" => settings.cookie_format = cookie_format(value)?,
        "seccollectiontimeout" => settings.collection_timeout = number(value)?,
        "secwebappid" => settings.application = value.lossy().into(),
        "secauditengine" => settings.audit = Audit::read(value)?,
        "secauditlogparts" => settings.audit_parts = audit_parts(value)?,
        "secauditlogrelevantstatus" => {
            let statuses = patterns::Statuses::of(value.bytes()).map_err(|what| value.finding(0, what))?;
            settings.audit_status = Some(statuses);
        }
        _ => {}
    }
    Ok(())
}

fn types(settings: &mut Settings, arguments: &[Text]) {
    for named in arguments {
        let named = named.lossy().to_ascii_lowercase().into_boxed_str();
        if !settings.response_types.contains(&named) {
            settings.response_types.push(named);
        }
    }
}

fn beyond(value: &Text) -> Result<Beyond, Finding> {
    match value.lossy().to_ascii_lowercase().as_str() {
        "reject" => Ok(Beyond::Reject),
        "processpartial" => Ok(Beyond::ProcessPartial),
        _ => Err(value.finding(0, "must be Reject or ProcessPartial")),
    }
}

fn cookie_format(value: &Text) -> Result<CookieFormat, Finding> {
    match value.bytes() {
        b"0" => Ok(CookieFormat::Version0),
        b"1" => Ok(CookieFormat::Version1),
        _ => Err(value.finding(0, "must be 0, as nearly all cookies are, or 1")),
    }
}

fn letter(value: &Text) -> Result<u8, Finding> {
    match value.bytes() {
        [letter] => Ok(*letter),
        _ => Err(value.finding(0, "must be one character")),
    }
}

fn count(value: &Text) -> Result<usize, Finding> {
    number(value).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

/// Of all directives the one that was probably meant.
pub(crate) fn suggestion(written: &Text) -> Option<&'static str> {
    let known = TAKEN.iter().chain(RULES).copied();
    nearest(written.bytes(), known.chain(NOTED.iter().map(|(name, _)| *name)))
}

const TAKEN: &[&str] = &[
    "SecRuleEngine",
    "SecRequestBodyAccess",
    "SecResponseBodyAccess",
    "SecRequestBodyLimit",
    "SecRequestBodyNoFilesLimit",
    "SecRequestBodyLimitAction",
    "SecResponseBodyLimit",
    "SecResponseBodyLimitAction",
    "SecResponseBodyMimeType",
    "SecResponseBodyMimeTypesClear",
    "SecRequestBodyJsonDepthLimit",
    "SecArgumentsLimit",
    "SecUploadFileLimit",
    "SecArgumentSeparator",
    "SecCookieV0Separator",
    "SecCookieFormat",
    "SecCollectionTimeout",
    "SecWebAppId",
    "SecAuditEngine",
    "SecAuditLogParts",
    "SecAuditLogRelevantStatus",
];

/// Directives about rules, which are read elsewhere.
const RULES: &[&str] = &[
    "SecRule",
    "SecAction",
    "SecMarker",
    "SecDefaultAction",
    "SecRuleRemoveById",
    "SecRuleRemoveByTag",
    "SecRuleRemoveByMsg",
    "SecRuleUpdateTargetById",
    "SecRuleUpdateTargetByTag",
    "SecRuleUpdateTargetByMsg",
    "SecRuleUpdateActionById",
    "Include",
    "IncludeOptional",
];

const LOGS: &str = "where the audit log goes is said in the gateway's document";
const MEMORY: &str = "bodies are held in memory, up to the gateway's limits, and never written to disk";
const LINEAR: &str = "no expression can take more than linear time here";

/// Why elements of XML are no arguments.
pub(crate) const AS_XML: &str = "let rules look at XML:/* and XML://@*, as the Core Rule Set does";

/// Directives without any effect here, and why that is no loss.
const NOTED: &[(&str, &str)] = &[
    ("SecAuditLog", LOGS),
    ("SecAuditLog2", LOGS),
    ("SecAuditLogType", LOGS),
    ("SecAuditLogFormat", LOGS),
    ("SecAuditLogStorageDir", LOGS),
    ("SecAuditLogDirMode", LOGS),
    ("SecAuditLogFileMode", LOGS),
    ("SecAuditLogPrefix", LOGS),
    ("SecSensorId", "the audit log names the gateway"),
    ("SecComponentSignature", "the audit log names the gateway"),
    ("SecDebugLog", "there is no debug log; `explain` shows what rules do with a request"),
    ("SecDebugLogLevel", "there is no debug log; `explain` shows what rules do with a request"),
    ("SecTmpDir", MEMORY),
    ("SecUploadDir", MEMORY),
    ("SecUploadFileMode", MEMORY),
    ("SecTmpSaveUploadedFiles", MEMORY),
    ("SecRequestBodyInMemoryLimit", MEMORY),
    ("SecDataDir", "collections are kept in the gateway's store"),
    ("SecCacheTransformations", "no value is transformed twice"),
    ("SecPcreMatchLimit", LINEAR),
    ("SecPcreMatchLimitRecursion", LINEAR),
    ("SecRulePerfTime", "how long rules take is in the metrics of the gateway"),
    ("SecServerSignature", "answers name no server"),
    ("SecDisableBackendCompression", "answers are looked at as they are before they are compressed"),
    ("SecUnicodeMapFile", "the map of code page 20127 is built in"),
    ("SecUnicodeCodePage", "the map of code page 20127 is built in"),
    ("SecReadStateLimit", "slow clients are cut by the gateway's minimum rate"),
    ("SecWriteStateLimit", "slow clients are cut by the gateway's minimum rate"),
    ("SecConnReadStateLimit", "slow clients are cut by the gateway's minimum rate"),
    ("SecConnWriteStateLimit", "slow clients are cut by the gateway's minimum rate"),
    ("SecRuleInheritance", "each set of rules stands for itself; let routes share one"),
    ("SecInterceptOnError", "a rule that cannot be evaluated does not load"),
    ("SecRemoteRulesFailAction", "rules are read from files only"),
    ("SecStatusEngine", "nothing is reported to anybody"),
    ("SecHashParam", "links are not signed here"),
    ("SecHashKey", "links are not signed here"),
    ("SecRequestEncoding", "values are bytes, whatever their encoding"),
];

/// Directives that would change what is decided and cannot be done here, unless they say this; and why.
const REFUSED: &[(&str, &str, &str)] = &[
    ("SecRuleScript", "", "scripts could do anything to the gateway; write rules, or a policy"),
    ("SecRemoteRules", "", "rules are read from files only; fetch them before the gateway starts"),
    ("SecChrootDir", "", "the gateway is confined by its service manager"),
    ("SecGuardianLog", "", "the gateway starts no program; read the access log"),
    ("SecGeoLookupDb", "", "there is no database of places"),
    ("SecGsbLookupDb", "", "there is no database of unsafe addresses"),
    ("SecHttpBlKey", "", "no name server is asked about clients"),
    ("SecContentInjection", "Off", "rules do not change answers"),
    ("SecStreamInBodyInspection", "Off", "streams are not rewritten by rules"),
    ("SecStreamOutBodyInspection", "Off", "streams are not rewritten by rules"),
    ("SecXmlExternalEntity", "Off", "entities of XML are never expanded"),
    ("SecParseXmlIntoArgs", "Off", AS_XML),
    ("SecUploadKeepFiles", "Off", "files of requests are not kept"),
    ("SecConnEngine", "Off", "connections are limited by the gateway"),
    ("SecHashEngine", "Off", "links are not signed here"),
    ("SecHashMethodRx", "", "links are not signed here"),
    ("SecHashMethodPm", "", "links are not signed here"),
];
