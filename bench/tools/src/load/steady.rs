//! An open loop at rates where threads would wait for each other: one thread, all connections.
//!
//! It never sleeps: a timer wakes it too late. Whoever else needs the core, as a backend does, must stand above it.

use crate::client::read_head;
use crate::options::{Gaps, Options};
use crate::{Tally, now};
use anyhow::{Context, Result, bail};
use memchr::memmem;
use rustix::event::{Timespec, epoll};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long answers are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long latencies are looked at together.
const WINDOW: Duration = Duration::from_millis(500);

/// A connection, and when the request on it was due.
struct Slot {
    stream: TcpStream,
    /// Which of the streams it belongs to.
    of: usize,
    due: Instant,
    read: Vec<u8>,
}

/// The same request again and again, on connections of its own.
struct Stream<'a> {
    request: &'a [u8],
    gaps: Gaps,
    /// When the next one is due.
    due: Instant,
    free: Vec<usize>,
    /// Requests that are due and have no connection yet.
    late: VecDeque<Instant>,
    tally: Tally,
    /// How many latencies there were at the end of each window.
    windows: Vec<usize>,
}

struct Steady {
    epoll: OwnedFd,
    slots: Vec<Slot>,
    chunk: Box<[u8]>,
}

/// Sends requests at their times for as long as the options say.
pub(crate) fn steady(options: &Options) -> Result<Tally> {
    if options.tls.is_some() {
        bail!("`steady` speaks no TLS: take `rate`");
    }
    let mut steady = Steady {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        slots: Vec::new(),
        chunk: vec![0; 16 * 1024].into(),
    };
    let mut streams = Vec::new();
    let asked = [(options.request.as_slice(), options.rate)];
    let probe = options.probe.as_ref().map(|(request, rate)| (request.as_slice(), *rate));
    for (of, (request, rate)) in asked.into_iter().chain(probe).enumerate() {
        let gaps = Gaps::new(Duration::from_secs_f64(1.0 / rate), options.arrivals, of as u64);
        let free = (0..options.connections).map(|_| steady.open(options, of)).collect::<Result<_>>()?;
        streams.push(Stream {
            request,
            gaps,
            due: now(),
            free,
            late: VecDeque::new(),
            tally: Tally::default(),
            windows: Vec::new(),
        });
    }
    steady.run(&mut streams, Duration::from_secs_f64(options.seconds))?;
    // What was sent beside a probe says only how much of it was answered, and how.
    let Stream { tally: mut told, windows, .. } = streams.pop().context("something is sent")?;
    told.windows = p99_of_windows(&told.latencies, &windows);
    if let Some(Stream { tally: rush, .. }) = streams.pop() {
        told.beside = Some(rush.latencies.len() as u64);
        told.refused += rush.refused;
        told.failed += rush.failed;
    }
    told.latencies.sort_unstable();
    Ok(told)
}

/// The p99 of each window, ordered: what slows down a machine for a moment shows in few of them.
fn p99_of_windows(latencies: &[u64], ends: &[usize]) -> Vec<u64> {
    let begins = std::iter::once(0).chain(ends.iter().copied());
    let windows = begins.zip(ends).filter_map(|(begin, end)| latencies.get(begin..*end));
    let p99 = |window: &[u64]| Tally { latencies: ordered(window), ..Tally::default() }.quantile(0.99);
    ordered(&windows.filter(|window| !window.is_empty()).map(p99).collect::<Vec<_>>())
}

fn ordered(values: &[u64]) -> Vec<u64> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values
}

impl Steady {
    /// A new connection for one of the streams, by its place.
    fn open(&mut self, options: &Options, of: usize) -> Result<usize> {
        let index = self.slots.len();
        let stream = TcpStream::connect(options.address).context("could not connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
        self.slots.push(Slot { stream, of, due: now(), read: Vec::with_capacity(16 * 1024) });
        Ok(index)
    }

    fn run(&mut self, streams: &mut [Stream<'_>], lasts: Duration) -> Result<()> {
        let begin = now();
        let end = begin + lasts;
        for stream in &mut *streams {
            stream.due = begin + stream.gaps.next();
        }
        let mut events = Vec::with_capacity(64);
        let mut window = begin + WINDOW;
        loop {
            let time = now();
            if window <= time {
                window += WINDOW;
                for stream in &mut *streams {
                    stream.windows.push(stream.tally.latencies.len());
                }
            }
            for stream in &mut *streams {
                while stream.due <= time && stream.due < end {
                    stream.late.push_back(stream.due);
                    stream.due += stream.gaps.next();
                }
                self.send(stream, time)?;
            }
            let is_over = streams.iter().all(|stream| end <= stream.due);
            if is_over && let [rush, _probe] = &mut *streams {
                // More than is answered may be asked for, to keep a server busy until here.
                rush.late.clear();
            }
            let asking = self.slots.len() - streams.iter().map(|stream| stream.free.len()).sum::<usize>();
            if is_over && asking == 0 {
                return Ok(());
            }
            // To sleep for the 30 µs until the next request costs more than to look again, and wakes too late.
            let wait = Timespec::try_from(if is_over { PATIENCE } else { Duration::ZERO })?;
            events.clear();
            let count = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
            if is_over && count == 0 {
                let told = streams.last_mut().context("something is sent")?;
                told.tally.failed += asking as u64;
                return Ok(());
            }
            for event in &events {
                self.receive(streams, usize::try_from(event.data.u64())?)?;
            }
        }
    }

    /// Sends what is due, as far as there are connections.
    fn send(&mut self, stream: &mut Stream<'_>, time: Instant) -> Result<()> {
        while let (Some(due), Some(index)) = (stream.late.front().copied(), stream.free.last().copied()) {
            let slot = self.slots.get_mut(index).context("no such connection")?;
            // A request is far smaller than what a kernel takes at once.
            slot.stream.write_all(stream.request).context("could not send")?;
            // Others may have had the core for a moment, which is not the server's fault; a wait for a connection is.
            let is_prompt = time.saturating_duration_since(due) < Duration::from_micros(200);
            slot.due = if is_prompt { time } else { due };
            slot.read.clear();
            stream.free.pop();
            stream.late.pop_front();
        }
        Ok(())
    }

    fn receive(&mut self, streams: &mut [Stream<'_>], index: usize) -> Result<()> {
        let slot = self.slots.get_mut(index).context("no such connection")?;
        match slot.stream.read(&mut self.chunk) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(count) => slot.read.extend_from_slice(self.chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("could not read"),
        }
        let Some(head) = memmem::find(&slot.read, b"\r\n\r\n") else { return Ok(()) };
        let (answer, length) = read_head(&slot.read)?;
        if slot.read.len() < head + 4 + length {
            return Ok(());
        }
        let stream = streams.get_mut(slot.of).context("no such stream")?;
        if (200..300).contains(&answer.status) {
            stream.tally.latencies.push(u64::try_from(slot.due.elapsed().as_micros()).unwrap_or(u64::MAX));
        } else {
            stream.tally.refused += 1;
        }
        if answer.last {
            bail!("the server closes connections");
        }
        stream.free.push(index);
        Ok(())
    }
}
