//! Numbers, bytes and texts as they lie in records: seven bits a byte, and bytes with their length before them.

/// What a record has left to read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a>(pub &'a [u8]);

/// Writes a number in as few bytes as it needs.
pub fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(low(number) | 0x80);
        number >>= 7;
    }
    to.push(low(number));
}

/// Writes bytes, with their length before them.
pub fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

impl<'a> Source<'a> {
    /// The next `N` bytes, without a length before them.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
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
    pub fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// The next bytes with a length before them.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next bytes with a length before them, if they are a text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
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
        fn what_was_put_is_read(numbers: Vec<u64>, text: String, bytes: Vec<u8>) {
            let mut record = Vec::new();
            for number in &numbers {
                put_number(&mut record, *number);
            }
            put_bytes(&mut record, text.as_bytes());
            put_bytes(&mut record, &bytes);

            let mut source = Source(&record);
            for number in numbers {
                prop_assert_eq!(source.number(), Some(number));
            }
            prop_assert_eq!(source.text(), Some(text.as_str()));
            prop_assert_eq!(source.bytes(), Some(bytes.as_slice()));
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
