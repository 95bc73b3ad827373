//! Looking for bytes. All scanning of what was sent goes through here, so that tests can count how much of it there is.

/// Where a byte stands first.
pub(crate) fn find(wanted: u8, text: &[u8]) -> Option<usize> {
    looked_at(memchr::memchr(wanted, text), text)
}

/// Where either of two bytes stands first.
pub(crate) fn find_either(one: u8, other: u8, text: &[u8]) -> Option<usize> {
    looked_at(memchr::memchr2(one, other, text), text)
}

/// Where a text stands first within another one.
pub(crate) fn find_text(text: &[u8], wanted: &[u8]) -> Option<usize> {
    looked_at(memchr::memmem::find(text, wanted), text)
}

/// How many bytes from the beginning on are of one kind.
pub(crate) fn span(text: &[u8], is_of_it: impl Fn(u8) -> bool) -> usize {
    looked_at(text.iter().position(|byte| !is_of_it(*byte)), text).unwrap_or(text.len())
}

fn looked_at(found: Option<usize>, text: &[u8]) -> Option<usize> {
    count(found.map_or(text.len(), |place| place + 1));
    found
}

#[cfg(not(test))]
pub(crate) fn count(_: usize) {}

#[cfg(test)]
pub(crate) use tests::{count, work};

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    thread_local! {
        static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn count(bytes: usize) {
        LOOKED_AT.set(LOOKED_AT.get() + bytes);
    }

    /// How many bytes something looks at.
    pub(crate) fn work(something: impl FnOnce()) -> usize {
        LOOKED_AT.set(0);
        something();
        LOOKED_AT.get()
    }

    #[test]
    fn what_is_looked_at_is_counted() {
        assert_eq!(work(|| assert_eq!(super::find(b'c', b"abcd"), Some(2))), 3);
        assert_eq!(work(|| assert_eq!(super::find_text(b"abcd", b"xy"), None)), 4);
        assert_eq!(work(|| assert_eq!(super::span(b"abcd", |byte| byte < b'c'), 2)), 3);
    }
}
