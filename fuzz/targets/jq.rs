//! Programs in jq: any text is compiled or refused, and what is compiled comes to an end with any document.
#![no_main]

use arbitrary::Arbitrary;
use jq::Program;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    program: &'a str,
    document: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let Ok(program) = Program::compile(input.program) else { return };
    let document = serde_json::from_str(input.document).unwrap_or_default();
    // A run costs no more than its budget, so that a slow one is a find.
    drop(program.first(&document));
});
