//! Keys that are presented, and operations: any text is read, nothing opens without a key, and what an operation allows
//! does not step out of it.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use http::Method;
use libfuzzer_sys::fuzz_target;
use partners::{Index, Operation, Pepper, Target};

static INDEX: LazyLock<Index> = LazyLock::new(|| Index::new(Pepper::new(&[7; 32])));

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    key: &'a str,
    operation: &'a str,
    path: &'a str,
    base: u8,
}

fuzz_target!(|input: Input<'_>| {
    assert!(INDEX.find(input.key).is_err(), "nobody has a key here");

    let Ok(operation) = input.operation.parse::<Operation>() else { return };
    assert_eq!(operation.to_string().parse::<Operation>().as_ref(), Ok(&operation), "it is read as it is written");
    for method in [Method::GET, Method::HEAD, Method::POST] {
        let target = Target::new(operation.api(), &method, input.path, input.base.into());
        if operation.allows(&target) {
            let steps = |segment: &str| matches!(segment, "." | "..");
            assert!(!input.path.split('/').any(steps), "{operation} allows {}", input.path);
        }
        let other = Target::new("another", &method, input.path, input.base.into());
        assert!(operation.api() == "another" || !operation.allows(&other));
    }
});
