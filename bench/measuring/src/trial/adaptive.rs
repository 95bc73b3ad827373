//! `cargo xtask trial adaptive`: the adaptive inlet of a waiting room before a backend whose capacity halves and recovers.

use super::report::Section;
use super::scene::{Gateway, build, clock, milliseconds, quantile};
use anyhow::{Context, Result};
use parking_lot::Mutex;
use programs::process::free_ports;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{Thread, current, park, sleep, spawn};
use std::time::Duration;

/// What 95 of 100 answers shall take at most.
const TARGET: Duration = Duration::from_millis(300);
/// Requests that the backend does at a time: at first, then, and at the end. Each takes 100 ms on average.
const SLOTS: [u32; 3] = [20, 10, 20];
const TAKES: Duration = Duration::from_millis(100);
/// How long each of these lasts, and from when on it counts.
const PART: Duration = Duration::from_secs(80);
const SETTLED: Duration = Duration::from_secs(30);
/// Visitors who wait from the beginning: more than can come in.
const VISITORS: usize = 45_000;
/// Visitors who come in at a time, at most, and those who join at a time.
const COMING: usize = 400;
const JOINING: usize = 16;

/// What the parts of the trial have in common.
#[derive(Default)]
struct Scene {
    desk: Mutex<Desk>,
    /// The most requests that the backend takes on.
    slots: AtomicU32,
    /// Cookies of visitors, in the order of their places.
    cookies: Mutex<Vec<String>>,
    /// Those whose turn has come, with the moment at which they come.
    due: Mutex<VecDeque<(Duration, usize)>>,
    /// When somebody came, and how long the answer took.
    visits: Mutex<Vec<(Duration, Duration)>>,
    refused: AtomicU32,
    is_over: AtomicBool,
}

/// Requests that the backend has taken on, and who waits, first come, first served.
#[derive(Default)]
struct Desk {
    busy: u32,
    queue: VecDeque<(Thread, Arc<AtomicBool>)>,
}

impl Scene {
    /// Waits until the backend takes it on.
    fn enter(&self) {
        let mut desk = self.desk.lock();
        if desk.busy < self.slots.load(Ordering::Relaxed) && desk.queue.is_empty() {
            desk.busy += 1;
            return;
        }
        let is_called = Arc::new(AtomicBool::new(false));
        desk.queue.push_back((current(), is_called.clone()));
        drop(desk);
        while !is_called.load(Ordering::Acquire) {
            park();
        }
    }

    /// Makes room for whoever is next.
    fn leave(&self) {
        let mut desk = self.desk.lock();
        desk.busy -= 1;
        while desk.busy < self.slots.load(Ordering::Relaxed)
            && let Some((thread, is_called)) = desk.queue.pop_front()
        {
            desk.busy += 1;
            is_called.store(true, Ordering::Release);
            thread.unpark();
        }
    }
}

pub(crate) fn run() -> Result<Section> {
    build()?;
    let mut section = Section::new(
        "An adaptive inlet",
        format!(
            "The release build on one core; backend and visitors on all. `inlet: {{adaptive: {{latency: {}, settles: 0s}}}}`. The backend does \
             {SLOTS:?} requests at a time, {} s each, and each takes 50 to 150 ms; whoever finds it busy waits in line. {VISITORS} \
             visitors wait in line; each asks once, within the second after their turn has come. Each part counts from its 30th second on; in \
             brackets p95 of each ten seconds.",
            milliseconds(TARGET),
            PART.as_secs(),
        ),
    );
    let scene = Arc::new(Scene::default());
    let [port] = free_ports()?;
    backend(&scene, port)?;
    let gateway = Gateway::start(
        "adaptive",
        &format!(
            "rooms: {{sale: {{event: Sample, durability: process, \
             inlet: {{adaptive: {{latency: {}ms, settles: 0s, most_per_minute: 60000}}}}}}}}\n\
             upstreams: {{shop: {{targets: [\"http://127.0.0.1:{port}\"]}}}}\n\
             apis:\n  wait: {{match: {{path: /wait}}, policies: [{{waiting-room-api: {{room: sale}}}}]}}\n  \
             shop: {{match: {{path: /shop}}, upstream: shop, policies: [{{waiting-room: {{room: sale}}}}]}}\n",
            TARGET.as_millis()
        ),
    )?;
    scene.slots.store(SLOTS[0], Ordering::Relaxed);
    eprintln!("{VISITORS} visitors join");
    everybody_joins(&scene, gateway.port)?;
    let (visitors, rates) = (0..COMING, Mutex::new(Vec::new()));
    let visitors: Vec<_> = visitors.map(|_| visitor(scene.clone(), gateway.port)).collect();
    let mut parts = Vec::new();
    for slots in SLOTS {
        eprintln!("{slots} at a time");
        scene.slots.store(slots, Ordering::Relaxed);
        let begun = clock();
        parts.push((begun, slots));
        while clock().saturating_sub(begun) < PART {
            calls(&scene, &gateway, &rates)?;
        }
    }
    scene.is_over.store(true, Ordering::Relaxed);
    for visitor in visitors {
        drop(visitor.join());
    }
    let (visits, rates) = (std::mem::take(&mut *scene.visits.lock()), rates.into_inner());
    for (begun, slots) in parts {
        tell(&mut section, slots, begun, &visits, &rates);
    }
    let refused = scene.refused.load(Ordering::Relaxed);
    section.row("visitors who were not let in though it was their turn", "0", refused.to_string(), refused == 0);
    Ok(section)
}

/// A server that does so much at a time and no more.
fn backend(scene: &Arc<Scene>, port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let scene = scene.clone();
    spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let scene = scene.clone();
            spawn(move || serve(&scene, stream, number));
        }
    });
    Ok(())
}

/// Answers requests without a body until the connection ends.
fn serve(scene: &Scene, stream: TcpStream, number: usize) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone().ok()?), stream);
    let mut chance = u64::try_from(number).ok()?.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    loop {
        head(&mut reader)?;
        scene.enter();
        sleep(TAKES / 2 + TAKES.mul_f64(part(&mut chance)));
        scene.leave();
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsold").ok()?;
    }
}

/// Between 0 and 1; another one each time.
fn part(chance: &mut u64) -> f64 {
    *chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    f64::from(u32::try_from(*chance >> 33).unwrap_or(0)) / f64::from(1_u32 << 31)
}

/// The lines of a head.
fn head(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Some(lines);
        }
        lines.push(line.to_owned());
    }
}

/// A client that keeps its connection.
struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Asks; answers the lines of the head.
    fn get(&mut self, path: &str, headers: &str) -> Result<(Vec<String>, Vec<u8>)> {
        write!(self.reader.get_mut(), "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")?;
        let lines = head(&mut self.reader).context("the connection ended")?;
        let field = |name: &str| {
            let found = lines.iter().filter_map(|line| line.split_once(": "));
            found.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        let length = field("content-length").context("no length")?.parse()?;
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok((lines, body))
    }
}

/// Everybody opens the page, and is given a place.
fn everybody_joins(scene: &Arc<Scene>, port: u16) -> Result<()> {
    let joining: Vec<_> = (0..JOINING)
        .map(|_| {
            let scene = scene.clone();
            spawn(move || -> Result<()> {
                let mut client = Client::connect(port)?;
                loop {
                    // One after the other, so that cookies are in the order of places.
                    let mut cookies = scene.cookies.lock();
                    if cookies.len() >= VISITORS {
                        return Ok(());
                    }
                    let (lines, _) = client.get("/shop", "Accept: text/html\r\n")?;
                    let cookie = lines.iter().find_map(|line| {
                        let (name, value) = line.split_once(": ")?;
                        let is_cookie = name.eq_ignore_ascii_case("set-cookie");
                        is_cookie.then(|| value.split(';').next().unwrap_or_default().to_owned())
                    });
                    cookies.push(cookie.context("no cookie")?);
                }
            })
        })
        .collect();
    for joining in joining {
        joining.join().map_err(|_panic| anyhow::anyhow!("a visitor's thread panicked"))??;
    }
    Ok(())
}

/// Looks whose turn has come since, and has them come within a second. Takes a tenth of a second.
fn calls(scene: &Scene, gateway: &Gateway, rates: &Mutex<Vec<(Duration, f64)>>) -> Result<()> {
    let (_, said) = gateway.ask("/wait/serving_num?event_id=Sample")?;
    let digits: String = said.rsplit(':').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    let serving: usize = digits.parse().context("no serving number")?;
    let now = clock();
    let mut rates = rates.lock();
    let called = rates.last().map_or(0.0, |(_, called)| *called);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let (serving, before) = (serving.min(VISITORS) as f64, called as usize);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a number of visitors")]
    let new = serving as usize - before;
    if new > 0 {
        let mut due = scene.due.lock();
        for number in 0..new {
            let after = Duration::from_secs(1) * u32::try_from(number)? / u32::try_from(new)?;
            due.push_back((now + after, before + number));
        }
    }
    rates.push((now, serving));
    drop(rates);
    sleep(Duration::from_millis(100));
    Ok(())
}

/// Comes as whoever is due next, again and again.
fn visitor(scene: Arc<Scene>, port: u16) -> std::thread::JoinHandle<Result<()>> {
    spawn(move || {
        let mut client = Client::connect(port)?;
        while !scene.is_over.load(Ordering::Relaxed) {
            let next = scene.due.lock().pop_front();
            let Some((at, number)) = next else {
                sleep(Duration::from_millis(5));
                continue;
            };
            sleep(at.saturating_sub(clock()));
            let cookie = scene.cookies.lock().get(number).cloned().unwrap_or_default();
            let begun = clock();
            let (lines, body) = client.get("/shop", &format!("Accept: text/html\r\nCookie: {cookie}\r\n"))?;
            scene.visits.lock().push((begun, clock().saturating_sub(begun)));
            if body != b"sold" || !lines.first().is_some_and(|line| line.contains(" 200 ")) {
                scene.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    })
}

fn tell(
    section: &mut Section,
    slots: u32,
    begun: Duration,
    visits: &[(Duration, Duration)],
    rates: &[(Duration, f64)],
) {
    let (from, to) = (begun + SETTLED, begun + PART);
    let seconds = PART.saturating_sub(SETTLED).as_secs();
    let bears = f64::from(slots) / TAKES.as_secs_f64();
    let within = |from: Duration, to: Duration| visits.iter().filter(move |(at, _)| *at >= from && *at < to);
    let p95 = |from: Duration, to: Duration| quantile(within(from, to).map(|(_, took)| *took).collect(), 95);
    let shown: Vec<String> = (0..seconds / 10)
        .map(|part| from + Duration::from_secs(part * 10))
        .map(|from| milliseconds(p95(from, from + Duration::from_secs(10))))
        .collect();
    let slow = p95(from, to);
    let off = (slow.as_secs_f64() / TARGET.as_secs_f64() - 1.0).abs();
    let name = |what: &str| format!("{bears:.0} a second: {what}");
    section.row(
        name("p95"),
        format!("within 15 % of {}", milliseconds(TARGET)),
        format!("{} ({})", milliseconds(slow), shown.join(", ")),
        off <= 0.15,
    );
    let done = within(from, to).count();
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let throughput = done as f64 / PART.saturating_sub(SETTLED).as_secs_f64();
    section.row(
        name("throughput"),
        "≥ 90 % of what it bears",
        format!("{throughput:.1} a second, {:.0} %", throughput / bears * 100.0),
        throughput >= 0.9 * bears,
    );
    // The number rises once a second: from each second rise to the next, so that it does not matter where a second begins.
    let mut rises: Vec<(Duration, f64)> = Vec::new();
    for (at, serving) in rates.iter().filter(|(at, _)| *at >= from && *at < to) {
        if rises.last().is_none_or(|(_, before)| before < serving) {
            rises.push((*at, *serving));
        }
    }
    let each_second: Vec<_> = rises.into_iter().skip(1).step_by(2).collect();
    let pairs = each_second.iter().zip(each_second.iter().skip(1));
    let let_in: Vec<f64> =
        pairs.map(|(one, two)| (two.1 - one.1) / two.0.saturating_sub(one.0).as_secs_f64()).collect();
    let mean = let_in.iter().sum::<f64>() / f64::from(u32::try_from(let_in.len()).unwrap_or(1));
    let swing = let_in.iter().map(|rate| (rate / mean - 1.0).abs()).fold(0.0, f64::max);
    section.row(
        name("admissions, each two seconds"),
        "within 20 % of their mean",
        format!("{mean:.1} a second, up to {:.0} % off", swing * 100.0),
        swing <= 0.2,
    );
}
