//! `bench-load`: load that the usual tools cannot make, printed as one line of JSON.
//!
//! - `rate`: an open loop. Requests leave at fixed times, and latency counts from the time a request was due, so that a
//!   slow answer does not hide the ones that had to wait behind it.
//! - `steady`: the same from one thread, for tens of thousands of requests a second; without TLS. With a probe, another
//!   request is sent beside, and the latencies are those of the probe.
//! - `count`: exactly so many requests, for counting instructions.
//! - `idle`: so many connections, each of which was answered once; holds them until its standard input ends.
//!
//! One thread a connection otherwise: `thread::sleep` is some fifty times finer than a timer of tokio.
#![expect(clippy::print_stdout, reason = "the figures go to the caller")]

mod client;
mod options;
mod steady;

use anyhow::{Result, bail};
use client::{Answer, Client};
use options::{Gaps, Options};
use serde_json::json;
use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let options = Arc::new(Options::read(&words)?);
    if options.probe.is_some() && options.mode != "steady" {
        bail!("only `steady` sends a probe");
    }
    match options.mode.as_str() {
        "rate" => print(&together(&options, paced)?, options.seconds),
        "steady" => print(&steady::steady(&options)?, options.seconds),
        "count" => print(&together(&options, counted)?, options.seconds),
        "idle" => return idle(&options),
        other => bail!("there is no mode `{other}`: rate, steady, count or idle"),
    }
    Ok(())
}

/// What one connection saw.
#[derive(Default)]
struct Tally {
    /// Microseconds of each good answer.
    latencies: Vec<u64>,
    /// Answers of another status than 2xx.
    refused: u64,
    /// Requests without an answer.
    failed: u64,
    /// Connections that the server closed as it announced, or while they were idle.
    reopened: u64,
    /// Good answers to what was sent beside a probe.
    beside: Option<u64>,
    /// The p99 in each half second, ordered; of `steady`.
    windows: Vec<u64>,
    /// The first thing that went wrong.
    trouble: Option<String>,
}

/// Runs one thread for each connection and adds up what they saw.
fn together(options: &Arc<Options>, work: fn(&Options, u64, Instant) -> Tally) -> Result<Tally> {
    let start = now() + Duration::from_millis(20);
    let threads: Vec<_> = (0..options.connections)
        .map(|index| {
            let options = Arc::clone(options);
            thread::Builder::new().stack_size(256 * 1024).spawn(move || work(&options, index, start))
        })
        .collect::<Result<_, _>>()?;
    let mut sum = Tally::default();
    for thread in threads {
        let Ok(tally) = thread.join() else { bail!("a connection's thread panicked") };
        sum.latencies.extend(tally.latencies);
        sum.refused += tally.refused;
        sum.failed += tally.failed;
        sum.reopened += tally.reopened;
        sum.trouble = sum.trouble.or(tally.trouble);
    }
    sum.latencies.sort_unstable();
    Ok(sum)
}

/// Sends this connection's share of the rate, at its times.
fn paced(options: &Options, index: u64, start: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut client = None;
    let step = Duration::from_secs_f64(1.0 / options.rate).mul_f64(as_float(options.connections));
    let mut gaps = Gaps::new(step, options.arrivals, index);
    let mut due = start + Duration::from_secs_f64(as_float(index) / options.rate);
    let end = start + Duration::from_secs_f64(options.seconds);
    while due < end {
        // A request whose connection was free in time counts from when it left: the sleep's error is ours.
        let early = due.saturating_duration_since(now());
        if !early.is_zero() {
            thread::sleep(early);
        }
        let begun = if early.is_zero() { due } else { now() };
        ask((options, &options.request), &mut client, &mut tally, begun);
        due += gaps.next();
    }
    tally
}

/// Sends this connection's share of the requests, one after the other, until one fails.
fn counted(options: &Options, index: u64, _start: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut client = None;
    let share = options.requests / options.connections + u64::from(index < options.requests % options.connections);
    let mut request = options.request.clone();
    let digits = options.digits();
    for number in 0..share {
        vary(request.get_mut(digits.clone()), number * options.connections + index);
        ask((options, &request), &mut client, &mut tally, now());
        if tally.failed > 0 {
            break;
        }
    }
    tally
}

/// Writes a number that looks like chance where the digits of a path stand.
fn vary(digits: Option<&mut [u8]>, number: u64) {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    for digit in digits.unwrap_or_default() {
        let value = (mixed & 15) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' - 10 + value };
        mixed >>= 4;
    }
}

/// Asks once, on the connection there is or a new one.
fn ask((options, request): (&Options, &[u8]), kept: &mut Option<Client>, tally: &mut Tally, begun: Instant) {
    if kept.as_ref().is_some_and(Client::is_closed) {
        *kept = None;
        tally.reopened += 1;
    }
    let mut client = match kept.take().map_or_else(|| Client::open(options), Ok) {
        Ok(client) => client,
        Err(error) => return tally.fail(&error),
    };
    match client.ask(request) {
        Ok(Answer { status, last }) => {
            if (200..300).contains(&status) {
                tally.latencies.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
            } else {
                tally.refused += 1;
                tally.trouble.get_or_insert(format!("status {status}"));
            }
            tally.reopened += u64::from(last);
            *kept = Some(client).filter(|_| !last);
        }
        Err(error) => tally.fail(&error),
    }
}

impl Tally {
    fn fail(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        self.trouble.get_or_insert(format!("{error:#}"));
    }

    /// The latency that this share of all answers did not exceed.
    fn quantile(&self, share: f64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
        let at = (as_float(self.latencies.len() as u64) * share) as usize;
        self.latencies.get(at).or(self.latencies.last()).copied().unwrap_or(0)
    }
}

fn print(tally: &Tally, seconds: f64) {
    let figures = json!({
        "answered": tally.latencies.len(),
        "refused": tally.refused,
        "failed": tally.failed,
        "reopened": tally.reopened,
        "beside": tally.beside,
        "p99_windows_us": tally.windows,
        "trouble": tally.trouble,
        "seconds": seconds,
        "p50_us": tally.quantile(0.5),
        "p99_us": tally.quantile(0.99),
        "max_us": tally.quantile(1.0),
    });
    println!("{figures}");
}

/// Opens all connections, has each answered once, and holds them.
fn idle(options: &Options) -> Result<()> {
    let mut held = Vec::new();
    for _ in 0..options.connections {
        let mut client = Client::open(options)?;
        let answer = client.ask(&options.request)?;
        if answer.status != 200 || answer.last {
            bail!("a connection was not kept: status {}", answer.status);
        }
        held.push(client);
    }
    println!("{}", json!({ "held": held.len() }));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let closed = held.iter().filter(|client| client.is_closed()).count();
    println!("{}", json!({ "closed": closed }));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_latencies() {
        let tally = Tally { latencies: (1..=100).collect(), ..Tally::default() };
        assert_eq!([0.5, 0.99, 1.0].map(|share| tally.quantile(share)), [51, 100, 100]);
        assert_eq!(Tally::default().quantile(0.5), 0);
    }
}
