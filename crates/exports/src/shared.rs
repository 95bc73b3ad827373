//! An export of a log that several nodes write: one of them at a time reads it for a sink, and another one goes on when it dies.

use std::sync::Arc;
use std::time::Duration;

use journal::wire::Source;
use serde_json::Value;
use store::{Cursor, CursorKept, LogReaders, Place, Reads};
use tokio::time::{Instant, timeout};

use crate::export::{Export, LOOK, NotSent, Pauses, consumer_of, most};

/// Brings records to a sink for as long as the node runs, while no other node does. `who` is the node.
pub async fn run_shared(export: &Export, log: Arc<dyn LogReaders>, who: String) {
    let reader = Reader { export, log: &*log, name: consumer_of(export.name()), who };
    let (mut pauses, mut waiting) = (Pauses::default(), Waiting::default());
    loop {
        let done = reader.round(&mut waiting).await;
        if done.is_err() {
            waiting.look(&reader).await;
        }
        tokio::time::sleep(pauses.after(export, done)).await;
    }
}

struct Reader<'a> {
    export: &'a Export,
    log: &'a dyn LogReaders,
    name: String,
    who: String,
}

/// Events that are sent together, and where the sink has come to when it has them.
struct Bundle {
    events: Vec<Value>,
    upto: Cursor,
    /// Bytes of batches that come to their end in it.
    bytes: u64,
}

impl Reader<'_> {
    /// Sends everything that is in the log now.
    async fn round(&self, waiting: &mut Waiting) -> Result<(), NotSent> {
        let Reads::Here(mut cursor) = self.log.hold(&self.name, &self.who).await? else {
            waiting.is_done(self.export);
            return Ok(());
        };
        waiting.from = cursor;
        loop {
            let batches = self.log.after(cursor.place).await?;
            let Some((first, _)) = batches.first() else { break };
            if first.number > cursor.place.number + 1 {
                let (sink, from, to) = (self.export.name(), cursor.place, first);
                tracing::error!(sink, %from, %to, "a sink was away for too long, and never gets events of this time");
                self.export.lag().lost();
                cursor = Cursor { place: Place { number: first.number - 1, mark: 0 }, records: 0 };
            }
            match self.tell(&mut cursor, &batches, waiting).await? {
                CursorKept::Here => {}
                CursorKept::Elsewhere => break,
            }
        }
        waiting.is_done(self.export);
        Ok(())
    }

    /// Sends what is in batches behind a place, which is then behind them.
    async fn tell(
        &self,
        cursor: &mut Cursor,
        batches: &[(Place, Vec<u8>)],
        waiting: &mut Waiting,
    ) -> Result<CursorKept, NotSent> {
        let form = self.export.sink().form();
        let mut bundle = Bundle { events: Vec::new(), upto: *cursor, bytes: 0 };
        for (place, batch) in batches {
            let known = std::mem::take(&mut bundle.upto.records);
            for (number, record) in (1..).zip(records(batch, *place)) {
                if number <= known {
                    continue;
                }
                let read = self.export.records().read(record, form, &mut bundle.events);
                read.map_err(|_strange| NotSent::StrangeBatch(*place))?;
                bundle.upto.records = number;
                if bundle.events.len() >= most(form) && self.bring(&mut bundle, waiting).await? == CursorKept::Elsewhere
                {
                    return Ok(CursorKept::Elsewhere);
                }
            }
            bundle.upto = Cursor { place: *place, records: 0 };
            bundle.bytes += batch.len() as u64;
        }
        let outcome = self.bring(&mut bundle, waiting).await?;
        *cursor = bundle.upto;
        Ok(outcome)
    }

    /// Sends a bundle, and has it be remembered that the sink has it.
    async fn bring(&self, bundle: &mut Bundle, waiting: &mut Waiting) -> Result<CursorKept, NotSent> {
        let (events, bytes) = (std::mem::take(&mut bundle.events), std::mem::take(&mut bundle.bytes));
        let count = events.len() as u64;
        let _sending = self.export.sending().await;
        if count > 0 && self.send(events).await? == CursorKept::Elsewhere {
            return Ok(CursorKept::Elsewhere);
        }
        let outcome = self.log.remember(&self.name, &self.who, bundle.upto, bytes).await?;
        self.export.lag().sent(count);
        waiting.sent(bundle.upto, count);
        Ok(outcome)
    }

    /// Sends events, and says meanwhile that this node is there, for some sinks take long.
    async fn send(&self, events: Vec<Value>) -> Result<CursorKept, NotSent> {
        let mut sent = Box::pin(self.export.sink().send(events));
        loop {
            if let Ok(sent) = timeout(WORD, &mut sent).await {
                return sent.map(|()| CursorKept::Here);
            }
            // While the server does not answer, nobody else can have taken over.
            if let Ok(Reads::Elsewhere) = self.log.hold(&self.name, &self.who).await {
                return Ok(CursorKept::Elsewhere);
            }
        }
    }
}

/// The records of a batch. What is damaged is nobody's, as it is for those who write.
fn records(batch: &[u8], place: Place) -> impl Iterator<Item = &[u8]> {
    let mut source = Source(batch);
    std::iter::from_fn(move || {
        if source.0.is_empty() {
            return None;
        }
        let record = source.bytes();
        if record.is_none() {
            tracing::error!(%place, "a batch of what happened in rooms is damaged, and its rest is told to nobody");
        }
        record
    })
}

/// What a sink has still before it, as far as that was counted.
#[derive(Default)]
struct Waiting {
    /// Where the sink is.
    from: Cursor,
    /// Up to here it is counted.
    upto: Option<Place>,
    records: u64,
    looked: Option<Instant>,
}

impl Waiting {
    fn sent(&mut self, upto: Cursor, count: u64) {
        self.from = upto;
        self.records = self.records.saturating_sub(count);
    }

    fn is_done(&mut self, export: &Export) {
        *self = Self::default();
        export.lag().waits(0, None);
    }

    /// Counts what waits. What was counted before is not read again.
    async fn look(&mut self, reader: &Reader<'_>) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let (mut at, mut since) = (self.from, None);
        if let Some(upto) = self.upto.filter(|upto| upto.number > at.place.number) {
            since = self.first(reader, at).await;
            at = Cursor { place: upto, records: 0 };
        } else {
            self.records = 0;
        }
        // Where the log cannot be read, what was counted is what is told.
        while let Ok(batches) = reader.log.after(at.place).await {
            if batches.is_empty() {
                break;
            }
            for (place, batch) in &batches {
                let known = usize::try_from(at.records).unwrap_or(usize::MAX);
                let times = records(batch, *place).skip(known).filter_map(|record| reader.time(record));
                for time in times {
                    since.get_or_insert(time);
                    self.records += 1;
                }
                at = Cursor { place: *place, records: 0 };
            }
        }
        self.upto = Some(at.place);
        reader.export.lag().waits(self.records, since);
    }

    /// When the first record was that waits.
    async fn first(&self, reader: &Reader<'_>, from: Cursor) -> Option<u64> {
        let batches = reader.log.after(from.place).await.ok()?;
        let known = usize::try_from(from.records).unwrap_or(usize::MAX);
        let mut all = batches.iter().flat_map(|(place, batch)| records(batch, *place)).skip(known);
        all.find_map(|record| reader.time(record))
    }
}

impl Reader<'_> {
    /// When a record was that somebody is told of.
    fn time(&self, record: &[u8]) -> Option<u64> {
        self.export.records().at(record).ok().flatten()
    }
}

/// How often a node says that it is there while a sink takes long. Others take over after five seconds of silence.
const WORD: Duration = Duration::from_millis(1500);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use journal::wire::put_bytes;
    use model::room_events::RoomEventTarget;
    use model::usage::{EventFile, EventForm};
    use problem::Pointer;
    use serde_json::json;
    use store::{InMemoryLog, SharedLog as _, Then, Turn, UnixMicros};

    use super::*;
    use crate::{Begins, Records, Sink, Strange, Terms};

    /// A record is a number, told as an event if it is even.
    #[derive(Default)]
    struct Even(AtomicUsize);

    impl Records for Even {
        fn read(&self, record: &[u8], _: EventForm, events: &mut Vec<Value>) -> Result<(), Strange> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let number = u32::from_le_bytes(record.try_into().map_err(|_length| Strange)?);
            if number.is_multiple_of(2) {
                events.push(json!(number));
            }
            Ok(())
        }

        fn at(&self, record: &[u8]) -> Result<Option<u64>, Strange> {
            let number = u32::from_le_bytes(record.try_into().map_err(|_length| Strange)?);
            Ok(number.is_multiple_of(2).then_some(u64::from(number)))
        }
    }

    struct Scene {
        log: InMemoryLog,
        last: Place,
        number: u32,
        folder: tempfile::TempDir,
    }

    impl Scene {
        async fn new() -> Self {
            let begun = Instant::now();
            let clock = move || UnixMicros(u64::try_from(begun.elapsed().as_micros()).unwrap());
            let log = InMemoryLog::new(Arc::new(clock));
            assert!(matches!(log.take("writer", Place::default()).await.unwrap(), Turn::Ours(_)));
            Self { log, last: Place::default(), number: 0, folder: tempfile::tempdir().unwrap() }
        }

        /// Writes a batch of so many numbers.
        async fn write(&mut self, count: u32) {
            let mut batch = Vec::new();
            for _ in 0..count {
                self.number += 1;
                put_bytes(&mut batch, &self.number.to_le_bytes());
            }
            let next = Place { number: self.last.number + 1, mark: 7 };
            assert!(matches!(self.log.take("writer", self.last).await.unwrap(), Turn::Ours(_)));
            self.log.write("writer", (self.last, next), &batch, Then::Keep).await.unwrap();
            self.last = next;
        }

        /// An export to a file of this name.
        fn export(&self, file: &str) -> Export {
            let target = RoomEventTarget::File(EventFile { path: self.folder.path().join(file) });
            let sink = Sink::of_rooms("told", &target, &Pointer::default()).unwrap();
            let terms = Terms { what: "numbers", begins: Begins::WithThisProcess, most_segments: None };
            Export::new("told", sink, terms, Arc::new(Even::default()))
        }

        fn reader<'a>(&'a self, export: &'a Export, who: &str) -> Reader<'a> {
            Reader { export, log: &self.log, name: consumer_of("told"), who: who.to_owned() }
        }

        fn told(&self, file: &str) -> Vec<u32> {
            let text = std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
            text.lines().map(|line| line.parse().unwrap()).collect()
        }
    }

    fn even(numbers: std::ops::RangeInclusive<u32>) -> Vec<u32> {
        numbers.filter(|number| number.is_multiple_of(2)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_node_tells_a_sink_and_another_goes_on_where_the_first_one_ended() {
        let mut scene = Scene::new().await;
        let (one, two) = (scene.export("told"), scene.export("told"));
        for (export, who) in [(&one, "one"), (&two, "two")] {
            scene.reader(export, who).round(&mut Waiting::default()).await.unwrap();
        }
        for count in [1, 3000, 1, 1, 7] {
            scene.write(count).await;
        }
        scene.reader(&two, "two").round(&mut Waiting::default()).await.unwrap();
        assert!(scene.told("told").is_empty(), "the first one does it");
        scene.reader(&one, "one").round(&mut Waiting::default()).await.unwrap();
        assert_eq!(scene.told("told"), even(1..=3010));
        scene.write(10).await;
        tokio::time::advance(Duration::from_secs(6)).await;
        scene.reader(&two, "two").round(&mut Waiting::default()).await.unwrap();
        scene.reader(&one, "one").round(&mut Waiting::default()).await.unwrap();
        assert_eq!(scene.told("told"), even(1..=3020));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_sink_has_of_a_long_batch_is_not_told_again_by_the_next_node_and_what_waits_is_counted() {
        let mut scene = Scene::new().await;
        let export = scene.export("told");
        let mut waiting = Waiting::default();
        scene.reader(&export, "one").round(&mut waiting).await.unwrap();
        scene.write(5000).await;
        // Where the file should be is a folder: nothing can be told.
        let file = scene.folder.path().join("told");
        std::fs::create_dir(&file).unwrap();
        let reader = scene.reader(&export, "one");
        assert!(reader.round(&mut waiting).await.is_err());
        waiting.look(&reader).await;
        assert_eq!((waiting.records, waiting.upto), (2500, Some(scene.last)));
        std::fs::remove_dir(&file).unwrap();
        // Some of it is told before the node dies.
        let Reads::Here(cursor) = scene.log.hold("events-told", "one").await.unwrap() else { panic!() };
        let (mut bundle, batches) =
            (Bundle { events: Vec::new(), upto: cursor, bytes: 0 }, scene.log.after(cursor.place));
        for (number, record) in (1..=1000).zip(records(&batches.await.unwrap()[0].1, scene.last)) {
            export.records().read(record, EventForm::CloudEvents, &mut bundle.events).unwrap();
            bundle.upto.records = number;
        }
        assert_eq!(reader.bring(&mut bundle, &mut waiting).await.unwrap(), CursorKept::Here);
        assert_eq!(waiting.records, 2000);
        tokio::time::advance(Duration::from_secs(6)).await;
        let other = scene.export("told");
        scene.reader(&other, "two").round(&mut Waiting::default()).await.unwrap();
        assert_eq!(scene.told("told"), even(1..=5000));
    }
}
