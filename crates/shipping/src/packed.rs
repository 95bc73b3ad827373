//! Packed segments: the records of a whole segment of the journal, compressed together.
//!
//! Each record is written to the journal by itself, so that it survives the end of the process. What is not shipped soon
//! is packed: records are much alike, and together they take a fraction of the room.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use journal::SegmentId;

use journal::wire::{Source, put_bytes};

/// What is known of a packed segment without unpacking it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) records: u64,
    /// The time of the latest record.
    pub(crate) newest: u64,
    /// The bytes of its records.
    pub(crate) bytes: u64,
}

/// Records that are gathered to be packed.
#[derive(Default)]
pub(crate) struct Packing {
    raw: Vec<u8>,
    records: u64,
    newest: u64,
}

impl Packing {
    pub(crate) fn add(&mut self, record: &[u8]) {
        put_bytes(&mut self.raw, record);
        self.records += 1;
        self.newest = self.newest.max(crate::record::time_of(record));
    }

    /// Writes the file of a segment: after a crash it is there with all its records, or not at all.
    ///
    /// Says how many bytes it takes on the disk, too.
    pub(crate) fn finish(&self, folder: &Path, id: SegmentId) -> io::Result<(Summary, u64)> {
        let path = file(folder, id);
        let unfinished = path.with_extension("unfinished-pack");
        let packed = zstd::bulk::compress(&self.raw, LEVEL)?;
        let mut to = File::create(&unfinished)?;
        let mut head = MAGIC.to_vec();
        for number in [self.records, self.newest, self.raw.len() as u64] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        to.write_all(&head)?;
        to.write_all(&packed)?;
        to.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(folder)?.sync_all()?;
        let summary = Summary { records: self.records, newest: self.newest, bytes: self.raw.len() as u64 };
        Ok((summary, (head.len() + packed.len()) as u64))
    }
}

/// A packed segment in memory, and a place in it.
#[derive(Debug)]
pub(crate) struct Unpacked {
    raw: Vec<u8>,
    at: usize,
}

impl Unpacked {
    /// Reads a packed segment from its beginning. `None`: there is none.
    pub(crate) fn open(folder: &Path, id: SegmentId) -> io::Result<Option<Self>> {
        let Some((mut from, summary)) = open(folder, id)? else { return Ok(None) };
        let length = usize::try_from(summary.bytes).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(damaged)?;
        let mut packed = Vec::new();
        from.read_to_end(&mut packed)?;
        let raw = zstd::bulk::decompress(&packed, length).map_err(|_error| damaged())?;
        Ok(Some(Self { raw, at: 0 }))
    }

    /// The next record.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let rest = self.raw.get(self.at..)?;
        let mut source = Source(rest);
        let record = source.bytes()?;
        self.at += rest.len() - source.0.len();
        Some(record)
    }
}

/// What a packed segment says of itself. `None`: there is none.
pub(crate) fn summary(folder: &Path, id: SegmentId) -> io::Result<Option<Summary>> {
    Ok(open(folder, id)?.map(|(_, summary)| summary))
}

/// All packed segments of a folder, with the bytes that they take.
pub(crate) fn listed(folder: &Path) -> io::Result<Vec<(SegmentId, u64)>> {
    let mut listed = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(EXTENSION)?.strip_suffix('.')?.parse().ok());
        if let (Some(id), Ok(metadata)) = (id, entry.metadata()) {
            listed.push((id, metadata.len()));
        }
    }
    Ok(listed)
}

/// Removes a packed segment, if it is there.
pub(crate) fn remove(folder: &Path, id: SegmentId) -> io::Result<()> {
    match fs::remove_file(file(folder, id)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a file is not what was written, so that it is of no use to read it again.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// Gives a damaged file another name, under which nobody looks for records, and says which.
pub(crate) fn set_aside(folder: &Path, id: SegmentId) -> io::Result<PathBuf> {
    let aside = folder.join(format!("{id}.damaged"));
    fs::rename(file(folder, id), &aside)?;
    Ok(aside)
}

fn open(folder: &Path, id: SegmentId) -> io::Result<Option<(File, Summary)>> {
    let mut from = match File::open(file(folder, id)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut head = [0; 32];
    from.read_exact(&mut head)?;
    let ([magic, rest @ ..], _) = head.as_chunks::<8>() else { return Err(damaged()) };
    let [records, newest, bytes] = rest else { return Err(damaged()) };
    if *magic != MAGIC {
        return Err(damaged());
    }
    let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    Ok(Some((from, Summary { records: number(records), newest: number(newest), bytes: number(bytes) })))
}

fn file(folder: &Path, id: SegmentId) -> PathBuf {
    folder.join(format!("{id}.{EXTENSION}"))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a packed segment is damaged")
}

const EXTENSION: &str = "packed";
const MAGIC: [u8; 8] = *b"packed\x01\n";
/// Little time, and most of what there is to gain.
const LEVEL: i32 = 3;
/// More than any segment holds.
const LONGEST: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_read_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut packing = Packing::default();
        let records: Vec<Vec<u8>> =
            (0..1000_u64).map(|time| [&[1], &time.to_be_bytes()[..], &[0; 40]].concat()).collect();
        for record in &records {
            packing.add(record);
        }

        let id = SegmentId(7);
        let (summary, disk) = packing.finish(folder.path(), id).unwrap();

        assert_eq!((summary.records, summary.newest), (1000, 999));
        assert_eq!(super::summary(folder.path(), id).unwrap(), Some(summary));
        assert_eq!(listed(folder.path()).unwrap(), [(id, disk)]);
        let mut read = Unpacked::open(folder.path(), id).unwrap().unwrap();
        for record in &records {
            assert_eq!(read.next(), Some(&**record));
        }
        assert_eq!(read.next(), None);
        remove(folder.path(), id).unwrap();
        assert!(Unpacked::open(folder.path(), id).unwrap().is_none());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [&b""[..], b"packed\x01\n", &[0xff; 32], &[&MAGIC[..], &[0xff; 40]].concat()] {
            fs::write(file(folder.path(), SegmentId(7)), bytes).unwrap();
            assert!(is_damage(&Unpacked::open(folder.path(), SegmentId(7)).unwrap_err()));
        }
    }
}
