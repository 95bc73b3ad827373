//! One look at a value, for all operators together.

use payload::ByteSet;
use smallvec::{SmallVec, smallvec};

use super::needs::{Domain, Needs};
use super::texts::Texts;

/// Some operators, as bits. A set of all operators is a few of these.
pub(crate) type Row = [u64; 8];

/// How many operators a row has.
pub(super) const ROW: usize = 512;

/// No operator.
pub(super) const NONE: Row = [0; 8];

/// Tells which operators a value is a candidate of.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// How many rows a set of operators takes.
    rows: usize,
    /// By the place of a set among those of an operator.
    tables: Vec<Table>,
    /// By length, up to [`LENGTHS`]: the operators for which a value of that length is not too short.
    lengths: Vec<Row>,
    /// The operators that need one of their texts.
    literal: Vec<Row>,
    request: Search,
    answer: Search,
}

/// What values of one domain are searched for.
#[derive(Debug)]
struct Search {
    /// The operators that are told about.
    literal: Vec<Row>,
    all: Texts,
    /// The texts that values of nothing but ordinary bytes can have.
    ordinary: Texts,
}

/// The operators by the bytes of one of their sets.
#[derive(Debug)]
struct Table {
    /// Those that have no such set, to which it does not matter.
    without: Vec<Row>,
    /// By byte, if that is no letter and no digit.
    with: Vec<Row>,
    /// Those whose set has a letter.
    letter: Vec<Row>,
    /// Those whose set has a digit.
    digit: Vec<Row>,
}

impl Scanner {
    pub(crate) fn of(needs: &[Needs]) -> Self {
        let rows = needs.len().div_ceil(ROW);
        let most = needs.iter().map(|needs| needs.sets.len()).max().unwrap_or(0);
        let tables = (0..most).map(|place| Table::of(needs, place, rows)).collect();
        let mut lengths = vec![NONE; rows * (LENGTHS + 1)];
        let mut literal = vec![NONE; rows];
        for (number, needs) in (0..).zip(needs) {
            for length in needs.length.min(LENGTHS)..=LENGTHS {
                set(&mut lengths, length * rows, number);
            }
            if needs.literals.is_some() {
                set(&mut literal, 0, number);
            }
        }
        let request = Search::of(needs, rows, |needs| needs.domain == Domain::Request);
        Self { rows, tables, lengths, literal, request, answer: Search::of(needs, rows, |_| true) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Writes which operators a value is a candidate of, over what is there. While the request is looked at, operators
    /// for answers alone are not told apart.
    pub(crate) fn scan(&self, value: &[u8], held: &ByteSet, domain: Domain, candidates: &mut [Row]) {
        let start = value.len().min(LENGTHS) * self.rows;
        let mut needed = false;
        let bytes = Held::of(held);
        for (place, row) in candidates.iter_mut().enumerate() {
            *row = self.lengths.get(start + place).copied().unwrap_or(NONE);
            for table in &self.tables {
                keep(row, &table.met(&bytes, place, self.rows));
            }
            let literal = self.literal.get(place).copied().unwrap_or(NONE);
            needed |= row.iter().zip(&literal).any(|(row, literal)| row & literal != 0);
        }
        if needed {
            let search = match domain {
                Domain::Request => &self.request,
                Domain::Answer => &self.answer,
            };
            search.run(value, held, candidates);
        }
    }
}

impl Search {
    fn of(needs: &[Needs], rows: usize, wanted: impl Fn(&Needs) -> bool) -> Self {
        let mut literal = vec![NONE; rows];
        for (number, _) in (0..).zip(needs).filter(|(_, needs)| needs.literals.is_some() && wanted(needs)) {
            set(&mut literal, 0, number);
        }
        let all = Texts::of(needs, |needs, _| wanted(needs));
        let ordinary = Texts::of(needs, |needs, text| wanted(needs) && ByteSet::of(text).is_within(&ORDINARY));
        Self { literal, all, ordinary }
    }

    /// Takes away the operators that need a text which is not there.
    fn run(&self, value: &[u8], held: &ByteSet, candidates: &mut [Row]) {
        let mut met: SmallVec<[Row; 2]> = smallvec![NONE; candidates.len()];
        let texts = if held.is_within(&ORDINARY) { &self.ordinary } else { &self.all };
        texts.find(value, held, |owners| {
            for owner in owners {
                set(&mut met, 0, *owner);
            }
        });
        for ((row, literal), met) in candidates.iter_mut().zip(&self.literal).zip(&met) {
            for ((word, literal), met) in row.iter_mut().zip(literal).zip(met) {
                *word &= !literal | met;
            }
        }
    }
}

impl Table {
    fn of(needs: &[Needs], place: usize, rows: usize) -> Self {
        let none = || vec![NONE; rows];
        let mut table = Self { without: none(), with: vec![NONE; rows * 256], letter: none(), digit: none() };
        for (number, needs) in (0..).zip(needs) {
            let Some(bytes) = needs.sets.get(place) else {
                set(&mut table.without, 0, number);
                continue;
            };
            if bytes.meets(&LETTERS) {
                set(&mut table.letter, 0, number);
            }
            if bytes.meets(&DIGITS) {
                set(&mut table.digit, 0, number);
            }
            for byte in bytes_in(bytes) {
                set(&mut table.with, usize::from(byte) * rows, number);
            }
        }
        table
    }

    /// The operators whose set has one of these bytes, and those without a set. Letters are not told apart, and digits
    /// neither: which ones a value has says little.
    fn met(&self, held: &Held, place: usize, rows: usize) -> Row {
        let mut met = self.without.get(place).copied().unwrap_or(NONE);
        let classes = [(held.letter, &self.letter), (held.digit, &self.digit)];
        for row in classes.into_iter().filter(|(has, _)| *has).filter_map(|(_, rows)| rows.get(place)) {
            add(&mut met, row);
        }
        for (mut word, base) in held.others.into_iter().zip([0_usize, 64, 128, 192]) {
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
    letter: bool,
    digit: bool,
    /// All others, as bits.
    others: [u64; 4],
}

impl Held {
    fn of(held: &ByteSet) -> Self {
        let told = LETTERS.or(DIGITS).complement();
        let mut others = held.words();
        for (word, told) in others.iter_mut().zip(told.words()) {
            *word &= told;
        }
        Self { letter: held.meets(&LETTERS), digit: held.meets(&DIGITS), others }
    }
}

/// Adds an operator to a set of them.
fn set(rows: &mut [Row], start: usize, number: u32) {
    let number = number as usize;
    if let Some(word) = rows.get_mut(start + number / ROW).and_then(|row| row.get_mut(number % ROW / 64)) {
        *word |= 1 << (number % 64);
    }
}

pub(super) fn add(row: &mut Row, more: &Row) {
    for (word, more) in row.iter_mut().zip(more) {
        *word |= more;
    }
}

fn keep(row: &mut Row, kept: &Row) {
    for (word, kept) in row.iter_mut().zip(kept) {
        *word &= kept;
    }
}

/// The bytes of a set, one after another.
fn bytes_in(set: &ByteSet) -> impl Iterator<Item = u8> {
    set.words().into_iter().zip([0_u8, 64, 128, 192]).flat_map(|(mut word, base)| {
        std::iter::from_fn(move || {
            let low = u8::try_from(word.trailing_zeros()).ok().filter(|low| *low < 64)?;
            word &= word - 1;
            Some(base + low)
        })
    })
}

/// Bytes that most values have.
const ORDINARY: ByteSet = ByteSet::new(b" _").with_range(b'a', b'z').with_range(b'A', b'Z').with_range(b'0', b'9');

const LETTERS: ByteSet = ByteSet::EMPTY.with_range(b'a', b'z').with_range(b'A', b'Z');
const DIGITS: ByteSet = ByteSet::EMPTY.with_range(b'0', b'9');

/// Values that are longer are long enough for anything.
const LENGTHS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(needs: &[Needs], value: &[u8]) -> Vec<usize> {
        let scanner = Scanner::of(needs);
        let mut rows = vec![NONE; scanner.rows()];
        scanner.scan(value, &ByteSet::of(value), Domain::Answer, &mut rows);
        let has = |number: &usize| rows[number / ROW][number % ROW / 64] >> (number % 64) & 1 == 1;
        (0..needs.len()).filter(has).collect()
    }

    #[test]
    fn a_value_is_a_candidate_of_what_it_has_all_that_is_needed_for() {
        let needs = [
            Needs::default(),
            Needs::one_of(&[b"Union".to_vec(), b"select".to_vec()]),
            Needs::a_byte_of(ByteSet::new(b"<>")),
            Needs { sets: vec![ByteSet::new(b"a"), ByteSet::new(b"-")], length: 40, ..Needs::default() },
        ];
        assert_eq!(candidates(&needs, b""), [0]);
        assert_eq!(candidates(&needs, b"a UNION"), [0, 1]);
        assert_eq!(candidates(&needs, b"<"), [0, 2]);
        assert_eq!(candidates(&needs, b"a long value with one - in it, and more"), [0, 3]);
    }

    #[test]
    fn there_may_be_more_operators_than_a_row_has() {
        let needs: Vec<Needs> =
            (0..1100).map(|number| Needs::one_of(&[format!("text{number:04}").into_bytes()])).collect();
        assert_eq!(candidates(&needs, b"text0003 text1024"), [3, 1024]);
    }
}
