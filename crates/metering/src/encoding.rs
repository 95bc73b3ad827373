//! Numbers and texts as they lie in records: seven bits a byte, and texts with their length before them.

/// What a record has left to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a>(pub(crate) &'a [u8]);

/// Writes a number in as few bytes as it needs.
pub(crate) fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(low(number) | 0x80);
        number >>= 7;
    }
    to.push(low(number));
}

/// Writes a text.
pub(crate) fn put_text(to: &mut Vec<u8>, text: &str) {
    put_number(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

impl<'a> Source<'a> {
    /// The next `N` bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.bytes()?;
            let bits = u64::from(byte & 0x7f);
            // What does not fit was never a number.
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// The next number, if it is one of 32 bits.
    pub(crate) fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// The next text.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.skip_text()?).ok()
    }

    /// The bytes of the next text, which may be none.
    pub(crate) fn skip_text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}

fn low(number: u64) -> u8 {
    (number & 0x7f) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_is_read(numbers: Vec<u64>, text: String) {
            let mut record = Vec::new();
            for number in &numbers {
                put_number(&mut record, *number);
            }
            put_text(&mut record, &text);

            let mut source = Source(&record);
            for number in numbers {
                prop_assert_eq!(source.number(), Some(number));
            }
            prop_assert_eq!(source.text(), Some(text.as_str()));
            prop_assert!(source.0.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let mut source = Source(&bytes);
            while source.number().is_some() {}
            let mut source = Source(&bytes);
            while source.text().is_some() {}
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_none() {
        assert_eq!(Source(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).number(), Some(u64::MAX));
        assert_eq!(Source(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).number(), None);
        assert_eq!(Source(&[0x80; 11]).number(), None);
    }
}
