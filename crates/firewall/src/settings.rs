//! What operators write of the firewall.

use std::path::{Path, PathBuf};

use model::units::Size;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Looks at requests and answers by rules in `SecLang`, the language of `ModSecurity` and of the OWASP Core Rule Set.
///
/// `waf: {}` blocks what the rules that come with the gateway are sure of: injections, path traversal, what breaks the
/// protocol, scanners. With `rules`, the firewall is the Core Rule Set's, or your own. See `docs/waf.md`.
///
/// What a rule blocks is answered with the status that the rule says, and with 403 if it says none; those of the problems
/// below hold where a limit blocks.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Rule files in their order, such as `[/etc/crs/crs-setup.conf, /etc/crs/rules/*.conf]`; a relative path begins at
    /// the document's folder. `builtin` stands for the rules that come with the gateway, which are taken if nothing is
    /// written.
    #[schemars(length(min = 1))]
    pub rules: Option<Vec<String>>,
    /// `block` stops what rules want to stop, `detect` only writes it down, `off` looks at nothing.
    pub mode: Mode,
    /// Paranoia level of the Core Rule Set: which rules count towards blocking, from 1 to 4. Default: what the rules say.
    #[schemars(range(min = 1, max = 4))]
    pub paranoia: Option<u8>,
    /// Paranoia level up to which rules are looked at and logged, though those above `paranoia` block nothing. Not less than
    /// `paranoia`.
    #[schemars(range(min = 1, max = 4))]
    pub detection_paranoia: Option<u8>,
    /// Scores of the Core Rule Set from which on is blocked.
    pub thresholds: Thresholds,
    /// Rules, or values that rules do not look at, because they stop what is meant to pass.
    pub exclusions: Vec<Exclusion>,
    /// Bodies of requests.
    pub request_body: RequestBody,
    /// Bodies of answers.
    pub response_body: ResponseBody,
    /// Further directives in `SecLang`, after all rule files. Relative paths in them begin at the document's folder.
    pub directives: Option<String>,
    /// What becomes of directives that cannot be done here, such as scripts. What is left out with `lenient` are remarks of
    /// `vestibule check`.
    pub compatibility: Compatibility,
    /// The document's folder, beside which `directives` look for files. No document says it, but [`anchor`].
    #[schemars(skip)]
    pub(crate) folder: PathBuf,
}

/// What comes of a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing is looked at.
    Off,
    /// What rules find is written down, and everything passes.
    Detect,
    /// What rules want to stop is stopped.
    #[default]
    Block,
}

/// Scores of the Core Rule Set from which on is blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// The score of a request. Default: what the rules say, which is 5.
    #[schemars(range(min = 1))]
    pub inbound: Option<u32>,
    /// The score of an answer. Default: what the rules say, which is 4.
    #[schemars(range(min = 1))]
    pub outbound: Option<u32>,
}

/// What is not looked at: rules, by number or tag; or, with `targets`, some values by these rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exclusion {
    /// Numbers of rules, or ranges such as `942100-942199`.
    pub rules: Vec<Ids>,
    /// Regular expressions over tags of rules, such as `attack-sqli`. With neither `rules` nor `tags`, all rules are meant.
    pub tags: Vec<String>,
    /// Values that these rules do not look at, as rules write them: `ARGS:password`, `REQUEST_COOKIES:/^session/`. Left
    /// out, the rules are not looked at at all.
    pub targets: Vec<String>,
    /// Requests that it holds for: method and path below the API's own, such as `POST /login`; `*` is any method, `{name}`
    /// one segment, `/**` at the end anything below. Left out, all requests.
    pub operations: Vec<String>,
}

/// The number of a rule, or a range of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Ids {
    /// One rule.
    One(u64),
    /// A range.
    Range(String),
}

/// Bodies of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestBody {
    /// Whether they are looked at. Default: what `SecRequestBodyAccess` says, and `on` if nothing does.
    pub inspect: Option<Switch>,
    /// How much of them is held in memory and looked at. Default: what `SecRequestBodyLimit` says, and 1MiB if nothing does.
    pub limit: Option<Size>,
    /// What becomes of longer ones: `refuse` answers 413, `pass` looks at what is within the limit and lets the rest
    /// stream by. Default: what `SecRequestBodyLimitAction` says, and `refuse` if nothing does.
    pub beyond: Option<Beyond>,
}

/// Bodies of answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseBody {
    /// Whether they are looked at. Default: what `SecResponseBodyAccess` says, and `off` if nothing does. Backends are then
    /// asked for answers that are not compressed.
    pub inspect: Option<Switch>,
    /// How much of them is held back and looked at. Default: what `SecResponseBodyLimit` says, and 512KiB if nothing does.
    pub limit: Option<Size>,
    /// What becomes of longer ones: `refuse` answers 502, `pass` looks at what is within the limit and lets the rest stream
    /// by. Default: what `SecResponseBodyLimitAction` says, and `pass` if nothing does.
    pub beyond: Option<Beyond>,
    /// Media types that are looked at, such as `text/html`. Default: what `SecResponseBodyMimeType` says.
    pub types: Option<Vec<String>>,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// What becomes of bodies beyond their limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Beyond {
    /// They are refused.
    Refuse,
    /// What is within the limit is looked at, and the rest passes.
    Pass,
}

/// What becomes of directives that cannot be done here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compatibility {
    /// They are mistakes.
    #[default]
    Strict,
    /// They are left out, and the log says so, as a warning.
    Lenient,
}

/// Makes relative paths of rule files and in directives begin at a folder: that of their document.
pub fn anchor(settings: &mut Value, folder: &Path) {
    if let Some(settings) = settings.as_object_mut().filter(|settings| settings.contains_key("directives")) {
        settings.insert("folder".to_owned(), folder.display().to_string().into());
    }
    let rules = settings.get_mut("rules").and_then(Value::as_array_mut);
    for entry in rules.into_iter().flatten() {
        let Value::String(path) = entry else { continue };
        if path != BUILTIN && Path::new(path.as_str()).is_relative() {
            let anchored: PathBuf = folder.join(path.as_str());
            *path = anchored.display().to_string();
        }
    }
}

/// What stands for the rules that come with the gateway.
pub(crate) const BUILTIN: &str = "builtin";
