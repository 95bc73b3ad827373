//! What the firewall costs: processor time for each benign request, and what a rule set costs to load and to hold.
//!
//! `bench-waf FOLDER [PARANOIA [KIND [ROUNDS]]]`, and `bench-waf FOLDER beside` for the same requests with other engines, in
//! turns. The folder has the OWASP Core Rule Set: `crs-setup.conf.example` and `rules`.

mod nginx;
mod peer;
mod requests;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use requests::{ADVERSE, KINDS, Request, several};
use rustix::time::{ClockId, clock_gettime};
use waf::{Compatibility, Environment, Phase, Response, Rules, Source, Transaction};

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().context("name the folder of the rule set")?;
    let paranoia = words.next().unwrap_or_else(|| "1".into());
    if paranoia == "beside" {
        return beside(Path::new(&folder));
    }
    let wanted = words.next();
    let rounds = words.next().map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let before = spent();
    let rules = load(Path::new(&folder), &paranoia)?;
    println!("load\t{:.1} ms\t{} rules\t{} MiB resident", spent() - before, rules.len(), resident()?);
    let adverse = ADVERSE.iter().filter(|(kind, _)| wanted.as_deref() == Some(*kind));
    let benign = KINDS.iter().filter(|(kind, _)| wanted.as_deref().is_none_or(|wanted| wanted == *kind));
    for (kind, make) in benign.chain(adverse) {
        let requests = several(*make, REQUESTS);
        let mut taken: Vec<f64> = (0..rounds).map(|_| round(&rules, &requests)).collect::<Result<_>>()?;
        taken.sort_by(f64::total_cmp);
        let size = requests.iter().map(|request| request.body.len()).sum::<usize>() / requests.len();
        println!("{kind}\tPL{paranoia}\t{size} B\tleast {:.1} us\tmedian {:.1} us", taken[0], taken[taken.len() / 2]);
    }
    Ok(())
}

/// This engine, `barbacane-waf`, and nginx with and without libmodsecurity3, one after another, three times.
fn beside(folder: &Path) -> Result<()> {
    let setup = SETUP.replace("PARANOIA", "1");
    let rules = load(folder, "1")?;
    let peer = peer::load(folder, &setup)?;
    println!("barbacane-waf reads {} rules", peer.rule_count());
    let (on, off) = (nginx::Nginx::start(folder, Some(&setup))?, nginx::Nginx::start(folder, None)?);
    for (kind, make) in KINDS {
        let requests = several(*make, REQUESTS);
        for turn in 0..3 {
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
        }
    }
    Ok(())
}

fn load(folder: &Path, paranoia: &str) -> Result<Arc<Rules>> {
    let engine = if paranoia == "1" { "On" } else { "DetectionOnly" };
    let setup = SETUP.replace("PARANOIA", paranoia).replace("SecRuleEngine On", &format!("SecRuleEngine {engine}"));
    let (example, all) = (folder.join("crs-setup.conf.example"), folder.join("rules/*.conf"));
    let sources =
        [Source::Text { name: "setup.conf", content: setup.as_bytes() }, Source::Files(&example), Source::Files(&all)];
    match Rules::read(&sources, Compatibility::Strict) {
        Ok(rules) => Ok(Arc::new(rules)),
        Err(findings) => bail!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// Microseconds of the processor for each request. Transactions share their room, and nothing that is known of a value.
fn round(rules: &Arc<Rules>, requests: &[Request]) -> Result<f64> {
    let before = spent();
    let mut transaction = Transaction::new(Arc::clone(rules), Environment::default());
    for request in requests {
        transaction = judge(transaction, request)?;
    }
    Ok((spent() - before) * 1000.0 / requests.len() as f64)
}

fn judge(used: Transaction, request: &Request) -> Result<Transaction> {
    let environment = Environment { unique_id: "YmFhYWFhYWFhYWFhYWFh".into(), ..Environment::default() };
    let mut transaction = used.renew(environment);
    transaction.connection("192.0.2.7:40000".parse()?, "192.0.2.1:80".parse()?);
    transaction.request_line(request.method.as_bytes(), request.target.as_bytes(), b"HTTP/1.1");
    for (name, value) in &request.headers {
        transaction.request_header(name.as_bytes(), value.as_bytes());
    }
    transaction.phase(Phase::RequestHead);
    transaction.request_body(Bytes::copy_from_slice(&request.body));
    transaction.phase(Phase::RequestBody);
    transaction.response(&Response { protocol: b"HTTP/1.1", status: 200, reason: b"OK" });
    transaction.response_header(b"Content-Type", b"application/json");
    transaction.phase(Phase::ResponseHead);
    transaction.response_body(&Bytes::from_static(b"{\"ok\":true}"));
    transaction.phase(Phase::ResponseBody);
    transaction.phase(Phase::Logging);
    // Higher levels of paranoia do find fault with what is benign.
    let is_strict = transaction.engine() == waf::Engine::On;
    if let Some(matched) = transaction.matches().find(|matched| is_strict && matched.is_logged()) {
        let id = matched.rule().and_then(|rule| rule.id());
        bail!("rule {id:?} takes a benign request for an attack: {}", String::from_utf8_lossy(matched.value()));
    }
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

const REQUESTS: usize = 100;
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
