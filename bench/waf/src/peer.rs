//! The crate `barbacane-waf`, the closest engine in Rust, on the same rules and requests.

use std::path::Path;

use anyhow::{Context, Result};
use parapet::{DirDataLoader, Directive, EngineMode, RuleSet, Transaction, parse_all};

use crate::requests::Request;

/// The rules as far as it reads them. What it refuses is left out with the whole chain, so that it does less work.
pub fn load(folder: &Path, setup: &str) -> Result<RuleSet> {
    let mut files: Vec<_> = std::fs::read_dir(folder.join("rules"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    let mut texts = vec![setup.to_owned(), std::fs::read_to_string(folder.join("crs-setup.conf.example"))?];
    for file in files {
        texts.push(std::fs::read_to_string(file)?);
    }
    let mut directives: Vec<Directive> = Vec::new();
    for text in texts {
        let (read, _) = parse_all(&readable(&text), "rules");
        directives.extend(read);
    }
    let (rules, _) = RuleSet::compile_all(&directives, &DirDataLoader::new(folder.join("rules")));
    Ok(rules)
}

/// The text without what it refuses: one chain, one negated operator, updates of targets, settings.
fn readable(text: &str) -> String {
    let mut kept = String::new();
    let mut skipping = false;
    for directive in directives(text) {
        let chained = directive.contains("chain\"") || directive.contains("chain,") || directive.contains("chain'");
        if directive.contains("id:920640") {
            skipping = true;
        } else if skipping {
            skipping = chained;
        } else if !directive.starts_with("SecRuleUpdate")
            && !SETTINGS.iter().any(|setting| directive.starts_with(setting))
        {
            kept.push_str(&directive.replace("\"!@beginsWith ", "\"!@rx ^"));
            kept.push('\n');
        }
    }
    kept
}

/// Lines with those that they go on in.
fn directives(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        open.push_str(line);
        if line.ends_with('\\') {
            open.push('\n');
        } else {
            all.push(std::mem::take(&mut open).trim().to_owned());
        }
    }
    all.retain(|directive| !directive.is_empty());
    all
}

pub fn judge(rules: &RuleSet, request: &Request) -> Result<()> {
    let mut transaction = Transaction::new(rules, EngineMode::Blocking);
    transaction.set_remote_addr("192.0.2.7");
    transaction.process_uri(request.method, &request.target, "HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.add_request_header(name, value);
    }
    transaction.process_request_headers();
    let kind = request.headers.iter().find(|(name, _)| *name == "Content-Type").map(|(_, value)| value.as_str());
    transaction.set_request_body(&request.body, kind);
    transaction.process_request_body();
    transaction.set_response_status(200);
    transaction.add_response_header("Content-Type", "application/json");
    transaction.process_response_headers();
    transaction.set_response_body(b"{\"ok\":true}");
    transaction.process_response_body();
    transaction.process_logging();
    (*transaction.verdict() == parapet::Verdict::Allow).then_some(()).context("it refuses a benign request")
}

const SETTINGS: &[&str] = &["SecRuleEngine", "SecRequestBody", "SecResponseBody"];
