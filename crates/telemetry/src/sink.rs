//! Lines on their way to a file or a terminal: gathered per thread, written by a thread of its own.
//!
//! Whoever writes a line never waits for the disk or the terminal. If that is too slow, memory stays
//! bounded and the lines that found no room are counted.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::seat::{SEATS, Seat};

mod output;

use self::output::Writer;
pub use self::output::{Output, Rotation};

/// A way for lines out of the process. Dropping it writes what is left, as [`Self::close`] does.
pub struct Sink {
    shared: Arc<Shared>,
}

struct Shared {
    seats: Box<[Place]>,
    queue: Mutex<Queue>,
    /// There is something to do for the writer.
    work: Condvar,
    /// The writer has ended.
    ended: Condvar,
    room: usize,
    written: AtomicU64,
    dropped: AtomicU64,
}

/// The lines of one thread, on cache lines of their own.
#[repr(align(128))]
#[derive(Default)]
struct Place(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
}

struct Queue {
    full: VecDeque<Lines>,
    /// Bytes that are queued or being written.
    bytes: usize,
    /// Empty buffers to use again.
    spare: Vec<Vec<u8>>,
    urgent: bool,
    reopen: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closing,
    Closed,
}

impl Sink {
    /// Opens `output` and starts the thread that writes to it; at most `room` bytes wait for it.
    pub fn start(name: &str, output: Output, room: usize) -> io::Result<Self> {
        let writer = output.open()?;
        let shared = Arc::new(Shared {
            seats: std::iter::repeat_with(Place::default).take(SEATS).collect(),
            queue: Mutex::new(Queue::new()),
            work: Condvar::new(),
            ended: Condvar::new(),
            room,
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let thread = std::thread::Builder::new().name(name.to_owned());
        let of_thread = shared.clone();
        thread.spawn(move || of_thread.write(writer))?;
        Ok(Self { shared })
    }

    /// Adds the line that `fill` appends, without its end; it goes out when there are many, or within [`PAUSE`].
    ///
    /// The threads' lines are gathered apart, so lines of different threads may change places.
    #[inline]
    pub fn append(&self, fill: impl FnOnce(&mut Vec<u8>)) {
        self.shared.append(Seat::current(), fill);
    }

    /// Adds a line that goes out at once, behind all that were added so before.
    pub fn append_now(&self, line: &[u8]) {
        self.shared.append(Seat::SHARED, |bytes| bytes.extend_from_slice(line));
        self.shared.queue.lock().urgent = true;
        self.shared.work.notify_one();
    }

    /// Opens the file by its name again, for whoever moved it away.
    pub fn reopen(&self) {
        self.shared.queue.lock().reopen = true;
        self.shared.work.notify_one();
    }

    /// How many lines were written.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// How many lines found no room or could not be written.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Writes what was added until now and ends, waiting at most `patience` for it. Later lines are dropped.
    pub fn close(&self, patience: Duration) {
        let mut queue = self.shared.queue.lock();
        if queue.state == State::Open {
            queue.state = State::Closing;
            self.shared.work.notify_one();
        }
        while queue.state != State::Closed {
            if self.shared.ended.wait_for(&mut queue, patience).timed_out() {
                return;
            }
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.close(LAST_PATIENCE);
    }
}

impl Shared {
    #[inline]
    fn append(&self, seat: Seat, fill: impl FnOnce(&mut Vec<u8>)) {
        let Some(place) = self.seats.get(seat.index()) else { return };
        let mut lines = place.0.lock();
        let mut line = Line { before: lines.bytes.len(), lines: &mut lines, whole: false };
        fill(&mut line.lines.bytes);
        line.whole = true;
        drop(line);
        if lines.bytes.len() >= FULL {
            self.hand_over(&mut lines);
            self.work.notify_one();
        }
    }

    /// Gives a thread's lines to the writer. The caller holds the thread's lock, so its lines keep their order.
    fn hand_over(&self, lines: &mut MutexGuard<'_, Lines>) {
        let mut queue = self.queue.lock();
        if queue.state == State::Closed || queue.bytes + lines.bytes.len() > self.room {
            drop(queue);
            self.dropped.fetch_add(lines.count, Ordering::Relaxed);
            lines.bytes.clear();
            lines.count = 0;
            return;
        }
        let empty = Lines { bytes: queue.spare.pop().unwrap_or_else(|| Vec::with_capacity(FULL + FULL / 8)), count: 0 };
        let full = std::mem::replace(&mut **lines, empty);
        queue.bytes += full.bytes.len();
        queue.full.push_back(full);
    }

    /// The life of the writer's thread.
    fn write(&self, mut writer: Writer) {
        loop {
            let mut queue = self.queue.lock();
            if queue.full.is_empty() && !queue.urgent && !queue.reopen && queue.state == State::Open {
                self.work.wait_for(&mut queue, PAUSE);
            }
            let (state, reopen) = (queue.state, std::mem::take(&mut queue.reopen));
            queue.urgent = false;
            drop(queue);

            if reopen {
                self.empty(&mut writer);
                writer.reopen();
            }
            for place in &self.seats {
                let mut lines = place.0.lock();
                if lines.count > 0 {
                    self.hand_over(&mut lines);
                }
            }
            self.empty(&mut writer);

            if state != State::Open {
                self.queue.lock().state = State::Closed;
                self.ended.notify_all();
                return;
            }
        }
    }

    fn empty(&self, writer: &mut Writer) {
        loop {
            let Some(lines) = self.queue.lock().full.pop_front() else { return };
            let counter = if writer.write(&lines.bytes) { &self.written } else { &self.dropped };
            counter.fetch_add(lines.count, Ordering::Relaxed);
            self.queue.lock().recycle(lines.bytes);
        }
    }
}

impl Queue {
    fn new() -> Self {
        Self { full: VecDeque::new(), bytes: 0, spare: Vec::new(), urgent: false, reopen: false, state: State::Open }
    }

    fn recycle(&mut self, mut bytes: Vec<u8>) {
        self.bytes = self.bytes.saturating_sub(bytes.len());
        if bytes.capacity() <= 2 * FULL && self.spare.len() < SPARE {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

/// A line that is being filled in. A panic in the midst of it leaves nothing behind.
struct Line<'a, 'b> {
    lines: &'a mut MutexGuard<'b, Lines>,
    before: usize,
    whole: bool,
}

impl Drop for Line<'_, '_> {
    fn drop(&mut self) {
        if self.whole {
            self.lines.bytes.push(b'\n');
            self.lines.count += 1;
        } else {
            self.lines.bytes.truncate(self.before);
        }
    }
}

/// After so many bytes a thread's lines are handed to the writer.
const FULL: usize = 64 * 1024;
/// How long lines wait at most if there are few of them.
pub const PAUSE: Duration = Duration::from_millis(100);
/// So many empty buffers are kept.
const SPARE: usize = 8;
const LAST_PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// An output that tells what is written to it, and waits for leave to go on.
    struct Gate {
        seen: mpsc::Sender<Vec<u8>>,
        leave: mpsc::Receiver<()>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.seen.send(bytes.to_vec()).unwrap();
            // An error means that nobody holds the gate any more: it is open.
            self.leave.recv().ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (Output, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
        let (seen, written) = mpsc::channel();
        let (open, leave) = mpsc::channel();
        (Output::Other(Box::new(Gate { seen, leave })), written, open)
    }

    #[test]
    fn a_stalled_output_stalls_nobody_and_costs_bounded_memory() {
        let (output, written, open) = gate();
        let sink = Sink::start("test", output, 4 * FULL).unwrap();
        sink.append_now(b"first");
        written.recv_timeout(PATIENCE).unwrap();

        let line = [b'x'; 1023];
        let lines = 4 * 1024;
        for _ in 0..lines {
            sink.append(|bytes| bytes.extend_from_slice(&line));
        }

        let queued = sink.shared.queue.lock().bytes;
        assert!(queued <= 4 * FULL, "{queued} bytes wait");
        drop(open);
        sink.close(PATIENCE);
        assert!(sink.dropped() > 0);
        assert_eq!(sink.written() + sink.dropped(), lines + 1, "a line is written or counted");
    }

    #[test]
    fn the_lines_of_an_idle_thread_go_out_too() {
        let (output, written, open) = gate();
        drop(open);
        let sink = Sink::start("test", output, FULL).unwrap();

        sink.append(|bytes| bytes.extend_from_slice(b"only one"));

        assert_eq!(written.recv_timeout(PATIENCE).unwrap(), b"only one\n");
    }

    #[test]
    fn closing_writes_what_all_threads_added() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let sink = Sink::start("test", Output::File(path.clone()), 64 * FULL).unwrap();

        std::thread::scope(|scope| {
            for thread in 0..4 {
                let sink = &sink;
                scope.spawn(move || {
                    for number in 0..5000 {
                        sink.append(|bytes| write!(bytes, "{thread} {number:0100}").unwrap());
                    }
                });
            }
        });
        sink.close(PATIENCE);

        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 20_000);
        for thread in ["0 ", "1 ", "2 ", "3 "] {
            let lines: Vec<_> = text.lines().filter(|line| line.starts_with(thread)).collect();
            assert!(lines.is_sorted(), "the lines of one thread keep their order");
        }
        assert_eq!((sink.written(), sink.dropped()), (20_000, 0));
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_again_on_request() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
        let sink = Sink::start("test", Output::File(path.clone()), FULL).unwrap();
        sink.append(|bytes| bytes.extend_from_slice(b"before"));
        std::fs::rename(&path, &moved).unwrap();

        sink.reopen();
        while !path.exists() {
            std::thread::yield_now();
        }
        sink.append(|bytes| bytes.extend_from_slice(b"after"));
        sink.close(PATIENCE);

        let both = [moved, path].map(|path| std::fs::read_to_string(path).unwrap());
        assert_eq!(both.concat(), "before\nafter\n");
        assert!(both[1].ends_with("after\n"));
    }

    #[test]
    fn a_panic_in_the_midst_of_a_line_leaves_nothing_behind() {
        let (output, written, open) = gate();
        drop(open);
        let sink = Sink::start("test", output, FULL).unwrap();

        let broken = catch_unwind(AssertUnwindSafe(|| {
            sink.append(|bytes| {
                bytes.extend_from_slice(b"half");
                panic!("on purpose");
            });
        }));
        sink.append(|bytes| bytes.extend_from_slice(b"whole"));
        sink.close(PATIENCE);

        assert!(broken.is_err());
        assert_eq!(written.iter().take(1).collect::<Vec<_>>(), [b"whole\n"]);
    }
}
