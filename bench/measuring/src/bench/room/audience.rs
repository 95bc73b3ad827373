//! Servers of server-sent events with very many who watch each: Vestibule, and what it is measured beside.

use super::place::Place;
use crate::trial::scene::{folder, program};
use anyhow::{Context, Result, bail};
use programs::process::{LOAD_CORE, PROXY_CORE, Server, free_ports, pinned};
use programs::run::{installed, output, root};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The module of nginx that tells many clients the same, of Debian's package `libnginx-mod-nchan`.
pub(super) const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// Who tells them.
pub(super) enum Teller {
    Vestibule(Place),
    /// What is sent to `/tell` goes to all who watch `/watch`.
    Other {
        server: Server,
        port: u16,
    },
}

/// A server and those who watch, in a process of their own.
pub(super) struct Audience {
    teller: Teller,
    watchers: u64,
    child: Child,
    told: BufReader<ChildStdout>,
    serving: u64,
    /// What the process of the server takes for each of them, in bytes.
    pub(super) each: u64,
    pub(super) ticks: Vec<Tick>,
}

/// One change that all of them heard of.
#[derive(Clone, Copy)]
pub(super) struct Tick {
    /// From the first who heard of it to the last, as `bench-watchers` notes it.
    pub(super) took: Duration,
    /// Processor time of the server.
    pub(super) cpu: Duration,
    /// Streams that had ended by then.
    pub(super) ended: u64,
}

impl Teller {
    pub(super) fn vestibule() -> Result<Self> {
        let mut place = Place::make("room-watchers")?;
        place.start()?;
        // What the first connections need once is not counted.
        let _warm = place.rush("/wait/serving_num?event_id=Sample", "")?;
        Ok(Self::Vestibule(place))
    }

    /// nginx with Nchan.
    pub(super) fn nchan() -> Result<Self> {
        let (folder, [port]) = (folder("nchan")?, free_ports()?);
        let config = fs::read_to_string(root()?.join("bench/peers/nchan.conf"))?;
        let config = config.replace("{{folder}}", &folder.display().to_string());
        let config = config.replace("{{port}}", &port.to_string()).replace("{{module}}", NCHAN);
        fs::write(folder.join("nchan.conf"), config)?;
        let nginx = installed("nginx").context("nginx is not installed")?;
        let words = ["-p".to_owned(), folder.display().to_string(), "-c".to_owned(), "nchan.conf".to_owned()];
        Self::other(&nginx, &words, port, &folder)
    }

    /// A bare loop of calls of the kernel.
    pub(super) fn bare() -> Result<Self> {
        let [port] = free_ports()?;
        Self::other(&program("bench-teller")?, &[format!("127.0.0.1:{port}")], port, &folder("teller")?)
    }

    fn other(program: &Path, words: &[String], port: u16, folder: &Path) -> Result<Self> {
        let mut command = pinned(PROXY_CORE, program);
        command.args(words);
        let mut server = Server::start(command, &folder.join("log"))?;
        server.wait_until_open(port)?;
        let teller = Self::Other { server, port };
        teller.tell(0)?;
        Ok(teller)
    }

    fn server(&self) -> Result<&Server> {
        match self {
            Self::Vestibule(place) => place.server(),
            Self::Other { server, .. } => Ok(server),
        }
    }

    fn watched(&self) -> (u16, &'static str) {
        match self {
            Self::Vestibule(place) => (place.port, "/wait/watch?event_id=Sample"),
            Self::Other { port, .. } => (*port, "/watch"),
        }
    }

    /// Tells all who watch that so many are served, one more than before.
    fn tell(&self, serving: u64) -> Result<()> {
        let port = match self {
            Self::Vestibule(place) => return place.move_by("sale", 1),
            Self::Other { port, .. } => port,
        };
        // As much as Vestibule says.
        let event = format!(
            "{{\"serving_counter\":{serving},\"queue_counter\":0,\"waiting_num\":0,\"last_number\":0,\"line\":4711,\"state\":\"open\"}}"
        );
        let address = format!("http://127.0.0.1:{port}/tell");
        output("curl", &["-sSf", "-H", "Content-Type: application/json", "--data-binary", &event, &address])?;
        Ok(())
    }
}

impl Audience {
    /// Has so many watch, so many `together` on a connection of HTTP/2, or each on one of HTTP/1.1.
    pub(super) fn gather(teller: Teller, watchers: u64, together: Option<u64>) -> Result<Self> {
        let before = teller.server()?.resident();
        let mut command = pinned(LOAD_CORE, &program("bench-watchers")?);
        let (port, path) = teller.watched();
        command.arg(format!("127.0.0.1:{port}")).arg(path).args(["--watchers", &watchers.to_string()]);
        if let Some(each) = together {
            command.args(["--each", &each.to_string()]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let told = BufReader::new(child.stdout.take().context("it has an output")?);
        let mut all = Self { teller, watchers, child, told, serving: 0, each: 0, ticks: Vec::new() };
        // All of them have heard anything.
        while all.heard()?.get("serving") != Some(&Value::Null) {}
        sleep(Duration::from_secs(2));
        all.each = all.teller.server()?.resident().saturating_sub(before) / watchers;
        Ok(all)
    }

    /// What was heard of the next change, by all of them.
    fn heard(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.told.read_line(&mut line)? == 0 {
            bail!("the watchers ended");
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Has all of them hear of a change.
    pub(super) fn tick(&mut self) -> Result<()> {
        self.serving += 1;
        let spent = self.teller.server()?.cpu();
        self.teller.tell(self.serving)?;
        let mut heard = self.heard()?;
        while heard.get("serving").and_then(Value::as_u64) != Some(self.serving) {
            heard = self.heard()?;
        }
        let number = |name: &str| heard.get(name).and_then(Value::as_u64).unwrap_or_default();
        let took = Duration::from_micros(number("last") - number("first"));
        let cpu = self.teller.server()?.cpu().saturating_sub(spent);
        self.ticks.push(Tick { took, cpu, ended: number("ended") });
        Ok(())
    }

    /// What is asked for of ticks, in the middle and at most, reckoned for so many watchers.
    pub(super) fn middle(&self, of: fn(&Tick) -> Duration, watchers: u64) -> (Duration, Duration) {
        let mut times: Vec<Duration> = self.ticks.iter().map(of).collect();
        times.sort_unstable();
        let reckoned = |time: Option<&Duration>| {
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            let factor = watchers as f64 / self.watchers as f64;
            time.copied().unwrap_or_default().mul_f64(factor)
        };
        (reckoned(times.get(times.len() / 2)), reckoned(times.last()))
    }

    /// Streams that ended.
    pub(super) fn ended(&self) -> u64 {
        self.ticks.iter().map(|tick| tick.ended).max().unwrap_or_default()
    }

    pub(super) fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait()?;
        match self.teller {
            Teller::Vestibule(mut place) => place.end("TERM"),
            Teller::Other { mut server, .. } => server.stop("TERM"),
        }
    }
}
