//! "Did you mean …?"

/// The known name that somebody most likely meant.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.chars().count() < 2 {
        return None;
    }
    let written = simplified(written);
    let tolerated = (written.chars().count() / 3).max(1);
    let distances = known.into_iter().map(|name| (strsim::damerau_levenshtein(&written, &simplified(name)), name));
    distances.filter(|(distance, _)| *distance <= tolerated).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// `; did you mean …?`, or which names there are.
pub fn advice(written: &str, known: &[&str]) -> String {
    if let Some(name) = nearest(written, known.iter().copied()) {
        return format!("; did you mean `{name}`?");
    }
    match known.len() {
        0 => String::new(),
        1..=MANY => format!("; what fits here: {}", quoted(known, "and")),
        _ => String::new(),
    }
}

/// The names in quotes, with a word before the last one.
pub(crate) fn quoted(names: &[&str], word: &str) -> String {
    match names {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} {word} `{last}`", first.join(", "))
        }
    }
}

/// Case and the kind of dash are not what a name is known by.
fn simplified(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

/// How many names are worth listing.
const MANY: usize = 24;
