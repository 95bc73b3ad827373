//! The PROXY protocol: any bytes are a header, the beginning of one, or none, and a header is never longer than they.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::proxy_protocol::{Parsed, parse};

fuzz_target!(|bytes: &[u8]| {
    if let Parsed::Yes(told, length) = parse(bytes) {
        assert!(length > 0 && length <= bytes.len());
        // What comes behind a header does not change it, and nothing shorter is one.
        assert_eq!(parse(&bytes[..length]), Parsed::Yes(told, length));
        assert!(!matches!(parse(&bytes[..length - 1]), Parsed::Yes(..)));
    }
});
