//! One slice of load on one proxy, and what it cost.

use super::peers::Running;
use super::site::Site;
use anyhow::{Context, Result, bail};
use programs::process::{LOAD_CORE, busy, now, pinned};
use programs::run::{installed, root};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Headers as a browser sends them; with `Host` and the request line some 480 bytes.
pub(crate) const HEADERS: &[&str] = &[
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cache-Control: no-cache",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
    "X-Request-Id: 4f0c2f1f-0a5f-4f6e-9d3b-3b1f0c2a7d11",
];

/// What clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// GET of this path on 64 connections that stay.
    Get(&'static str),
    /// The same over TLS.
    TlsGet(&'static str),
    /// A new connection with TLS for every request.
    TlsClose,
    /// POST of 64 KiB.
    Post,
    /// Eight connections with HTTP/2 over TLS, sixteen streams each.
    Http2,
}

/// What a slice told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slice {
    /// Microseconds of the proxy's CPU for each request.
    pub(crate) cpu: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Microseconds; zero where the load's tool does not tell.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Requests without a good answer.
    pub(crate) bad: f64,
    /// Resident memory of the proxy afterwards, in bytes.
    pub(crate) resident: u64,
    /// Cores that others took meanwhile.
    pub(crate) foreign: f64,
}

/// Puts load on a proxy for a while.
pub(crate) fn slice(site: &Site, proxy: &Running, load: Load, seconds: f64) -> Result<Slice> {
    let before = Spent::so_far(site, proxy);
    let begun = now();
    let figures = match load {
        Load::Http2 => h2load(proxy, seconds)?,
        _ => wrk(proxy, load, seconds)?,
    };
    let spent = Spent::so_far(site, proxy).since(&before);
    let answered = figures.number("answered");
    if answered < 1.0 {
        bail!("{} answered nothing", proxy.peer.name());
    }
    Ok(Slice {
        cpu: spent.proxy.as_secs_f64() * 1e6 / answered,
        rate: answered / figures.number("seconds"),
        p50: figures.number("p50_us"),
        p99: figures.number("p99_us"),
        bad: figures.number("refused") + figures.number("failed"),
        resident: proxy.server.resident(),
        foreign: spent.foreign().as_secs_f64() / begun.elapsed().as_secs_f64(),
    })
}

/// Figures that a load tool printed.
#[derive(Debug)]
pub(crate) struct Figures(Value);

impl Figures {
    /// Reads the last line of an output.
    pub(crate) fn read(output: &str) -> Result<Self> {
        let line = output.lines().last().unwrap_or_default();
        let value = serde_json::from_str(line).with_context(|| format!("the load's tool said:\n{output}"))?;
        Ok(Self(value))
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.0.get(name).and_then(Value::as_f64).unwrap_or(0.0)
    }

    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        self.0.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64).collect()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

/// CPU time of everybody so far.
struct Spent {
    proxy: Duration,
    /// The backend, and the tools that were run and have ended.
    own: Duration,
    machine: Duration,
}

impl Spent {
    fn so_far(site: &Site, proxy: &Running) -> Self {
        let (machine, stolen) = busy();
        Self { proxy: proxy.server.cpu(), own: site.backend.cpu() + ended_children(), machine: machine + stolen }
    }

    fn since(&self, before: &Self) -> Self {
        let Self { proxy, own, machine } = self;
        Self {
            proxy: proxy.saturating_sub(before.proxy),
            own: own.saturating_sub(before.own),
            machine: machine.saturating_sub(before.machine),
        }
    }

    fn foreign(&self) -> Duration {
        self.machine.saturating_sub(self.own + self.proxy)
    }
}

/// CPU time of all children that this process has waited for.
fn ended_children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let hundredths = after_name.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok());
    Duration::from_millis(hundredths.sum::<u64>() * 10)
}

fn wrk(proxy: &Running, load: Load, seconds: f64) -> Result<Figures> {
    let (scheme, port, path) = match load {
        Load::Get(path) => ("http", proxy.plain, path),
        Load::Post | Load::Http2 => ("http", proxy.plain, "/1k"),
        Load::TlsGet(path) => ("https", proxy.tls, path),
        Load::TlsClose => ("https", proxy.tls, "/1k"),
    };
    let mut command = pinned(LOAD_CORE, &installed("wrk").context("wrk is not installed")?);
    let script = if load == Load::Post { "bench/post.lua" } else { "bench/figures.lua" };
    command.args(["-t1", "-c64", "-d", &format!("{seconds:.0}s"), "-s", script]);
    command.args(headers(proxy).flat_map(|header| ["-H".to_owned(), header]));
    if load == Load::TlsClose {
        command.args(["-H", "Connection: close"]);
    }
    command.arg(format!("{scheme}://127.0.0.1:{port}{path}"));
    Figures::read(&text(command)?)
}

/// `h2load` prints for people; its figures are picked from the text.
fn h2load(proxy: &Running, seconds: f64) -> Result<Figures> {
    let mut command = pinned(LOAD_CORE, &installed("h2load").context("h2load is not installed")?);
    command.args(["-t1", "-c8", "-m16", "-D", &format!("{seconds:.0}")]);
    command.args(headers(proxy).flat_map(|header| ["-H".to_owned(), header]));
    command.arg(format!("https://127.0.0.1:{}/1k", proxy.tls));
    let said = text(command)?;
    let word_before = |name: &str| {
        let line = said.lines().find(|line| line.starts_with("requests:")).unwrap_or_default();
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        words.windows(2).find_map(|pair| match pair {
            [number, word] if *word == name => number.parse::<f64>().ok(),
            _ => None,
        })
    };
    let answered = word_before("succeeded").with_context(|| format!("h2load said:\n{said}"))?;
    Ok(Figures(serde_json::json!({
        "answered": answered,
        "seconds": seconds,
        "failed": word_before("failed"),
        "refused": word_before("errored"),
    })))
}

/// An open loop of `bench-load`, straight at a port, by clients that reconnect.
pub(crate) fn paced(port: u16, header: &str, rate: f64, seconds: f64) -> Result<Command> {
    open_loop("rate", port, header, rate, seconds)
}

/// An open loop from one thread, which bears tens of thousands of requests a second.
pub(crate) fn steady(port: u16, header: &str, rate: f64, seconds: f64) -> Result<Command> {
    open_loop("steady", port, header, rate, seconds)
}

fn open_loop(mode: &str, port: u16, header: &str, rate: f64, seconds: f64) -> Result<Command> {
    let mut command = bench_load(mode, port, header)?;
    command.args(["--connections", "64", "--rate", &rate.to_string(), "--seconds", &seconds.to_string()]);
    Ok(command)
}

/// `bench-load` with the usual headers.
pub(crate) fn bench_load(mode: &str, port: u16, header: &str) -> Result<Command> {
    let mut command = pinned(LOAD_CORE, &root()?.join("target/release/bench-load"));
    command.args([mode, &format!("127.0.0.1:{port}"), "/1k"]);
    for line in HEADERS.iter().copied().chain([header]).filter(|line| !line.is_empty()) {
        command.args(["--header", line]);
    }
    Ok(command)
}

fn headers(proxy: &Running) -> impl Iterator<Item = String> {
    let own = Some(proxy.header.clone()).filter(|header| !header.is_empty());
    HEADERS.iter().map(|&header| header.to_owned()).chain(own)
}

/// Runs a tool in the workspace's root, and answers what it printed.
pub(crate) fn text(mut command: Command) -> Result<String> {
    let output = command.current_dir(root()?).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("a load tool failed: {}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(said)
}
