//! An open loop at rates where threads would wait for each other: one thread, all connections.
//!
//! It never sleeps: a timer wakes it too late. Whoever else needs the core, as a backend does, must stand above it.

use crate::client::read_head;
use crate::options::Options;
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

/// A connection, and when the request on it was due.
struct Slot {
    stream: TcpStream,
    due: Instant,
    read: Vec<u8>,
}

struct Steady<'a> {
    options: &'a Options,
    epoll: OwnedFd,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Requests that are due and have no connection yet.
    late: VecDeque<Instant>,
    chunk: Box<[u8]>,
    tally: Tally,
}

/// Sends requests at their times for as long as the options say.
pub(crate) fn steady(options: &Options) -> Result<Tally> {
    if options.tls.is_some() {
        bail!("`steady` speaks no TLS: take `rate`");
    }
    let mut steady = Steady {
        options,
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        slots: Vec::new(),
        free: Vec::new(),
        late: VecDeque::new(),
        chunk: vec![0; 16 * 1024].into(),
        tally: Tally::default(),
    };
    for index in 0..options.connections {
        steady.open(index)?;
    }
    steady.run()?;
    steady.tally.latencies.sort_unstable();
    Ok(steady.tally)
}

impl Steady<'_> {
    fn open(&mut self, index: u64) -> Result<()> {
        let stream = TcpStream::connect(self.options.address).context("could not connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(index), epoll::EventFlags::IN)?;
        self.free.push(self.slots.len());
        self.slots.push(Slot { stream, due: now(), read: Vec::with_capacity(16 * 1024) });
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let step = Duration::from_secs_f64(1.0 / self.options.rate);
        let begin = now();
        let end = begin + Duration::from_secs_f64(self.options.seconds);
        let mut due = begin;
        let mut events = Vec::with_capacity(64);
        loop {
            let time = now();
            while due <= time && due < end {
                self.late.push_back(due);
                due += step;
            }
            self.send(time)?;
            let is_over = due >= end;
            if is_over && self.free.len() == self.slots.len() {
                return Ok(());
            }
            // To sleep for the 30 µs until the next request costs more than to look again, and wakes too late.
            let wait = Timespec::try_from(if is_over { PATIENCE } else { Duration::ZERO })?;
            events.clear();
            let count = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
            if is_over && count == 0 {
                self.tally.failed += (self.slots.len() - self.free.len()) as u64;
                return Ok(());
            }
            for event in &events {
                self.receive(usize::try_from(event.data.u64())?)?;
            }
        }
    }

    /// Sends what is due, as far as there are connections.
    fn send(&mut self, time: Instant) -> Result<()> {
        while let (Some(due), Some(index)) = (self.late.front().copied(), self.free.last().copied()) {
            let slot = self.slots.get_mut(index).context("no such connection")?;
            // A request is far smaller than what a kernel takes at once.
            slot.stream.write_all(&self.options.request).context("could not send")?;
            // Others may have had the core for a moment, which is not the server's fault; a wait for a connection is.
            let is_prompt = time.saturating_duration_since(due) < Duration::from_micros(200);
            slot.due = if is_prompt { time } else { due };
            slot.read.clear();
            self.free.pop();
            self.late.pop_front();
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<()> {
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
        if answer.status == 200 {
            self.tally.latencies.push(u64::try_from(slot.due.elapsed().as_micros()).unwrap_or(u64::MAX));
        } else {
            self.tally.refused += 1;
        }
        if answer.last {
            bail!("the server closes connections");
        }
        self.free.push(index);
        Ok(())
    }
}
