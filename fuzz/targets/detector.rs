//! Detectors of SQL injection and cross-site scripting: whatever is sent is judged, and in the same way each time.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let found = payload::sqli(input);
    assert!(found.is_none_or(|found| !found.as_str().is_empty()));
    assert_eq!(found, payload::sqli(input));
    assert_eq!(payload::xss(input), payload::xss(input));
});
