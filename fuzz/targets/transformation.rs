//! Transformations: none panics, what is said about bytes that may change a value is true, and nothing grows without bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use payload::ByteSet;
use payload::transform::Transformation;

fuzz_target!(|input: &[u8]| {
    let Some((first, value)) = input.split_first() else { return };
    let held = ByteSet::of(value);
    let mut out = Vec::new();
    for transformation in Transformation::ALL {
        out.clear();
        out.push(*first);
        let has_changed = transformation.apply(value, &mut out);
        if has_changed {
            assert_ne!(out, value, "{transformation:?}");
            assert!(!transformation.leaves(&held, value), "{transformation:?}");
        } else {
            assert_eq!(out, [*first], "{transformation:?}");
        }
        assert!(out.len() <= value.len() * 6 + 20, "{transformation:?}");
    }
});
