//! The rule set that Debian ships, as its package `modsecurity-crs` installs it.

use std::path::Path;
use std::sync::Arc;

use waf::{Compatibility, Environment, Phase, Rules, Source, Transaction};

#[test]
fn the_rule_set_of_debian_loads_without_what_asks_other_services() {
    let all = Path::new("/usr/share/modsecurity-crs/owasp-crs.load");
    assert!(all.exists(), "the Debian package modsecurity-crs must be installed");
    let loaded = Rules::read(&[Source::Files(all)], Compatibility::Lenient);
    let rules = loaded.unwrap_or_else(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("{}", findings.join("\n"))
    });
    assert!(rules.len() > 500, "only {} rules", rules.len());
    let noted: Vec<String> = rules.notes().iter().map(|note| note.message.clone()).collect();
    let expected = ["is given back here", "SecComponentSignature has no effect"];
    let is_expected = |note: &String| expected.iter().any(|part| note.contains(part));
    assert!(noted.iter().all(is_expected), "{noted:?}");
    let id = |message: &str| message.strip_prefix("rule ")?.split([' ', ':']).next()?.parse::<u64>().ok();
    let mut left_out: Vec<u64> = rules.left_out().iter().filter_map(|one| id(&one.message)).collect();
    left_out.dedup();
    assert_eq!(left_out, [910_100, 910_140, 920_120, 942_130, 953_120], "{:?}", rules.left_out());
    // Listed one by one, as the document of a gateway may have them, they are the same rules.
    let listed = LISTED.map(|file| Source::Files(Path::new(file)));
    assert_eq!(Rules::read(&listed, Compatibility::Lenient).unwrap().len(), rules.len());
}

#[test]
fn a_sample_of_requests_is_judged_as_the_rule_set_says() {
    let sampled = |percentage: &str| {
        let setup = format!("SecAction \"id:1,phase:1,pass,nolog,setvar:tx.sampling_percentage={percentage}\"");
        let sources = [
            Source::Text { name: "sampling.conf", content: setup.as_bytes() },
            Source::Files(Path::new("/usr/share/modsecurity-crs/owasp-crs.load")),
        ];
        let rules = Arc::new(Rules::read(&sources, Compatibility::Lenient).unwrap());
        let is_judged = |number: &u32| {
            let unique_id = format!("{number:032x}").into_boxed_str();
            let environment = Environment { unique_id, ..Environment::default() };
            let mut transaction = Transaction::new(rules.clone(), environment);
            transaction.request_line(b"GET", b"/?q=<script>alert(1)</script>", b"HTTP/1.1");
            transaction.phase(Phase::RequestHead);
            transaction.phase(Phase::RequestBody);
            transaction.matches().any(|one| one.rule().and_then(|rule| rule.id()) == Some(941_100))
        };
        (0..100).filter(is_judged).count()
    };
    assert_eq!(sampled("100"), 100);
    let some = sampled("40");
    assert!((20..60).contains(&some), "{some} of 100");
}

const LISTED: [&str; 4] = [
    "/etc/modsecurity/crs/crs-setup.conf",
    "/etc/modsecurity/crs/REQUEST-900-EXCLUSION-RULES-BEFORE-CRS.conf",
    "/usr/share/modsecurity-crs/rules/*.conf",
    "/etc/modsecurity/crs/RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf",
];
