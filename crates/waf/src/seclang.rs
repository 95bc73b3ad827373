//! The language of rules: from bytes of files to lists of names and values, each with its place.

mod include;
mod items;
mod text;

pub(crate) use self::include::{Before, Reader};
pub use self::include::{Named, matching};
pub(crate) use self::items::{Item, items};
pub use self::text::Spot;
pub(crate) use self::text::{Text, words};

/// Of the known names the one that was probably meant.
pub(crate) fn nearest<'a>(written: &[u8], known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = String::from_utf8_lossy(written).to_ascii_lowercase();
    known
        .map(|name| (distance(&written, &name.to_ascii_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters must be put in, left out or exchanged.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let cost = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = cost.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_found() {
        let known = ["lowercase", "urlDecode", "urlDecodeUni"];
        assert_eq!(nearest(b"lowercas", known.into_iter()), Some("lowercase"));
        assert_eq!(nearest(b"urldecodeun", known.into_iter()), Some("urlDecodeUni"));
        assert_eq!(nearest(b"sha1", known.into_iter()), None);
    }
}
