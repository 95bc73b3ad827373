//! What every match of an expression has.

use payload::ByteSet;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// What a value must have for an operator to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// One of these texts, in small letters and whatever the case; none if nothing is known.
    pub(crate) literals: Option<Vec<Vec<u8>>>,
    /// A byte of each of these sets.
    pub(crate) sets: Vec<ByteSet>,
    /// So many bytes.
    pub(crate) length: usize,
    /// Where values come from that are looked at.
    pub(crate) domain: Domain,
}

/// Where values come from that an operator looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Domain {
    /// From answers, or after all is done.
    #[default]
    Answer,
    /// From requests, and perhaps from answers too.
    Request,
}

impl Needs {
    pub(crate) fn one_of(texts: &[Vec<u8>]) -> Self {
        let literals: Vec<_> = texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        let length = literals.iter().map(Vec::len).min().unwrap_or(0);
        if length == 0 {
            return Self::default();
        }
        // Of each text the rarest byte, in either case; together they are a set that a match has a byte of.
        let both = |byte: u8| ByteSet::new(&[byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]);
        let rarest = |text: &Vec<u8>| text.iter().map(|byte| both(*byte)).min_by_key(weight).unwrap_or_default();
        let set = literals.iter().fold(ByteSet::EMPTY, |set, text| set.or(rarest(text)));
        Self { literals: Some(literals), sets: vec![set], length, domain: Domain::default() }
    }

    pub(crate) fn a_byte_of(set: ByteSet) -> Self {
        Self { sets: vec![set], length: 1, ..Self::default() }
    }
}

/// What every match of an expression has. Of one that cannot be read nothing is known.
pub(crate) fn of_pattern(pattern: &str) -> Needs {
    let parser = ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build().parse(pattern);
    let Ok(hir) = parser else { return Needs::default() };
    let facts = facts(&hir);
    let literals = facts.best().filter(|literals| literals.iter().all(|text| is_useful(text))).map(<[Vec<u8>]>::to_vec);
    let mut sets = facts.sets;
    sets.sort_by_key(weight);
    sets.dedup();
    sets.truncate(SETS);
    Needs { literals, sets, length: facts.length, domain: Domain::default() }
}

/// What is known of a part of an expression.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// All texts that it matches, in small letters, if they are few.
    exact: Option<Vec<Vec<u8>>>,
    /// Texts of which every match has one.
    required: Option<Vec<Vec<u8>>>,
    sets: Vec<ByteSet>,
    length: usize,
}

impl Facts {
    /// Nothing is known but that it may match nothing.
    fn unknown() -> Self {
        Self::default()
    }

    fn empty() -> Self {
        Self { exact: Some(vec![Vec::new()]), ..Self::default() }
    }

    /// The texts that tell most.
    fn best(&self) -> Option<&[Vec<u8>]> {
        let exact = self.exact.as_deref().filter(|exact| shortest(exact) > 0);
        better(exact, self.required.as_deref())
    }
}

fn facts(hir: &Hir) -> Facts {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Facts::empty(),
        HirKind::Literal(literal) => {
            let sets = literal.0.iter().map(|byte| ByteSet::new(&[*byte])).collect();
            let exact = Some(vec![literal.0.to_ascii_lowercase()]);
            Facts { exact, required: None, sets, length: literal.0.len() }
        }
        HirKind::Class(class) => of_class(class),
        HirKind::Repetition(repetition) => of_repetition(repetition),
        HirKind::Capture(capture) => facts(&capture.sub),
        HirKind::Concat(parts) => of_concatenation(&parts.iter().map(facts).collect::<Vec<_>>()),
        HirKind::Alternation(branches) => of_alternation(&branches.iter().map(facts).collect::<Vec<_>>()),
    }
}

fn of_class(class: &Class) -> Facts {
    let mut set = ByteSet::EMPTY;
    let mut bytes = Vec::new();
    match class {
        Class::Bytes(class) => {
            for range in class.ranges() {
                set = set.or(ByteSet::EMPTY.with_range(range.start(), range.end()));
                bytes.extend(range.start()..=range.end());
            }
        }
        // Of ASCII alone, as nothing else is read without Unicode.
        Class::Unicode(class) => {
            for range in class.ranges() {
                let (Ok(start), Ok(end)) = (u8::try_from(range.start()), u8::try_from(range.end())) else {
                    return Facts { length: 1, ..Facts::unknown() };
                };
                set = set.or(ByteSet::EMPTY.with_range(start, end));
                bytes.extend(start..=end);
            }
        }
    }
    bytes.iter_mut().for_each(u8::make_ascii_lowercase);
    bytes.sort_unstable();
    bytes.dedup();
    let exact = (bytes.len() <= SMALL_CLASS).then(|| bytes.iter().map(|byte| vec![*byte]).collect());
    Facts { exact, required: None, sets: vec![set], length: 1 }
}

fn of_repetition(repetition: &Repetition) -> Facts {
    let inner = facts(&repetition.sub);
    if repetition.min == 0 {
        let exact = (repetition.max == Some(1)).then_some(inner.exact).flatten().map(|mut exact| {
            exact.push(Vec::new());
            exact
        });
        return Facts { exact: exact.filter(|exact| exact.len() <= MANY), ..Facts::unknown() };
    }
    let length = inner.length.saturating_mul(repetition.min as usize);
    if repetition.max == Some(repetition.min) && repetition.min <= 4 {
        let copies = vec![inner; repetition.min as usize];
        return Facts { length, ..of_concatenation(&copies) };
    }
    // One copy is there; what stands beside it is not known.
    Facts { exact: None, required: inner.best().map(<[Vec<u8>]>::to_vec), sets: inner.sets, length }
}

fn of_concatenation(parts: &[Facts]) -> Facts {
    let mut run: Vec<Vec<u8>> = vec![Vec::new()];
    let mut is_exact = true;
    let mut required: Option<Vec<Vec<u8>>> = None;
    let mut sets = Vec::new();
    let mut length: usize = 0;
    for part in parts {
        length = length.saturating_add(part.length);
        sets.extend(part.sets.iter().copied());
        if let Some(longer) = part.exact.as_ref().and_then(|exact| product(&run, exact)) {
            run = longer;
            continue;
        }
        is_exact = false;
        required = choose(required, &run);
        run = part.exact.clone().unwrap_or_else(|| vec![Vec::new()]);
        if let Some(inner) = &part.required {
            required = choose(required, inner);
        }
    }
    let exact = is_exact.then(|| run.clone());
    if !is_exact {
        required = choose(required, &run);
    }
    Facts { exact, required, sets, length }
}

fn of_alternation(branches: &[Facts]) -> Facts {
    let length = branches.iter().map(|branch| branch.length).min().unwrap_or(0);
    let gather = |texts: Vec<Option<&[Vec<u8>]>>, limit: usize| -> Option<Vec<Vec<u8>>> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for texts in texts {
            all.extend(texts?.iter().cloned());
            if all.len() > limit {
                return None;
            }
        }
        all.sort();
        all.dedup();
        Some(all)
    };
    let exact = gather(branches.iter().map(|branch| branch.exact.as_deref()).collect(), MANY);
    let required = gather(branches.iter().map(Facts::best).collect(), VERY_MANY);
    // Each branch gives its rarest set; together they are one.
    let rarest = |branch: &Facts| branch.sets.iter().min_by_key(|set| weight(set)).copied();
    let together = branches.iter().map(rarest).try_fold(ByteSet::EMPTY, |all, set| set.map(|set| all.or(set)));
    Facts { exact, required, sets: together.into_iter().collect(), length }
}

/// Each text of the first with each of the second behind it, if they stay few and short.
fn product(first: &[Vec<u8>], second: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if first.len().saturating_mul(second.len()) > MANY {
        return None;
    }
    let longest = |texts: &[Vec<u8>]| texts.iter().map(Vec::len).max().unwrap_or(0);
    if longest(first) + longest(second) > LONG {
        return None;
    }
    let mut all: Vec<Vec<u8>> = first
        .iter()
        .flat_map(|start| second.iter().map(move |end| [start.as_slice(), end.as_slice()].concat()))
        .collect();
    all.sort();
    all.dedup();
    Some(all)
}

fn choose(old: Option<Vec<Vec<u8>>>, new: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if shortest(new) == 0 {
        return old;
    }
    better(old.as_deref(), Some(new)).map(<[Vec<u8>]>::to_vec)
}

/// Of two sets of texts the one that fewer values have: longer ones first, fewer ones then.
fn better<'a>(a: Option<&'a [Vec<u8>]>, b: Option<&'a [Vec<u8>]>) -> Option<&'a [Vec<u8>]> {
    let rank = |texts: &[Vec<u8>]| (shortest(texts).min(RARE), std::cmp::Reverse(texts.len()));
    match (a, b) {
        (Some(a), Some(b)) => Some(if rank(b) > rank(a) { b } else { a }),
        (one, other) => one.or(other),
    }
}

/// Whether most values do not have a text: two letters are nearly everywhere.
fn is_useful(text: &[u8]) -> bool {
    text.len() > 2
        || (text.len() == 2 && !text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'_')))
}

fn shortest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or(0)
}

/// How likely a value has one of these bytes, roughly: letters, digits and a few signs are everywhere.
pub(crate) fn weight(set: &ByteSet) -> u32 {
    let of = |byte: u8| match byte {
        b'a'..=b'z' => LETTERS.get(usize::from(byte - b'a')).copied().unwrap_or(1),
        b'0'..=b'9' | b' ' | b'.' | b'-' | b'/' => 20,
        b'A'..=b'Z' | b'_' | b',' | b';' | b'=' | b':' => 8,
        0x20..=0x7e => 3,
        _ => 1,
    };
    (0..=u8::MAX).filter(|byte| set.contains(*byte)).map(of).sum()
}

/// How often letters stand in English text, for each thousand.
const LETTERS: [u32; 26] =
    [82, 15, 28, 43, 127, 22, 20, 61, 70, 2, 8, 40, 24, 67, 75, 19, 1, 60, 63, 91, 28, 10, 24, 2, 20, 1];

/// Beyond this length it no longer matters which text is longer.
const RARE: usize = 5;
/// How many sets of bytes are looked at.
const SETS: usize = 3;
const SMALL_CLASS: usize = 8;
const MANY: usize = 64;
const VERY_MANY: usize = 1024;
const LONG: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(pattern: &str) -> Option<Vec<String>> {
        let literals = of_pattern(pattern).literals?;
        Some(literals.into_iter().map(|literal| String::from_utf8(literal).unwrap()).collect())
    }

    #[test]
    fn literals_are_those_that_every_match_has() {
        for (pattern, expected) in [
            ("union.*select", Some(vec!["union"])),
            ("(?i)Union", Some(vec!["union"])),
            ("a(?:bc|de)f", Some(vec!["abcf", "adef"])),
            ("x?abc", Some(vec!["abc", "xabc"])),
            ("(?:abc)+d", Some(vec!["abc"])),
            ("(?:abc)*", None),
            ("abc|.", None),
            ("[a-z]+", None),
            ("^a[0-9]b$", None),
        ] {
            let expected = expected.map(|texts| texts.into_iter().map(str::to_owned).collect());
            assert_eq!(literals(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn a_match_has_a_byte_of_each_set_and_a_length() {
        let needs = of_pattern("[<>]script[0-9]{2,}");
        assert_eq!(needs.length, 9);
        assert_eq!(needs.sets.first(), Some(&ByteSet::new(b"<>")));
    }
}
