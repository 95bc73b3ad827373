//! The rule set that Debian ships, as its package `modsecurity-crs` installs it.

use std::path::Path;

use waf::{Compatibility, Rules, Source};

#[test]
fn the_rule_set_of_debian_loads_without_what_asks_other_services() {
    let (setup, rules) =
        (Path::new("/etc/modsecurity/crs/crs-setup.conf"), Path::new("/usr/share/modsecurity-crs/rules/*.conf"));
    assert!(setup.exists(), "the Debian package modsecurity-crs must be installed");
    let loaded = Rules::read(&[Source::Files(setup), Source::Files(rules)], Compatibility::Lenient);
    let rules = loaded.unwrap_or_else(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("{}", findings.join("\n"))
    });
    assert!(rules.len() > 500, "only {} rules", rules.len());
    let left_out: Vec<String> = rules.notes().iter().map(|note| note.message.clone()).collect();
    assert!(left_out.iter().all(|note| note.contains("is left out")), "{left_out:?}");
}
