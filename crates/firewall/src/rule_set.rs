//! From settings to a compiled set of rules: which files, in which order, and what is said before, between and behind them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use problem::{Finding, Pointer};
use waf::{Rules, Source};

use crate::settings::{BUILTIN, Beyond, Compatibility, Config, Switch};
use crate::spares::Spares;

/// The rules that come with the gateway.
pub const OWN: &str = include_str!("own.conf");

/// What makes a set of rules: sets of the same are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Recipe {
    parts: Vec<Part>,
    lenient: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// Text under a name.
    Text(&'static str, String),
    /// Directives, and the name that they would have as a file.
    Directives(String, String),
    File(PathBuf),
    /// What the Core Rule Set counts with: it is set between the setup of that set, which may set it, too, and its beginning.
    Scores(String),
    /// Text under a name, unless the parts before have a rule of this number.
    Unless(u64, &'static str, &'static str),
}

/// A compiled set of rules.
pub struct RuleSet {
    /// The rules.
    pub rules: Arc<Rules>,
    /// What was left out of them, each with its place.
    pub(crate) left_out: Vec<Finding>,
    /// What they were read from, folders that names with wildcards look into included.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) answers: Answers,
    /// Transactions that wait for the next request.
    pub(crate) spares: Spares,
}

/// How backends are asked to send their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Not compressed, for rules may look at them.
    Plain,
    /// As the client would like them.
    AsAsked,
}

impl RuleSet {
    /// Reads the rules of these settings, or says everything that is wrong with them.
    pub fn load(config: &Config, at: &Pointer) -> Result<Self, Vec<Finding>> {
        let (recipe, folders) = Recipe::of(config, at)?;
        recipe.load(folders, at)
    }
}

impl Recipe {
    /// What these settings are made of, and the folders that names with wildcards look into.
    pub(crate) fn of(config: &Config, at: &Pointer) -> Result<(Self, Vec<PathBuf>), Vec<Finding>> {
        let mut parts = vec![Part::Text("(before)", BEFORE.to_owned())];
        let (mut folders, mut findings) = (Vec::new(), Vec::new());
        let own = [BUILTIN.to_owned()];
        let written = config.rules.as_deref().unwrap_or(&own);
        if written.iter().all(|entry| entry == BUILTIN) && takes_scores(config) {
            let message = "has no effect on the rules that come with the gateway, which know no scores: leave it out, or \
                           write `rules` with the Core Rule Set";
            let name =
                if config.thresholds == crate::settings::Thresholds::default() { "paranoia" } else { "thresholds" };
            findings.push(Finding::new(&at.at(name), message));
        }
        if let (Some(blocking), Some(detection)) = (config.paranoia, config.detection_paranoia)
            && detection < blocking
        {
            let message = format!(
                "is below `paranoia`, so that the Core Rule Set refuses every request: write at least {blocking}"
            );
            findings.push(Finding::new(&at.at("detection_paranoia"), message));
        }
        for (index, entry) in written.iter().enumerate() {
            if entry == BUILTIN {
                parts.push(Part::Text("(builtin)", OWN.to_owned()));
                continue;
            }
            match files(Path::new(entry)) {
                Ok(found) => {
                    parts.extend(found.files.into_iter().map(Part::File));
                    folders.extend(found.folders);
                }
                Err(message) => findings.push(Finding::new(&at.at("rules").at(index), message)),
            }
        }
        if let Some(scores) = scores(config) {
            parts.insert(1, Part::Scores(scores));
        }
        parts.push(Part::Unless(200_002, "(bodies)", UNREADABLE));
        parts.push(Part::Unless(200_003, "(multipart)", AMBIGUOUS));
        parts.push(Part::Text("(after)", after(config)));
        if let Some(directives) = &config.directives {
            let name = config.folder.join(DIRECTIVES).display().to_string();
            parts.push(Part::Directives(name, directives.clone()));
        }
        let lenient = config.compatibility == Compatibility::Lenient;
        if findings.is_empty() { Ok((Self { parts, lenient }, folders)) } else { Err(findings) }
    }

    /// Compiles it, for the firewall at this place of the document.
    pub(crate) fn load(&self, folders: Vec<PathBuf>, at: &Pointer) -> Result<RuleSet, Vec<Finding>> {
        let sources: Vec<Source<'_>> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(name, content) => Source::Text { name, content: content.as_bytes() },
                Part::Directives(name, content) => Source::Text { name, content: content.as_bytes() },
                Part::File(file) => Source::Files(file),
                Part::Scores(text) => Source::Before { file: INITIALIZATION, name: SCORES, content: text.as_bytes() },
                Part::Unless(rule, name, content) => Source::Unless { rule: *rule, name, content: content.as_bytes() },
            })
            .collect();
        let compatibility = if self.lenient { waf::Compatibility::Lenient } else { waf::Compatibility::Strict };
        let placed = |finding: &Finding| self.placed(finding, at);
        let rules =
            Rules::read(&sources, compatibility).map_err(|findings| findings.iter().map(placed).collect::<Vec<_>>())?;
        for note in rules.notes() {
            tracing::info!(%note, "a directive has no effect");
        }
        let left_out: Vec<Finding> = rules.left_out().iter().map(placed).collect();
        for left_out in &left_out {
            tracing::warn!(%left_out, "rules do not run as they are written");
        }
        let files = rules.files().iter().cloned().chain(folders).collect();
        let answers = if rules.may_look_at_bodies_of_answers() { Answers::Plain } else { Answers::AsAsked };
        Ok(RuleSet { rules: Arc::new(rules), left_out, files, answers, spares: Spares::default() })
    }

    /// A finding in rules where operators look for it: what has no file of its own stands in the document.
    fn placed(&self, finding: &Finding, at: &Pointer) -> Finding {
        let file = finding.place.as_ref().map_or("", |place| &place.file);
        let is_written = |part: &Part| matches!(part, Part::Directives(name, _) if name == file);
        if let Some(place) = &finding.place
            && self.parts.iter().any(is_written)
        {
            let message = format!("in its line {}, column {}: {}", place.line, place.column, finding.message);
            return Finding::new(&at.at("directives"), message);
        }
        let paranoia = |part: &Part| matches!(part, Part::Scores(text) if text.contains("paranoia"));
        if file == SCORES {
            let name = if self.parts.iter().any(paranoia) { "paranoia" } else { "thresholds" };
            return Finding::new(
                &at.at(name),
                "has no effect, for no rule asks for it: leave it out, or list the Core Rule Set",
            );
        }
        Finding { at: at.at("rules"), ..finding.clone() }
    }
}

/// The files that an entry names: at least one.
fn files(entry: &Path) -> Result<waf::Named, String> {
    match waf::matching(entry) {
        Ok(found) if found.files.is_empty() => Err(format!(
            "there is no file {0}: correct the name; if it may be missing, list a file instead that says `IncludeOptional {0}`",
            entry.display()
        )),
        Ok(found) => Ok(found),
        Err(cause) => Err(format!("{} cannot be listed: {cause}", entry.display())),
    }
}

fn takes_scores(config: &Config) -> bool {
    scores(config).is_some()
}

/// The directive that sets what the Core Rule Set counts with, if anything is written of it.
fn scores(config: &Config) -> Option<String> {
    let mut set = String::new();
    let mut put = |name: &str, value: Option<u32>| {
        if let Some(value) = value {
            // Writing into memory cannot fail.
            write!(set, ",setvar:tx.{name}={value}").ok();
        }
    };
    put("blocking_paranoia_level", config.paranoia.map(u32::from));
    // The name that it had before version 4, which Debian still ships.
    put("paranoia_level", config.paranoia.map(u32::from));
    let detection = config.detection_paranoia.or(config.paranoia).map(u32::from);
    put("detection_paranoia_level", detection);
    put("executing_paranoia_level", detection);
    put("inbound_anomaly_score_threshold", config.thresholds.inbound);
    put("outbound_anomaly_score_threshold", config.thresholds.outbound);
    (!set.is_empty()).then(|| format!("SecAction \"id:77090,phase:1,pass,nolog{set}\"\n"))
}

/// What settings say in the place of directives.
fn after(config: &Config) -> String {
    let mut text = String::new();
    let mut put = |directive: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing into memory cannot fail.
            writeln!(text, "{directive} {value}").ok();
        }
    };
    let switch = |switch: Switch| if switch == Switch::On { "On" } else { "Off" }.to_owned();
    let beyond = |beyond: Beyond| if beyond == Beyond::Refuse { "Reject" } else { "ProcessPartial" }.to_owned();
    let size = |size: model::units::Size| size.bytes().to_string();
    let (request, response) = (&config.request_body, &config.response_body);
    put("SecRequestBodyAccess", request.inspect.map(switch));
    put("SecRequestBodyLimit", request.limit.map(size));
    put("SecRequestBodyLimitAction", request.beyond.map(beyond));
    put("SecResponseBodyAccess", response.inspect.map(switch));
    put("SecResponseBodyLimit", response.limit.map(size));
    put("SecResponseBodyLimitAction", response.beyond.map(beyond));
    if let Some(types) = &response.types {
        put("SecResponseBodyMimeTypesClear", Some(String::new()));
        let quoted: Vec<String> = types.iter().map(|kind| format!("\"{}\"", kind.replace(['"', '\\'], ""))).collect();
        put("SecResponseBodyMimeType", Some(quoted.join(" ")));
    }
    text
}

/// What the name of the file begins with in which the Core Rule Set takes what it counts with.
const INITIALIZATION: &str = "REQUEST-901-";

/// What the directives of a document and what the Core Rule Set counts with are called among files.
const DIRECTIVES: &str = "(directives)";
const SCORES: &str = "(scores)";

/// What holds unless rule files say otherwise. Bodies of JSON and XML are read as such, which the Core Rule Set expects of
/// the configuration around it.
const BEFORE: &str = r#"
SecRequestBodyAccess On
SecRequestBodyLimit 1048576
SecRequestBodyLimitAction Reject
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" \
    "id:77001,phase:1,pass,nolog,t:none,t:lowercase,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/(?:[a-z0-9.-]+[+])?json" \
    "id:77002,phase:1,pass,nolog,t:none,t:lowercase,ctl:requestBodyProcessor=JSON"
"#;

/// What nobody could look into does not pass, which the Core Rule Set leaves to the configuration around it: that of
/// `ModSecurity` has 200002 and 200003 for it, with exclusions of their own. A body that was cut off at its limit is not to
/// blame for its end; that a query has too many arguments is known before.
const UNREADABLE: &str = r#"
SecRule REQBODY_ERROR "!@eq 0" \
    "id:77116,phase:1,deny,status:400,log,auditlog,t:none,severity:ERROR,msg:'More arguments than are looked at',logdata:'%{REQBODY_ERROR_MSG}',tag:'attack-protocol'"
SecRule REQBODY_ERROR "!@eq 0" \
    "id:77112,phase:2,deny,status:400,log,auditlog,t:none,severity:ERROR,msg:'The body is not what its type says',logdata:'%{REQBODY_ERROR_MSG}',tag:'attack-protocol',chain"
    SecRule INBOUND_DATA_ERROR "@eq 0" "t:none"
"#;

const AMBIGUOUS: &str = r#"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" \
    "id:77113,phase:2,deny,status:400,log,auditlog,t:none,severity:ERROR,msg:'A multipart body that programs read differently',tag:'attack-protocol',chain"
    SecRule INBOUND_DATA_ERROR "@eq 0" "t:none"
"#;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(written: serde_json::Value) -> Config {
        serde_json::from_value(written).unwrap()
    }

    /// What `tx.blocking_paranoia_level` is at the end of the first phase.
    fn level(written: serde_json::Value) -> String {
        let set = RuleSet::load(&config(written), &Pointer::default()).unwrap();
        let mut transaction = waf::Transaction::new(set.rules, waf::Environment::default());
        transaction.phase(waf::Phase::RequestHead);
        String::from_utf8_lossy(transaction.tx("seen").unwrap()).into_owned()
    }

    #[test]
    fn what_the_core_rule_set_counts_with_is_set_between_its_setup_and_its_rules_also_in_files_that_another_one_includes()
     {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, content) in [
            ("crs-setup.conf", "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=1\""),
            (
                "REQUEST-901-INITIALIZATION.conf",
                "SecAction \"id:2,phase:1,pass,nolog,setvar:tx.seen=%{tx.blocking_paranoia_level}\"",
            ),
            ("all.load", "Include crs-setup.conf\nInclude REQUEST-*.conf"),
        ] {
            std::fs::write(path(name), content).unwrap();
        }
        let listed = json!([path("crs-setup.conf"), path("REQUEST-*.conf")]);
        assert_eq!(level(json!({"rules": listed})), "1");
        assert_eq!(level(json!({"rules": listed, "paranoia": 2})), "2");
        assert_eq!(level(json!({"rules": [path("all.load")], "paranoia": 2})), "2");
        let own = json!([path("own.conf")]);
        let content = "SecAction \"id:2,phase:1,pass,nolog,setvar:tx.seen=%{tx.blocking_paranoia_level}\"";
        std::fs::write(path("own.conf"), content).unwrap();
        assert_eq!(level(json!({"rules": own, "paranoia": 3})), "3");
    }

    #[test]
    fn folders_that_wildcards_look_into_are_known() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.conf"), "").unwrap();
        let pattern = folder.path().join("*.conf").display().to_string();
        let (_, folders) = Recipe::of(&config(json!({"rules": [pattern]})), &Pointer::default()).unwrap();
        assert_eq!(folders, [folder.path()]);
    }

    #[test]
    fn the_same_settings_make_the_same_set() {
        let of = |written| Recipe::of(&config(written), &Pointer::default()).unwrap().0;
        assert_eq!(of(json!({})), of(json!({"rules": ["builtin"], "mode": "detect"})));
        assert_ne!(of(json!({})), of(json!({"request_body": {"limit": "1KiB"}})));
    }

    #[test]
    fn files_that_are_not_there_and_scores_without_effect_are_told() {
        let config = config(json!({"rules": ["/nowhere/*.conf", "/nowhere/a.conf"]}));
        let found = Recipe::of(&config, &Pointer::default()).unwrap_err();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("/rules/0: there is no file /nowhere/*.conf: correct the name; "), "{}", found[0]);
        assert!(found[1].ends_with("`IncludeOptional /nowhere/a.conf`"), "{}", found[1]);
        let found = Recipe::of(&self::config(json!({"paranoia": 2})), &Pointer::default()).unwrap_err();
        assert!(found[0].to_string().starts_with("/paranoia: has no effect"));
    }

    #[test]
    fn scores_that_rules_do_not_ask_for_and_levels_the_wrong_way_round_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own.conf").display().to_string();
        std::fs::write(&own, "SecRule ARGS a \"id:1,phase:2,deny\"").unwrap();
        for (more, told) in [
            (json!({"paranoia": 3}), "/waf/paranoia: has no effect, for no rule asks for it"),
            (json!({"thresholds": {"inbound": 9}}), "/waf/thresholds: has no effect, for no rule asks for it"),
            (json!({"paranoia": 3, "detection_paranoia": 2}), "/waf/detection_paranoia: is below `paranoia`"),
        ] {
            let mut written = more;
            written["rules"] = json!([own]);
            let found = RuleSet::load(&config(written), &Pointer::default().at("waf")).err().unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].to_string().starts_with(told), "{}", found[0]);
        }
    }

    #[test]
    fn what_is_wrong_with_directives_or_left_out_of_them_is_told_at_their_place() {
        let at = Pointer::default().at("waf");
        let written = json!({"directives": "SecRuleEngine On\nSecFoo", "rules": ["builtin"]});
        let found = RuleSet::load(&config(written), &at).err().unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("/waf/directives: in its line 2, column 1: "), "{}", found[0]);
        let directives = "SecRule ARGS \"@rx ^(?!a)\" \"id:1,phase:2,deny\"";
        let set = RuleSet::load(&config(json!({"directives": directives, "compatibility": "lenient"})), &at).unwrap();
        assert_eq!(set.left_out.len(), 1);
        let told = set.left_out[0].to_string();
        assert!(told.starts_with("/waf/directives: in its line 1, column 19: rule 1 never matches: "), "{told}");
    }

    #[test]
    fn directives_look_for_files_beside_the_document() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.conf"), "SecRule ARGS \"@pmFromFile own.data\" \"id:1,phase:1,deny\"")
            .unwrap();
        std::fs::write(folder.path().join("own.data"), "attack").unwrap();
        let mut written =
            json!({"directives": "Include own.conf\nSecRule ARGS \"@pmFromFile own.data\" \"id:2,phase:1,deny\""});
        let found = RuleSet::load(&config(written.clone()), &Pointer::default()).err().unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        crate::anchor(&mut written, folder.path());
        assert!(RuleSet::load(&config(written), &Pointer::default()).is_ok());
    }

    #[test]
    fn settings_have_the_last_word_over_directives() {
        let written = json!({
            "request_body": {"limit": "2KiB", "beyond": "pass", "inspect": "on"},
            "response_body": {"inspect": "on", "limit": "1KiB", "beyond": "refuse", "types": ["text/html"]},
            "rules": ["builtin"],
        });
        let set = RuleSet::load(&config(written), &Pointer::default()).unwrap();
        let settings = set.rules.settings();
        assert_eq!((settings.request_body_limit, settings.response_body_limit), (2048, 1024));
        assert_eq!(settings.request_body_beyond, waf::Beyond::ProcessPartial);
        assert_eq!(settings.response_body_beyond, waf::Beyond::Reject);
        assert_eq!(settings.response_types, ["text/html".into()]);
    }
}
