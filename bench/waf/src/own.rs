//! What the rules that come with the gateway make of ordinary texts, of which none should match, and of attacks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use waf::{Compatibility, Engine, Rules, Source, Transaction};

use crate::corpus::{self, Sample};
use crate::{environment, judge_head, tests};

const OWN: &[u8] = include_bytes!("../../../crates/firewall/src/own.conf");
/// What the gateway says before them.
const BEFORE: &[u8] = br#"
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" "id:77001,phase:1,pass,nolog,t:none,t:lowercase,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/(?:[a-z0-9.-]+[+])?json" "id:77002,phase:1,pass,nolog,t:none,t:lowercase,ctl:requestBodyProcessor=JSON"
"#;
/// Paragraphs of each kind of document.
const MOST: usize = 4000;

/// The ways in which a text is sent.
const WAYS: &[(&str, fn(&str) -> ftw::Head)] =
    &[("query", query), ("form", form), ("JSON", json), ("multipart", multipart)];

pub fn measure(folder: &Path, places: &[PathBuf]) -> Result<()> {
    let sources =
        [Source::Text { name: "before.conf", content: BEFORE }, Source::Text { name: "own.conf", content: OWN }];
    let rules = match Rules::read(&sources, Compatibility::Strict) {
        Ok(rules) => Arc::new(rules),
        Err(findings) => bail!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    };
    benign(&rules, places)?;
    attacks(&rules, folder)
}

fn benign(rules: &Arc<Rules>, places: &[PathBuf]) -> Result<()> {
    let mut samples = corpus::written();
    samples.extend(corpus::found(places, MOST)?);
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut by_rule: BTreeMap<u64, (usize, BTreeSet<String>)> = BTreeMap::new();
    for Sample { kind, text } in &samples {
        for (way, make) in WAYS {
            let found = matched(rules, &make(text))?;
            let entry = kinds.entry(kind).or_default();
            entry.0 += 1;
            entry.1 += usize::from(!found.is_empty());
            for (rule, what) in found {
                let (count, examples) = by_rule.entry(rule).or_default();
                *count += 1;
                if examples.len() < EXAMPLES {
                    examples.insert(format!("{kind}, {way}: {what}"));
                }
            }
        }
    }
    let (sent, met) = kinds.values().fold((0, 0), |(sent, met), (more, hit)| (sent + more, met + hit));
    println!("ordinary requests\t{sent}\tmet\t{met}");
    for (kind, (sent, met)) in kinds {
        println!("{kind}\t{sent}\tmet\t{met}");
    }
    for (rule, (count, examples)) in by_rule {
        println!("rule {rule}: {count}");
        for example in examples {
            println!("  {example}");
        }
    }
    Ok(())
}

/// The rules that match a request, and what.
fn matched(rules: &Arc<Rules>, head: &ftw::Head) -> Result<Vec<(u64, String)>> {
    let mut transaction = Transaction::new(Arc::clone(rules), environment());
    transaction.set_engine(Engine::DetectionOnly);
    let judged = judge_head(transaction, head)?;
    let logged = judged.matches().filter(waf::Matched::is_logged);
    let told = logged.filter_map(|matched| {
        let value: Vec<u8> = matched.value().iter().copied().take(300).collect();
        let name = matched.name().unwrap_or_default().escape_ascii();
        let message = matched.data().unwrap_or_default().iter().copied().take(60).collect::<Vec<_>>();
        let what =
            format!("{}:{name} {} [{}]", matched.variable().name(), value.escape_ascii(), message.escape_ascii());
        Some((matched.rule()?.id()?, what))
    });
    Ok(told.collect())
}

/// How many requests of the rule set's tests that must match are met, by the groups of its rules.
fn attacks(rules: &Arc<Rules>, folder: &Path) -> Result<()> {
    let mut groups: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (group, head) in tests::meant(folder)? {
        let entry = groups.entry(group).or_default();
        entry.0 += 1;
        entry.1 += usize::from(!matched(rules, &head)?.is_empty());
    }
    for (group, (sent, met)) in groups {
        println!("{group}\t{sent}\tmet\t{met}\t{} %", met * 100 / sent.max(1));
    }
    Ok(())
}

fn head(method: &str, target: String, kind: &str, body: Vec<u8>) -> ftw::Head {
    let mut headers = vec![
        ("Host", "shop.example.com".to_owned()),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0".to_owned()),
        ("Accept", "text/html,application/json;q=0.9,*/*;q=0.8".to_owned()),
        ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8".to_owned()),
        ("Referer", "https://shop.example.com/search?q=o%27brien&page=2".to_owned()),
        ("Cookie", "_ga=GA1.2.1846563421.1700000000; session=dGhpcyBpcyBh; consent={\"a\":1}; theme=dark".to_owned()),
    ];
    if !body.is_empty() {
        headers.push(("Content-Type", kind.to_owned()));
        headers.push(("Content-Length", body.len().to_string()));
    }
    ftw::Head {
        method: method.into(),
        target: target.into_bytes(),
        protocol: b"HTTP/1.1".to_vec(),
        is_versioned: true,
        headers: headers.into_iter().map(|(name, value)| (name.into(), value.into_bytes())).collect(),
        body,
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn query(text: &str) -> ftw::Head {
    head("GET", format!("/search?page=2&q={}&sort=-created", encoded(text)), "", Vec::new())
}

fn form(text: &str) -> ftw::Head {
    let body = format!("rating=5&comment={}&submit=Send+it", encoded(text)).into_bytes();
    head("POST", "/reviews".into(), "application/x-www-form-urlencoded", body)
}

fn json(text: &str) -> ftw::Head {
    let mut quoted = String::new();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", control as u32)),
            other => quoted.push(other),
        }
    }
    let body = format!("{{\"review\":{{\"stars\":5,\"text\":\"{quoted}\",\"tags\":[\"a\",null]}}}}").into_bytes();
    head("POST", "/api/reviews".into(), "application/json", body)
}

fn multipart(text: &str) -> ftw::Head {
    let text = text.replace('\n', "\r\n");
    let body = format!(
        "--XbOuNdArY\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n{text}\r\n--XbOuNdArY\r\nContent-Disposition: \
         form-data; name=\"upload\"; filename=\"notes (1).txt\"\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--XbOuNdArY--\r\n"
    );
    head("POST", "/upload".into(), "multipart/form-data; boundary=XbOuNdArY", body.into_bytes())
}

const EXAMPLES: usize = 40;
