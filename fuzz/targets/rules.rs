//! Rule files: whatever they hold, each finding names a place in them, and what loads is a rule set.

#![no_main]

use libfuzzer_sys::fuzz_target;
use waf::{Compatibility, Rules};

fuzz_target!(|content: &[u8]| {
    // Files are not what is tried here.
    let reads = content.windows(8).any(|window| window.eq_ignore_ascii_case(b"fromfile")) || contains(content, b"include");
    if reads || contains(content, b"@pmf") || contains(content, b"@ipmatchf") {
        return;
    }
    for compatibility in [Compatibility::Strict, Compatibility::Lenient] {
        if let Err(findings) = Rules::parse("rules.conf", content, compatibility) {
            assert!(!findings.is_empty());
            let lines = content.split(|byte| *byte == b'\n').count();
            for finding in findings {
                let place = finding.place.expect("every finding has a place");
                assert!((1..=lines).contains(&place.line), "{}", finding.message);
            }
        }
    }
});

fn contains(content: &[u8], word: &[u8]) -> bool {
    content.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}
