//! One look at a value, for all operators together.

use crate::ByteSet;

use super::frequency::{self, DIGITS, HIGH, LETTERS};
use super::needs::{ALPHABETS, Demand, Domain, Needs};
use super::texts::{self, Texts};

/// Some operators, as bits. A set of all operators is a few of these.
pub type Row = [u64; 8];

/// How many operators a row has.
pub const ROW: usize = 512;

/// No operator.
pub const NONE: Row = [0; 8];

/// Tells which operators a value is a candidate of.
#[derive(Debug)]
pub struct Scanner {
    /// How many rows a set of operators takes.
    rows: usize,
    /// By the smallest of [`ALPHABETS`] that has all bytes of a value.
    levels: [Level; ALPHABETS.len()],
    /// The operators that need a text of values of some alphabet.
    textual_request: Vec<Row>,
    textual_answer: Vec<Row>,
    /// Those that are lists of texts.
    lists: Vec<Row>,
}

/// What is looked for in values of one alphabet.
#[derive(Debug)]
struct Level {
    /// By the place of a set among those of an operator.
    tables: Vec<Table>,
    /// By length, up to [`LENGTHS`]: the operators for which a value of that length is not too short.
    lengths: Vec<Row>,
    request: Search,
    answer: Search,
}

/// What values of one domain are searched for.
#[derive(Debug)]
struct Search {
    /// The operators that are told about.
    literal: Vec<Row>,
    texts: Texts,
}

/// The operators by the bytes of one of their sets.
#[derive(Debug)]
struct Table {
    /// By the classes of bytes that a value has: those whose set has a byte of one of them, and those that have no such
    /// set, to which it does not matter.
    classes: Vec<Row>,
    /// By byte, if that is no letter and no digit.
    with: Vec<Row>,
}

impl Scanner {
    /// Works out what to look for.
    pub fn of(demands: &[Demand]) -> Self {
        let rows = demands.len().div_ceil(ROW);
        let levels: [Level; ALPHABETS.len()] = std::array::from_fn(|alphabet| {
            let needs =
                demands.iter().map(|demand| demand.by_alphabet.get(alphabet)?.as_ref().map(|n| (n, demand.domain)));
            Level::of(&needs.collect::<Vec<_>>(), rows)
        });
        let together = |domain| {
            let mut all = vec![NONE; rows];
            for level in &levels {
                let level: &Level = level;
                all.iter_mut().zip(&level.search(domain).literal).for_each(|(all, row)| add(all, row));
            }
            all
        };
        let (textual_request, textual_answer) = (together(Domain::Request), together(Domain::Answer));
        let mut lists = vec![NONE; rows];
        for (number, _) in (0..).zip(demands).filter(|(_, demand)| demand.is_list) {
            set(&mut lists, 0, number);
        }
        Self { rows, levels, textual_request, textual_answer, lists }
    }

    /// How many rows a set of operators takes.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes the operators for which a value is long enough and has the bytes, over what is there.
    pub fn sift(&self, length: usize, held: &ByteSet, candidates: &mut [Row]) {
        if let Some(level) = self.level(held) {
            level.sift(length, held, candidates, self.rows);
        }
    }

    /// Writes the operators that need a text which a value has. While the request is looked at, operators for answers
    /// alone are not told apart, and have it.
    pub fn search(&self, value: (&[u8], &ByteSet), domain: Domain, met: &mut [Row], scratch: &mut Vec<u8>) {
        if let Some(level) = self.level(value.1) {
            texts::prepare(value.0, scratch);
            level.search(domain).run((scratch, value.1), met);
        }
    }

    /// Operators that need texts of some value of a domain.
    pub fn textual(&self, domain: Domain) -> &[Row] {
        match domain {
            Domain::Request => &self.textual_request,
            Domain::Answer => &self.textual_answer,
        }
    }

    /// Operators that are lists of texts.
    pub fn lists(&self) -> &[Row] {
        &self.lists
    }

    fn level(&self, held: &ByteSet) -> Option<&Level> {
        let mut levels = self.levels.iter().zip(&ALPHABETS);
        levels.find(|(_, alphabet)| held.is_within(alphabet)).map(|(level, _)| level)
    }
}

impl Level {
    fn of(needs: &[Option<(&Needs, Domain)>], rows: usize) -> Self {
        let possible = || (0_u32..).zip(needs).filter_map(|(number, needs)| needs.map(|(needs, _)| (number, needs)));
        let most = possible().map(|(_, needs)| needs.sets.len()).max().unwrap_or(0);
        let tables = (0..most).map(|place| Table::of(possible(), place, rows)).collect();
        let mut lengths = vec![NONE; rows * (LENGTHS + 1)];
        for (number, needs) in possible() {
            for length in needs.length.min(LENGTHS)..=LENGTHS {
                set(&mut lengths, length * rows, number);
            }
        }
        let request = Search::of(needs, rows, |domain| domain == Domain::Request);
        Self { tables, lengths, request, answer: Search::of(needs, rows, |_| true) }
    }

    fn search(&self, domain: Domain) -> &Search {
        match domain {
            Domain::Request => &self.request,
            Domain::Answer => &self.answer,
        }
    }

    /// Writes the operators for which a value is long enough and has the bytes.
    fn sift(&self, length: usize, held: &ByteSet, candidates: &mut [Row], rows: usize) {
        let start = length.min(LENGTHS) * rows;
        let bytes = Held::of(held);
        for (place, row) in candidates.iter_mut().enumerate() {
            *row = self.lengths.get(start + place).copied().unwrap_or(NONE);
            for table in &self.tables {
                keep(row, &table.met(&bytes, place, rows));
            }
        }
    }
}

impl Search {
    fn of(needs: &[Option<(&Needs, Domain)>], rows: usize, wanted: impl Fn(Domain) -> bool) -> Self {
        let mut literal = vec![NONE; rows];
        let mut needed: Vec<(u32, &[u8])> = Vec::new();
        for (number, needs) in (0_u32..).zip(needs) {
            let Some((needs, _)) = needs.filter(|(_, domain)| wanted(*domain)) else { continue };
            let Some(texts) = &needs.literals else { continue };
            set(&mut literal, 0, number);
            needed.extend(texts.iter().map(|text| (number, text.as_slice())));
        }
        Self { literal, texts: Texts::of(needed.into_iter()) }
    }

    /// Writes the operators that have a text which they need, or need none.
    fn run(&self, prepared: (&[u8], &ByteSet), met: &mut [Row]) {
        for (row, literal) in met.iter_mut().zip(&self.literal) {
            *row = literal.map(|word| !word);
        }
        self.texts.find(prepared, |owners| {
            for owner in owners {
                set(met, 0, *owner);
            }
        });
    }
}

impl Table {
    fn of<'a>(needs: impl Iterator<Item = (u32, &'a Needs)>, place: usize, rows: usize) -> Self {
        let mut table = Self { classes: vec![NONE; rows * CLASSES.len()], with: vec![NONE; rows * 128] };
        for (number, needs) in needs {
            let bytes = needs.sets.get(place);
            for (classes, held) in CLASSES.iter().enumerate() {
                if bytes.is_none_or(|bytes| bytes.meets(held)) {
                    set(&mut table.classes, classes * rows, number);
                }
            }
            let Some(bytes) = bytes else { continue };
            for byte in bytes.iter().take_while(u8::is_ascii) {
                set(&mut table.with, usize::from(byte) * rows, number);
            }
        }
        table
    }

    /// The operators whose set has one of these bytes, and those without a set. Letters are not told apart, digits
    /// neither, nor what is beyond ASCII: which ones a value has says little.
    fn met(&self, held: &Held, place: usize, rows: usize) -> Row {
        let mut met = self.classes.get(held.classes * rows + place).copied().unwrap_or(NONE);
        for (mut word, base) in held.others.into_iter().zip([0_usize, 64]) {
            while word != 0 {
                let byte = base + word.trailing_zeros() as usize;
                word &= word - 1;
                if let Some(row) = self.with.get(byte * rows + place) {
                    add(&mut met, row);
                }
            }
        }
        met
    }
}

/// The bytes that a value holds, as far as they are told apart.
struct Held {
    /// The number of their classes among [`CLASSES`].
    classes: usize,
    /// All others, as bits.
    others: [u64; 2],
}

impl Held {
    fn of(held: &ByteSet) -> Self {
        let [low, middle, ..] = held.and(LETTERS.or(DIGITS).complement()).words();
        let bits = frequency::CLASSES.map(|class| usize::from(held.meets(&class)));
        let [letter, digit, high] = bits;
        Self { classes: letter | digit << 1 | high << 2, others: [low, middle] }
    }
}

/// The operators that are in both sets.
pub fn both(one: &Row, other: &Row) -> Row {
    let mut both = *one;
    keep(&mut both, other);
    both
}

/// Whether a set has no operator. It is asked so often that a call to compare memory would show.
pub fn is_none(row: &Row) -> bool {
    row.iter().fold(0, |all, word| all | word) == 0
}

/// Adds an operator to a set of them.
fn set(rows: &mut [Row], start: usize, number: u32) {
    let number = number as usize;
    if let Some(word) = rows.get_mut(start + number / ROW).and_then(|row| row.get_mut(number % ROW / 64)) {
        *word |= 1 << (number % 64);
    }
}

/// Adds the operators of another set.
pub fn add(row: &mut Row, more: &Row) {
    for (word, more) in row.iter_mut().zip(more) {
        *word |= more;
    }
}

/// Takes away the operators that are not in another set.
pub fn keep(row: &mut Row, kept: &Row) {
    for (word, kept) in row.iter_mut().zip(kept) {
        *word &= kept;
    }
}

/// All sets of classes, by their bits: letters, digits, what is beyond ASCII.
const CLASSES: [ByteSet; 8] = [
    ByteSet::EMPTY,
    LETTERS,
    DIGITS,
    LETTERS.or(DIGITS),
    HIGH,
    HIGH.or(LETTERS),
    HIGH.or(DIGITS),
    HIGH.or(LETTERS).or(DIGITS),
];

/// Values that are longer are long enough for anything.
const LENGTHS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(demands: &[Demand], value: &[u8]) -> Vec<usize> {
        let scanner = Scanner::of(demands);
        let mut rows = vec![NONE; scanner.rows()];
        let (held, mut met) = (ByteSet::of(value), rows.clone());
        scanner.sift(value.len(), &held, &mut rows);
        scanner.search((value, &held), Domain::Answer, &mut met, &mut Vec::new());
        rows.iter_mut().zip(&met).for_each(|(row, met)| keep(row, met));
        let has = |number: &usize| rows[number / ROW][number % ROW / 64] >> (number % 64) & 1 == 1;
        (0..demands.len()).filter(has).collect()
    }

    fn demand(needs: &Needs) -> Demand {
        Demand { by_alphabet: ALPHABETS.map(|_| Some(needs.clone())), domain: Domain::Answer, is_list: false }
    }

    #[test]
    fn a_value_is_a_candidate_of_what_it_has_all_that_is_needed_for() {
        let demands = [
            demand(&Needs::default()),
            Demand::texts(&[b"Union".to_vec(), b"select".to_vec()], Domain::Request),
            Demand::byte(ByteSet::new(b"<>"), Domain::Request),
            demand(&Needs { sets: vec![ByteSet::new(b"a"), ByteSet::new(b"-")], length: 40, ..Needs::default() }),
        ];
        assert_eq!(candidates(&demands, b""), [0]);
        assert_eq!(candidates(&demands, b"a UNION"), [0, 1]);
        assert_eq!(candidates(&demands, b"<"), [0, 2]);
        assert_eq!(candidates(&demands, b"a long value with one - in it, and more"), [0, 3]);
    }

    #[test]
    fn the_ends_of_a_value_are_looked_at() {
        let demands = [Demand::pattern("^(?:ls|ps)$", Domain::Request), Demand::pattern("(?:^|;)ls", Domain::Request)];
        assert_eq!(candidates(&demands, b"LS"), [0, 1]);
        assert_eq!(candidates(&demands, b"lsx"), [1]);
        assert_eq!(candidates(&demands, b"xls"), [] as [usize; 0]);
    }

    #[test]
    fn there_may_be_more_operators_than_a_row_has() {
        let demands: Vec<Demand> = (0..1100)
            .map(|number| Demand::texts(&[format!("text{number:04}").into_bytes()], Domain::Request))
            .collect();
        assert_eq!(candidates(&demands, b"text0003 text1024"), [3, 1024]);
    }
}
