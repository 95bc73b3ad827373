//! A gateway with waiting rooms, started again and again in one folder, and what is asked of it.

use crate::bench::load::Figures;
use crate::trial::scene::{ask, folder, program};
use anyhow::{Context, Result, bail};
use programs::process::{LOAD_CORE, PROXY_CORE, Server, free_ports, pinned};
use programs::run::{installed, output, root};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// Connections of each rush.
pub(crate) const CONNECTIONS: usize = 256;
/// How long each rush is measured.
pub(crate) const SECONDS: u64 = 4;

/// An API that reads and completes what it is sent, and answers by itself: about as much work as to join a room.
const RESHAPED: &str = r#"  reshaped:
    match: {path: /reshaped}
    policies:
      - complete:
          json: {/id: "{request.id}", /from: "{client.address}", /more/id: "{request.id}", /more/from: "{client.address}", /more/last: "{request.id}", /more/too: "{request.id}"}
          headers: {x-one: "{request.id}", x-two: "{client.address}{request.id}", x-three: "{request.id}", x-four: "{request.id}", x-five: "{client.address}{request.id}", x-six: "{request.id}", x-seven: "{client.address}{request.id}"}
      - headers: {response: {set: {access-control-allow-origin: "*", cache-control: no-store}}}
      - respond: {json: {api_request_id: "{request.id}"}}
"#;

/// What a rush came to.
pub(crate) struct Rush {
    pub(crate) rate: f64,
    /// CPU of the gateway for each answer.
    pub(crate) cpu: Duration,
    pub(crate) p99: Duration,
    pub(crate) bad: f64,
}

/// A gateway that is started again and again in one folder.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    server: Option<Server>,
    /// A library that stands before others in the gateway.
    preload: Option<PathBuf>,
}

/// A connection that stays.
pub(crate) struct Line(BufReader<TcpStream>);

impl Line {
    pub(crate) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn ask(&mut self, request: &str) -> Result<Value> {
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                bail!("it was closed");
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Joins with these fields of the head, and answers the id, if it is not to come again.
    pub(crate) fn join(&mut self, fields: &str) -> Result<Option<String>> {
        let body = "{\"event_id\":\"Sample\"}";
        let head = format!(
            "POST /wait/assign_queue_num HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let joined = self.ask(&(head + body))?;
        Ok(joined.get("api_request_id").and_then(Value::as_str).map(str::to_owned))
    }

    /// The place of somebody, if they have one.
    pub(crate) fn place(&mut self, id: &str) -> Result<Option<u64>> {
        let asked = format!("GET /wait/queue_num?event_id=Sample&request_id={id} HTTP/1.1\r\nHost: a\r\n\r\n");
        Ok(self.ask(&asked)?.get("queue_number").and_then(Value::as_u64))
    }
}

pub(crate) fn waiting(port: u16) -> Result<u64> {
    let (_, text) = ask(port, "GET /wait/waiting_num?event_id=Sample", "")?;
    member(&text, "waiting_num").context("no number")
}

/// A number in an answer's body.
pub(crate) fn member(text: &str, name: &str) -> Option<u64> {
    let (_, body) = text.split_once("\r\n\r\n")?;
    serde_json::from_str::<Value>(body).ok()?.get(name)?.as_u64()
}

impl Place {
    pub(crate) fn make(name: &str) -> Result<Self> {
        Self::with(
            name,
            "  sale: {event: Sample, position_expiry: 15m}\n  fast: {event: Sample, durability: process}\n",
            "  wait: {match: {path: /wait}, policies: [{waiting-room-api: {room: sale}}]}\n  \
             fast: {match: {path: /fast}, policies: [{waiting-room-api: {room: fast}}]}\n",
        )
    }

    /// With these rooms and APIs.
    pub(crate) fn with(name: &str, rooms: &str, apis: &str) -> Result<Self> {
        let folder = folder(name)?;
        let [port, admin] = free_ports()?;
        let document = format!(
            "version: 1\nworkers: 1\nlimits: {{connections: 200000, connections_per_address: 200000}}\nlisteners: {{public: {{bind: \"127.0.0.1:{port}\"}}}}\n\
             admin: {{bind: \"127.0.0.1:{admin}\"}}\nstore: {{embedded: ./data}}\n\
             rooms:\n{rooms}apis:\n{apis}  \
             still: {{match: {{path: /still}}, policies: [{{respond: {{json: {{serving_counter: \"0\"}}}}}}]}}\n{RESHAPED}"
        );
        fs::write(folder.join("vestibule.yaml"), document)?;
        fs::write(
            folder.join("join.lua"),
            "dofile(\"bench/figures.lua\")\nwrk.method = \"POST\"\nwrk.body = '{\"event_id\":\"Sample\"}'\n\
             wrk.headers[\"content-type\"] = \"application/json\"\n",
        )?;
        Ok(Self { folder, port, server: None, preload: None })
    }

    /// Has this library stand before others in the gateway, from the next start on.
    pub(crate) fn preload(&mut self, library: PathBuf) {
        self.preload = Some(library);
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = pinned(PROXY_CORE, &program("vestibule")?);
        command.arg("run").arg(self.folder.join("vestibule.yaml")).current_dir(&self.folder);
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        let mut server = Server::start(command, &self.folder.join("gateway.log"))?;
        server.wait_until_open(self.port)?;
        self.server = Some(server);
        Ok(())
    }

    pub(crate) fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("it does not run")
    }

    pub(crate) fn end(&mut self, signal: &str) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.stop(signal))
    }

    /// Asks as fast as it is answered; `script` is a file of the folder, or nothing for GET.
    pub(crate) fn rush(&self, path: &str, script: &str) -> Result<Rush> {
        let figures_only = root()?.join("bench/figures.lua");
        let script = if script.is_empty() { figures_only } else { self.folder.join(script) };
        let wrk = installed("wrk").context("wrk is not installed")?;
        let core = LOAD_CORE.0.to_string();
        let words = [
            "-c".to_owned(),
            core,
            wrk.display().to_string(),
            "-t1".to_owned(),
            format!("-c{CONNECTIONS}"),
            format!("-d{SECONDS}s"),
            "-s".to_owned(),
            script.display().to_string(),
            format!("http://127.0.0.1:{}{path}", self.port),
        ];
        let before = self.server()?.cpu();
        let said = output("taskset", &words.iter().map(String::as_str).collect::<Vec<_>>())?;
        let spent = self.server()?.cpu().saturating_sub(before);
        let figures = Figures::read(&said)?;
        let answered = figures.number("answered").max(1.0);
        let rush = Rush {
            rate: answered / figures.number("seconds"),
            cpu: spent.div_f64(answered),
            p99: Duration::from_secs_f64(figures.number("p99_us") / 1e6),
            bad: figures.number("refused") + figures.number("failed"),
        };
        println!("{path}: {:.0}/s, {:.2} µs, {} bad", rush.rate, micros(&rush), rush.bad);
        Ok(rush)
    }

    /// Moves the serving number of a room.
    pub(crate) fn move_by(&self, room: &str, by: i64) -> Result<()> {
        let (program, config) = (program("vestibule")?, self.folder.join("vestibule.yaml"));
        let (program, config) = (program.display().to_string(), config.display().to_string());
        output(&program, &["admin", "room", "move", room, &by.to_string(), "--config", &config])?;
        Ok(())
    }

    /// The path by which somebody asks for a place.
    pub(crate) fn queue_num(&self) -> Result<String> {
        let id = Line::open(self.port)?.join("")?.context("no id")?;
        Ok(format!("/wait/queue_num?event_id=Sample&request_id={id}"))
    }

    /// How many wait in both rooms.
    pub(crate) fn waiting(&self) -> Result<u64> {
        let (_, text) = ask(self.port, "GET /fast/waiting_num?event_id=Sample", "")?;
        Ok(waiting(self.port)? + member(&text, "waiting_num").context("no number")?)
    }

    /// As [`waiting`], if it is answered.
    pub(crate) fn waiting_now(&self) -> Option<u64> {
        waiting(self.port).ok()
    }
}

pub(crate) fn is_good(rush: &Rush, rate: f64) -> bool {
    rush.rate >= rate && rush.bad < 1.0
}

pub(crate) fn micros(rush: &Rush) -> f64 {
    rush.cpu.as_secs_f64() * 1e6
}

/// The script that joins.
pub(crate) const JOIN: &str = "join.lua";
