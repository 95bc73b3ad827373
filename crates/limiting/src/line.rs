//! Short text that is put together on the stack, for what is written on every request.

/// Up to `N` bytes of text. What does not fit is cut off.
pub(crate) struct Line<const N: usize> {
    bytes: [u8; N],
    used: usize,
}

impl<const N: usize> Line<N> {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { bytes: [0; N], used: 0 }
    }

    /// Appends as much as fits.
    #[inline]
    pub(crate) fn push(&mut self, part: &[u8]) {
        let free = self.bytes.get_mut(self.used..).unwrap_or_default();
        let fits = part.len().min(free.len());
        if let (Some(free), Some(part)) = (free.get_mut(..fits), part.get(..fits)) {
            free.copy_from_slice(part);
            self.used += fits;
        }
    }

    /// Appends a number in decimal.
    #[inline]
    pub(crate) fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number).as_bytes());
    }

    /// All of it.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// All of it, but for a letter that was cut in two at the end.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.as_bytes();
        str::from_utf8(bytes).unwrap_or_else(|error| {
            bytes.get(..error.valid_up_to()).and_then(|whole| str::from_utf8(whole).ok()).unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_between_letters() {
        let mut line = Line::<4>::new();
        line.push(b"abc");
        line.push("é".as_bytes());
        line.push(b"z");
        assert_eq!(line.as_bytes().len(), 4);
        assert_eq!(line.as_str(), "abc");
    }

    proptest! {
        #[test]
        fn numbers_are_written_in_decimal(number: u64) {
            let mut line = Line::<20>::new();
            line.push_number(number);
            prop_assert_eq!(line.as_str(), number.to_string());
        }
    }
}
