//! What servers of NATS say: any bytes are understood or refused, however they arrive.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use nats::{Malformed, Said};

fuzz_target!(|input: &[u8]| {
    let Some((&step, input)) = input.split_first() else { return };
    let (mut whole, at_once) = (BytesMut::from(input), Vec::new());
    let at_once = all(&mut whole, at_once);

    let (mut arrived, mut said) = (BytesMut::new(), Ok(Vec::new()));
    for part in input.chunks(usize::from(step).max(1)) {
        arrived.extend_from_slice(part);
        said = said.and_then(|said| all(&mut arrived, said));
    }
    // A line that is too long is refused sooner where it comes in parts.
    if at_once.is_ok() && said.is_ok() {
        assert_eq!(at_once, said);
    }
});

/// Adds everything that has arrived to what was said before.
fn all(arrived: &mut BytesMut, mut said: Vec<Said>) -> Result<Vec<Said>, Malformed> {
    while let Some(next) = Said::next(arrived)? {
        said.push(next);
    }
    Ok(said)
}
