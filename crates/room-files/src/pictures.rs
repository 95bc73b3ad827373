//! A room in a file: as it was after so many changes, so that a start need not read all of them again.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc32fast::Hasher;
use journal::PacedFile;
use journal::wire::{Source, put_bytes, put_number};
use waiting_room::{Course, JoinKey, Keyed, Line, Place, RequestId, Room, Row, Seconds, Token};

use crate::tuning;
use crate::wire::{beside, lots};
use crate::wire::{by_code, by_of, ending_code, ending_of, put_signed, signed, state_code, state_of};

/// What is written of a room: copied in no time, and written afterwards.
pub struct Picture {
    /// So many events made the room what it is.
    pub version: u64,
    line: Line,
    before: Option<(Seconds, Line)>,
    /// What is of no line, as it lies in files.
    parts: Vec<(u64, Vec<u8>)>,
}

impl Picture {
    /// That of a room.
    pub fn of(room: &Room) -> Self {
        let before = room.before().map(|before| (before.reset, before.line.clone()));
        Self { version: room.version(), line: room.line().clone(), before, parts: beside::put_parts(room) }
    }

    /// Puts it in place of the last one of this room; returns how long it is.
    pub fn write(&self, folder: &Path, room: &str) -> io::Result<u64> {
        let path = file(folder, room);
        let unfinished = path.with_extension("new");
        let mut to = PacedFile::create(&unfinished)?;
        let length = self.put(&mut to)?;
        to.replace(&unfinished, &path)?;
        Ok(length)
    }

    /// Writes it somewhere; returns how long it is.
    fn put(&self, to: impl Write) -> io::Result<u64> {
        let mut to = Summed { to, sum: Hasher::new(), length: 0 };
        to.write_all(MAGIC)?;
        let mut head = Vec::new();
        put_number(&mut head, self.version);
        put_number(&mut head, self.before.as_ref().map_or(0, |(reset, _)| u64::from(*reset) + 1));
        to.write_all(&head)?;
        write_line(&mut to, &self.line)?;
        if let Some((_, line)) = &self.before {
            write_line(&mut to, line)?;
        }
        for (number, bytes) in &self.parts {
            let mut part = Vec::new();
            put_number(&mut part, *number);
            put_bytes(&mut part, bytes);
            to.write_all(&part)?;
        }
        let sum = to.sum.clone().finalize();
        to.write_all(&sum.to_le_bytes())?;
        Ok(to.length)
    }
}

/// Pictures of several rooms, one behind the other, each with its name.
pub fn together(pictures: &[(Arc<str>, Picture)]) -> io::Result<Vec<u8>> {
    let mut together = Vec::new();
    for (name, picture) in pictures {
        let mut content = Vec::new();
        picture.put(&mut content)?;
        put_bytes(&mut together, name.as_bytes());
        put_bytes(&mut together, &content);
    }
    Ok(together)
}

/// The rooms of which [`together`] wrote pictures. None: it is damaged.
pub fn apart(together: &[u8]) -> Option<Vec<(&str, Room)>> {
    let mut source = Source(together);
    let mut rooms = Vec::new();
    while !source.0.is_empty() {
        rooms.push((source.text()?, read(source.bytes()?)?));
    }
    Some(rooms)
}

/// The rooms of which there are pictures, and how long those are.
pub fn read_all(folder: &Path) -> io::Result<Vec<(String, Room, u64)>> {
    fs::create_dir_all(folder)?;
    let mut rooms = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(EXTENSION));
        let Some(name) = name else { continue };
        let content = fs::read(&path)?;
        let room = read(&content).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged; it is what a room was", path.display()))
        })?;
        rooms.push((name.to_owned(), room, content.len() as u64));
    }
    Ok(rooms)
}

fn file(folder: &Path, room: &str) -> PathBuf {
    folder.join(format!("{room}{EXTENSION}"))
}

fn write_line(to: &mut impl Write, line: &Line) -> io::Result<()> {
    let mut part = Vec::with_capacity(PART + 64);
    put_signed(&mut part, line.serving);
    put_number(&mut part, line.expired);
    for number in [line.swept, line.completed, line.abandoned, line.inlet_at] {
        put_number(&mut part, u64::from(number));
    }
    put_number(&mut part, line.rows.len() as u64);
    for (serving, row) in &line.rows {
        put_signed(&mut part, *serving);
        put_number(&mut part, u64::from(row.issued));
        put_number(&mut part, u64::from(row.served));
    }
    put_number(&mut part, line.issuers.len() as u64);
    for issuer in &line.issuers {
        put_bytes(&mut part, issuer.as_bytes());
    }
    put_number(&mut part, line.places.len() as u64);
    // Who was passed over, and when, as places have it.
    let mut skipped = Vec::new();
    for (position, place) in (1_u32..).zip(line.places.iter()) {
        part.extend_from_slice(&place.id.0);
        part.extend_from_slice(&place.entered.to_le_bytes());
        if place.skipped_at().is_some() {
            skipped.extend_from_slice(&position.to_le_bytes());
            skipped.extend_from_slice(&place.token.to_le_bytes());
        }
        flush(to, &mut part)?;
    }
    put_number(&mut part, line.keys.len() as u64);
    for keyed in line.keys.iter() {
        part.extend_from_slice(&keyed.key.0);
        part.extend_from_slice(&keyed.position.to_le_bytes());
        flush(to, &mut part)?;
    }
    put_number(&mut part, line.tokens.len() as u64);
    for token in line.tokens.iter() {
        for number in [token.position, token.issued, token.expires, token.issuer] {
            part.extend_from_slice(&number.to_le_bytes());
        }
        part.push(token.ending.map_or(0, ending_code));
        flush(to, &mut part)?;
    }
    // What came later: parts of a number and a length each, so that there can be more of them.
    let mut tuned = Vec::new();
    tuning::put(&mut tuned, line.tuned);
    let mut course = Vec::new();
    put_course(&mut course, &line.course);
    let parts = [(COURSE, course), (SKIPPED, skipped), (TUNED, tuned), (PASSED, passed(line))];
    let parts = parts.into_iter().chain(lots::put_parts(line)).chain(beside::put_origins(line));
    let parts: Vec<_> = parts.chain(by_hand(line)).collect();
    put_number(&mut part, parts.len() as u64);
    for (number, bytes) in parts {
        put_number(&mut part, number);
        put_bytes(&mut part, &bytes);
        flush(to, &mut part)?;
    }
    to.write_all(&part)
}

fn read_skipped(part: &[u8], line: &mut Line) -> Option<()> {
    let mut source = Source(part);
    while !source.0.is_empty() {
        let (position, token) = (fixed(&mut source)?, fixed(&mut source)?);
        line.places.get_mut(usize::try_from(position.checked_sub(1)?).ok()?)?.token = token;
    }
    Some(())
}

/// Turns ahead of the line that an operator gave by hand, if there are any.
fn by_hand(line: &Line) -> Option<(u64, Vec<u8>)> {
    let mut part = Vec::new();
    put_number(&mut part, line.by_hand);
    (line.by_hand > 0).then_some((BY_HAND, part))
}

/// Numbers whose turns went to others.
fn passed(line: &Line) -> Vec<u8> {
    line.passed.iter().flat_map(|(after, up_to)| [after.to_le_bytes(), up_to.to_le_bytes()]).flatten().collect()
}

fn read_passed(part: &[u8], line: &mut Line) -> Option<()> {
    let mut source = Source(part);
    while !source.0.is_empty() {
        line.passed.push((fixed(&mut source)?, fixed(&mut source)?));
    }
    Some(())
}

fn put_course(to: &mut Vec<u8>, course: &Course) {
    to.extend_from_slice(&[state_code(course.state), by_code(course.by)]);
    put_number(to, u64::from(course.since));
    put_number(to, course.gathered_from.map_or(0, u64::from));
    put_number(to, course.standstills.len() as u64);
    for (begin, end) in &course.standstills {
        put_number(to, u64::from(*begin));
        put_number(to, u64::from(*end));
    }
}

fn read_course(part: &[u8]) -> Option<Course> {
    let mut source = Source(part);
    let [state, by] = source.array()?;
    let (since, gathered_from) = (source.small()?, source.small()?);
    let mut standstills = Vec::new();
    for _ in 0..source.number()? {
        standstills.push((source.small()?, source.small()?));
    }
    let gathered_from = (gathered_from > 0).then_some(gathered_from);
    Some(Course { state: state_of(state)?, since, by: by_of(by)?, gathered_from, standstills })
}

fn flush(to: &mut impl Write, part: &mut Vec<u8>) -> io::Result<()> {
    if part.len() >= PART {
        to.write_all(part)?;
        part.clear();
        // Whoever answers requests on this core need not wait until the system thinks that it is their turn.
        std::thread::yield_now();
    }
    Ok(())
}

fn read(content: &[u8]) -> Option<Room> {
    let (content, sum) = content.split_last_chunk()?;
    if crc32fast::hash(content) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut source = Source(content.strip_prefix(MAGIC)?);
    let version = source.number()?;
    let reset = source.number()?;
    let line = read_line(&mut source)?;
    let before = match reset.checked_sub(1) {
        Some(reset) => Some((reset.try_into().ok()?, read_line(&mut source)?)),
        None => None,
    };
    let mut room = Room::of(version, line, before);
    while !source.0.is_empty() {
        // One of a later version must not be forgotten.
        room = beside::with_part(room, source.number()?, source.bytes()?)?;
    }
    Some(room)
}

fn read_line(source: &mut Source<'_>) -> Option<Line> {
    let mut line = Line { serving: signed(source)?, expired: source.number()?, ..Line::default() };
    for number in [&mut line.swept, &mut line.completed, &mut line.abandoned, &mut line.inlet_at] {
        *number = source.small()?;
    }
    for _ in 0..source.number()? {
        let serving = signed(source)?;
        line.rows.insert(serving, Row { issued: source.small()?, served: source.small()? });
    }
    for _ in 0..source.number()? {
        line.issuers.push(Arc::from(source.text()?));
    }
    for _ in 0..source.number()? {
        line.places.push(Place { id: RequestId(source.array()?), entered: fixed(source)?, token: 0 });
    }
    for _ in 0..source.number()? {
        line.keys.push(Keyed { key: JoinKey(source.array()?), position: fixed(source)? });
    }
    for _ in 0..source.number()? {
        let (position, issued, expires, issuer) = (fixed(source)?, fixed(source)?, fixed(source)?, fixed(source)?);
        let [ending] = source.array()?;
        let ending = if ending == 0 { None } else { Some(ending_of(ending)?) };
        line.tokens.push(Token { position, issued, expires, issuer, ending });
    }
    for _ in 0..source.number()? {
        match (source.number()?, source.bytes()?) {
            (COURSE, part) => line.course = read_course(part)?,
            (SKIPPED, part) => read_skipped(part, &mut line)?,
            (PASSED, part) => read_passed(part, &mut line)?,
            (BY_HAND, part) => line.by_hand = Source(part).number()?,
            (TUNED, part) => line.tuned = tuning::read(&mut Source(part))?.0,
            (beside::ORIGINS, part) => line.origins = beside::read_origins(part)?,
            // One of a later version must not be forgotten.
            (number, part) => lots::read_part(&mut line, number, part)?,
        }
    }
    line.join_tokens()?;
    Some(line)
}

fn fixed(source: &mut Source<'_>) -> Option<u32> {
    source.array().map(u32::from_le_bytes)
}

/// Sums up what is written.
struct Summed<W> {
    to: W,
    sum: Hasher,
    length: u64,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or(bytes));
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

const MAGIC: &[u8] = b"vestibule room\x02";
/// The part about those who were passed over.
const SKIPPED: u64 = 41;
/// The part about the state.
const COURSE: u64 = 40;
/// The part about numbers whose turns went to others.
const PASSED: u64 = 90;
/// The part about turns that an operator gave by hand.
const BY_HAND: u64 = 91;
/// The inlet that an operator set.
const TUNED: u64 = 60;
const EXTENSION: &str = ".room";
/// So many bytes are written at once.
const PART: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use waiting_room::{
        Beside, Cause, Ending, Event, Expiry, InviteId, Issuing, Joining, MaxSize, PassOn, Rules, State, Tuned,
    };

    use super::*;

    /// A room in which everything has happened.
    fn lived_in() -> Room {
        let rules = Rules { expiry: Some(Expiry { period: 10, pass_on: PassOn::ToTheNext }), ..Rules::default() };
        let id = |number: u8| RequestId::of([number; 16]);
        let mut room = Room::default();
        let life = |room: &mut Room| {
            let opened = room.set_state(State::Open, 99).unwrap();
            room.apply(&opened);
            for number in 1..=9 {
                let key = (number % 2 == 0).then_some(JoinKey([number; 16]));
                let Ok(Joining::New(event)) = room.join(id(number), key, 100) else { panic!() };
                room.apply(&event);
            }
            let moved = room.move_by(4, 100, Cause::Inlet, &rules).unwrap();
            room.apply(&moved);
            for number in [2, 1] {
                let issuer: Arc<str> = format!("issuer {number}").into();
                let Ok(Issuing::New(event)) = room.issue(id(number), 101, (&issuer, 60), &rules) else { panic!() };
                room.apply(&event);
            }
            let ended = room.end(id(2), Ending::Abandoned, 105).unwrap();
            room.apply(&ended);
            let swept = room.sweep(111, &rules).unwrap();
            room.apply(&swept);
            for (state, at) in [(State::Paused, 112), (State::PreQueue, 113)] {
                let changed = room.set_state(state, at).unwrap();
                room.apply(&changed);
            }
            let moved = room.move_by(50, 114, Cause::Operator, &rules).unwrap();
            room.apply(&moved);
            assert!(room.line().by_hand > 0);
        };
        let tuned = room.tune(Some(Tuned::MaxSize(MaxSize { size: 300 })), 98).unwrap();
        room.apply(&tuned);
        for what in [Beside::Revoked([(InviteId([9; 16]), 999)].into()), Beside::Came([1, 2, 0].into())] {
            room.apply(&Event::Beside { what, at: 99 });
        }
        life(&mut room);
        room.apply(&room.reset(120));
        life(&mut room);
        room
    }

    #[test]
    fn a_room_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let (lived_in, empty) = (lived_in(), Room::default());
        for (name, room) in [("sale", &lived_in), ("empty", &empty)] {
            let length = Picture::of(room).write(folder.path(), name).unwrap();
            assert_eq!(length, fs::metadata(file(folder.path(), name)).unwrap().len());
        }
        for (name, room, _) in read_all(folder.path()).unwrap() {
            let written = if name == "sale" { &lived_in } else { &empty };
            assert_eq!((room.version(), room.line()), (written.version(), written.line()));
            assert_eq!(room.before().map(|before| &before.line), written.before().map(|before| &before.line));
            assert_eq!(room.history(), written.history());
            assert_eq!(room.revoked().collect::<Vec<_>>(), written.revoked().collect::<Vec<_>>());
        }
    }

    #[test]
    fn pictures_of_several_rooms_go_together_and_come_apart() {
        let rooms = [("sale", lived_in()), ("empty", Room::default()), ("other", lived_in())];
        let pictures: Vec<_> = rooms.iter().map(|(name, room)| (Arc::from(*name), Picture::of(room))).collect();
        let together = together(&pictures).unwrap();
        let apart = apart(&together).unwrap();
        assert_eq!(apart.len(), rooms.len());
        for ((name, room), (expected, written)) in apart.iter().zip(&rooms) {
            assert_eq!((name, room.version(), room.line()), (expected, written.version(), written.line()));
        }
        assert!(super::apart(&together[..together.len() - 1]).is_none());
    }

    #[test]
    fn what_is_damaged_is_not_taken_for_a_room() {
        let folder = tempfile::tempdir().unwrap();
        Picture::of(&lived_in()).write(folder.path(), "sale").unwrap();
        let whole = fs::read(file(folder.path(), "sale")).unwrap();
        for place in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            assert!(read(&damaged).is_none(), "{place}");
            assert!(read(&whole[..place]).is_none(), "{place}");
        }
        fs::write(file(folder.path(), "sale"), "nonsense").unwrap();
        assert!(read_all(folder.path()).is_err());
    }
}
