//! What the firewall costs: processor time for each benign request, and what a rule set costs to load and to hold.
//!
//! `bench-waf FOLDER [PARANOIA [KIND [ROUNDS]]]`; `bench-waf FOLDER beside` for the same requests with other engines, in
//! turns; `bench-waf FOLDER worst [PARANOIA]` for bodies that mean to cost much; `bench-waf FOLDER apache [COUNT [SEED]]` for
//! whether the same rules match as in the reference; `bench-waf FOLDER libinjection SOURCE [COUNT [SEED]]` for whether the
//! detectors judge as the library does, of which SOURCE is a clone; `bench-waf FOLDER own TEXTS...` for what the rules that come with the gateway
//! make of ordinary texts, which are read from files and folders, and of attacks. The folder has the OWASP Core Rule Set:
//! `crs-setup.conf.example`, `rules`, and its regression tests as `tests`.

mod apache;
mod corpus;
mod detectors;
mod memory;
mod nginx;
mod own;
mod peer;
mod requests;
mod tests;
mod worst;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use requests::{KINDS, Request, several};
use rustix::time::{ClockId, clock_gettime};
use waf::{Compatibility, Environment, Phase, Response, Rules, Source, Transaction};

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().context("name the folder of the rule set")?;
    let paranoia = words.next().unwrap_or_else(|| "1".into());
    if paranoia == "beside" {
        return beside(Path::new(&folder));
    }
    if paranoia == "worst" {
        return worst::run(&load(Path::new(&folder), words.next().as_deref().unwrap_or("1"))?);
    }
    if paranoia == "apache" {
        let count = words.next().map_or(Ok(MUTANTS), |count| count.parse())?;
        let seed = words.next().map_or(Ok(0), |seed| seed.parse())?;
        let folder = Path::new(&folder);
        return apache::compare(folder, &read(folder, ftw::setup())?, count, seed);
    }
    if paranoia == "libinjection" {
        let source = words.next().context("name a clone of libinjection")?;
        let count = words.next().map_or(Ok(DETECTED), |count| count.parse())?;
        let seed = words.next().map_or(Ok(0), |seed| seed.parse())?;
        return detectors::compare(Path::new(&folder), Path::new(&source), count, seed);
    }
    if paranoia == "own" {
        return own::measure(Path::new(&folder), &words.map(Into::into).collect::<Vec<_>>());
    }
    let wanted = words.next();
    let rounds = words.next().map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let (before, held) = (spent(), memory::held());
    let rules = load(Path::new(&folder), &paranoia)?;
    let held = (memory::held() - held) as f64 / 1e6;
    println!(
        "load\t{:.1} ms\t{} rules\t{held:.1} MB held\t{} MiB resident",
        spent() - before,
        rules.len(),
        resident()?
    );
    for (kind, make) in KINDS.iter().filter(|(kind, _)| wanted.as_deref().is_none_or(|wanted| wanted == *kind)) {
        let requests = several(*make, REQUESTS);
        let mut taken: Vec<f64> = (0..rounds).map(|_| round(&rules, &requests)).collect::<Result<_>>()?;
        taken.sort_by(f64::total_cmp);
        let mut known: Vec<f64> = (0..rounds).map(|_| warm(&rules, &requests)).collect::<Result<_>>()?;
        known.sort_by(f64::total_cmp);
        let size = requests.iter().map(|request| request.body.len()).sum::<usize>() / requests.len();
        println!(
            "{kind}\tPL{paranoia}\t{size} B\tleast {:.1} us\tmedian {:.1} us\twith values known from before {:.1} us",
            taken[0],
            taken[rounds / 2],
            known[rounds / 2]
        );
    }
    println!("afterwards\t{:.1} MB held by all, {} MiB resident", memory::held() as f64 / 1e6, resident()?);
    if wanted.as_deref().is_none_or(|wanted| wanted == "attack") {
        attacks(Path::new(&folder), &rules, rounds)?;
    }
    Ok(())
}

/// Requests of the rule set's own tests, which all match some rule at some level.
fn attacks(folder: &Path, rules: &Arc<Rules>, rounds: usize) -> Result<()> {
    let heads = tests::attacks(folder, ATTACKS)?;
    let size = heads.iter().map(|head| head.body.len()).sum::<usize>() / heads.len();
    let mut taken = Vec::new();
    for _ in 0..rounds {
        let before = spent();
        let mut transaction = Transaction::new(Arc::clone(rules), environment());
        for head in &heads {
            transaction = judge_head(transaction.renew(environment()), head)?;
        }
        taken.push((spent() - before) * 1000.0 / heads.len() as f64);
    }
    taken.sort_by(f64::total_cmp);
    println!("attack\t{size} B\tleast {:.1} us\tmedian {:.1} us", taken[0], taken[taken.len() / 2]);
    Ok(())
}

/// Takes a request of a test through all phases.
fn judge_head(mut transaction: Transaction, head: &ftw::Head) -> Result<Transaction> {
    transaction.connection("127.0.0.1:40000".parse()?, "127.0.0.1:80".parse()?);
    transaction.request_line(&head.method, &head.target, &head.protocol);
    for (name, value) in &head.headers {
        transaction.request_header(name, value);
    }
    let passes = transaction.phase(Phase::RequestHead) == waf::Verdict::Pass && {
        transaction.request_body(Bytes::copy_from_slice(&head.body));
        transaction.phase(Phase::RequestBody) == waf::Verdict::Pass
    };
    if passes {
        answer(&mut transaction, if head.method == b"HEAD" { "" } else { ANSWER });
    }
    transaction.phase(Phase::Logging);
    Ok(transaction)
}

fn environment() -> Environment {
    Environment { unique_id: "YmFhYWFhYWFhYWFhYWFh".into(), ..Environment::default() }
}

/// What the backend says to everything.
fn answer(transaction: &mut Transaction, body: &'static str) {
    transaction.response(&Response { protocol: b"HTTP/1.1", status: 200, reason: b"OK" });
    transaction.response_header(b"Content-Type", b"application/json");
    transaction.phase(Phase::ResponseHead);
    transaction.response_body(&Bytes::from_static(body.as_bytes()));
    transaction.phase(Phase::ResponseBody);
}

/// This engine, `barbacane-waf`, and nginx with and without libmodsecurity3, one after another, several times. The processor is
/// not equally fast in all turns; what counts is all of them together.
fn beside(folder: &Path) -> Result<()> {
    let setup = SETUP.replace("PARANOIA", "1");
    let rules = load(folder, "1")?;
    let peer = peer::load(folder, &setup)?;
    println!("barbacane-waf reads {} rules", peer.rule_count());
    let (on, off) = (nginx::Nginx::start(folder, Some(&setup))?, nginx::Nginx::start(folder, None)?);
    for ((kind, make), count) in KINDS.iter().zip(IN_A_TURN) {
        let requests = several(*make, count);
        let (mut all_ours, mut all_theirs, mut all_of_nginx) = (0.0, 0.0, 0.0);
        for turn in 0..TURNS {
            let ours = round(&rules, &requests)?;
            let before = spent();
            for request in &requests {
                peer::judge(&peer, request)?;
            }
            let theirs = (spent() - before) * 1000.0 / requests.len() as f64;
            let (on, off) = (on.round(&requests)?, off.round(&requests)?);
            println!(
                "{kind}\tturn {turn}\tours {ours:.0} us\tbarbacane-waf {theirs:.0} us (x{:.1})\tnginx+v3 {on:.0} us, without {off:.0} us (x{:.1})",
                theirs / ours,
                (on - off) / ours
            );
            all_ours += ours;
            all_theirs += theirs;
            all_of_nginx += on - off;
        }
        println!(
            "{kind}\tall turns\tours {:.0} us\tbarbacane-waf x{:.1}\tnginx+v3 x{:.1}",
            all_ours / f64::from(TURNS),
            all_theirs / all_ours,
            all_of_nginx / all_ours
        );
    }
    Ok(())
}

fn load(folder: &Path, paranoia: &str) -> Result<Arc<Rules>> {
    let engine = if paranoia == "1" { "On" } else { "DetectionOnly" };
    read(folder, &SETUP.replace("PARANOIA", paranoia).replace("SecRuleEngine On", &format!("SecRuleEngine {engine}")))
}

fn read(folder: &Path, setup: &str) -> Result<Arc<Rules>> {
    let (example, all) = (folder.join("crs-setup.conf.example"), folder.join("rules/*.conf"));
    let sources =
        [Source::Text { name: "setup.conf", content: setup.as_bytes() }, Source::Files(&example), Source::Files(&all)];
    match Rules::read(&sources, Compatibility::Strict) {
        Ok(rules) => Ok(Arc::new(rules)),
        Err(findings) => bail!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// Microseconds of the processor for each request. Transactions share their room, and nothing that is known of a value.
#[inline(never)]
fn round(rules: &Arc<Rules>, requests: &[Request]) -> Result<f64> {
    let before = spent();
    let mut transaction = Transaction::new(Arc::clone(rules), Environment::default());
    for request in requests {
        transaction.forget();
        transaction = judge(transaction, request)?;
    }
    Ok((spent() - before) * 1000.0 / requests.len() as f64)
}

/// The same, when values of other requests of the kind are known.
fn warm(rules: &Arc<Rules>, requests: &[Request]) -> Result<f64> {
    let mut transaction = Transaction::new(Arc::clone(rules), Environment::default());
    for request in requests {
        transaction = judge(transaction, request)?;
    }
    let before = spent();
    for request in requests {
        transaction = judge(transaction, request)?;
    }
    Ok((spent() - before) * 1000.0 / requests.len() as f64)
}

fn judge(used: Transaction, request: &Request) -> Result<Transaction> {
    let transaction = judged(used, request)?;
    // Higher levels of paranoia do find fault with what is benign.
    let is_strict = transaction.engine() == waf::Engine::On;
    if let Some(matched) = transaction.matches().find(|matched| is_strict && matched.is_logged()) {
        let id = matched.rule().and_then(|rule| rule.id());
        bail!("rule {id:?} takes a benign request for an attack: {}", String::from_utf8_lossy(matched.value()));
    }
    Ok(transaction)
}

/// Takes a request through all phases.
fn judged(used: Transaction, request: &Request) -> Result<Transaction> {
    let mut transaction = used.renew(environment());
    transaction.connection("192.0.2.7:40000".parse()?, "192.0.2.1:80".parse()?);
    transaction.request_line(request.method.as_bytes(), request.target.as_bytes(), b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.request_header(name.as_bytes(), value.as_bytes());
    }
    transaction.phase(Phase::RequestHead);
    transaction.request_body(Bytes::copy_from_slice(&request.body));
    transaction.phase(Phase::RequestBody);
    answer(&mut transaction, ANSWER);
    transaction.phase(Phase::Logging);
    Ok(transaction)
}

/// The memory of this process, in MiB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// Milliseconds of the processor that this thread has taken.
fn spent() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

const ANSWER: &str = r#"{"ok":true}"#;
const REQUESTS: usize = 100;
/// Different requests of each kind in a turn: so many that no engine is measured while the processor is still with the one
/// before it.
const IN_A_TURN: [usize; KINDS.len()] = [1000, 300, 100];
const TURNS: u32 = 6;
const ATTACKS: usize = 500;
const MUTANTS: usize = 10_000;
/// Mutants of values that the detectors are asked about.
const DETECTED: usize = 1_000_000;
const ROUNDS: usize = 11;

const SETUP: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecAction "id:900000,phase:1,nolog,pass,setvar:tx.blocking_paranoia_level=PARANOIA"
"#;
